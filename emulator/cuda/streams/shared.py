"""Events that processes share: a handle says which process has its counts, and where.

A process that opens one reaches the counts through /proc. Who may not, or comes when the other has
gone, is refused. A mark of a process that has ended is done: nobody waits for what never comes.
"""

from __future__ import annotations

import ctypes
import os
from _struct import Struct
from time import monotonic

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from ..memory.mapping import PAGE, identity, map_file, memory_file, unmap
from ..processes import start_of
from .event import DISABLE_TIMING, INTERPROCESS, Event, Events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

__all__ = ["Shared", "SharedMark", "make"]

HANDLE = Struct("<4sIIQ")  # magic, process, descriptor, the file's inode
MAGIC = b"NVE1"

LOOK = 0.1  # seconds between two looks for another process


class Counts(ctypes.Structure):
    """The marks of an event: how many were put, the number of the last one that is done, and the
    process that put the last one, with its start."""

    _fields_ = (
        *(("put", ctypes.c_uint64), ("done", ctypes.c_uint64)),
        *(("process", ctypes.c_uint64), ("start", ctypes.c_uint64)),
    )


class SharedMark:
    """A mark of an event between processes, by its number."""

    __slots__ = ("_look", "_memory", "_number", "_process", "_start")

    polls = True
    time = 0

    def __init__(self, memory: Shared, number: int) -> None:
        self._memory = memory
        self._number = number
        self._process = int(memory.counts.process)
        self._start = int(memory.counts.start)
        self._look = 0.0  # when to look for the process

    @property
    def done(self) -> bool:
        """Whether all before it is done, in whichever process, or never will be: it has ended."""
        return bool(self._memory.counts.done >= self._number or not self._process_lives())

    def _process_lives(self) -> bool:
        now = monotonic()
        if self._process == os.getpid() or now < self._look:
            return True
        self._look = now + LOOK
        return start_of(self._process) == self._start

    def finish(self, time: int) -> None:
        """All before it is done."""
        counts = self._memory.counts
        counts.done = max(counts.done, self._number)


class Shared:
    """The memory in which an event's counts are, of this process or another's."""

    __slots__ = ("_address", "_fd", "_identity", "counts")

    def __init__(self, fd: int) -> None:
        """Takes over a descriptor; OUT_OF_MEMORY where the system has no room for it."""
        self._fd = fd
        self._identity = identity(fd)
        self._address = map_file(PAGE, fd, 0, PAGE)
        if not self._address:
            self.close()
            raise CudaError(status.OUT_OF_MEMORY)
        self.counts = Counts.from_address(self._address)

    def mark(self) -> Optional[SharedMark]:
        """The last mark; None before the first."""
        put = self.counts.put
        return SharedMark(self, put) if put else None

    def put(self) -> SharedMark:
        """A new mark."""
        counts = self.counts
        counts.process = os.getpid()
        counts.start = start_of(counts.process)
        counts.put += 1
        return SharedMark(self, counts.put)

    def handle(self) -> bytes:
        """What another process opens it by; MAP_FAILED if the program has closed the descriptor."""
        found = identity(self._fd)
        if found is None or found != self._identity:
            raise CudaError(status.MAP_FAILED)
        return HANDLE.pack(MAGIC, os.getpid(), self._fd, found[1])

    def close(self) -> None:
        """Nobody else can open it from here on."""
        if identity(self._fd) == self._identity:  # else the program has closed it: daemons do
            os.close(self._fd)

    def __del__(self) -> None:
        unmap(self._address, PAGE)


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
    found = identity(fd)
    if found is None or found[1] != inode or os.fstat(fd).st_size != PAGE:
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
