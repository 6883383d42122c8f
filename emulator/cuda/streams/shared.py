"""Events that processes share: a handle says which process has its counts, and where.

A process that opens one reaches the counts through /proc. Who may not, or comes when the other has
gone, is refused.
"""

from __future__ import annotations

import ctypes
import os
from _struct import Struct

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from ..memory.mapping import PAGE, map_file, memory_file, unmap
from .event import DISABLE_TIMING, INTERPROCESS, Event, Events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Shared", "make"]

HANDLE = Struct("<4sIIQ")  # magic, process, descriptor, the file's inode
MAGIC = b"NVE1"


class Counts(ctypes.Structure):
    """The marks of an event: how many were put, and the number of the last one that is done."""

    _fields_ = (("put", ctypes.c_uint64), ("done", ctypes.c_uint64))


class Shared:
    """The memory in which an event's counts are, of this process or another's."""

    __slots__ = ("_address", "_fd", "_identity", "counts")

    def __init__(self, fd: int) -> None:
        """Takes over a descriptor; OUT_OF_MEMORY where the system has no room for it."""
        self._fd = fd
        self._identity = _identity(fd)
        self._address = map_file(PAGE, fd, 0, PAGE)
        if not self._address:
            self.close()
            raise CudaError(status.OUT_OF_MEMORY)
        self.counts = Counts.from_address(self._address)

    def handle(self) -> bytes:
        """What another process opens it by; MAP_FAILED if the program has closed the descriptor."""
        if _identity(self._fd) != self._identity:
            raise CudaError(status.MAP_FAILED)
        return HANDLE.pack(MAGIC, os.getpid(), self._fd, self._identity[1])

    def close(self) -> None:
        """Nobody else can open it from here on."""
        if _identity(self._fd) == self._identity:  # else the program has closed it: daemons do
            os.close(self._fd)

    def __del__(self) -> None:
        unmap(self._address, PAGE)


def _identity(fd: int) -> tuple[int, int]:
    """The file behind a descriptor, unlike any other; zeros for none."""
    try:
        found = os.fstat(fd)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def make() -> Shared:
    """New counts; OUT_OF_MEMORY where the system has no room for them."""
    try:
        fd = memory_file()
    except OSError:
        raise CudaError(status.OUT_OF_MEMORY) from None
    os.ftruncate(fd, PAGE)
    return Shared(fd)


def _opened(handle: bytes) -> Shared:
    """The counts of another process's event.

    Raises:
        CudaError: INVALID_VALUE: it is no handle, or its event is gone; INVALID_CONTEXT: it is of
            this process; MAP_FAILED: the process is another user's.
    """
    magic, process, descriptor, inode = HANDLE.unpack(handle[: HANDLE.size])
    if magic != MAGIC:
        raise CudaError(status.INVALID_VALUE)
    if process == os.getpid():
        raise CudaError(status.INVALID_CONTEXT)
    try:
        fd = os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        raise CudaError(status.MAP_FAILED) from None
    except OSError:
        raise CudaError(status.INVALID_VALUE) from None
    if _identity(fd)[1] != inode or os.fstat(fd).st_size != PAGE:
        os.close(fd)
        raise CudaError(status.INVALID_VALUE)
    return Shared(fd)


@implements("cuIpcGetEventHandle")
def get_handle(event: Event) -> dict[str, bytes]:
    event.check()
    if event.memory is None:
        raise CudaError(status.INVALID_HANDLE)
    return {"reserved": event.memory.handle().ljust(64, b"\0")}


@implements("cuIpcOpenEventHandle")
def open_handle(cuda: Cuda, handle: Any) -> Event:
    context = cuda.contexts.current()
    return context.part(Events).share(_opened(bytes(handle)), INTERPROCESS | DISABLE_TIMING)
