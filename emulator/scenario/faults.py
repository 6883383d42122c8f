"""A scenario's faults, resolved into rules that name every function, device and code by itself.

A rule of the plan has, of these, what it needs: which calls it is about (`library`, `functions`,
`devices`, `process`, `thread`, `time`, `after`, `calls`, `probability`, `seed`) and what happens to
them (`delay`, `block`, `signal`, `exit`, `run`, `code`, `writes`, `corrupt`).
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .calls import parse_calls
from .errors import ScenarioError, UnknownNameError, nearest, within
from .hooks import located
from .outputs import check_corrupt, check_writes, with_outputs
from .picking import devices
from .schema import Fault
from .times import parse_duration, parse_span
from .vocabulary import Vocabulary

__all__ = ["rules"]


def rules(
    faults: Sequence[Fault],
    gpus: Sequence[dict[str, Any]],
    vocabulary: Vocabulary,
    folder: str = "",
) -> list[dict[str, Any]]:
    """Return the plan's rules, in the order of the faults.

    A fault that names functions of both libraries becomes a rule for each, as their codes differ.

    Args:
        faults: what was written.
        gpus: the devices of the plan.
        vocabulary: the names that faults may use.
        folder: what the paths of Python files are relative to.

    Raises:
        UnknownNameError: a function, glob, code or device that nothing is known by.
        ScenarioError: see ``resolve``; its key path begins with ``fault[n]``.
    """
    resolved = []
    for index, fault in enumerate(faults):
        name = fault.name or f"fault[{index}]"
        with within("fault", index):
            made = _rules(fault, gpus, vocabulary, folder)
        resolved += [{"name": name, **rule} for rule in made]
    return resolved


def _rules(
    fault: Fault, gpus: Sequence[dict[str, Any]], vocabulary: Vocabulary, folder: str
) -> list[dict[str, Any]]:
    functions = _able(fault, _functions(fault, "function", vocabulary), vocabulary)
    after = _functions(fault, "after", vocabulary) if fault.after else None
    shared = {
        "devices": None if fault.device is None else devices(fault.device, gpus),
        "calls": parse_calls(fault.calls),
        **_given(fault, folder),
    }
    codes = _codes(fault, functions, vocabulary)
    found = []
    for library in with_outputs(fault, {name: functions[name] for name in codes}, vocabulary):
        code = codes[library]
        rule = {"library": library, "functions": sorted(functions[library]), **shared}
        if code is not None:
            rule["code"] = code
        if after is not None:
            rule["after"] = sorted(set().union(*after.values()))
        rule |= check_writes(fault.writes, library, rule["functions"], vocabulary)
        rule |= check_corrupt(fault.corrupt, library, rule["functions"], vocabulary)
        found.append(rule)
    return found


def _given(fault: Fault, folder: str) -> dict[str, Any]:
    """Return what a fault says beyond the usual, as the plan has it."""
    given = {
        "process": fault.process,
        "thread": fault.thread,
        "time": None if fault.time is None else parse_span(fault.time),
        "probability": fault.probability,
        "seed": fault.seed if fault.probability is not None else None,
        "delay": None if fault.delay is None else parse_duration(fault.delay),
        "block": fault.block or None,
        "signal": None if fault.signal is None else int(signal.Signals[str(fault.signal)]),
        "exit": fault.exit,
        "run": None if fault.run is None else located(fault.run, folder),
    }
    return {key: value for key, value in given.items() if value is not None}


def _functions(fault: Fault, key: str, vocabulary: Vocabulary) -> dict[str, set[str]]:
    """Return library -> names, for the libraries in which the fault names a function."""
    written = getattr(fault, key)
    libraries = [fault.library] if fault.library and key == "function" else [*vocabulary.functions]
    found: dict[str, set[str]] = {library: set() for library in libraries}
    for position, pattern in enumerate(_patterns(written)):
        hits = {name: vocabulary.named(name, pattern) for name in libraries}
        if not any(hits.values()):
            at = () if isinstance(written, str) else (position,)
            known = [name for library in libraries for name in vocabulary.functions[library]]
            problem = f"expected an exported function{_of(fault)}, found {pattern!r}"
            raise UnknownNameError(problem + nearest(pattern, known), key=(key, *at))
        for library in libraries:
            found[library] |= hits[library]
    return {library: names for library, names in found.items() if names}


def _patterns(written: str | Sequence[str]) -> list[str]:
    return [written] if isinstance(written, str) else list(written)


def _able(
    fault: Fault, functions: Mapping[str, Collection[str]], vocabulary: Vocabulary
) -> dict[str, set[str]]:
    """Return the functions that the fault can be about; those only a glob reaches may be others."""
    able: dict[str, set[str]] = {}
    refused: dict[str, tuple[str, str]] = {}
    for library, names in functions.items():
        for name in names:
            problem = _inability(fault, vocabulary, library, name)
            if problem is None:
                able.setdefault(library, set()).add(name)
            elif name in _patterns(fault.function) or not refused:
                refused[name] = problem
    named = [name for name in _patterns(fault.function) if name in refused]
    if named or not able:
        blamed, why = refused[named[0] if named else next(iter(refused))]
        raise ScenarioError(why, key=(blamed,))
    return able


def _inability(
    fault: Fault, vocabulary: Vocabulary, library: str, name: str
) -> tuple[str, str] | None:
    """Return why a fault could never happen to a function: the key to blame and the problem."""
    signature = vocabulary.signature(library, name)
    if fault.returns is not None and not signature.returns_status:
        return "returns", f"expected a function that returns a status code, found {name}"
    if fault.device is not None and not signature.names_device:
        return "device", f"expected a function that is called for a device, found {name}"
    return None


def _codes(
    fault: Fault, functions: dict[str, set[str]], vocabulary: Vocabulary
) -> dict[str, int | None]:
    """Return library -> code.

    A library that only globs reach into ("*") is left out if it does not have the code.
    """
    if fault.returns is None:
        return dict.fromkeys(functions)
    codes = {library: _code(fault.returns, library, vocabulary) for library in functions}
    written = set(_patterns(fault.function))
    named = [library for library, names in functions.items() if names & written]
    missing = [library for library, code in codes.items() if code is None]
    refused = [library for library in missing if library in named]
    if refused or len(missing) == len(codes):
        raise _unknown_code(fault.returns, refused or missing, vocabulary)
    return {library: code for library, code in codes.items() if code is not None}


def _code(code: str | int, library: str, vocabulary: Vocabulary) -> int | None:
    known = vocabulary.codes[library]
    if isinstance(code, int):
        return code if code in known.values() else None
    name = code.upper()
    spelt = (prefix + name for prefix in vocabulary.prefixes.get(library, ()))
    full = [name, *(full for full in spelt if vocabulary.short(library, full) == name)]
    return next((known[each] for each in full if each in known), None)


def _unknown_code(
    code: str | int, libraries: Sequence[str], vocabulary: Vocabulary
) -> ScenarioError:
    problem = f"expected a code of {' and '.join(libraries)}, found {code!r}"
    if isinstance(code, int):
        return UnknownNameError(problem, key=("returns",))
    known = [
        vocabulary.short(library, name)
        for library in libraries
        for name in vocabulary.codes[library]
    ]
    bare = code.upper()
    for library in libraries:
        bare = vocabulary.short(library, bare)
    return UnknownNameError(problem + nearest(bare, known), key=("returns",))


def _of(fault: Fault) -> str:
    return f" of {fault.library}" if fault.library else ""
