"""Physical memory apart from addresses: cuMemCreate's allocations, and where they are mapped.

Addresses are reserved without anything behind them, allocations are made without addresses, and
mapping brings the two together; until access is set, nobody may touch what is mapped. An
allocation lasts as long as it has a handle or is mapped somewhere. None of it is a context's.

Each allocation that can be exported has a file of its own, whose descriptor is what is sent; the
others are slices of their device's file.
"""

from __future__ import annotations

from _bisect import bisect_right, insort_right

from .. import _status as status
from ..error import CudaError
from . import mapping
from .backing import ALLOCATION, DATA, Extent, File, Files
from .heap import BLOCK
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ...machine import Device
    from ..library import Cuda
    from .location import Location

__all__ = ["Allocation", "Mapping", "Reservations"]


class Allocation:
    """Physical memory of a device or of the host, whose the ledger does not count.

    Attributes:
        location: where it is; `device`: on which device, None for the host.
        handle_types: how it may be exported.
        handles, mappings: how many there are of each; without any it ends.
        imported: it is another process's, and counts there.
    """

    def __init__(
        self,
        cuda: Cuda,
        location: Location,
        size: int,
        handle_types: int,
        file: Optional[File] = None,
    ) -> None:
        """`file` is that of another process's allocation.

        Raises:
            CudaError: OUT_OF_MEMORY, of the device or of the host.
        """
        self.cuda = cuda
        self.location = location
        self.device = location.device
        self.size = size
        self.handle_types = handle_types
        self.handles = 1
        self.mappings = 0
        self.imported = file is not None
        self.file, self.offset = (file, DATA) if file is not None else self._take()
        self._all = cuda.part(Reservations).allocations
        self._all[self] = None

    def _take(self) -> tuple[File, int]:
        ledger, device = self.cuda.machine.ledger, self.device
        if device is not None and not ledger.take(device, self.size):
            raise CudaError(status.OUT_OF_MEMORY)
        try:
            if self.handle_types:
                uuid = device.uuid if device is not None else ""
                file: Optional[File] = File(ALLOCATION, uuid, self.size)
            else:
                file = self.cuda.part(Files).of_device(device)
        except OSError:
            file = None
        offset = file.take(self.size) if file is not None else -1
        if file is None or offset < 0:
            if file is not None and self.handle_types:
                file.close()
            if device is not None:
                ledger.give(device, self.size)
            raise CudaError(status.OUT_OF_MEMORY)
        return file, offset

    def release(self) -> None:
        """One handle less; INVALID_VALUE where another thread has released the last."""
        if not self.handles:
            raise CudaError(status.INVALID_VALUE)
        self.handles -= 1
        if not self.handles:
            self.cuda.handles("CUmemGenericAllocationHandle").drop(self)
        self.end_if_unused()

    def end_if_unused(self) -> None:
        """Give the memory back when nothing holds it."""
        if self.handles or self.mappings:
            return
        del self._all[self]
        if not self.imported and self.device is not None:
            self.cuda.machine.ledger.give(self.device, self.size)
        if self.imported or self.handle_types:
            self.file.close()
        else:
            self.file.punch(self.offset, self.size)


class Mapping:
    """An allocation at an address; the owner of its block."""

    def __init__(self, allocation: Allocation) -> None:
        self.allocation = allocation
        self.access: dict[Optional[Device], int] = {}

    @property
    def handle_types(self) -> int:
        """How what is mapped may be exported."""
        return self.allocation.handle_types

    @property
    def on_host(self) -> bool:
        """Whether it is memory of the host."""
        return self.allocation.device is None

    # Which device does a copy is the driver's to choose: what one of them may do, copies may.
    def allow(self, block: Block, device: Optional[Device], access: int) -> None:
        """Say what a device may do there, or the host: mapping.NONE, READ or READ | WRITE."""
        self.access[device] = access
        block.access = max(self.access.values())
        mapping.protect(block.address, block.size, block.access)

    def free(self, block: Block) -> None:
        """Take the mapping away; the addresses stay reserved."""
        cuda = self.allocation.cuda
        with cuda.lock:
            cuda.part(Space).remove(block)
            mapping.uncover(block.address, block.size)
            self.allocation.mappings -= 1
            self.allocation.end_if_unused()


class Reservations:
    """The addresses that this process has reserved, what is mapped there, and all allocations."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._space = cuda.part(Space)
        self._files = cuda.part(Files)
        self._starts: list[int] = []
        self._sizes: dict[int, int] = {}
        self.allocations: dict[Allocation, None] = {}

    def reserve(self, size: int, align: int, hint: int) -> int:
        """Reserve addresses, at `hint` if they are free; OUT_OF_MEMORY."""
        address = mapping.reserve(size, max(align, BLOCK), hint)
        if not address:
            raise CudaError(status.OUT_OF_MEMORY)
        with self._cuda.lock:
            insort_right(self._starts, address)
            self._sizes[address] = size
        return address

    def give_back(self, address: int, size: int) -> None:
        """Give back a whole reservation with nothing mapped; INVALID_VALUE."""
        with self._cuda.lock:
            if self._sizes.get(address) != size or self._space.overlapping(address, size):
                raise CudaError(status.INVALID_VALUE)
            self._starts.remove(address)
            del self._sizes[address]
            mapping.unmap(address, size)

    def put(self, allocation: Allocation, address: int, size: int, offset: int) -> None:
        """Map a part of an allocation at reserved addresses where nothing is.

        Raises:
            CudaError: INVALID_VALUE; OUT_OF_MEMORY of the host.
        """
        with self._cuda.lock:
            place = bisect_right(self._starts, address)
            start = self._starts[place - 1] if place else 0
            inside = place and address + size <= start + self._sizes[start]
            if not inside or self._space.overlapping(address, size):
                raise CudaError(status.INVALID_VALUE)
            file, where = allocation.file, allocation.offset + offset
            if allocation not in self.allocations:  # another thread has released it
                raise CudaError(status.INVALID_VALUE)
            if not file.is_open or not mapping.map_over(
                address, size, file.fd, where, mapping.NONE
            ):
                mapping.uncover(address, size)
                raise CudaError(status.OUT_OF_MEMORY)
            extent = Extent(self._files.count(), file, where, address, size)
            owner = Mapping(allocation)
            device = allocation.device or self._cuda.devices[0]
            block = Block(address, size, "virtual", device, None, owner, extent=extent)
            block.access = mapping.NONE
            allocation.mappings += 1
            self._space.add(block)

    def mapped(self, address: int, size: int) -> list[Block]:
        """The mappings that a range consists of, whole and without gaps; INVALID_VALUE."""
        blocks = self._space.overlapping(address, size)
        end = address
        for block in blocks:
            if block.kind != "virtual" or block.address != end:
                raise CudaError(status.INVALID_VALUE)
            end = block.end
        if not blocks or end != address + size:
            raise CudaError(status.INVALID_VALUE)
        return blocks

    def end(self) -> None:
        """Another scenario begins."""
        for address, size in list(self._sizes.items()):
            for block in self._space.overlapping(address, size):
                block.owner.free(block)
            self.give_back(address, size)
        for allocation in list(self.allocations):
            allocation.handles = 0
            allocation.end_if_unused()
