"""Where the bytes of a device's memory are: slices of sparse files without a name.

A process has one for each device, and one for each pool and each allocation that can be exported.
A slice costs what is touched of it. The files go with the process, however that ends, unless
another one has them open: it reaches them through /proc, or was sent the descriptor.

A file begins with a page that says what it is, and with tickets: numbers that hold as long as a
piece of memory that was shown to other processes has not been freed.
"""

from __future__ import annotations

import ctypes
import itertools
import os
from _struct import Struct
from resource import RLIM_INFINITY, RLIMIT_FSIZE, getrlimit

from .. import _status as status
from ..error import CudaError
from . import mapping
from .ranges import Ranges
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ...machine import Device
    from ..library import Cuda

__all__ = ["ALLOCATION", "DATA", "DEVICE", "POOL", "Extent", "File", "Files"]

DEVICE, POOL, ALLOCATION = 1, 2, 3  # what a file is of

HEADER = Struct("<16sIIQ128s")  # magic, kind, what the creator adds, bytes of data, device's UUID
MAGIC = b"nvemu memory 1\0\0"
TICKETS, TICKET = 4096, Struct("<I")
DATA = 1 << 20  # where the bytes of memory begin


#: The files that this process has open.
OPEN: set[File] = set()


class File:
    """A sparse file: what it is, which of its ranges are free, and its tickets.

    Attributes:
        kind, extra, size, uuid: DEVICE, POOL or ALLOCATION; a number more; the bytes of an
            allocation; the device, empty for the host.
        identity: what tells the file from any other; None once it is closed.
    """

    __slots__ = ("_end", "_free", "_slots", "extra", "fd", "identity", "kind", "size", "uuid")

    def __init__(self, kind: int, uuid: str, size: int = 0, extra: int = 0) -> None:
        """A new one.

        Raises:
            OSError: there are no descriptors left, or none may grow so large.
        """
        self.kind, self.uuid, self.size, self.extra = kind, uuid, size, extra
        self.fd = mapping.memory_file()
        self.identity = mapping.identity(self.fd)
        OPEN.add(self)
        self._free = Ranges()
        self._slots = Ranges()
        self._slots.give(0, (DATA - TICKETS) // TICKET.size)
        self._end = DATA
        try:
            self._grow(DATA)
            os.pwrite(self.fd, HEADER.pack(MAGIC, kind, extra, size, uuid.encode()), 0)
        except OSError:
            self.close()
            raise

    @classmethod
    def of(cls, fd: int) -> File:
        """Another process's file, by a descriptor that is ours from now on.

        Raises:
            ValueError: it is no such file, and the descriptor is closed.
        """
        try:
            head = os.pread(fd, HEADER.size, 0)
        except OSError:
            head = b""
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            os.close(fd)
            raise ValueError
        file = cls.__new__(cls)
        _, file.kind, file.extra, file.size, uuid = HEADER.unpack(head)
        file.uuid = uuid.rstrip(b"\0").decode()
        file.fd = fd
        file.identity = mapping.identity(fd)
        OPEN.add(file)
        file._free = Ranges()
        file._slots = Ranges()
        file._end = os.fstat(fd).st_size
        return file

    @property
    def is_open(self) -> bool:
        """Whether the descriptor is still ours: daemons close all that they find."""
        return bool(self.identity) and mapping.identity(self.fd) == self.identity

    def take(self, size: int) -> int:
        """The offset of `size` free bytes; -1 if the file may not grow so far, or was closed."""
        if not self.is_open:
            return -1
        offset = self._free.take(size)
        if offset >= 0:
            return offset
        try:
            self._grow(self._end + size)
        except OSError:
            return -1
        offset, self._end = self._end, self._end + size
        return offset

    def _grow(self, end: int) -> None:
        limit = getrlimit(RLIMIT_FSIZE)[0]
        if end > mapping.TOO_MUCH or (limit not in (RLIM_INFINITY, -1) and end > limit):
            raise OSError  # where the system might send a signal
        os.ftruncate(self.fd, end)

    def give(self, offset: int, size: int) -> None:
        """Free a range whose bytes are gone."""
        self._free.give(offset, size)

    def punch(self, offset: int, size: int) -> None:
        """Free a range, and its bytes, that nobody has mapped."""
        if self.is_open:
            mapping.punch(self.fd, offset, size)
        self.give(offset, size)

    def issue(self, number: int) -> int:
        """Where a new ticket is, which has this number; -1 if there are too many."""
        slot = self._slots.take(1)
        if slot >= 0:
            os.pwrite(self.fd, TICKET.pack(number), TICKETS + slot * TICKET.size)
        return slot

    def revoke(self, slot: int) -> None:
        """A ticket holds no longer."""
        if self.is_open:
            os.pwrite(self.fd, TICKET.pack(0), TICKETS + slot * TICKET.size)
        self._slots.give(slot, 1)

    def holds(self, slot: int, number: int) -> bool:
        """Whether a ticket holds."""
        where = TICKETS + slot * TICKET.size
        return where < DATA and os.pread(self.fd, TICKET.size, where) == TICKET.pack(number)

    def export(self, address: int) -> None:
        """Write a descriptor more of it, the program's to close, to an address.

        Raises:
            CudaError: OPERATING_SYSTEM where it cannot be had.
        """
        try:
            descriptor = os.dup(self.fd) if self.is_open else -1
        except OSError:
            descriptor = -1
        if descriptor < 0:
            raise CudaError(status.OPERATING_SYSTEM)
        ctypes.c_int.from_address(address).value = descriptor

    def reaches(self, end: int) -> bool:
        """Whether it has bytes as far as that: beyond them a mapping would kill."""
        return end <= os.fstat(self.fd).st_size

    def close(self) -> None:
        """Close the descriptor, if it is still ours."""
        if self.is_open:
            os.close(self.fd)
        self.identity = None
        OPEN.discard(self)


class Extent:
    """A range of a file that is mapped: `size` bytes at `address`.

    `number` is unlike that of any other of the process. `ours`: its bytes end with it.
    """

    __slots__ = ("address", "file", "number", "offset", "ours", "size")

    def __init__(
        self, number: int, file: File, offset: int, address: int, size: int, ours: bool = True
    ) -> None:
        self.number = number
        self.file = file
        self.offset = offset
        self.address = address
        self.size = size
        self.ours = ours

    def free(self) -> None:
        """Give back addresses and, if they are ours, the bytes and the file's range."""
        if self.ours:
            mapping.discard(self.address, self.size)
        mapping.unmap(self.address, self.size)
        if self.ours:
            self.file.give(self.offset, self.size)


class Files:
    """The files behind the devices of this process."""

    def __init__(self, cuda: Cuda) -> None:
        self._space = cuda.part(Space)
        self._files: dict[Optional[Device], File] = {}
        self.count = itertools.count(1).__next__  # what no extent has had yet

    def of_device(self, device: Optional[Device]) -> Optional[File]:
        """The file behind a device, or (for None) the host, a new one if the program has closed the
        last; None: the system has none to give."""
        known = self._files.get(device)
        if known is None or not known.is_open:
            try:
                known = self._files[device] = File(DEVICE, device.uuid if device else "")
            except OSError:
                return None
        return known

    def extent(
        self, file: Optional[File], size: int, align: int, low: bool = False
    ) -> Optional[Extent]:
        """`size` fresh bytes of a file, mapped; None where the system has no room for them."""
        offset = file.take(size) if file is not None else -1
        if file is None or offset < 0:
            return None
        extent = self.map(file, offset, size, align, low)
        if extent is None:
            file.give(offset, size)
        return extent

    def map(
        self, file: File, offset: int, size: int, align: int, low: bool = False
    ) -> Optional[Extent]:
        """Map bytes of a file; None where the system has no room for them."""
        address = mapping.map_file(size, file.fd, offset, align, low)
        if not address:
            return None
        self._space.evict(address, size)
        return Extent(self.count(), file, offset, address, size)

    def end(self) -> None:
        """Close them; what is mapped of them is not theirs to give back."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def forked(self) -> None:
        """In a forked child: the parent's bytes are not to outlive it here."""
        for file in list(OPEN):
            file.close()
