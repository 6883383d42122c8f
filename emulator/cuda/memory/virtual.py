"""Virtual memory management: reserving addresses, creating memory, mapping the one to the other."""

from __future__ import annotations

import ctypes
import os

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .backing import ALLOCATION, File
from .heap import BLOCK
from .physical import Allocation, Mapping, Reservations
from .space import Block, Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Sequence

    from ...machine import Device

__all__: list[str] = []

FD = constants.MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR
FABRIC = constants.MEM_HANDLE_TYPE_FABRIC
PINNED, AT_DEVICE = constants.MEM_ALLOCATION_TYPE_PINNED, constants.MEM_LOCATION_TYPE_DEVICE


def _device(cuda: Cuda, location: Any) -> Device:
    """The device of a place; memory of the host cannot be created here."""
    if location.type != AT_DEVICE:
        raise CudaError(status.NOT_SUPPORTED if location.type else status.INVALID_VALUE)
    device: Optional[Device] = cuda.handles("CUdevice").objects.get(location.id)
    if device is None:
        raise CudaError(status.INVALID_DEVICE)
    if not device.cuda_attribute("VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED"):
        raise CudaError(status.NOT_SUPPORTED)
    return device


def _check(cuda: Cuda, prop: Any) -> Device:
    """The device that memory with these properties would be of."""
    if prop.type != PINNED:
        raise CudaError(status.INVALID_VALUE)
    device = _device(cuda, prop.location)
    if prop.requestedHandleTypes & ~FD:
        raise CudaError(status.NOT_SUPPORTED)
    return device


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
    device = _check(cuda, prop)
    if not size or size % BLOCK or flags:
        raise CudaError(status.INVALID_VALUE)
    with cuda.lock:
        return Allocation(cuda, device, size, prop.requestedHandleTypes)


@implements("cuMemRelease")
def release(cuda: Cuda, handle: Allocation) -> None:
    with cuda.lock:
        handle.release()


# An offset into the allocation "currently must be zero": the reference.
@implements("cuMemMap")
def map_memory(
    cuda: Cuda, ptr: int, size: int, offset: int, handle: Allocation, flags: int
) -> None:
    if not size or (ptr | size) % BLOCK or offset or flags or size > handle.size:
        raise CudaError(status.INVALID_VALUE)
    cuda.part(Reservations).put(handle, ptr, size, offset)


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


@implements("cuMemGetAllocationPropertiesFromHandle")
def properties(cuda: Cuda, handle: Allocation) -> dict[str, Any]:
    return {
        "type": PINNED,
        "requestedHandleTypes": handle.handle_types,
        "location": {"type": AT_DEVICE, "id": cuda.handles("CUdevice").give(handle.device)},
        "win32HandleMetaData": 0,
        "allocFlags": {"compressionType": 0, "gpuDirectRDMACapable": 0, "usage": 0},
    }


# ---- between processes


@implements("cuMemExportToShareableHandle", raw=("shareableHandle",))
def export(
    cuda: Cuda, shareable_handle: int, handle: Allocation, handle_type: int, flags: int
) -> None:
    if shareable_handle < NULL_PAGE or flags or handle_type != FD or not handle.handle_types & FD:
        raise CudaError(status.INVALID_VALUE)
    try:
        descriptor = os.dup(handle.file.fd)
    except OSError:
        raise CudaError(status.OPERATING_SYSTEM) from None
    ctypes.c_int.from_address(shareable_handle).value = descriptor


@implements("cuMemImportFromShareableHandle")
def take_in(cuda: Cuda, os_handle: int, sh_handle_type: int) -> Allocation:
    if sh_handle_type == FABRIC:
        raise CudaError(status.NOT_SUPPORTED)
    if sh_handle_type != FD:
        raise CudaError(status.INVALID_VALUE)
    file = open_descriptor(os_handle, ALLOCATION)
    device = find_device(cuda, file)
    with cuda.lock:
        return Allocation(cuda, device, file.size, FD, file)


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


def find_device(cuda: Cuda, file: File) -> Device:
    """The device of a file; INVALID_DEVICE where this process does not see it."""
    for device in cuda.devices:
        if device.uuid == file.uuid:
            return device
    file.close()
    raise CudaError(status.INVALID_DEVICE)
