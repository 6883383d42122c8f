"""The C arguments of one call, made of what a capture has for its inputs.

What a client fills besides (a struct's version tag, a buffer's length, room for a list) is filled
here: rooms are ample, so that every list comes out whole.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..api import Api, Function, Parameter
from ..runtime.exact import lengths

__all__ = ["MORE", "NEWEST", "Arguments"]

TEXT = 4096  # bytes of room for a text
LIST = 1024  # elements of room for a list
MORE = 64  # times as many where that was too few

#: Lengths that are a matter of the machine's size: a set of 1024 CPUs, or NUMA nodes, is 16 words.
WORDS = {"cpuSetSize": 16, "nodeSetSize": 16}

#: Structs whose version field holds a plain number (nvml.h, NVML_GPM_SUPPORT_VERSION).
PLAIN_VERSIONS = {"nvmlGpmSupport_t": 1}

#: Which of a struct's versions is put in, counted from the newest.
NEWEST = 0

#: Handle type, name -> the handle; LookupError where there is none of that name.
Resolve = Callable[[str, str], int]


class Arguments:
    """The arguments of one call.

    Args:
        api: the function's.
        function: what is called.
        inputs: as a capture has them, by C parameter name.
        resolve: finds handles by their names in traces.
        version: which of the versions of its structs, `NEWEST` or the number of steps back.
        more: how many times as much room as usual.

    Attributes:
        words: what the function is called with.
        versions: how many versions of its structs there are to try.

    Raises:
        LookupError: there is no handle of a name.
        ValueError: the inputs are not such as this function has.
    """

    def __init__(
        self,
        api: Api,
        function: Function,
        inputs: Mapping[str, Any],
        resolve: Resolve,
        version: int = NEWEST,
        more: int = 1,
    ) -> None:
        self._api = api
        self._function = function
        self._inputs = inputs
        self._resolve = resolve
        self._version = version
        self._more = more
        self._rooms = lengths(function)
        self._memory: dict[str, Any] = {}
        self.versions = 1
        unknown = set(inputs) - {p.name for p in function.parameters or ()}
        if unknown:
            raise ValueError(f"{function.name} has no parameter {min(unknown)}")
        self.words = [self._word(parameter) for parameter in function.parameters or ()]

    def put_out(self, name: str) -> Any:
        """What lies behind a pointer parameter: a number, a text, a list or a ctypes struct."""
        parameter = self._function.parameter(name)
        memory = self._memory[name]
        if not parameter.length:
            return getattr(memory, "value", memory)
        if parameter.type == "char":
            return memory.raw.partition(b"\0")[0].decode("utf-8", "replace")
        return list(memory[: self._filled(parameter)])

    def _filled(self, parameter: Parameter) -> int:
        length = (parameter.length or "").lstrip("*")
        if length in self._memory:
            return int(self._memory[length].value)
        return self._count(parameter)

    def _word(self, parameter: Parameter) -> Any:
        if not parameter.is_pointer:
            return self._value(parameter)
        memory = self._memory[parameter.name] = self._made(parameter)
        return ctypes.addressof(memory)

    def _value(self, parameter: Parameter) -> Any:
        if parameter.name in self._rooms:
            return self._room(parameter.name)
        given = self._inputs.get(parameter.name)
        if isinstance(given, str) and parameter.type in self._api.handle_types:
            return self._resolve(parameter.type, given)
        if not isinstance(given, (int, float)):
            raise ValueError(f"{self._function.name}: expected {parameter.name}, found {given!r}")
        return given

    def _made(self, parameter: Parameter) -> Any:
        """The memory behind a pointer, with what the client puts in."""
        given = self._inputs.get(parameter.name)
        if parameter.length == "nul":
            return ctypes.create_string_buffer(str(given).encode())
        if parameter.type == "void" or (parameter.type == "char" and parameter.length):
            return ctypes.create_string_buffer(self._count(parameter))
        kind = self._kind(parameter)
        if parameter.length:
            array = (kind * self._count(parameter))()
            for index, element in enumerate(given or ()):
                self._fill(array, index, element)
            return array
        memory = kind()
        if parameter.name in self._rooms:
            memory.value = self._room(parameter.name)
        elif isinstance(given, Mapping):
            fill(memory, given)
        return memory

    def _kind(self, parameter: Parameter) -> Any:
        types = self._api.types
        if not types.is_struct(parameter.type):
            return types[parameter.type]
        tags = sorted(types.versions(parameter.versions).items(), key=lambda item: -(item[0] >> 24))
        self.versions = max(self.versions, len(tags))
        plain = PLAIN_VERSIONS.get(parameter.type)
        if not tags:
            return types[parameter.type] if plain is None else tagged(types[parameter.type], plain)
        tag, kind = tags[min(self._version, len(tags) - 1)]
        return tagged(kind, tag)

    def _fill(self, array: Any, index: int, element: Any) -> None:
        if isinstance(element, Mapping):
            fill(array[index], element)
        else:
            array[index] = element

    def _count(self, parameter: Parameter) -> int:
        length = (parameter.length or "").lstrip("*")
        if parameter.type == "void":
            return TEXT * self._more
        return int(length) if length.isdigit() else self._room(length)

    def _room(self, name: str) -> int:
        """How long the arrays are that a parameter counts: those that are given, or with room."""
        counted = [
            p for p in self._function.parameters or () if (p.length or "").lstrip("*") == name
        ]
        for parameter in counted:
            given = self._inputs.get(parameter.name)
            if isinstance(given, Sequence) and not isinstance(given, str):
                return len(given)
        if name in WORDS:
            return WORDS[name]
        is_text = not counted or any(parameter.type == "char" for parameter in counted)
        return (TEXT if is_text else LIST) * self._more


def tagged(kind: Any, tag: int) -> Callable[[], Any]:
    """What makes a struct with its version field set."""

    def make() -> Any:
        made = kind()
        made.version = tag
        return made

    return make


def fill(struct: Any, fields: Mapping[str, Any]) -> None:
    """Put the fields of a table into a ctypes struct or union.

    Raises:
        ValueError: it has no such field, or the value does not fit.
    """
    for name, value in fields.items():
        if not hasattr(struct, name):
            raise ValueError(f"{type(struct).__name__} has no field {name}")
        if isinstance(value, Mapping):
            fill(getattr(struct, name), value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            getattr(struct, name)[: len(value)] = value
        else:
            setattr(struct, name, value.encode() if isinstance(value, str) else value)
