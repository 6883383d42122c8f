"""Memory in the order of a stream, and the pools that it comes from."""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .pool import Free, Pool, Pools
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Sequence

    from ...machine import Device
    from ..streams.stream import Stream

__all__: list[str] = []

FD = constants.MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
PINNED, AT_DEVICE = constants.MEM_ALLOCATION_TYPE_PINNED, constants.MEM_LOCATION_TYPE_DEVICE
FREED = frozenset(("pool", "device"))

#: Attributes that are an int, and those that are a count of bytes; which may be set, and to what.
INTS = (
    constants.MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES,
    constants.MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC,
    constants.MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES,
)
THRESHOLD = constants.MEMPOOL_ATTR_RELEASE_THRESHOLD
COUNTS = {
    constants.MEMPOOL_ATTR_RESERVED_MEM_CURRENT: "reserved",
    constants.MEMPOOL_ATTR_RESERVED_MEM_HIGH: "reserved_high",
    constants.MEMPOOL_ATTR_USED_MEM_CURRENT: "used",
    constants.MEMPOOL_ATTR_USED_MEM_HIGH: "used_high",
}
HIGH = {
    constants.MEMPOOL_ATTR_RESERVED_MEM_HIGH: "reserved",
    constants.MEMPOOL_ATTR_USED_MEM_HIGH: "used",
}


def _check_supported(device: Device) -> None:
    if not device.cuda_attribute("MEMORY_POOLS_SUPPORTED"):
        raise CudaError(status.NOT_SUPPORTED)


@implements("cuMemAllocAsync")
def allocate(cuda: Cuda, bytesize: int, h_stream: Stream) -> int:
    device = h_stream.context.device
    _check_supported(device)
    return _allocate(cuda.part(Pools).current(device), bytesize, h_stream)


@implements("cuMemAllocFromPoolAsync")
def allocate_from(cuda: Cuda, bytesize: int, pool: Pool, h_stream: Stream) -> int:
    return _allocate(pool, bytesize, h_stream)


def _allocate(pool: Pool, size: int, stream: Stream) -> int:
    """Memory is there when the call returns: what was freed before in any stream, but not yet in
    its order, is not taken. Contexts end, pools do not."""
    if not size:  # cuda.core's tests ask for no bytes, and take a null pointer
        return 0
    if stream.capture is not None:
        from ..graphs.memory import capture_allocation

        return capture_allocation(stream, size)
    return pool.allocate(size, None).address


# What cuMemAlloc gave may be freed so too: CUDA programming guide, "Stream ordered memory
# allocator".
@implements("cuMemFreeAsync")
def free(cuda: Cuda, dptr: int, h_stream: Stream) -> None:
    if not dptr:
        raise CudaError(status.INVALID_VALUE)
    if h_stream.capture is not None:
        from ..graphs.memory import capture_free

        capture_free(h_stream, dptr)
        return
    block = cuda.part(Space).at(dptr)
    if block.kind not in FREED:
        raise CudaError(status.INVALID_VALUE)
    if block.kind == "pool":
        block.owner.leave(block)
    h_stream.submit(Free(block))


# ---- pools


@implements("cuDeviceGetDefaultMemPool")
def default(cuda: Cuda, dev: Device) -> Pool:
    _check_supported(dev)
    return cuda.part(Pools).default(dev)


@implements("cuDeviceGetMemPool")
def current(cuda: Cuda, dev: Device) -> Pool:
    _check_supported(dev)
    return cuda.part(Pools).current(dev)


@implements("cuDeviceSetMemPool")
def choose(cuda: Cuda, dev: Device, pool: Pool) -> None:
    if pool.device is not dev or pool.imported:
        raise CudaError(status.INVALID_VALUE)
    cuda.part(Pools).choose(dev, pool)


@implements("cuMemGetDefaultMemPool")
def default_at(cuda: Cuda, location: Any, type: int) -> Pool:  # noqa: A002  (C's name)
    return default(cuda, _device(cuda, location, type))


@implements("cuMemGetMemPool")
def current_at(cuda: Cuda, location: Any, type: int) -> Pool:  # noqa: A002  (C's name)
    return current(cuda, _device(cuda, location, type))


@implements("cuMemSetMemPool")
def choose_at(cuda: Cuda, location: Any, type: int, pool: Pool) -> None:  # noqa: A002
    choose(cuda, _device(cuda, location, type), pool)


