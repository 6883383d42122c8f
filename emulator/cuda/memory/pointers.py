"""What can be asked about a pointer: cuPointerGetAttribute and its kin."""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .pool import Pool
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Sequence

__all__: list[str] = []

NO_DEVICE = -2  # CU_DEVICE_INVALID
HOST, DEVICE = constants.MEMORYTYPE_HOST, constants.MEMORYTYPE_DEVICE

word, uint, address = ctypes.c_ulonglong, ctypes.c_uint, ctypes.c_size_t


def _context(cuda: Cuda, block: Block, pointer: int) -> int:
    """Pools' memory and what cuMemMap maps are of no context."""
    if block.context is None or block.kind == "pool":
        return 0
    return cuda.handles("CUcontext").give(block.context)


def _host_pointer(cuda: Cuda, block: Block, pointer: int) -> Optional[int]:
    return pointer if block.on_host or block.managed else None


def _pool(cuda: Cuda, block: Block, pointer: int) -> int:
    """What graphs allocate is of no pool that has a handle."""
    return cuda.handles("CUmemoryPool").give(block.owner) if isinstance(block.owner, Pool) else 0


def _handle_types(cuda: Cuda, block: Block, pointer: int) -> int:
    return int(getattr(block.owner, "handle_types", 0))


def _by_rdma(cuda: Cuda, block: Block, pointer: int) -> int:
    reachable = block.device.cuda_attribute("GPU_DIRECT_RDMA_SUPPORTED")
    return int(bool(reachable) and block.kind in ("device", "ipc", "module"))


#: Attribute -> how it is passed, its value for a pointer that is none of CUDA's, and how its value
#: is found for one in a block; None: the pointer has no such attribute.
ATTRIBUTES: dict[int, tuple[Any, int, Callable[[Cuda, Block, int], Optional[int]]]] = {
    constants.POINTER_ATTRIBUTE_CONTEXT: (address, 0, _context),
    constants.POINTER_ATTRIBUTE_MEMORY_TYPE: (
        uint,
        0,
        lambda cuda, block, pointer: HOST if block.on_host else DEVICE,
    ),
    constants.POINTER_ATTRIBUTE_DEVICE_POINTER: (word, 0, lambda cuda, block, pointer: pointer),
    constants.POINTER_ATTRIBUTE_HOST_POINTER: (address, 0, _host_pointer),
    constants.POINTER_ATTRIBUTE_SYNC_MEMOPS: (
        uint,
        0,
        lambda cuda, block, pointer: int(block.sync),
    ),
    constants.POINTER_ATTRIBUTE_BUFFER_ID: (word, 0, lambda cuda, block, pointer: block.number),
    constants.POINTER_ATTRIBUTE_IS_MANAGED: (
        uint,
        0,
        lambda cuda, block, pointer: int(block.managed),
    ),
    constants.POINTER_ATTRIBUTE_DEVICE_ORDINAL: (
        ctypes.c_int,
        NO_DEVICE,
        lambda cuda, block, pointer: cuda.handles("CUdevice").give(block.device),
    ),
    constants.POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE: (
        uint,
        0,
        lambda cuda, block, pointer: int(block.kind in ("device", "module")),
    ),
    constants.POINTER_ATTRIBUTE_RANGE_START_ADDR: (
        word,
        0,
        lambda cuda, block, pointer: block.address,
    ),
    constants.POINTER_ATTRIBUTE_RANGE_SIZE: (address, 0, lambda cuda, block, pointer: block.size),
    constants.POINTER_ATTRIBUTE_MAPPED: (uint, 0, lambda cuda, block, pointer: 1),
    constants.POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES: (word, 0, _handle_types),
    constants.POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE: (uint, 0, _by_rdma),
    constants.POINTER_ATTRIBUTE_ACCESS_FLAGS: (uint, 0, lambda cuda, block, pointer: block.access),
    constants.POINTER_ATTRIBUTE_MEMPOOL_HANDLE: (address, 0, _pool),
    constants.POINTER_ATTRIBUTE_MAPPING_SIZE: (
        address,
        0,
        lambda cuda, block, pointer: block.extent.size if block.extent else block.size,
    ),
    constants.POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: (
        word,
        0,
        lambda cuda, block, pointer: block.extent.address if block.extent else block.address,
    ),
    constants.POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: (
        word,
        0,
        lambda cuda, block, pointer: block.extent.number if block.extent else block.number,
    ),
    constants.POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE: (uint, 0, lambda cuda, block, pointer: 0),
}


# No context has to be current: UCX and others ask first what a pointer is.
@implements("cuPointerGetAttribute", raw=("data",))
def get(cuda: Cuda, data: int, attribute: int, ptr: int) -> None:
    if data < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)
    kind, _, find = _row(attribute)
    block = cuda.part(Space).find(ptr)
    value = None if block is None else find(cuda, block, ptr)
    if value is None:
        raise CudaError(status.INVALID_VALUE)
    kind.from_address(data).value = value


# A pointer that is none of CUDA's is no error here: the reference says so.
@implements("cuPointerGetAttributes")
def get_all(
    cuda: Cuda, num_attributes: int, attributes: Sequence[int], data: Sequence[int], ptr: int
) -> None:
    rows = [_row(attribute) for attribute in attributes]
    if not num_attributes or any(place < NULL_PAGE for place in data):
        raise CudaError(status.INVALID_VALUE)
    block = cuda.part(Space).find(ptr)
    for (kind, default, find), place in zip(rows, data):
        value = default if block is None else find(cuda, block, ptr)
        kind.from_address(place).value = default if value is None else value


@implements("cuPointerSetAttribute", raw=("value",))
def put(cuda: Cuda, value: int, attribute: int, ptr: int) -> None:
    block = cuda.part(Space).find(ptr)
    if value < NULL_PAGE or block is None or attribute != constants.POINTER_ATTRIBUTE_SYNC_MEMOPS:
        raise CudaError(status.INVALID_VALUE)
    block.sync = bool(uint.from_address(value).value)


def _row(attribute: int) -> tuple[Any, int, Callable[[Cuda, Block, int], Optional[int]]]:
    row = ATTRIBUTES.get(attribute)
    if row is None:  # P2P tokens, whose kernel interface is gone, and localities
        raise CudaError(status.NOT_SUPPORTED)
    return row
