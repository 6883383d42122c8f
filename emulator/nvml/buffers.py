"""Clients' buffers that the binder does not write.

They are counted by bytes, or hang from a struct of the client's.
"""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from . import _status as status
from .library import NvmlError, api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence, Union

__all__ = ["put_bytes", "put_cropped", "put_list", "put_text"]


def put_bytes(address: int, size_address: int, data: Union[bytes, bytearray]) -> None:
    """Write `data` to a buffer of so many bytes as the client has put behind it, and how many it
    needs. NULL asks for the size alone, and says that there are 0 bytes.
    """
    if size_address < NULL_PAGE:
        raise NvmlError(status.INVALID_ARGUMENT)
    size = ctypes.c_uint.from_address(size_address)
    if address < NULL_PAGE and size.value:
        raise NvmlError(status.INVALID_ARGUMENT)
    room, size.value = size.value, len(data)
    if room < len(data):
        raise NvmlError(status.INSUFFICIENT_SIZE)
    ctypes.memmove(address, bytes(data), len(data))


def put_text(address: int, size_address: int, text: str) -> None:
    """Write a string with its NUL, as `put_bytes`."""
    put_bytes(address, size_address, text.encode() + b"\0")


def put_cropped(address: int, room: int, text: str) -> None:
    """Write as much of a string as there is room for, and its NUL."""
    data = text.encode()[: room - 1] + b"\0"
    ctypes.memmove(address, data, len(data))


def put_list(
    struct: Any, count: str, array: str, kind: str, rows: Sequence[Union[int, Mapping[str, Any]]]
) -> None:
    """Write rows to the array of `kind` that a client's struct points at, and how many there are.

    Without an array, or with too small a one, the client learns the size alone.
    """
    room = getattr(struct, count)
    setattr(struct, count, len(rows))
    address = getattr(struct, array)
    if len(rows) > room or (rows and address < NULL_PAGE):
        raise NvmlError(status.INSUFFICIENT_SIZE)
    if not rows:
        return
    elements = (api.types[kind] * len(rows)).from_address(address)
    for index, row in enumerate(rows):
        if isinstance(row, int):
            elements[index] = row
        else:
            _fill(elements[index], row)


def _fill(struct: Any, row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        if isinstance(value, dict):
            _fill(getattr(struct, name), value)
        else:
            setattr(struct, name, value)
