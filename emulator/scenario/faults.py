"""A scenario's faults, resolved into rules that name every function and code by itself."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import filter as matching
from typing import Any

from .calls import parse_calls
from .errors import ScenarioError, UnknownNameError, nearest
from .schema import Fault
from .vocabulary import Vocabulary

__all__ = ["rules"]

#: What a code's name may be written without: the header's prefixes.
_PREFIXES = {"nvml": ("NVML_ERROR_", "NVML_"), "cuda": ("CUDA_ERROR_", "CUDA_")}


def rules(
    faults: Sequence[Fault], gpus: Sequence[dict[str, Any]], vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    """Return the plan's rules, in the order of the faults; "rule" is the fault's index.

    A fault that names functions of both libraries becomes a rule for each, as their codes differ.

    Raises:
        UnknownNameError: a function, glob, code or device that nothing is known by.
        ScenarioError: see ``resolve``; its key path begins with ``fault[n]``.
    """
    resolved = []
    for index, fault in enumerate(faults):
        try:
            resolved += [{"rule": index, **rule} for rule in _rules(fault, gpus, vocabulary)]
        except ScenarioError as error:
            raise error.within("fault", index) from None
    return resolved


def _rules(
    fault: Fault, gpus: Sequence[dict[str, Any]], vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    functions = _functions(fault, vocabulary)
    shared = {"device": _device(fault, gpus), "calls": parse_calls(fault.calls)}
    codes = _codes(fault, functions, vocabulary)
    return [
        {"library": library, "functions": sorted(functions[library]), "code": code, **shared}
        for library, code in codes.items()
    ]


def _functions(fault: Fault, vocabulary: Vocabulary) -> dict[str, set[str]]:
    """Return library -> names, for the libraries in which the fault names a function."""
    patterns = _patterns(fault)
    libraries = [fault.library] if fault.library else list(vocabulary.functions)
    found: dict[str, set[str]] = {library: set() for library in libraries}
    for position, pattern in enumerate(patterns):
        hits = {name: _matching(vocabulary.functions[name], pattern) for name in libraries}
        if not any(hits.values()):
            at = () if isinstance(fault.function, str) else (position,)
            known = [name for library in libraries for name in vocabulary.functions[library]]
            problem = f"expected an exported function{_of(fault)}, found {pattern!r}"
            raise UnknownNameError(problem + nearest(pattern, known), key=("function", *at))
        for library in libraries:
            found[library] |= hits[library]
    return {library: names for library, names in found.items() if names}


def _patterns(fault: Fault) -> list[str]:
    return [fault.function] if isinstance(fault.function, str) else list(fault.function)


def _matching(names: Any, pattern: str) -> set[str]:
    if not any(character in pattern for character in "*?["):
        return {pattern} if pattern in names else set()
    return set(matching(names, pattern))


def _codes(fault: Fault, functions: dict[str, set[str]], vocabulary: Vocabulary) -> dict[str, int]:
    """Return library -> code.

    A library that only globs reach into ("*") is left out if it does not have the code.
    """
    if isinstance(fault.returns, int):
        return dict.fromkeys(functions, fault.returns)
    codes = {library: _code(fault.returns, library, vocabulary) for library in functions}
    named = [library for library, names in functions.items() if names & set(_patterns(fault))]
    missing = [library for library, code in codes.items() if code is None]
    refused = [library for library in missing if library in named]
    if refused or len(missing) == len(codes):
        raise _unknown_code(fault.returns, refused or missing, vocabulary)
    return {library: code for library, code in codes.items() if code is not None}


def _code(name: str, library: str, vocabulary: Vocabulary) -> int | None:
    known = vocabulary.codes[library]
    short = {_shortened(full, library): number for full, number in known.items()}
    return known.get(name.upper(), short.get(name.upper()))


def _unknown_code(name: str, libraries: Sequence[str], vocabulary: Vocabulary) -> ScenarioError:
    known = [
        _shortened(code, library) for library in libraries for code in vocabulary.codes[library]
    ]
    bare = name.upper()
    for library in libraries:
        bare = _shortened(bare, library)
    problem = f"expected a code of {' and '.join(libraries)}, found {name!r}"
    return UnknownNameError(problem + nearest(bare, known), key=("returns",))


def _shortened(name: str, library: str) -> str:
    for prefix in _PREFIXES.get(library, ()):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _device(fault: Fault, gpus: Sequence[dict[str, Any]]) -> int | None:
    """Return the index of the fault's device; a machine must have it."""
    if fault.device is None:
        return None
    if isinstance(fault.device, int):
        if fault.device < len(gpus):
            return fault.device
        problem = f"expected the index of one of {len(gpus)} GPUs, found {fault.device}"
        raise ScenarioError(problem, key=("device",))
    uuids = [gpu["uuid"] for gpu in gpus]
    if fault.device not in uuids:
        problem = f"expected the UUID of a GPU of the scenario, found {fault.device!r}"
        raise UnknownNameError(problem + nearest(fault.device, uuids), key=("device",))
    return uuids.index(fault.device)


def _of(fault: Fault) -> str:
    return f" of {fault.library}" if fault.library else ""
