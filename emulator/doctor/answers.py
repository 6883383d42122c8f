"""What the answers of single calls tell: which decide, and which programs turn away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..trace import Call

__all__ = [
    "AROUND",
    "COUNT",
    "INIT",
    "LACKING",
    "TAKING",
    "decides",
    "is_one_of",
    "said",
    "turned_away",
]

INIT = {"nvml": ("nvmlInit",), "cuda": ("cuInit",)}
COUNT = {"nvml": ("nvmlDeviceGetCount",), "cuda": ("cuDeviceGetCount",)}
#: Calls that tell nothing of how it went: they close, explain, or look functions up.
AROUND = (
    *("nvmlShutdown", "nvmlErrorString", "nvmlInternalGetExportTable"),
    *("cuGetErrorName", "cuGetErrorString", "cuGetProcAddress"),
    *("cuGetExportTable", "cuCtxDestroy", "cuDevicePrimaryCtxRelease"),
)
#: Calls with which a program takes a device.
TAKING = ("cuCtxCreate", "cuDevicePrimaryCtxRetain", "cuMemAlloc", "cuLaunchKernel")
#: Calls without which a program gets no further.
NEEDED = ("nvmlDeviceGetHandleBy", *TAKING)
#: Errors with which a library says that it lacks something that few programs insist on.
LACKING = ("NOT_SUPPORTED", "NOT_FOUND", "FUNCTION_NOT_FOUND", "INSUFFICIENT_SIZE", "NO_PERMISSION")


_OLD = "a compute capability that current CUDA libraries have no code for"
_PROHIBITED = "a compute mode that allows no contexts"
_LITTLE = "less free memory than programs ask for"
_LEAST_MEMORY = 457 << 20  # bytes


def _attribute(suffix: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda a: a["pi"] if str(a["attrib"]).endswith(suffix) else None


#: What programs turn away though no call fails: function, the value that its arguments hold (None
#: for none), whether it is such, and what it is. The least that Ollama takes are compute capability
#: 5.0 and 457 MiB.
TURNED_AWAY: tuple[
    tuple[str, Callable[[Mapping[str, Any]], Any], Callable[[Any], bool], str], ...
] = (
    ("nvmlDeviceGetCudaComputeCapability", lambda a: a["major"], lambda major: major < 5, _OLD),
    ("cuDeviceComputeCapability", lambda a: a["major"], lambda major: major < 5, _OLD),
    (
        "cuDeviceGetAttribute",
        _attribute("COMPUTE_CAPABILITY_MAJOR"),
        lambda major: major < 5,
        _OLD,
    ),
    ("cuDeviceGetAttribute", _attribute("COMPUTE_MODE"), lambda mode: mode == 2, _PROHIBITED),
    (
        "nvmlDeviceGetComputeMode",
        lambda a: a["mode"],
        lambda mode: str(mode).endswith("PROHIBITED"),
        _PROHIBITED,
    ),
    (
        "cuDeviceTotalMem",
        lambda a: a["bytes"],
        lambda size: size < _LEAST_MEMORY,
        "less memory than programs ask for",
    ),
    ("cuMemGetInfo", lambda a: a["free"], lambda size: size < _LEAST_MEMORY, _LITTLE),
    (
        "nvmlDeviceGetMemoryInfo",
        lambda a: a["memory"]["free"],
        lambda size: size < _LEAST_MEMORY,
        _LITTLE,
    ),
)


def is_one_of(call: Call, names: Sequence[str]) -> bool:
    """Whether a call is of one of these functions, in any version."""
    return call.function.startswith(tuple(names))


def turned_away(own: Sequence[Call]) -> Iterator[tuple[Call, str]]:
    """Answers that programs turn away, among the last: one that asks on was content with it. Where
    another device had a better one, they take that device."""
    for call in reversed(own[-3:]):
        for function, value, such, what in TURNED_AWAY:
            answers = [
                _is_such(each, value, such)
                for each in own
                if each.succeeded and each.function.startswith(function)
            ]
            mine = call.succeeded and call.function.startswith(function)
            if mine and _is_such(call, value, such) and False not in answers:
                yield call, f"{call.function} answered {what}"


def _is_such(
    call: Call, value: Callable[[Mapping[str, Any]], Any], such: Callable[[Any], bool]
) -> bool | None:
    """Whether an answer is such; None where the call has none, as when the program passed NULL."""
    with suppress(TypeError, KeyError):
        answer = value(call.arguments)
        return None if answer is None else such(answer)
    return None


def decides(last: Call) -> bool:
    """Whether a failure that is the last of a process's calls is one that it gave up at."""
    optional = last.status in LACKING and last.handled
    return last.failed and (not optional or is_one_of(last, NEEDED))


def said(call: Call) -> str:
    """What a call that failed answered."""
    text = f"{call.status} ({call.code})"
    if call.record.get("error"):
        text += ", as it met an error inside nvemu"
    return text if call.handled else f"{text}, as nvemu has no handler for it"
