"""What the answers of single calls tell: which decide, and which programs turn away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

#: Whether arguments hold an answer that programs turn away; None where they hold none.
Such = Callable[[Mapping[str, Any]], bool | None]

#: The least that Ollama takes.
_LEAST_MAJOR = 5  # of the compute capability
_LEAST_MEMORY = 457 << 20  # bytes

_OLD = "a compute capability that current CUDA libraries have no code for"
_PROHIBITED = "a compute mode that allows no contexts"
_LITTLE = "less memory than programs ask for"
_LITTLE_FREE = "less free memory than programs ask for"


def _attribute(name: str, such: Callable[[Any], bool]) -> Such:
    """About the answers for one attribute."""
    return lambda a: such(a["pi"]) if str(a["attrib"]).endswith(name) else None


#: What programs turn away though no call fails: function, whether an answer is such, what it is.
TURNED_AWAY: tuple[tuple[str, Such, str], ...] = (
    ("nvmlDeviceGetCudaComputeCapability", lambda a: a["major"] < _LEAST_MAJOR, _OLD),
    ("cuDeviceComputeCapability", lambda a: a["major"] < _LEAST_MAJOR, _OLD),
    (
        "cuDeviceGetAttribute",
        _attribute("COMPUTE_CAPABILITY_MAJOR", lambda major: major < _LEAST_MAJOR),
        _OLD,
    ),
    ("cuDeviceGetAttribute", _attribute("COMPUTE_MODE", lambda mode: mode == 2), _PROHIBITED),
    ("nvmlDeviceGetComputeMode", lambda a: str(a["mode"]).endswith("PROHIBITED"), _PROHIBITED),
    ("cuDeviceTotalMem", lambda a: a["bytes"] < _LEAST_MEMORY, _LITTLE),
    ("cuMemGetInfo", lambda a: a["free"] < _LEAST_MEMORY, _LITTLE_FREE),
    ("nvmlDeviceGetMemoryInfo", lambda a: a["memory"]["free"] < _LEAST_MEMORY, _LITTLE_FREE),
)


def is_one_of(call: Call, names: Sequence[str]) -> bool:
    """Whether a call is of one of these functions, in any version."""
    return call.function.startswith(tuple(names))


def turned_away(own: Sequence[Call]) -> tuple[Call, str] | None:
    """An answer that programs turn away, and which it is; among the last, as one that asks on was
    content with it. Where another device had a better one, they take that device."""
    for call in reversed(own[-3:]):
        for function, such, what in TURNED_AWAY:
            if _is_such(call, function, such):
                answers = [_is_such(each, function, such) for each in own]
                if False not in answers:
                    return call, f"{call.function} answered {what}"
    return None


def _is_such(call: Call, function: str, such: Such) -> bool | None:
    """Whether a call of a function was answered so; None where it was not answered, as when the
    program passed NULL, or is of another function."""
    if call.succeeded and is_one_of(call, (function,)):
        with suppress(TypeError, KeyError):
            return such(call.arguments)
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
