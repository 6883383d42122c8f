"""Memory pools: memory that streams allocate and free in their order, kept for the next time.

A pool takes its memory from the device 32 MiB at a time, or more for a larger request (the first 12
bytes reserve 33,554,432: a public report, cupy's pull request 5177), and gives it out on multiples
of 512 bytes. What is freed stays reserved; above the release threshold it goes back to the device
when a stream, an event or a context is waited for.
"""

from __future__ import annotations

from _bisect import bisect_right, insort_right

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..streams.operation import Operation
from ..streams.schedule import Schedule
from .backing import POOL, File, Files
from .heap import BLOCK, PIECE, rounded
from .ranges import Ranges
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device
    from ..library import Cuda
    from .backing import Extent

__all__ = ["Free", "Pool", "Pools", "settle"]

STEP = 32 << 20


class Pool:
    """A pool of a device's memory.

    Attributes:
        attributes: those that a program may set, by number.
        access: what other devices may do with its memory.
        file: what its bytes are in, if it can be exported; `imported`: it is another process's.
        used, reserved: bytes given out, and held of the device; `*_high`: the most so far.
    """

    def __init__(
        self,
        cuda: Cuda,
        device: Device,
        *,
        handle_types: int = 0,
        max_size: int = 0,
        file: Optional[File] = None,
        imported: bool = False,
    ) -> None:
        self.cuda = cuda
        self.device = device
        self.handle_types = handle_types
        self.max_size = max_size
        self.file = file
        self.imported = imported
        self.attributes = {
            constants.MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES: 1,
            constants.MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC: 1,
            constants.MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES: 1,
            constants.MEMPOOL_ATTR_RELEASE_THRESHOLD: 0,
        }
        self.access: dict[Device, int] = {}
        self.used = self.used_high = self.reserved = self.reserved_high = 0
        self.alive = True
        self._files = cuda.part(Files)
        self._space = cuda.part(Space)
        self._extents: dict[int, Extent] = {}
        self._starts: list[int] = []
        self._pieces = Ranges(walls=self._extents)
        self._blocks: dict[int, Block] = {}
        self._leaving: set[Block] = set()

    def allocate(self, size: int, context: Any) -> Block:
        """A new block; INVALID_VALUE for none, and of another process's pool; OUT_OF_MEMORY."""
        if size <= 0 or self.imported:
            raise CudaError(status.INVALID_VALUE)
        with self.cuda.lock:
            room = rounded(size, PIECE)
            address = self._pieces.take(room)
            if address < 0:
                self._grow(room)
                address = self._pieces.take(room)
            extent = self._extents[self._starts[bisect_right(self._starts, address) - 1]]
            self.used += room
            self.used_high = max(self.used_high, self.used)
            return self._add(
                Block(address, size, "pool", self.device, context, self, extent=extent)
            )

    def take_in(self, extent: Extent, address: int, size: int) -> Block:
        """A block of another process, mapped here."""
        block = Block(address, size, "pool", self.device, None, self, extent=extent)
        with self.cuda.lock:
            return self._add(block)

    def _add(self, block: Block) -> Block:
        self._blocks[block.address] = block
        return self._space.add(block)

    def _grow(self, size: int) -> None:
        ledger = self.cuda.machine.ledger
        for wanted in (rounded(size, STEP), rounded(size, BLOCK)):
            if self.max_size and self.reserved + wanted > rounded(self.max_size, BLOCK):
                continue
            if not ledger.take(self.device, wanted):
                continue
            file = self.file or self._files.of_device(self.device)
            extent = self._files.extent(file, wanted, BLOCK)
            if extent is None:
                ledger.give(self.device, wanted)
                continue
            self._extents[extent.address] = extent
            insort_right(self._starts, extent.address)
            self._pieces.give(extent.address, wanted)
            self.reserved += wanted
            self.reserved_high = max(self.reserved_high, self.reserved)
            return
        raise CudaError(status.OUT_OF_MEMORY)

    def leave(self, block: Block) -> None:
        """A block is about to be freed; INVALID_VALUE if it already is."""
        with self.cuda.lock:
            if block in self._leaving:
                raise CudaError(status.INVALID_VALUE)
            self._leaving.add(block)

    def free(self, block: Block) -> None:
        """Free a block, once."""
        with self.cuda.lock:
            if self._blocks.pop(block.address, None) is not block:
                raise CudaError(status.INVALID_VALUE)
            self._leaving.discard(block)
            self._space.remove(block)
            block.forget()
            if self.imported:
                if block.extent is not None:
                    block.extent.free()
                return
            room = rounded(block.size, PIECE)
            self.used -= room
            self._pieces.give(block.address, room)
            if not self.alive and not self._blocks:
                self.trim(0)

    def trim(self, keep: int) -> None:
        """Give back to the device what is free, as long as `keep` bytes stay reserved."""
        with self.cuda.lock:
            for start, extent in list(self._extents.items()):
                free = self._pieces.size_at(start) == extent.size
                if free and self.reserved - extent.size >= keep:
                    self._pieces.drop(start, extent.size)
                    del self._extents[start]
                    self._starts.remove(start)
                    self.reserved -= extent.size
                    extent.free()
                    self.cuda.machine.ledger.give(self.device, extent.size)

    def settle(self) -> None:
        """Something was waited for: what is reserved above the threshold goes back."""
        threshold = self.attributes[constants.MEMPOOL_ATTR_RELEASE_THRESHOLD]
        if self.reserved > threshold:
            self.trim(threshold)

    def let(self, device: Device, access: int) -> None:
        """Say what another device may do with its memory."""
        self.access[device] = access

    def destroy(self) -> None:
        """It is destroyed: its memory goes back when the last block is freed."""
        self.alive = False
        if not self._blocks:
            self.trim(0)

    def end(self) -> None:
        """Another scenario begins."""
        self.alive = False
        for block in list(self._blocks.values()):
            self.free(block)
        self.trim(0)
        if self.file is not None:
            self.file.close()


