"""What faults write to a call's out-parameters, whatever the call itself did with them."""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from ..machine.chance import mix
from . import convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..api import Parameter
    from .call import Call
    from .faults import Rule

    Rooms = Mapping[str, int]  # array's C name -> how many elements the client has room for

__all__ = ["corrupt", "write"]

UNKNOWN = 0  # the code of an ApiError that is not for the client
FLOATS = (ctypes.c_float, ctypes.c_double)


def write(call: Call, name: str, value: Any, rooms: Rooms) -> None:
    """Write `value` where the call's parameter `name` points to, as much of it as there is room.

    A function without such a parameter, and a NULL, are passed over. `rooms` is what `Call.rooms`
    said before the call.
    """
    for parameter, address in _pointers(call, name):
        kind = call.element_type(parameter, address)
        room = rooms.get(name, 0)
        if parameter.type == "char" and parameter.length:
            convert.write_text(address, value, room, True, UNKNOWN)
        elif parameter.length:
            values = value[:room]
            convert.update_array(address, values, len(values), kind, UNKNOWN)
        elif hasattr(kind, "_fields_"):
            convert.fill(kind.from_address(address), value)
        else:
            kind.from_address(address).value = value


def corrupt(call: Call, path: str, kind: str, rule: Rule, rooms: Rooms) -> None:
    """Spoil what lies at a path such as `memory.total`, in all elements of an array."""
    name, *fields = path.split(".")
    for parameter, address in _pointers(call, name):
        if parameter.type == "char" and parameter.length:
            _spoil(address, ctypes.c_char * rooms.get(name, 0), kind, rule)
            continue
        element = call.element_type(parameter, address)
        count = rooms.get(name, 0) if parameter.length else 1
        for index in range(count):
            _spoil_field(address + index * ctypes.sizeof(element), element, fields, kind, rule)


def _pointers(call: Call, name: str) -> Iterator[tuple[Parameter, int]]:
    for parameter, word in zip(call.function.parameters or (), call.words):
        if parameter.name == name and parameter.is_output and word >= NULL_PAGE:
            yield parameter, word


def _spoil_field(address: int, kind: Any, fields: Sequence[str], how: str, rule: Rule) -> None:
    if hasattr(kind, "_length_") and kind._type_ is not ctypes.c_char:
        size = ctypes.sizeof(kind._type_)
        for index in range(kind._length_):
            _spoil_field(address + index * size, kind._type_, fields, how, rule)
    elif not fields:
        _spoil(address, kind, how, rule)
    else:
        inner = {name: held for name, held, *_ in kind._fields_}.get(fields[0])
        if inner is not None:  # else a version of the struct that lacks the field
            offset = getattr(kind, fields[0]).offset
            _spoil_field(address + offset, inner, fields[1:], how, rule)


def _spoil(address: int, kind: Any, how: str, rule: Rule) -> None:
    """Overwrite one number or text; random bytes are the same in each run of a scenario."""
    size = ctypes.sizeof(kind)
    if how == "random":
        data = b"".join(
            mix(rule.seed + rule.count + place).to_bytes(8, "little") for place in range(0, size, 8)
        )[:size]
    elif hasattr(kind, "_length_"):
        data = _spoiled_text(ctypes.string_at(address, size), how)
    elif kind in FLOATS:
        values = {"max": float("nan"), "min": float("-inf"), "zero": 0.0}
        data = bytes(kind(values.get(how, kind.from_address(address).value + 1)))
    else:
        data = _spoiled_number(kind, how, kind.from_address(address).value)
    ctypes.memmove(address, data, size)


def _spoiled_text(text: bytes, how: str) -> bytes:
    kept = text.partition(b"\0")[0]
    if how == "unterminated":
        return (kept + b"X" * len(text))[: len(text)]
    return (kept[: len(kept) // 2] if how == "truncated" else b"").ljust(len(text), b"\0")


def _spoiled_number(kind: Any, how: str, value: int) -> bytes:
    bits = ctypes.sizeof(kind) * 8
    signed = kind(-1).value < 0
    if how == "max":
        value = (1 << bits - signed) - 1
    elif how == "min":
        value = -(1 << bits - 1) if signed else 0
    else:
        value = 0 if how == "zero" else value + 1
    return (value & (1 << bits) - 1).to_bytes(bits // 8, "little")
