"""Which functions a recording calls: those that answer and change nothing.

All whose names say that they get something, less those that are named here with the reason why, and
a few that answer under other names. A function that is handed what only other calls make (a
context, an event set) is not called either: see `calls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from ..api import Api, Function
from ..runtime.exact import lengths
from ..vocabulary import apis, vocabulary

__all__ = ["FIRST", "asked", "candidates", "reason_against"]

#: What is called before all else, by library: it says whether there is a driver at all.
FIRST: Mapping[str, tuple[str, ...]] = {
    "nvml": ("nvmlInit_v2", "nvmlInit", "nvmlInitWithFlags"),
    "cuda": ("cuInit",),
}

#: What answers and changes nothing though its name does not begin so.
QUERIES: Mapping[str, tuple[str, ...]] = {
    "nvml": (
        *("nvmlDeviceIsMigDeviceHandle", "nvmlDeviceOnSameBoard"),
        *("nvmlGpmQueryDeviceSupport", "nvmlGpmQueryIfStreamingEnabled"),
    ),
    "cuda": (
        *("cuDeviceCanAccessPeer", "cuDeviceComputeCapability"),
        *("cuDeviceTotalMem", "cuDeviceTotalMem_v2"),
    ),
}

NO_CONTEXT = "is about the calling thread's context, and a recording makes none"
DRAWING = "is about what a program draws with"
IDENTIFIES = "says which board or host this is, in a form that cannot be redacted"

#: Functions, and why they are not called.
UNSAFE: Mapping[str, str] = {
    "nvmlDeviceGetConfComputeGpuAttestationReport": "has the GPU sign a report",
    "nvmlDeviceGetConfComputeGpuCertificate": IDENTIFIES,
    "nvmlDeviceGetPgpuMetadataString": IDENTIFIES,
    "nvmlDeviceGetVgpuMetadata": IDENTIFIES,
    "nvmlVgpuInstanceGetMetadata": IDENTIFIES,
    "cuCheckpoint*": "is about another process's checkpoint",
    "cuCoredump*": "is about the dumps of this process",
    "cuCtx*": NO_CONTEXT,
    "cuDevice*MemPool": "answers a handle, which means something to this process alone",
    "cuDeviceGetGraphMemAttribute": "answers memory of no type",
    "cuDeviceGetDevResource": "answers bytes that mean something to CUDA alone",
    "cuGL*": DRAWING,
    "cuGraphics*": DRAWING,
    "cuVDPAU*": DRAWING,
    "cuMem*": NO_CONTEXT,
    "cudbg*": "is for a debugger, whose back end it starts",
}


def candidates(library: str) -> list[str]:
    """The functions that answer and change nothing, as far as their names say; inits first."""
    found = {*vocabulary().groups["getters"][library], *QUERIES[library]}
    return [*FIRST[library], *sorted(found)]


def reason_against(library: str, name: str) -> str:
    """Why a candidate is not called; empty when it may be."""
    for pattern, reason in UNSAFE.items():
        if fnmatchcase(name, pattern):
            return reason
    api = apis()[library]
    function = api.find(name)
    if function.parameters is None:
        return "is in no header: nobody knows what it takes"
    if function.privileged:
        return "is for root alone"
    if function.returns != api.status:
        return "returns no status"
    return _has_addresses(api, function)


def _has_addresses(api: Api, function: Function) -> str:
    """Addresses mean something in one process alone, and no client's are known to be right."""
    for parameter in function.parameters or ():
        spelled = parameter.type.endswith("*")
        if spelled or (parameter.is_pointer and _struct_has(api, parameter.type)):
            return f"has an address in `{parameter.name}`"
        if parameter.direction == "in" and parameter.type == "void":
            return f"takes memory of no type in `{parameter.name}`"
    return ""


def _struct_has(api: Api, name: str) -> bool:
    return api.types.is_struct(name) and "*" in api.types.row(name)


def asked(function: Function) -> list[str]:
    """The parameters in which a client says what it wants to know."""
    hidden = lengths(function)
    return [
        p.name
        for p in function.parameters or ()
        if p.direction in ("value", "in") and p.name not in hidden
    ]
