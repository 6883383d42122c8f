"""Managed memory: one pointer for host and devices, and advice on where its pages should be.

Its pages are the host's until something brings them to a device, and devices are filled by demand.
No kernel runs here that would do so, and the ledger does not count managed memory.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .advice import CPU, UNSAID, find_advice
from .allocations import check_capture
from .backing import Files
from .heap import BLOCK, rounded
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from ..contexts.context import Context
    from ..streams.stream import Stream

__all__ = ["Managed"]

GLOBAL, OF_HOST = constants.MEM_ATTACH_GLOBAL, constants.MEM_ATTACH_HOST
AT_DEVICE = constants.MEM_LOCATION_TYPE_DEVICE
ON_HOST = constants.MEM_LOCATION_TYPE_HOST
ON_NODE = constants.MEM_LOCATION_TYPE_HOST_NUMA
ON_CURRENT_NODE = constants.MEM_LOCATION_TYPE_HOST_NUMA_CURRENT


class Managed:
    """The managed memory of a context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._space = context.cuda.part(Space)
        self._blocks: dict[Block, None] = {}

    def allocate(self, size: int, flags: int) -> Block:
        """Fresh memory; OUT_OF_MEMORY, of the host."""
        context = self._context
        cuda = context.cuda
        with cuda.lock:
            files = cuda.part(Files)
            file = files.of_device(context.device)
            extent = files.extent(file, rounded(size, BLOCK), BLOCK)
            if extent is None:
                raise CudaError(status.OUT_OF_MEMORY)
            address = extent.address
            block = Block(
                address, size, "managed", context.device, context, self, extent=extent, flags=flags
            )
            self._blocks[block] = None
            return self._space.add(block)

    def free(self, block: Block) -> None:
        """Free a block, once."""
        with self._context.cuda.lock:
            if block not in self._blocks or block.extent is None:
                raise CudaError(status.INVALID_VALUE)
            del self._blocks[block]
            self._space.remove(block)
            block.extent.free()

    def end(self) -> None:
        """The context ends: so does its memory."""
        for block in list(self._blocks):
            self.free(block)


@implements("cuMemAllocManaged")
def allocate(cuda: Cuda, bytesize: int, flags: int) -> int:
    context = cuda.contexts.current()
    check_capture(cuda)
    if not bytesize or flags not in (GLOBAL, OF_HOST):
        raise CudaError(status.INVALID_VALUE)
    if not context.device.cuda_attribute("MANAGED_MEMORY"):
        raise CudaError(status.NOT_SUPPORTED)
    return context.part(Managed).allocate(bytesize, flags).address


# ---- advice and prefetching


@implements("cuMemAdvise", raw=("device",))
def advise(cuda: Cuda, dev_ptr: int, count: int, advice: int, device: int) -> None:
    _advise(cuda, dev_ptr, count, advice, _place_of(device))


@implements("cuMemAdvise_v2")
def advise_at(cuda: Cuda, dev_ptr: int, count: int, advice: int, location: Any) -> None:
    _advise(cuda, dev_ptr, count, advice, (location.type, location.id))


def _advise(cuda: Cuda, start: int, size: int, advice: int, place: tuple[int, int]) -> None:
    cuda.contexts.current()
    known = find_advice(cuda, start, size)
    end = start + size
    if advice == constants.MEM_ADVISE_SET_READ_MOSTLY:
        known.read_mostly.put(start, end, True)
    elif advice == constants.MEM_ADVISE_UNSET_READ_MOSTLY:
        known.read_mostly.put(start, end, False)
    elif advice == constants.MEM_ADVISE_SET_PREFERRED_LOCATION:
        _check_place(cuda, place)
        known.preferred.put(start, end, place)
    elif advice == constants.MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        known.preferred.put(start, end, UNSAID)
    else:
        _check_place(cuda, place)
        users = known.accessed_by.common(start, end, ())
        others = tuple(user for user in users if user != place)
        added = (place,) if advice == constants.MEM_ADVISE_SET_ACCESSED_BY else ()
        known.accessed_by.put(start, end, others + added)


@implements("cuMemPrefetchAsync", raw=("dstDevice",))
def prefetch(cuda: Cuda, dev_ptr: int, count: int, dst_device: int, h_stream: Stream) -> None:
    _prefetch(cuda, dev_ptr, count, _place_of(dst_device))


@implements("cuMemPrefetchAsync_v2")
def prefetch_to(
    cuda: Cuda, dev_ptr: int, count: int, location: Any, flags: int, h_stream: Stream
) -> None:
    if flags:
        raise CudaError(status.INVALID_VALUE)
    _prefetch(cuda, dev_ptr, count, (location.type, location.id))


@implements("cuMemPrefetchBatchAsync", "cuMemDiscardAndPrefetchBatchAsync")
def prefetch_all(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    dptrs: Sequence[int],
    sizes: Sequence[int],
    prefetch_locs: Sequence[Any],
    prefetch_loc_idxs: Sequence[int],
    flags: int,
    h_stream: Stream,
) -> None:
    """The place at index i is that of the ranges from `prefetch_loc_idxs[i]` to the next one's."""
    firsts = list(prefetch_loc_idxs)
    if flags or not len(dptrs) or not firsts or firsts[0] or firsts != sorted(set(firsts)):
        raise CudaError(status.INVALID_VALUE)
    if firsts[-1] >= len(dptrs):
        raise CudaError(status.INVALID_VALUE)
    for start, size in zip(dptrs, sizes):
        find_advice(cuda, start, size)
    for index, (start, size) in enumerate(zip(dptrs, sizes)):
        place = prefetch_locs[sum(first <= index for first in firsts) - 1]
        _prefetch(cuda, start, size, (place.type, place.id))


# What is discarded may have any contents afterwards: also those that it has.
@implements("cuMemDiscardBatchAsync")
def discard(
    cuda: Cuda, dptrs: Sequence[int], sizes: Sequence[int], flags: int, h_stream: Stream
) -> None:
    if flags or not len(dptrs):
        raise CudaError(status.INVALID_VALUE)
    for start, size in zip(dptrs, sizes):
        find_advice(cuda, start, size)


def _prefetch(cuda: Cuda, start: int, size: int, place: tuple[int, int]) -> None:
    cuda.contexts.current()
    _check_place(cuda, place)
    find_advice(cuda, start, size).prefetched.put(start, start + size, place)


def _place_of(device: int) -> tuple[int, int]:
    return (ON_HOST, 0) if device == CPU else (AT_DEVICE, device)


def _check_place(cuda: Cuda, place: tuple[int, int]) -> None:
    kind, number = place
    if kind == AT_DEVICE:
        device = cuda.handles("CUdevice").objects.get(number)
        if device is None:
            raise CudaError(status.INVALID_DEVICE)
        if not device.cuda_attribute("CONCURRENT_MANAGED_ACCESS"):
            raise CudaError(status.INVALID_DEVICE)
    elif kind not in (ON_HOST, ON_NODE, ON_CURRENT_NODE):
        raise CudaError(status.INVALID_VALUE)
