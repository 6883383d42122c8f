"""Reading a client's memory and writing to it."""

from __future__ import annotations

import ctypes

from ..api import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, Union

__all__ = [
    "fill",
    "int_at",
    "read_array",
    "read_text",
    "update_array",
    "write_array",
    "write_count",
    "write_size",
    "write_text",
]


def int_at(address: int) -> int:
    """The unsigned int at `address`: how counts are passed."""
    return ctypes.c_uint.from_address(address).value


def read_text(address: int) -> str:
    """The NUL-terminated string at `address`."""
    return ctypes.string_at(address).decode("utf-8", "replace")


def read_array(address: int, kind: Any, length: int) -> Any:
    """`length` elements at `address` as a ctypes array: numbers, or structs in place.

    Not as a list: a client's wrong count then costs nothing until somebody looks that far.
    """
    return (kind * length).from_address(address)


def write_text(address: int, text: str, capacity: int, truncate: bool, code: int) -> None:
    """Write `text` with its NUL into `capacity` bytes; too long: cut off, or refused by `code`."""
    data = text.encode() + b"\0"
    if len(data) > capacity:
        if not truncate:
            raise ApiError(code)
        if capacity <= 0:
            return
        data = data[: capacity - 1] + b"\0"
    ctypes.memmove(address, data, len(data))


def write_count(address: int, values: Sequence[Any], code: int, kind: Any) -> None:
    """Write how many there are; refused by `code` when the client has room for fewer."""
    count = kind.from_address(address)
    capacity = count.value
    count.value = len(values)
    if len(values) > capacity:
        raise ApiError(code)


def write_size(address: int, values: Sequence[Any], kind: Any) -> int:
    """Write how many there are for a client that asks nothing else; SUCCESS."""
    kind.from_address(address).value = len(values)
    return 0


def write_array(address: int, values: Sequence[Any], capacity: int, kind: Any, code: int) -> None:
    """Write `values`; what remains of the client's `capacity` elements is zeroed."""
    if len(values) > capacity:
        raise ApiError(code)
    ctypes.memset(address, 0, ctypes.sizeof(kind) * capacity)
    update_array(address, values, capacity, kind, code)


def update_array(address: int, values: Sequence[Any], capacity: int, kind: Any, code: int) -> None:
    """Write `values` over the first elements of a client's array; what they lack stays."""
    if len(values) > capacity:
        raise ApiError(code)
    array = (kind * len(values)).from_address(address)
    for index, value in enumerate(values):
        if isinstance(array[index], (ctypes.Structure, ctypes.Union)):
            fill(array[index], value)
        else:
            array[index] = value


def fill(struct: Any, values: Mapping[str, Any]) -> None:
    """Write `values` into the fields of the same names; fields that a version lacks are skipped."""
    for name, value in values.items():
        member = getattr(struct, name, None)
        if member is None:
            continue
        if isinstance(value, (str, bytes)):
            _fill_bytes(struct, name, value)
        elif isinstance(member, (ctypes.Structure, ctypes.Union)):
            fill(member, value)
        elif isinstance(member, ctypes.Array):
            _fill_array(struct, name, member, value)
        else:
            setattr(struct, name, value)


def _fill_bytes(struct: Any, name: str, value: Union[str, bytes]) -> None:
    """Text is cut off to leave room for its NUL. Not by setattr, which stops at a zero byte."""
    field = getattr(type(struct), name)
    data = value.encode()[: field.size - 1] + b"\0" if isinstance(value, str) else value
    ctypes.memmove(ctypes.addressof(struct) + field.offset, data, min(len(data), field.size))


def _fill_array(struct: Any, name: str, member: Any, value: Any) -> None:
    for index, element in enumerate(value):
        if isinstance(member[index], (ctypes.Structure, ctypes.Union)):
            fill(member[index], element)
        else:
            member[index] = element
