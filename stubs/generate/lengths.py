"""Inferring how many elements stand behind a pointer, from the parameter that counts them.

The grammar of a length, as API descriptions use it:

    count           as many elements as the parameter `count` says
    *count          `count` points at the capacity; the number of elements is written back there
    bytes:size      untyped memory of as many bytes as the parameter (or *parameter) says
    rank-1          the value of the parameter `rank`, less one
    by:attribute    the value of the parameter decides what is pointed at, and how large it is
    NAME, 16        a constant of the header, an integer
    nul             a string that its NUL ends
    opaque          an address that is stored or passed on, never followed by its type
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from stubs.generate.declarations import Parameter

__all__ = ["is_pointer", "lengths"]

_INTEGERS = {"int", "unsigned int", "size_t", "cuuint32_t", "unsigned long long"}
_NVML_COUNT = re.compile(r"[cC]ount$|[lL]ength$|[sS]ize$")
# `size` is a size in bytes of something on the device nearly everywhere in CUDA, so no count.
_CUDA_COUNT = re.compile(r"^num[A-Z]\w*s(?:_out)?$|^count$|^cudaDeviceCount$|^nbResources$")
_CUDA_BYTES = re.compile(r"^ByteCount$|^dataSize$|^numbytes$")
_CUDA_CHARACTERS = re.compile(r"^len$|^bufferSize$")
_CUDA_LIST = re.compile(r"(?<!Param)s$|Array$|List$|Data$|^data$|^from$|^to$|^map$|^desc$")


def is_pointer(spelled: str) -> bool:
    """Whether a type as spelled in a prototype is a pointer (handles by name are values)."""
    return "*" in spelled


def lengths(library: str, parameters: Sequence[Parameter]) -> dict[str, str]:
    """The lengths that can be told from the prototype alone, by parameter name."""
    infer = {"nvml": _nvml, "cuda": _cuda}[library]
    found = dict(infer(parameters))
    for name, spelled, dimension in parameters:
        if dimension is not None:
            found[name] = str(dimension)
        elif spelled == "const char *":
            found[name] = "nul"
        elif spelled == "const void *":
            found.setdefault(name, "opaque")
        elif name in {"userData", "user_data"}:
            found[name] = "opaque"
    return found


def _nvml(parameters: Sequence[Parameter]) -> Iterator[tuple[str, str]]:
    """NVML puts the count next to its array, mostly before it: an array has one neighbour."""
    for index, (name, spelled, _) in enumerate(parameters):
        if is_pointer(spelled) and not _counts(parameters, index, _NVML_COUNT):
            for neighbour in (index + 1, index - 1):
                if _counts(parameters, neighbour, _NVML_COUNT):
                    yield name, _reference(parameters[neighbour])
                    break


def _cuda(parameters: Sequence[Parameter]) -> Iterator[tuple[str, str]]:
    """CUDA puts the count behind its arrays, or else before them, and names arrays so."""
    for index, parameter in enumerate(parameters):
        if _counts(parameters, index, _CUDA_COUNT):
            before = list(_run(parameters, range(index - 1, -1, -1), _is_list))
            after = _run(parameters, range(index + 1, len(parameters)), _is_list)
            yield from ((name, _reference(parameter)) for name in before or after)
        elif _counts(parameters, index, _CUDA_BYTES):
            untyped = [name for name, kind, _ in parameters if kind.endswith("void *")]
            yield from ((name, f"bytes:{parameter.name}") for name in untyped)
        elif _counts(parameters, index, _CUDA_CHARACTERS):
            texts = [name for name, kind, _ in parameters if kind == "char *"]
            yield from ((name, parameter.name) for name in texts)


def _is_list(parameter: Parameter) -> bool:
    spelled = parameter.type
    handed_out = spelled.startswith("const ") and spelled.endswith("**")
    return is_pointer(spelled) and not handed_out and bool(_CUDA_LIST.search(parameter.name))


def _run(
    parameters: Sequence[Parameter], indices: range, wanted: Callable[[Parameter], bool]
) -> Iterator[str]:
    for index in indices:
        if not wanted(parameters[index]):
            return
        yield parameters[index].name


def _counts(parameters: Sequence[Parameter], index: int, pattern: re.Pattern[str]) -> bool:
    if not 0 <= index < len(parameters):
        return False
    candidate = parameters[index]
    is_integer = candidate.type.removesuffix(" *") in _INTEGERS
    return is_integer and bool(pattern.search(candidate.name))


def _reference(parameter: Parameter) -> str:
    return f"*{parameter.name}" if is_pointer(parameter.type) else parameter.name
