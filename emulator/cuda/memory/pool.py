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
from .backing import Files
from .heap import BLOCK, PIECE, rounded
from .location import MANAGED, PINNED, Location
from .ranges import Ranges
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ...machine import Device
    from ..library import Cuda
    from .backing import Extent, File

__all__ = ["Free", "Pool"]

STEP = 32 << 20


class Pool:
    """A pool of memory.

    Attributes:
        location: where its memory is, or would best be; `kind`: pinned or managed.
        device: which counts its memory; None: it is the host's, or managed.
        attributes: those that a program may set, by number.
        access: what other devices may do with its memory, None standing for the host.
        file: what its bytes are in, if it can be exported; `imported`: it is another process's.
        alive, gone: it has not been destroyed; it has, and none of its memory is left.
        used, reserved: bytes given out, and held of the device; `*_high`: the most so far.
    """

    def __init__(
        self,
        cuda: Cuda,
        device: Optional[Device],
        *,
        location: Optional[Location] = None,
        kind: int = PINNED,
        handle_types: int = 0,
        max_size: int = 0,
        file: Optional[File] = None,
        imported: bool = False,
    ) -> None:
        self.cuda = cuda
        self.location = location or Location.of(cuda, device)
        self.kind = kind
        self.device = None if kind == MANAGED else self.location.device
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
        self.access: dict[Optional[Device], int] = {}
        self.used = self.used_high = self.reserved = self.reserved_high = 0
        self.alive = True
        self.gone = False
        self._files = cuda.part(Files)
        self._space = cuda.part(Space)
        self._extents: dict[int, Extent] = {}
        self._starts: list[int] = []
        self._pieces = Ranges(walls=self._extents)
        self._blocks: dict[int, Block] = {}

    @property
    def on_host(self) -> bool:
        """Whether it is memory of the host, which is not managed."""
        return self.kind == PINNED and self.location.device is None

    @property
    def managed(self) -> bool:
        """Whether it is managed memory."""
        return self.kind == MANAGED

    @property
    def place(self) -> tuple[int, int, int]:
        """What tells its kind and its place from others."""
        return self.kind, self.location.type, self.location.id

    def allocate(self, size: int, user: Optional[Device]) -> Block:
        """A new block, for a device's streams.

        Raises:
            CudaError: INVALID_VALUE for no bytes and for another process's pool; OUT_OF_MEMORY.
        """
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
            return self._add(self._block(address, size, user, extent))

    def take_in(self, extent: Extent, address: int, size: int) -> Block:
        """A block of another process, mapped here."""
        block = self._block(address, size, None, extent)
        with self.cuda.lock:
            return self._add(block)

    def _block(self, address: int, size: int, user: Optional[Device], extent: Extent) -> Block:
        device = self.location.device or user or self.cuda.devices[0]
        return Block(address, size, "pool", device, None, self, extent=extent)

    def _add(self, block: Block) -> Block:
        self._blocks[block.address] = block
        return self._space.add(block)

    def _grow(self, size: int) -> None:
        for wanted in (rounded(size, STEP), rounded(size, BLOCK)):
            if self.max_size and self.reserved + wanted > rounded(self.max_size, BLOCK):
                continue
            if not self._charge(wanted):
                continue
            file = self.file or self._files.of_device(self.device)
            extent = self._files.extent(file, wanted, BLOCK)
            if extent is None:
                self._discharge(wanted)
                continue
            self._extents[extent.address] = extent
            insort_right(self._starts, extent.address)
            self._pieces.give(extent.address, wanted)
            self.reserved += wanted
            self.reserved_high = max(self.reserved_high, self.reserved)
            return
        raise CudaError(status.OUT_OF_MEMORY)

    def _charge(self, size: int) -> bool:
        """Whether the device has room, if it is to have the memory."""
        return self.device is None or self.cuda.machine.ledger.take(self.device, size)

    def _discharge(self, size: int) -> None:
        if self.device is not None:
            self.cuda.machine.ledger.give(self.device, size)

    def leave(self, block: Block) -> None:
        """A block is about to be freed; INVALID_VALUE if it already is."""
        with self.cuda.lock:
            block.leave()

    def free(self, block: Block) -> None:
        """Free a block, once."""
        with self.cuda.lock:
            if self._blocks.get(block.address) is not block:
                raise CudaError(status.INVALID_VALUE)
            del self._blocks[block.address]
            self._space.remove(block)
            block.forget()
            if self.imported:
                if block.extent is not None:
                    block.extent.free()
            else:
                room = rounded(block.size, PIECE)
                self.used -= room
                self._pieces.give(block.address, room)
            if not self.alive and not self._blocks:
                self._close()

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
                    self._discharge(extent.size)

    def settle(self) -> None:
        """Something was waited for: what is reserved above the threshold goes back."""
        threshold = self.attributes[constants.MEMPOOL_ATTR_RELEASE_THRESHOLD]
        if self.reserved > threshold:
            self.trim(threshold)

    def let(self, device: Optional[Device], access: int) -> None:
        """Say what another device, or the host, may do with its memory."""
        self.access[device] = access

    def destroy(self) -> None:
        """It is destroyed: its memory goes back when the last block is freed."""
        with self.cuda.lock:
            self.alive = False
            if not self._blocks:
                self._close()

    def _close(self) -> None:
        """Nothing is left in it, and nothing will come."""
        self.trim(0)
        if self.file is not None:
            self.file.close()
        self.gone = True

    def end(self) -> None:
        """Another scenario begins."""
        for block in list(self._blocks.values()):
            self.free(block)
        self.trim(0)
        if self.file is not None:
            self.file.close()


class Free(Operation):
    """Freeing a block when a stream comes to it."""

    __slots__ = ("block",)

    kind = constants.GRAPH_NODE_TYPE_MEM_FREE
    heedless = True

    def __init__(self, block: Block) -> None:
        self.block = block

    def run(self) -> None:
        """Free it, unless cuMemFree has done so meanwhile."""
        try:
            self.block.owner.free(self.block)
        except CudaError:
            pass

    def drop(self) -> None:
        """Its context has ended; memory of a pool has not, unless it goes now."""
        self.run()
