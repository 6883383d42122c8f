"""Virtual memory management: reserving addresses, creating memory, mapping the one to the other."""

from __future__ import annotations

import os

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .backing import ALLOCATION, File
from .heap import BLOCK
from .location import ON_HOST, PINNED, Location, check_host, locate
from .physical import Allocation, Mapping, Reservations
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Sequence

    from ...machine import Device

__all__: list[str] = []

FD = constants.MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
FABRIC = constants.MEM_HANDLE_TYPE_FABRIC
VIRTUAL = "VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED"


def _device(cuda: Cuda, location: Any) -> Optional[Device]:
    """The device of a place; None: it is the host."""
    device = locate(cuda, location).device
    if device is None:
        check_host(cuda, location.type, VIRTUAL)
    elif not device.cuda_attribute("VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED"):
        raise CudaError(status.NOT_SUPPORTED)
    return device


# Host memory that is of no node cannot be exported: the reference.
def _check(cuda: Cuda, prop: Any) -> Location:
    """Where memory with these properties would be."""
    if prop.type != PINNED or (prop.location.type == ON_HOST and prop.requestedHandleTypes):
        raise CudaError(status.INVALID_VALUE)
    _device(cuda, prop.location)
    if prop.requestedHandleTypes & ~FD:
        raise CudaError(status.NOT_SUPPORTED)
    return locate(cuda, prop.location)


def _memory(found: Any) -> Allocation:
    """What a handle stands for; NOT_SUPPORTED for multicast objects, which nothing is mapped to."""
    if not isinstance(found, Allocation):
        raise CudaError(status.NOT_SUPPORTED)
    return found


@implements("cuMemGetAllocationGranularity")
def granularity(cuda: Cuda, prop: Any) -> int:
    _check(cuda, prop)
    return BLOCK


@implements("cuMemAddressReserve")
def reserve(cuda: Cuda, size: int, alignment: int, addr: int, flags: int) -> int:
    if not size or size % BLOCK or flags or alignment & (alignment - 1):
        raise CudaError(status.INVALID_VALUE)
    return cuda.part(Reservations).reserve(size, alignment, addr)


@implements("cuMemAddressFree")
def give_back(cuda: Cuda, ptr: int, size: int) -> None:
    cuda.part(Reservations).give_back(ptr, size)


@implements("cuMemCreate")
def create(cuda: Cuda, size: int, prop: Any, flags: int) -> Allocation:
    location = _check(cuda, prop)
    if not size or size % BLOCK or flags:
        raise CudaError(status.INVALID_VALUE)
    with cuda.lock:
        return Allocation(cuda, location, size, prop.requestedHandleTypes)


@implements("cuMemRelease")
def release(cuda: Cuda, handle: Any) -> None:
    with cuda.lock:
        handle.release()


# An offset into the allocation "currently must be zero": the reference.
@implements("cuMemMap")
def map_memory(cuda: Cuda, ptr: int, size: int, offset: int, handle: Any, flags: int) -> None:
    memory = _memory(handle)
    if not size or (ptr | size) % BLOCK or offset or flags or size > memory.size:
        raise CudaError(status.INVALID_VALUE)
    cuda.part(Reservations).put(memory, ptr, size, offset)


@implements("cuMemUnmap")
def unmap(cuda: Cuda, ptr: int, size: int) -> None:
    with cuda.lock:
        for block in cuda.part(Reservations).mapped(ptr, size):
            block.owner.free(block)


@implements("cuMemSetAccess")
def set_access(cuda: Cuda, ptr: int, size: int, desc: Sequence[Any], count: int) -> None:
    if not count:
        raise CudaError(status.INVALID_VALUE)
    devices = [(_device(cuda, each.location), each.flags) for each in desc]
    if any(access not in (0, 1, 3) for _, access in devices):
        raise CudaError(status.INVALID_VALUE)
    with cuda.lock:
        for block in cuda.part(Reservations).mapped(ptr, size):
            for device, access in devices:
                block.owner.allow(block, device, access)


@implements("cuMemGetAccess")
def get_access(cuda: Cuda, location: Any, ptr: int) -> int:
    device = _device(cuda, location)
    return _mapping(cuda, ptr).access.get(device, 0)


def _mapping(cuda: Cuda, address: int) -> Mapping:
    block: Optional[Block] = cuda.part(Space).find(address)
    if block is None or block.kind != "virtual":
        raise CudaError(status.INVALID_VALUE)
    mapping: Mapping = block.owner
    return mapping


@implements("cuMemRetainAllocationHandle")
def retain(cuda: Cuda, addr: int) -> Allocation:
    with cuda.lock:
        allocation = _mapping(cuda, addr).allocation
        allocation.handles += 1
        return allocation


# That nothing is compressed is how a driver tells that it has not granted what was asked for.
@implements("cuMemGetAllocationPropertiesFromHandle")
def properties(handle: Any) -> dict[str, Any]:
    memory = _memory(handle)
    return {
        "type": PINNED,
        "requestedHandleTypes": memory.handle_types,
        "location": memory.location.fields,
        "win32HandleMetaData": 0,
        "allocFlags": {"compressionType": 0, "gpuDirectRDMACapable": 0, "usage": 0},
    }


# ---- between processes


@implements("cuMemExportToShareableHandle", raw=("shareableHandle",))
def export(shareable_handle: int, handle: Any, handle_type: int, flags: int) -> None:
    memory = _memory(handle)
    if shareable_handle < NULL_PAGE or flags or handle_type != FD or not memory.handle_types & FD:
        raise CudaError(status.INVALID_VALUE)
    memory.file.export(shareable_handle)


@implements("cuMemImportFromShareableHandle")
def take_in(cuda: Cuda, os_handle: int, sh_handle_type: int) -> Allocation:
    if sh_handle_type == FABRIC:
        raise CudaError(status.NOT_SUPPORTED)
    if sh_handle_type != FD:
        raise CudaError(status.INVALID_VALUE)
    file = open_descriptor(os_handle, ALLOCATION)
    device = find_device(cuda, file)
    with cuda.lock:
        return Allocation(cuda, Location.of(cuda, device), file.size, FD, file)


def open_descriptor(descriptor: int, kind: int) -> File:
    """The file that a program was sent; INVALID_VALUE: it is none of ours."""
    try:
        file = File.of(os.dup(descriptor & 0xFFFFFFFF))
    except (OSError, OverflowError, ValueError):
        raise CudaError(status.INVALID_VALUE) from None
    if file.kind != kind:
        file.close()
        raise CudaError(status.INVALID_VALUE)
    return file


def find_device(cuda: Cuda, file: File) -> Optional[Device]:
    """The device of a file, None for the host; INVALID_DEVICE where the process does not see it."""
    if not file.uuid:
        return None
    for device in cuda.devices:
        if device.uuid == file.uuid:
            return device
    file.close()
    raise CudaError(status.INVALID_DEVICE)
