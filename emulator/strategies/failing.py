"""Drawn faults, and the codes that they return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import filter as matching
from functools import cache
from typing import Any

from hypothesis import strategies as st

from ..api import Api, Parameter, c_array, c_fields
from ..scenario import Fault, UnknownNameError
from ..scenario.errors import nearest
from ..vocabulary import apis, documented, vocabulary
from .drawing import or_unusual, some

__all__ = ["DISCOVERY", "faults", "return_codes"]

#: Library -> what programs that look for GPUs call, in about the order in which they do.
DISCOVERY = {
    "nvml": (
        *("nvmlInit*", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"),
        *("nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo"),
        *("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetPciInfo_v3"),
        *("nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetHandleByUUID"),
        *("nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion_v2"),
        *("nvmlDeviceGetIndex", "nvmlDeviceGetMigMode", "nvmlDeviceGetUtilizationRates"),
        *("nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage", "nvmlShutdown"),
    ),
    "cuda": (
        *("cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName"),
        *("cuDeviceTotalMem_v2", "cuDeviceGetUuid_v2", "cuDeviceGetAttribute"),
        *("cuDeviceGetPCIBusId", "cuCtxCreate_v2", "cuDevicePrimaryCtxRetain", "cuMemGetInfo_v2"),
    ),
}

#: Which of the calls that a fault is about it answers.
_CALLS = (1, 2, "2-", 3, "1-3", "every 2")

_SMALL = (0, 1, 2, -1, 7, 64)
_TEXTS = ("", "x", "x" * 200, "é", "\x01", "%s%n")

#: What programs loop up to: in this very process "max" of it would be a test without an end.
_BOUNDS_OF_LOOPS = ("count", "size", "length")
_ENDLESS = ("max", "random")

#: What corrupting can make of a number and of a text.
_SPOILT = {
    "integer": ("zero", "larger", "max", "min", "random"),
    "number": ("zero", "larger", "max", "min", "random"),
    "text": ("zero", "truncated", "unterminated", "random"),
}

Table = dict[str, Any]


def return_codes(function: str, *, documented: bool = True) -> st.SearchStrategy[str]:
    """The codes that a function returns, by name without prefix: "SUCCESS", "GPU_IS_LOST".

    Args:
        function: name, or a glob: the codes are those of all that it matches in one library.
        documented: whether to draw only those that the function's header documents; for a function
            whose header says nothing, and if False, any code of the API.

    Raises:
        UnknownNameError: neither API exports such a function.
    """
    return st.sampled_from(_codes(function, documented))


@cache
def _codes(function: str, only_documented: bool) -> tuple[str, ...]:
    library, names = _meant(function)
    api = apis()[library]
    known: Iterable[int] = ()
    if only_documented:
        known = dict.fromkeys(code for name in names for code in documented(library, name))
    return tuple(map(api.status_name, known or sorted(api.types.members(api.status).values())))


@cache
def _meant(function: str) -> tuple[str, tuple[str, ...]]:
    """The library and the functions of a name or glob."""
    for library, known in vocabulary().functions.items():
        if function in known:
            return library, (function,)
        names = matching(known, function)
        if names:
            return library, tuple(sorted(names))
    every = (name for known in vocabulary().functions.values() for name in known)
    problem = f"expected an exported function, found {function!r}{nearest(function, every)}"
    raise UnknownNameError(problem, key=("function",))


def faults(
    functions: Iterable[str] | st.SearchStrategy[str] | None = None,
    *,
    returns: st.SearchStrategy[str | int] | None = None,
    devices: int = 0,
    in_process: bool = True,
    hostile: bool = False,
) -> st.SearchStrategy[Fault]:
    """One fault: a function, what happens to its calls, and rarely, to which of them only.

    It returns a documented code, writes odd values to an out-parameter, or spoils one. What it
    does is the same each time it is played.

    Args:
        functions: names or globs; if not given, mostly what programs that look for GPUs call, and
            sometimes any function.
        returns: the codes; `return_codes` of the function if not given.
        devices: how many GPUs the machine has, for faults of one device.
        in_process: whether to draw only what a test in this very process comes back from: counts
            that are a little wrong rather than four thousand million, and no delay.
        hostile: whether to draw faults that end or block the program, too; never with
            `in_process`.

    Raises:
        UnknownNameError: neither API exports such a function.
    """
    if functions is None:
        functions = _any_function()
    elif not isinstance(functions, st.SearchStrategy):
        names = tuple(functions)
        for name in names:
            _meant(name)
        functions = st.sampled_from(names)
    kinds: tuple[str, ...] = () if in_process else ("delay",)
    if hostile and not in_process:
        kinds += ("signal", "exit", "block")
    return _faults(functions, returns, devices, kinds, not in_process)


@cache
def _any_function() -> st.SearchStrategy[str]:
    likely = [name for names in DISCOVERY.values() for name in names]
    exported = sorted(name for names in vocabulary().functions.values() for name in names)
    able = [name for name in exported if _effects_of(name)]
    # Two in three are likely ones. One list: a choice between strategies is a draw of its own.
    return st.sampled_from(likely * (2 * len(able) // len(likely)) + able)


@st.composite
def _faults(
    draw: st.DrawFn,
    functions: st.SearchStrategy[str],
    returns: st.SearchStrategy[str | int] | None,
    devices: int,
    kinds: tuple[str, ...],
    endless: bool,
) -> Fault:
    function = draw(functions)
    what, conditional = draw(_happenings(function, kinds, endless))
    if returns is not None and "returns" in what:
        what = {"returns": draw(returns)}
    if not conditional:
        return Fault(function, **what)
    which = {name: draw(_conditions(name, devices)) for name in draw(_chosen(function, devices))}
    if "probability" in which:
        which["seed"] = draw(st.integers(0, 9))
    return Fault(function, **what, **which)


@cache
def _happenings(
    function: str, kinds: tuple[str, ...], endless: bool
) -> st.SearchStrategy[tuple[Table, bool]]:
    """What can happen to a function's calls, and whether only to some of them.

    Of the codes, that a call succeeds and writes nothing is the first, and the others are likelier.
    In about half of the cases a code is returned.
    """
    codes = [{"returns": code} for code in _codes(function, True)]
    tables: list[Table] = [*codes, *[code for code in codes if code["returns"] != "SUCCESS"] * 2]
    for effect in (*_effects_of(function)[1:], *kinds):
        made = _EFFECTS[effect](function, endless)
        tables += made * max(1, len(tables) // 4 // len(made))
    return or_unusual(tables, odds=2)


@cache
def _effects_of(function: str) -> tuple[str, ...]:
    library, names = _meant(function)
    if not vocabulary().signature(library, names[0]).returns_status:
        return ()  # nothing that is drawn can happen to it
    return ("returns", "writes", "corrupt") if _leaves(function) else ("returns",)


@cache
def _chosen(function: str, devices: int) -> st.SearchStrategy[tuple[str, ...]]:
    library, names = _meant(function)
    possible = ["calls", "after", "probability"]
    if devices and all(vocabulary().signature(library, name).names_device for name in names):
        possible.insert(0, "device")
    return some(possible)


@cache
def _conditions(name: str, devices: int) -> st.SearchStrategy[Any]:
    if name == "device":
        return st.integers(0, devices - 1)
    if name == "calls":
        return st.sampled_from(_CALLS)
    if name == "after":
        return st.sampled_from([name for names in DISCOVERY.values() for name in names])
    return st.sampled_from([0.5, 0.1, 0.9])


# ---- what happens


def _writes(function: str, endless: bool) -> list[Table]:
    return [
        {"writes": _nested(path, value)}
        for path, kind in _leaves(function).items()
        for value in (_TEXTS if kind == "text" else _SMALL)
        if endless or value != -1 or not _bounds_a_loop(path)
    ]


def _nested(path: str, value: object) -> Table:
    *fields, last = path.split(".")
    table: Table = {last: value}
    for field in reversed(fields):
        table = {field: table}
    return table


def _corrupt(function: str, endless: bool) -> list[Table]:
    return [
        {"corrupt": {path: how}}
        for path, kind in _leaves(function).items()
        for how in _SPOILT[kind]
        if endless or how not in _ENDLESS or not _bounds_a_loop(path)
    ]


def _bounds_a_loop(path: str) -> bool:
    return path.lower().endswith(_BOUNDS_OF_LOOPS)


_EFFECTS: Mapping[str, Callable[[str, bool], list[Table]]] = {
    "writes": _writes,
    "corrupt": _corrupt,
    "delay": lambda *_: [{"delay": time} for time in ("10 ms", "100 ms", "500 ms")],
    "signal": lambda *_: [{"signal": n} for n in ("SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS")],
    "exit": lambda *_: [{"exit": status} for status in (1, 0, 255)],
    "block": lambda *_: [{"block": True}],
}


@cache
def _leaves(function: str) -> dict[str, str]:
    """Path of a number or text that a function puts out -> "integer", "number" or "text".

    Without handles, pointers and arrays whose length the call itself changes: a client may follow
    what it finds there.
    """
    library, names = _meant(function)
    api = apis()[library]
    leaves: dict[str, str] = {}
    for name in names:
        for parameter in api.find(name).parameters or ():
            if parameter.is_output and parameter.type not in api.handle_types:
                leaves |= _leaves_of(api, parameter)
    return leaves


def _leaves_of(api: Api, parameter: Parameter) -> dict[str, str]:
    if parameter.type == "char" and parameter.length:
        return {parameter.name: "text"}
    if parameter.length:
        return {}
    if api.types.is_struct(parameter.type):
        return dict(_fields(api, parameter.type, parameter.name))
    kind = _number(api, parameter.type)
    return {parameter.name: kind} if kind else {}


def _fields(api: Api, struct: str, path: str) -> Iterator[tuple[str, str]]:
    for name, spelling in c_fields(api.types.row(struct)):
        element, dimensions, _ = c_array(spelling)
        if element == "char" and len(dimensions) == 1:
            yield f"{path}.{name}", "text"
        elif not dimensions and api.types.is_struct(element):
            yield from _fields(api, element, f"{path}.{name}")
        elif not dimensions and (kind := _number(api, element)):
            yield f"{path}.{name}", kind


def _number(api: Api, spelling: str) -> str:
    """Whether a type is an "integer" or a "number"; empty for what is neither."""
    if spelling.endswith("*") or spelling in ("void", "char") or spelling in api.handle_types:
        return ""
    resolved = api.types.resolve(spelling)
    if resolved in ("float", "double"):
        return "number"
    is_pointer = not api.types.is_enum(resolved) and resolved == spelling and spelling[:1].isupper()
    return "" if is_pointer or resolved.endswith("*") or resolved == "pointer" else "integer"
