"""Which functions a recording calls: those that answer and change nothing.

All that ask, by their names, less those that are named here with the reason why. A function that is
handed what only other calls make (a context, an event set) is not called either: see `calls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from ..api import Api, Function
from ..imports.captures.answers import asking
from ..imports.deriving.asked import INITS
from ..imports.redaction import SEALED
from ..runtime.exact import lengths
from ..vocabulary import apis

__all__ = ["asked", "candidates", "reason_against"]

NO_CONTEXT = "is about the calling thread's context, and a recording makes none"
DRAWING = "is about what a program draws with"

#: Functions, and why they are not called.
UNSAFE: Mapping[str, str] = {
    **dict.fromkeys(sorted(SEALED), "says which board or host this is, and cannot be redacted"),
    "nvmlDeviceGetConfComputeGpuAttestationReport": "has the GPU sign a report",
    "nvmlDeviceValidateInforom": "has the checksums of the board's flash computed",
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
    # An init says whether there is a driver at all.
    return [*INITS[library], *sorted(asking(library))]


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
