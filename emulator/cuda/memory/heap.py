"""Memory of a device, taken in blocks of 2 MiB and given out in pieces.

What is smaller than a block shares one, its address on a multiple of 512; what is larger has blocks
of its own. So free memory changes in steps of 2 MiB, and the first small allocation takes as much
as the next thousands together. Public reports agree on both figures (two cudaMalloc of one byte are
512 bytes apart; NVML's used memory moves by 2 MiB); neither is documented.
"""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from .backing import Files
from .ranges import Ranges
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ...machine import Device
    from ..contexts.context import Context
    from ..library import Cuda
    from .backing import Extent

__all__ = ["BLOCK", "PIECE", "Arena", "Heap", "rounded"]

BLOCK = 2 << 20
PIECE = 512


def rounded(size: int, step: int) -> int:
    """The least multiple of `step` that is not below `size`."""
    return -(-size // step) * step


class Arena:
    """Memory of one device for one purpose.

    `step` is what it grows by. `low`: its addresses fit in 32 bits. An empty block goes back to the
    device at once, but stays mapped until the next one is empty: a program that allocates and frees
    in turn asks the system for nothing.
    """

    def __init__(self, cuda: Cuda, device: Device, step: int = BLOCK, low: bool = False) -> None:
        self.device = device
        self.held = 0  # bytes that it has of the device
        self._ledger = cuda.machine.ledger
        self._files = cuda.part(Files)
        self._step = step
        self._low = low
        self._extents: dict[int, Extent] = {}
        self._pieces = Ranges(walls=self._extents)
        self._spare: Optional[Extent] = None

    def take(self, size: int) -> tuple[int, Extent]:
        """An address for `size` bytes, and the extent that they are in.

        Raises:
            CudaError: OUT_OF_MEMORY, of the device or of the host.
        """
        if size > self._step:
            extent = self._grow(rounded(size, BLOCK))
            return extent.address, extent
        size = rounded(size, PIECE)
        address = self._pieces.take(size)
        if address < 0:
            extent = self._grow(self._step)
            self._pieces.give(extent.address, extent.size)
            address = self._pieces.take(size)
        return address, self._extents[address - address % self._step]

    def give(self, address: int, size: int) -> None:
        """Free what was taken, by its address and the size asked for."""
        if size > self._step:
            self._shrink(self._extents[address])
            return
        start, free = self._pieces.give(address, rounded(size, PIECE))
        if free == self._step:
            self._shrink(self._extents[start])

    def end(self) -> None:
        """Give everything back."""
        for extent in list(self._extents.values()):
            self._shrink(extent)
        if self._spare is not None:
            self._spare.free()
            self._spare = None

    def _grow(self, size: int) -> Extent:
        if not self._ledger.take(self.device, size):
            raise CudaError(status.OUT_OF_MEMORY)
        extent = self._spare if size == self._step else None
        if extent is not None:
            self._spare = None
        else:
            file = self._files.of_device(self.device)
            extent = self._files.extent(file, size, self._step, self._low)
        if extent is None:
            self._ledger.give(self.device, size)
            raise CudaError(status.OUT_OF_MEMORY)
        self._extents[extent.address] = extent
        self.held += size
        return extent

    def _shrink(self, extent: Extent) -> None:
        del self._extents[extent.address]
        self.held -= extent.size
        self._ledger.give(self.device, extent.size)
        if extent.size == self._step and self._spare is None:
            self._pieces.drop(extent.address, extent.size)
            self._spare = extent
        else:
            if extent.size == self._step:
                self._pieces.drop(extent.address, extent.size)
            extent.free()


class Heap:
    """The memory of a context: what cuMemAlloc and its kin take."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cuda = context.cuda
        self._space = context.cuda.part(Space)
        self._arenas: dict[bool, Arena] = {}
        self._blocks: dict[int, Block] = {}

    def allocate(self, size: int, kind: str = "device", low: bool = False) -> Block:
        """A new block; `low`: its address fits in 32 bits.

        Raises:
            CudaError: INVALID_VALUE for no bytes; OUT_OF_MEMORY.
        """
        if size <= 0:
            raise CudaError(status.INVALID_VALUE)
        context = self._context
        with self._cuda.lock:
            arena = self._arenas.get(low)
            if arena is None:
                arena = self._arenas[low] = Arena(self._cuda, context.device, low=low)
            address, extent = arena.take(size)
            block = Block(
                address, size, kind, context.device, context, self, extent=extent, flags=low
            )
            self._blocks[address] = block
            return self._space.add(block)

    def leave(self, block: Block) -> None:
        """A block is about to be freed; INVALID_VALUE if it already is."""
        with self._cuda.lock:
            block.leave()

    def free(self, block: Block) -> None:
        """Free a block, once."""
        with self._cuda.lock:
            if self._blocks.get(block.address) is not block:
                raise CudaError(status.INVALID_VALUE)
            del self._blocks[block.address]
            self._space.remove(block)
            block.forget()
            self._arenas[bool(block.flags)].give(block.address, block.size)

    def end(self) -> None:
        """The context ends: so does its memory."""
        for block in list(self._blocks.values()):
            self.free(block)
        for arena in self._arenas.values():
            arena.end()
