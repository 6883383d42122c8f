"""Memory in the order of a stream, and the pools that it comes from."""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .location import (
    MANAGED,
    NOWHERE,
    ON_HOST,
    PINNED,
    Location,
    check_host,
    locate,
)
from .pool import Free, Pool
from .poolset import Pools
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

    from ...machine import Device
    from ..streams.stream import Stream

__all__: list[str] = []

FD = constants.MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
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
    pool = cuda.part(Pools).current(Location.of(cuda, device))
    return _allocate(pool, bytesize, h_stream)


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
    return pool.allocate(size, stream.context.device).address


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
    block.owner.leave(block)
    h_stream.submit(Free(block))


# ---- pools


@implements("cuDeviceGetDefaultMemPool")
def default(cuda: Cuda, dev: Device) -> Pool:
    _check_supported(dev)
    return cuda.part(Pools).default(Location.of(cuda, dev))


@implements("cuDeviceGetMemPool")
def current(cuda: Cuda, dev: Device) -> Pool:
    _check_supported(dev)
    return cuda.part(Pools).current(Location.of(cuda, dev))


@implements("cuDeviceSetMemPool")
def choose(cuda: Cuda, dev: Device, pool: Pool) -> None:
    if pool.device is not dev or pool.imported:
        raise CudaError(status.INVALID_VALUE)
    cuda.part(Pools).choose(pool)


@implements("cuMemGetDefaultMemPool")
def default_at(cuda: Cuda, location: Any, type: int) -> Pool:  # noqa: A002  (C's name)
    return cuda.part(Pools).default(_location(cuda, location, type), type)


@implements("cuMemGetMemPool")
def current_at(cuda: Cuda, location: Any, type: int) -> Pool:  # noqa: A002  (C's name)
    return cuda.part(Pools).current(_location(cuda, location, type), type)


@implements("cuMemSetMemPool")
def choose_at(cuda: Cuda, location: Any, type: int, pool: Pool) -> None:  # noqa: A002
    place = _location(cuda, location, type)
    if pool.place != (type, place.type, place.id) or pool.imported:
        raise CudaError(status.INVALID_VALUE)
    cuda.part(Pools).choose(pool)


# Pools of the host that are of no node cannot be exported: the reference.
@implements("cuMemPoolCreate")
def create(cuda: Cuda, pool_props: Any) -> Pool:
    kind, types = pool_props.allocType, pool_props.handleTypes
    location = _location(cuda, pool_props.location, kind)
    if location.type == ON_HOST and types:
        raise CudaError(status.INVALID_VALUE)
    if types & ~FD or (types and kind == MANAGED):
        raise CudaError(status.NOT_SUPPORTED)
    device = location.device or cuda.devices[0]
    if types & ~(device.cuda_attribute("MEMPOOL_SUPPORTED_HANDLE_TYPES") or 0):
        raise CudaError(status.NOT_SUPPORTED)
    return cuda.part(Pools).make(location, kind, types, pool_props.maxSize)


def _location(cuda: Cuda, location: Any, kind: int) -> Location:
    """Where a pool of this kind would be; only managed memory may be of no place.

    Raises:
        CudaError: INVALID_VALUE, INVALID_DEVICE, NOT_SUPPORTED.
    """
    if kind == MANAGED and location.type == NOWHERE:
        found = Location(NOWHERE, 0)
    elif kind in (PINNED, MANAGED):
        found = locate(cuda, location)
    else:
        raise CudaError(status.INVALID_VALUE)
    device = found.device or cuda.devices[0]
    _check_supported(device)
    if kind == MANAGED:
        if not device.cuda_attribute("CONCURRENT_MANAGED_ACCESS"):
            raise CudaError(status.NOT_SUPPORTED)
    elif found.device is None:
        check_host(cuda, found.type, "MEMORY_POOLS_SUPPORTED")
    return found


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
    constants.MEMPOOL_ATTR_ALLOCATION_TYPE: (ctypes.c_uint, lambda pool: pool.kind),
    constants.MEMPOOL_ATTR_EXPORT_HANDLE_TYPES: (ctypes.c_uint, lambda pool: pool.handle_types),
    constants.MEMPOOL_ATTR_LOCATION_ID: (ctypes.c_int, lambda pool: pool.location.id),
    constants.MEMPOOL_ATTR_LOCATION_TYPE: (ctypes.c_uint, lambda pool: pool.location.type),
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
    """Where the memory is, it can always be used; the host has no way to a device's."""
    allowed = []
    for desc in map:
        device = locate(cuda, desc.location).device
        at_home = device is pool.location.device
        if desc.flags not in (0, 3) or (at_home and not desc.flags):
            raise CudaError(status.INVALID_VALUE)
        if device is None and not at_home:
            raise CudaError(status.INVALID_VALUE)
        allowed.append((device, desc.flags))
    for device, flags in allowed:
        pool.let(device, flags)


@implements("cuMemPoolGetAccess")
def get_access(cuda: Cuda, mem_pool: Pool, location: Any) -> int:
    device = locate(cuda, location).device
    if device is mem_pool.location.device or mem_pool.managed:
        return 3
    return mem_pool.access.get(device, 0)
