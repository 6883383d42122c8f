"""The addresses that this process has of CUDA: which memory is where, whose it is, and what kind.

A device pointer is the address of real memory, so bytes are moved as those of any program are.
Device memory, managed memory and page-locked host memory share one space (unified addressing): an
address alone tells what lies there.
"""

from __future__ import annotations

from _bisect import bisect_right
from _bisect import insort_right as insort

from .. import _status as status
from ..error import CudaError
from . import mapping
from .mapping import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device
    from ..contexts.context import Context
    from ..library import Cuda
    from .backing import Extent

__all__ = ["ON_HOST", "Block", "Space"]

#: The kinds of blocks that are always memory of the host.
ON_HOST = frozenset(("host", "registered"))


class Block:
    """Memory that was allocated by one call.

    Attributes:
        address, size: where it lies, in bytes.
        kind: device, managed, pool, module (a global variable), virtual (mapped by cuMemMap), ipc
            (of another process), host (page-locked), registered (a client's own, page-locked).
        context: whose it is; None for what outlives contexts.
        device: where it lies, or would if it were moved there.
        number: unlike that of any other block of the process.
        owner: what frees it, by its `free(block)`.
        extent: the part of a file that holds its bytes; None for memory of the host.
        flags: those it was allocated with.
        access: READ | WRITE as far as its device may use it.
        advice: what was said of it, if it is managed and anything was.
        leaving: whether a stream is to free it.
        sync: whether copies of it are over when their call returns (SYNC_MEMOPS).
        slot: where in its file the ticket is that other processes know it by; -1: none does.
    """

    __slots__ = (
        *("access", "address", "advice", "context", "device", "extent", "flags", "leaving"),
        *("kind", "number", "owner", "size", "slot", "sync"),
    )

    def __init__(
        self,
        address: int,
        size: int,
        kind: str,
        device: Device,
        context: Optional[Context],
        owner: Any,
        *,
        extent: Optional[Extent] = None,
        flags: int = 0,
    ) -> None:
        self.address = address
        self.size = size
        self.kind = kind
        self.device = device
        self.context = context
        self.owner = owner
        self.extent = extent
        self.flags = flags
        self.number = 0
        self.access = READ | WRITE
        self.advice: Any = None
        self.leaving = False
        self.sync = False
        self.slot = -1

    def leave(self) -> None:
        """A stream is to free it; INVALID_VALUE if one already is."""
        if self.leaving:
            raise CudaError(status.INVALID_VALUE)
        self.leaving = True

    def forget(self) -> None:
        """It is freed: what other processes know it by holds no longer."""
        if self.slot >= 0 and self.extent is not None:
            self.extent.file.revoke(self.slot)

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.size

    @property
    def on_host(self) -> bool:
        """Whether it is memory of the host."""
        return self.kind in ON_HOST or getattr(self.owner, "on_host", False)

    @property
    def managed(self) -> bool:
        """Whether it is managed memory."""
        return self.kind == "managed" or getattr(self.owner, "managed", False)


class Space:
    """The blocks of this process by address."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._addresses: list[int] = []
        self._blocks: dict[int, Block] = {}
        self._count = 0

    def add(self, block: Block) -> Block:
        """Take in a block, which overlaps none; `cuda.lock` is held."""
        self._count += 1
        block.number = self._count
        self._blocks[block.address] = block
        insort(self._addresses, block.address)
        return block

    def evict(self, address: int, size: int) -> None:
        """The system has given out these addresses: what a program had registered there is gone."""
        for block in self.overlapping(address, size):
            if block.kind == "registered":
                block.owner.free(block)

    def remove(self, block: Block) -> None:
        """Forget a block; `cuda.lock` is held."""
        del self._blocks[block.address]
        del self._addresses[bisect_right(self._addresses, block.address) - 1]

    def find(self, address: int) -> Optional[Block]:
        """The block that an address lies in."""
        block = self._blocks.get(address)
        if block is None:
            with self._cuda.lock:
                place = bisect_right(self._addresses, address)
                block = self._blocks[self._addresses[place - 1]] if place else None
            if block is not None and address >= block.address + block.size:
                return None
        return block

    def at(self, address: int) -> Block:
        """The block that begins at an address; INVALID_VALUE where none does."""
        block = self._blocks.get(address)
        if block is None:
            raise CudaError(status.INVALID_VALUE)
        return block

    def overlapping(self, address: int, size: int) -> list[Block]:
        """The blocks that have a byte in a range, in order."""
        with self._cuda.lock:
            first = bisect_right(self._addresses, address)
            last = bisect_right(self._addresses, address + size - 1)
            found = [self._blocks[start] for start in self._addresses[first:last]]
            before = self._blocks[self._addresses[first - 1]] if first else None
        if before is not None and before.address + before.size > address:
            found.insert(0, before)
        return found

    def range(self, address: int, size: int, access: int = READ) -> Block:
        """The block that holds a range which a device is to read, or READ | WRITE.

        What is mapped by cuMemMap may go on in the next mapping.

        Raises:
            CudaError: INVALID_VALUE where it is not one block's, or may not be used so.
        """
        block = found = self.find(address)
        while block is not None and block.access & access == access:
            if address + size <= block.address + block.size:
                if block.kind == "registered" and not _mapped(address, size, access):
                    break
                return found  # type: ignore[return-value]
            if block.kind != "virtual":
                break
            block = self._blocks.get(block.address + block.size)
            if block is not None and block.kind != "virtual":
                break
        raise CudaError(status.INVALID_VALUE)

    def check(self, address: int, size: int, access: int = READ) -> Optional[Block]:
        """As `range`, for an address that may be one of the host: None is returned for those.

        Raises:
            CudaError: INVALID_VALUE also where a program itself could not use it so.
        """
        if self.find(address) is not None:
            return self.range(address, size, access)
        if not _mapped(address, size, access):
            raise CudaError(status.INVALID_VALUE)
        return None

    def end(self) -> None:
        """Free what outlives contexts."""
        for block in list(self._blocks.values()):
            block.owner.free(block)


def _mapped(address: int, size: int, access: int) -> bool:
    test = mapping.writable if access & WRITE else mapping.readable
    return test(address, size)
