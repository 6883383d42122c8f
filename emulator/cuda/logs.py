"""The driver's log of errors: nvemu writes none, as its trace has each call and its answer.

So a callback is registered and never called, and what is dumped is empty.
"""

from __future__ import annotations

import ctypes
import os

from . import _status as status
from .library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__: list[str] = []

BEGIN = 0  # where the next message would stand


class Callback:
    """A function that is to be given each message."""

    def __init__(self, function: int, user_data: int) -> None:
        self.function = function
        self.user_data = user_data


def _check(flags: int) -> None:
    if flags:
        raise CudaError(status.INVALID_VALUE)


def _check_iterator(iterator: Optional[int]) -> None:
    if iterator not in (None, BEGIN):
        raise CudaError(status.INVALID_VALUE)


@implements("cuLogsRegisterCallback", nullable=("callback_out",))
def register(callback_func: int, user_data: int) -> Callback:
    if not callback_func:
        raise CudaError(status.INVALID_VALUE)
    return Callback(callback_func, user_data)


@implements("cuLogsUnregisterCallback", raw=("callback",))
def unregister(cuda: Cuda, callback: int) -> None:
    handles = cuda.handles("CUlogsCallbackHandle")
    registered = handles.objects.get(callback)
    if registered is None:
        raise CudaError(status.INVALID_VALUE)
    handles.drop(registered)


@implements("cuLogsCurrent")
def current(flags: int) -> int:
    _check(flags)
    return BEGIN


@implements("cuLogsDumpToFile", nullable=("iterator",))
def dump_to_file(iterator: Optional[int], path_to_file: str, flags: int) -> int:
    _check(flags)
    _check_iterator(iterator)
    try:
        os.close(os.open(path_to_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666))
    except OSError:
        raise CudaError(status.INVALID_VALUE) from None
    return BEGIN


@implements("cuLogsDumpToMemory", nullable=("iterator",), raw=("buffer", "size"))
def dump_to_memory(iterator: Optional[int], buffer: int, size: int, flags: int) -> int:
    _check(flags)
    _check_iterator(iterator)
    if not (buffer and size):
        raise CudaError(status.INVALID_VALUE)
    room = ctypes.c_size_t.from_address(size)
    if room.value:
        ctypes.c_char.from_address(buffer).value = b"\0"
    room.value = 0
    return BEGIN