@implements("cuMemPoolCreate")
def create(cuda: Cuda, pool_props: Any) -> Pool:
    device = _device(cuda, pool_props.location, pool_props.allocType)
    _check_supported(device)
    if pool_props.handleTypes & ~FD:
        raise CudaError(status.NOT_SUPPORTED)
    supported = device.cuda_attribute("MEMPOOL_SUPPORTED_HANDLE_TYPES") or 0
    if pool_props.handleTypes & ~supported:
        raise CudaError(status.NOT_SUPPORTED)
    return cuda.part(Pools).make(device, pool_props.handleTypes, pool_props.maxSize)


def _device(cuda: Cuda, location: Any, kind: int) -> Device:
    """The device of a place; pools of the host are not emulated."""
    if kind != PINNED:
        raise CudaError(status.INVALID_VALUE)
    if location.type != AT_DEVICE:
        raise CudaError(status.NOT_SUPPORTED if location.type else status.INVALID_VALUE)
    device: Optional[Device] = cuda.handles("CUdevice").objects.get(location.id)
    if device is None:
        raise CudaError(status.INVALID_DEVICE)
    return device


@implements("cuMemPoolDestroy")
def destroy(cuda: Cuda, pool: Pool) -> None:
    cuda.part(Pools).destroy(pool)


@implements("cuMemPoolTrimTo")
def trim(pool: Pool, min_bytes_to_keep: int) -> None:
    pool.trim(min_bytes_to_keep)


@implements("cuMemPoolGetAttribute", raw=("value",))
def get(pool: Pool, attr: int, value: int) -> None:
    if value < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)
    kind, found = ctypes.c_ulonglong, 0
    if attr in INTS:
        ctypes.c_int.from_address(value).value = pool.attributes[attr]
        return
    if attr == THRESHOLD:
        found = pool.attributes[attr]
    elif attr in COUNTS:
        found = getattr(pool, COUNTS[attr])
    elif attr in PROPERTIES:
        size, tell = PROPERTIES[attr]
        kind, found = size, tell(pool)
    else:
        raise CudaError(status.INVALID_VALUE)
    kind.from_address(value).value = found


#: What a pool was made with, as newer drivers tell: attribute -> its C type and its value.
PROPERTIES: dict[int, Any] = {
    constants.MEMPOOL_ATTR_ALLOCATION_TYPE: (ctypes.c_uint, lambda pool: PINNED),
    constants.MEMPOOL_ATTR_EXPORT_HANDLE_TYPES: (ctypes.c_uint, lambda pool: pool.handle_types),
    constants.MEMPOOL_ATTR_LOCATION_ID: (
        ctypes.c_int,
        lambda pool: pool.cuda.handles("CUdevice").give(pool.device),
    ),
    constants.MEMPOOL_ATTR_LOCATION_TYPE: (ctypes.c_uint, lambda pool: AT_DEVICE),
    constants.MEMPOOL_ATTR_MAX_POOL_SIZE: (ctypes.c_ulonglong, lambda pool: pool.max_size),
    constants.MEMPOOL_ATTR_HW_DECOMPRESS_ENABLED: (ctypes.c_int, lambda pool: 0),
}


# The highest figures can only be set to 0, which begins them anew: the reference.
@implements("cuMemPoolSetAttribute", raw=("value",))
def put(pool: Pool, attr: int, value: int) -> None:
    if value < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)
    if attr in INTS:
        pool.attributes[attr] = int(bool(ctypes.c_int.from_address(value).value))
        return
    new = ctypes.c_ulonglong.from_address(value).value
    if attr == THRESHOLD:
        pool.attributes[attr] = new
    elif attr in HIGH and not new:
        setattr(pool, COUNTS[attr], getattr(pool, HIGH[attr]))
    else:
        raise CudaError(status.INVALID_VALUE)


@implements("cuMemPoolSetAccess")
def set_access(cuda: Cuda, pool: Pool, map: Sequence[Any], count: int) -> None:  # noqa: A002
    """The device that has the memory always has access to it."""
    allowed = []
    for desc in map:
        device = _device(cuda, desc.location, PINNED)
        if desc.flags not in (0, 3) or (device is pool.device and not desc.flags):
            raise CudaError(status.INVALID_VALUE)
        allowed.append((device, desc.flags))
    for device, flags in allowed:
        pool.let(device, flags)


@implements("cuMemPoolGetAccess")
def get_access(cuda: Cuda, mem_pool: Pool, location: Any) -> int:
    device = _device(cuda, location, PINNED)
    return 3 if device is mem_pool.device else mem_pool.access.get(device, 0)
