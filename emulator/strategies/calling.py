"""Drawn sequences of API calls, and what plays them.

    @given(call_sequences("nvml"))
    def test_no_call_crashes(calls):
        with emulate(Scenario(gpus=[Gpu("t4")])):
            Player("nvml").play(calls)

A call's arguments are derived from the function's declaration, as values that do not depend on the
process: the nth handle that the sequence was given, memory of a size and content.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from ..api import Api, Function, Parameter
from ..stubfiles import SONAMES
from ..vocabulary import apis

__all__ = ["ApiCall", "Handle", "Memory", "Player", "call_sequences"]

#: The debugger's back end takes over the thread that calls it.
_NOT_CALLED = frozenset(("cudbgMain",))

_NUMBERS = (0, 1, 2, 3, 7, 64, 4096)
_WORDS = (*_NUMBERS, (1 << 31) - 1, (1 << 32) - 1)
_LENGTHS = (0, 1, 2, 16, 96)
_TEXTS = (b"", b"0", b"GPU-", b"0000:00:00.0", b"00000000:19:00.0", b"x" * 300, b"\xff\xfe")

#: Bytes behind a pointer to what has no type; no number above it is drawn as a size of memory.
_UNTYPED = 1 << 16

#: Values of these types, and parameters with such names, say how much memory there is.
_SIZES = frozenset(("size_t", "unsigned long long", "unsigned long"))
_NAMES_OF_SIZES = re.compile("size|count|num|length|bytes|width|height|depth", re.IGNORECASE)

#: How long a call may wait: not at all.
_TIMEOUTS = ("timeout", "timeoutms")


class Handle(Struct, frozen=True, order=True):
    """The handle of a type that the sequence was given as its nth, counted from 0 and round.

    NULL (for a device of CUDA, 0) while it was given none.
    """

    type: str
    number: int


class Memory(Struct, frozen=True, order=True):
    """An address of zeroed memory of `size` bytes that begins with `content`."""

    size: int
    content: bytes = b""


#: What is passed by value, a handle, an address, or NULL.
Argument = int | Handle | Memory | None


class ApiCall(Struct, frozen=True):
    """One call: the library ("nvml", "cuda"), the function and its arguments by C name."""

    library: str
    function: str
    arguments: Mapping[str, Argument]


#: Library -> what opens it and gives a sequence its first handles.
_OPENING = {
    "nvml": (
        ApiCall("nvml", "nvmlInit_v2", {}),
        ApiCall("nvml", "nvmlDeviceGetHandleByIndex_v2", {"index": 0, "device": Memory(8)}),
        ApiCall("nvml", "nvmlDeviceGetHandleByIndex_v2", {"index": 1, "device": Memory(8)}),
    ),
    "cuda": (
        ApiCall("cuda", "cuInit", {"Flags": 0}),
        ApiCall("cuda", "cuDeviceGet", {"device": Memory(4), "ordinal": 0}),
        ApiCall(
            "cuda", "cuDevicePrimaryCtxRetain", {"pctx": Memory(8), "dev": Handle("CUdevice", 0)}
        ),
        ApiCall("cuda", "cuCtxSetCurrent", {"ctx": Handle("CUcontext", 0)}),
    ),
}


class Player:
    """Makes calls in this process through ctypes, and keeps the handles that they were given.

    Args:
        library: "nvml" or "cuda"; what `dlopen` finds as such.
    """

    def __init__(self, library: str) -> None:
        self.api = apis()[library]
        self.handles: dict[str, list[int]] = {}
        self._loaded = ctypes.CDLL(SONAMES[library])
        self._kept: list[Any] = []

    def play(self, calls: Iterable[ApiCall]) -> list[int | None]:
        """Make the calls in order.

        Returns:
            What each returned (an address, for the few that return text); None for a function that
        the library does not export.
        """
        return [self._call(call) for call in calls]

    def _call(self, call: ApiCall) -> int | None:
        target = getattr(self._loaded, call.function, None)
        if target is None:
            return None
        function = _function(self.api.name, call.function)
        target.restype = ctypes.c_size_t if function.returns.endswith("*") else ctypes.c_int
        parameters = function.parameters or ()
        words = {p.name: self._word(p, call.arguments[p.name]) for p in parameters}
        status: int = target(*words.values())
        if status == 0 and function.returns == self.api.status:
            for parameter in parameters:
                self._keep_handle(parameter, words[parameter.name])
        return status

    def _word(self, parameter: Parameter, argument: Argument) -> Any:
        if isinstance(argument, Memory):
            memory = ctypes.create_string_buffer(argument.content, max(argument.size, 1))
            self._kept.append(memory)  # the library may have kept its address
            return ctypes.c_size_t(ctypes.addressof(memory))
        if parameter.is_pointer:
            return ctypes.c_size_t(0)
        kind = self.api.types[parameter.type]
        if isinstance(argument, Handle):
            known = self.handles.get(argument.type, [0])
            argument = known[argument.number % len(known)]
        if hasattr(kind, "_fields_"):
            return kind()
        return kind(bytes([argument or 0]) if kind is ctypes.c_char else argument or 0)

    def _keep_handle(self, parameter: Parameter, word: Any) -> None:
        if parameter.is_output and parameter.type in self.api.handle_types and word.value:
            kind = self.api.types[parameter.type]
            handle = kind.from_address(word.value).value
            self.handles.setdefault(parameter.type, []).append(handle)


def call_sequences(
    library: str, functions: Iterable[str] | None = None, *, max_size: int = 8
) -> st.SearchStrategy[list[ApiCall]]:
    """Calls in a row, with arguments that fit their declarations or are a little off.

    Handles come from earlier calls, buffers are as long as the call says they are, and pointers are
    sometimes NULL: a library that is right survives them all.

    Args:
        library: "nvml" or "cuda".
        functions: names of declared functions; all if not given.
        max_size: the greatest number of calls, without those that mostly stand before them: they
            open the library and look devices up.

    Raises:
        KeyError: there is no such library, or the header declares no such function.
    """
    chosen = _callable(library) if functions is None else tuple(functions)
    for name in chosen:
        if name not in _callable(library):
            raise KeyError(f"the header of {library} declares no function {name!r}")
    calls = st.lists(
        st.sampled_from(chosen).flatmap(lambda name: _calls(library, name)), max_size=max_size
    )
    opening = st.sampled_from([(), *[_OPENING[library]] * 3])
    return st.tuples(opening, calls).map(lambda drawn: [*drawn[0], *drawn[1]])


@cache
def _callable(library: str) -> tuple[str, ...]:
    api = apis()[library]
    declared = [name for name in api.names if api.find(name).parameters is not None]
    return tuple(name for name in declared if name not in _NOT_CALLED)


@cache
def _function(library: str, name: str) -> Function:
    return apis()[library].find(name)


@cache
def _calls(library: str, name: str) -> st.SearchStrategy[ApiCall]:
    return _drawn_calls(apis()[library], _function(library, name))


@st.composite
def _drawn_calls(draw: st.DrawFn, api: Api, function: Function) -> ApiCall:
    parameters = function.parameters or ()
    named = dict.fromkeys(length for p in parameters if (length := _length_name(p)))
    lengths = {length: draw(st.sampled_from(_LENGTHS)) for length in named}
    arguments = {p.name: draw(_arguments(api, p, lengths)) for p in parameters}
    return ApiCall(api.name, function.name, arguments)


def _length_name(parameter: Parameter) -> str:
    """The parameter that says how long an array is; empty where none does."""
    length = (parameter.length or "").lstrip("*")
    return "" if length.isdigit() or length == "nul" else length


def _arguments(
    api: Api, parameter: Parameter, lengths: Mapping[str, int]
) -> st.SearchStrategy[Argument]:
    if not parameter.is_pointer:
        return _values(api, parameter, lengths)
    full = st.sampled_from(list(_memories(api, parameter, lengths)))
    return st.sampled_from([True] * 7 + [False]).flatmap(
        lambda is_there: full if is_there else _NULL
    )


_NULL: st.SearchStrategy[Argument] = st.none()


def _values(
    api: Api, parameter: Parameter, lengths: Mapping[str, int]
) -> st.SearchStrategy[Argument]:
    kind = api.types[parameter.type]
    if parameter.name in lengths:
        return st.just(lengths[parameter.name])
    if parameter.name.lower() in _TIMEOUTS or hasattr(kind, "_fields_"):
        return st.just(0)
    if parameter.type in api.handle_types:
        return st.builds(Handle, st.just(parameter.type), st.integers(0, 2))
    if api.types.is_enum(parameter.type):
        return st.sampled_from([*dict.fromkeys(api.types.members(parameter.type).values()), 99])
    if _is_address(api, parameter.type):
        return st.just(0)
    return st.sampled_from(_NUMBERS if _is_size(api, parameter) else _fitting(kind))


def _is_address(api: Api, spelling: str) -> bool:
    return spelling.endswith("*") or api.types.resolve(spelling) not in _SCALARS


_SCALARS = frozenset(
    f"{sign}{width}"
    for sign in ("", "unsigned ", "signed ")
    for width in ("char", "short", "int", "long", "long long")
) | {"size_t", "float", "double"}


def _is_size(api: Api, parameter: Parameter) -> bool:
    named = _NAMES_OF_SIZES.search(parameter.name)
    return bool(named) or api.types.resolve(parameter.type) in _SIZES


@cache
def _fitting(kind: Any) -> Sequence[int]:
    """The numbers that a type has room for."""
    if kind in (ctypes.c_float, ctypes.c_double):
        return _NUMBERS
    most = 1 << 8 * ctypes.sizeof(kind)
    return [word for word in _WORDS if word < most]


def _memories(api: Api, parameter: Parameter, lengths: Mapping[str, int]) -> Iterator[Memory]:
    """What a pointer may lead to: room enough, and a content that the function may look at."""
    if parameter.length == "nul":
        yield from (Memory(len(text) + 1, text) for text in _TEXTS)
    elif parameter.name in lengths:
        size = ctypes.sizeof(api.types[parameter.type])
        yield Memory(size, lengths[parameter.name].to_bytes(size, "little"))
    elif parameter.type == "void":
        yield Memory(_UNTYPED)
    else:
        size = _size(api, parameter) * max(_count(parameter, lengths), 1)
        yield from (Memory(size, content) for content in _contents(api, parameter))


def _count(parameter: Parameter, lengths: Mapping[str, int]) -> int:
    name = _length_name(parameter)
    return lengths[name] if name else int(parameter.length or 1)


def _size(api: Api, parameter: Parameter) -> int:
    """Bytes of an element: of the largest version of a struct."""
    return max(ctypes.sizeof(api.types[version]) for version in parameter.versions)


def _contents(api: Api, parameter: Parameter) -> list[bytes]:
    tags = [api.types.tag(v) for v in parameter.versions if _is_tagged(api, v)]
    return [b"", *(tag.to_bytes(4, "little") for tag in tags), b"\1"][:: -1 if tags else 1]


def _is_tagged(api: Api, name: str) -> bool:
    return api.types.is_struct(name) and bool(api.types.version(name))
