"""Device memory by the piece: allocating, freeing, and where a piece begins."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..streams.schedule import Schedule
from ..streams.stream import Streams
from .heap import PIECE, Heap, rounded
from .space import Space

__all__ = ["check_capture"]

#: What cuMemFree frees.
FREED = frozenset(("device", "managed", "pool"))


def check_capture(cuda: Cuda) -> None:
    """Refuse what a thread must not do during a capture: STREAM_CAPTURE_UNSUPPORTED."""
    if cuda.part(Schedule).captures:
        from ..streams.capture import check_unsafe

        check_unsafe(cuda)


@implements("cuMemAlloc_v2")
def allocate(cuda: Cuda, bytesize: int) -> int:
    check_capture(cuda)
    return cuda.contexts.current().part(Heap).allocate(bytesize).address


# CUDA 2's device pointers are 32 bits wide; so are the addresses that it is given.
@implements("cuMemAlloc")
def allocate_32(cuda: Cuda, bytesize: int) -> int:
    check_capture(cuda)
    return cuda.contexts.current().part(Heap).allocate(bytesize, low=True).address


def _pitched(cuda: Cuda, width: int, height: int, element: int, low: bool) -> tuple[int, int]:
    """Rows on multiples of 512 bytes: what devices of our profiles give (public reports)."""
    heap = cuda.contexts.current().part(Heap)
    check_capture(cuda)
    if element not in (4, 8, 16) or not width or not height:
        raise CudaError(status.INVALID_VALUE)
    pitch = rounded(width, PIECE)
    return heap.allocate(pitch * height, low=low).address, pitch


@implements("cuMemAllocPitch_v2")
def allocate_rows(
    cuda: Cuda, width_in_bytes: int, height: int, element_size_bytes: int
) -> tuple[int, int]:
    return _pitched(cuda, width_in_bytes, height, element_size_bytes, low=False)


@implements("cuMemAllocPitch")
def allocate_rows_32(
    cuda: Cuda, width_in_bytes: int, height: int, element_size_bytes: int
) -> tuple[int, int]:
    return _pitched(cuda, width_in_bytes, height, element_size_bytes, low=True)


# It waits for the context's work. That nothing is freed at 0: driver 590.48.01, traced in
# lupinemachines/lupine, pull request 858.
@implements("cuMemFree", "cuMemFree_v2")
def free(cuda: Cuda, dptr: int) -> None:
    context = cuda.contexts.current()
    if not dptr:
        return
    check_capture(cuda)
    block = cuda.part(Space).at(dptr)
    # A module's managed variable is its heap's, and goes with the module.
    if block.kind not in FREED or (block.kind == "managed" and isinstance(block.owner, Heap)):
        raise CudaError(status.INVALID_VALUE)
    (block.context or context).part(Streams).synchronize()
    block.owner.free(block)


@implements("cuMemGetAddressRange", "cuMemGetAddressRange_v2", nullable=("pbase", "psize"))
def address_range(cuda: Cuda, dptr: int) -> tuple[int, int]:
    cuda.contexts.current()
    block = cuda.part(Space).find(dptr)
    if block is None or block.kind == "registered":  # of cuMemHostAlloc: numba-cuda's tests ask so
        raise CudaError(status.NOT_FOUND)
    return block.address, block.size