class Pools:
    """The pools of this process: each device's default and current one, and those made."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._default: dict[Device, Pool] = {}
        self._current: dict[Device, Pool] = {}
        self._all: list[Pool] = []
        cuda.part(Schedule).after_waiting.append(self.settle)

    def default(self, device: Device) -> Pool:
        """The pool that a device has from the beginning."""
        with self._cuda.lock:
            if device not in self._default:
                self._default[device] = self.add(Pool(self._cuda, device))
            return self._default[device]

    def current(self, device: Device) -> Pool:
        """The pool that streams of a device take memory from."""
        return self._current.get(device) or self.default(device)

    def choose(self, device: Device, pool: Pool) -> None:
        """Let streams of a device take memory from this pool."""
        self._current[device] = pool

    def make(self, device: Device, handle_types: int, max_size: int) -> Pool:
        """A new pool; OUT_OF_MEMORY where the system has no descriptor for it."""
        file = None
        if handle_types:
            try:
                file = File(POOL, device.uuid)
            except OSError:
                raise CudaError(status.OUT_OF_MEMORY) from None
        made = Pool(self._cuda, device, handle_types=handle_types, max_size=max_size, file=file)
        return self.add(made)

    def add(self, pool: Pool) -> Pool:
        """Take in a pool."""
        self._all.append(pool)
        return pool

    def destroy(self, pool: Pool) -> None:
        """Destroy a pool, which cannot be a default one; INVALID_VALUE."""
        if pool in self._default.values():
            raise CudaError(status.INVALID_VALUE)
        for device, current in list(self._current.items()):
            if current is pool:
                del self._current[device]
        self._cuda.handles("CUmemoryPool").drop(pool)
        pool.destroy()

    def settle(self) -> None:
        """A stream, an event or a context was waited for."""
        for pool in self._all:
            pool.settle()

    def end(self) -> None:
        """Another scenario begins."""
        for pool in self._all:
            pool.end()


class Free(Operation):
    """Freeing a block when a stream comes to it."""

    __slots__ = ("block",)

    kind = constants.GRAPH_NODE_TYPE_MEM_FREE
    heedless = True

    def __init__(self, block: Block) -> None:
        self.block = block

    def run(self) -> None:
        """Free it."""
        self.block.owner.free(self.block)


def settle(cuda: Cuda) -> None:
    """A stream, an event or a context was waited for: pools give back what they need not hold."""
    if cuda.has(Pools):
        cuda.part(Pools).settle()
