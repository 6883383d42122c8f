"""Page-locked memory of the host: allocated here, or a program's own that it registers.

All of it is portable and mapped, as under unified addressing on 64-bit Linux: its device pointer
is its host pointer. What the codes rest on: driver 590.48.01, probed in lupinemachines/lupine,
issues 437 and 850.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..streams.stream import Streams
from . import mapping
from .allocations import check_capture
from .heap import rounded
from .space import ON_HOST, Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..contexts.context import Context

__all__ = ["HostMemory"]

PORTABLE, MAPPED = constants.MEMHOSTALLOC_PORTABLE, constants.MEMHOSTALLOC_DEVICEMAP
ALLOCATING = PORTABLE | MAPPED | constants.MEMHOSTALLOC_WRITECOMBINED
OF_DEVICES, READ_ONLY = constants.MEMHOSTREGISTER_IOMEMORY, constants.MEMHOSTREGISTER_READ_ONLY
REGISTERING = PORTABLE | MAPPED | OF_DEVICES | READ_ONLY
BELOW = 1 << 32  # what a device pointer of CUDA 2 can tell


class HostMemory:
    """The page-locked memory of a context."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._space = context.cuda.part(Space)
        self._blocks: dict[int, Block] = {}

    def allocate(self, size: int, flags: int) -> Block:
        """Fresh memory; OUT_OF_MEMORY."""
        address = mapping.map_anonymous(rounded(size, mapping.PAGE))
        if not address:
            raise CudaError(status.OUT_OF_MEMORY)
        self._space.evict(address, size)
        return self._add(address, size, "host", flags)

    def register(self, address: int, size: int, flags: int) -> None:
        """Page-lock what the program has there.

        Raises:
            CudaError: INVALID_VALUE where it has nothing; HOST_MEMORY_ALREADY_REGISTERED.
        """
        with self._context.cuda.lock:
            others = self._space.overlapping(address, size)
            if any(block.kind not in ON_HOST for block in others):
                raise CudaError(status.INVALID_VALUE)
            if others:
                raise CudaError(status.HOST_MEMORY_ALREADY_REGISTERED)
            test = mapping.readable if flags & READ_ONLY else mapping.writable
            if not test(address, size):
                raise CudaError(status.INVALID_VALUE)
            block = self._add(address, size, "registered", flags)
            if flags & READ_ONLY:
                block.access = mapping.READ

    def _add(self, address: int, size: int, kind: str, flags: int) -> Block:
        context = self._context
        block = Block(address, size, kind, context.device, context, self, flags=flags)
        with context.cuda.lock:
            self._blocks[address] = block
            return self._space.add(block)

    def free(self, block: Block) -> None:
        """Free a block, or let go of what was registered."""
        with self._context.cuda.lock:
            if self._blocks.get(block.address) is not block:
                raise CudaError(status.INVALID_VALUE)
            del self._blocks[block.address]
            self._space.remove(block)
            if block.kind == "host":
                mapping.unmap(block.address, rounded(block.size, mapping.PAGE))

    def end(self) -> None:
        """The context ends: so does its memory."""
        for block in list(self._blocks.values()):
            self.free(block)


@implements("cuMemAllocHost", "cuMemAllocHost_v2")
def allocate(cuda: Cuda, bytesize: int) -> int:
    return allocate_so(cuda, bytesize, 0)


# Nothing is asked for successfully; what the pointer is then is not documented.
@implements("cuMemHostAlloc")
def allocate_so(cuda: Cuda, bytesize: int, flags: int) -> int:
    memory = cuda.contexts.current().part(HostMemory)
    check_capture(cuda)
    if flags & ~ALLOCATING:
        raise CudaError(status.INVALID_VALUE)
    return memory.allocate(bytesize, flags).address if bytesize else 0


@implements("cuMemFreeHost")
def free(cuda: Cuda, p: int) -> None:
    cuda.contexts.current()
    if p:
        check_capture(cuda)
        _end(cuda.part(Space).at(p), "host")


@implements("cuMemHostRegister", "cuMemHostRegister_v2")
def register(cuda: Cuda, p: int, bytesize: int, flags: int) -> None:
    context = cuda.contexts.current()
    if not p or not bytesize or flags & ~REGISTERING:
        raise CudaError(status.INVALID_VALUE)
    if flags & READ_ONLY and not context.device.cuda_attribute("READ_ONLY_HOST_REGISTER_SUPPORTED"):
        raise CudaError(status.NOT_SUPPORTED)
    if flags & OF_DEVICES:  # this machine has no devices whose memory it could be
        raise CudaError(status.INVALID_VALUE)
    context.part(HostMemory).register(p, bytesize, flags)


@implements("cuMemHostUnregister")
def unregister(cuda: Cuda, p: int) -> None:
    cuda.contexts.current()
    space = cuda.part(Space)
    if not p:
        raise CudaError(status.INVALID_VALUE)
    if space.find(p) is None:
        raise CudaError(status.HOST_MEMORY_NOT_REGISTERED)
    _end(space.at(p), "registered")


def _end(block: Block, kind: str) -> None:
    if block.kind != kind:
        raise CudaError(status.INVALID_VALUE)
    if block.context is not None:
        block.context.part(Streams).synchronize()
    block.owner.free(block)


@implements("cuMemHostGetDevicePointer_v2")
def device_pointer(cuda: Cuda, p: int, flags: int) -> int:
    context = cuda.contexts.current()
    block = cuda.part(Space).find(p)
    if flags:
        raise CudaError(status.INVALID_VALUE)
    pageable = context.device.cuda_attribute("PAGEABLE_MEMORY_ACCESS")
    if block is None and not (p and pageable):
        raise CudaError(status.INVALID_VALUE)
    if block is not None and not (block.on_host or block.managed):
        raise CudaError(status.INVALID_VALUE)
    return p


@implements("cuMemHostGetDevicePointer")
def device_pointer_32(cuda: Cuda, p: int, flags: int) -> int:
    found = device_pointer(cuda, p, flags)
    if found >= BELOW:
        raise CudaError(status.INVALID_VALUE)
    return found


@implements("cuMemHostGetFlags")
def get_flags(cuda: Cuda, p: int) -> int:
    cuda.contexts.current()
    block = cuda.part(Space).find(p)
    if block is None or block.kind != "host":
        raise CudaError(status.INVALID_VALUE)
    return block.flags | MAPPED
