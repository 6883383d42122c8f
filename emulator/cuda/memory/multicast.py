"""Multicast objects: memory of several devices of one NVSwitch that one address reaches.

The object, its devices and what is bound to them are kept and checked. No address can be mapped to
it yet that writes to all of them at once. A call that would wait for devices of other processes is
refused with ILLEGAL_STATE, as it would wait for ever.

Sources: NVIDIA's driver API reference, "Multicast Object Management"; the two granularities are
those that NCCL's NVLink SHARP transport meets on Hopper.
"""

from __future__ import annotations

from .. import _constants as c
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device

__all__ = ["Multicast"]

GRANULARITY = {
    c.MULTICAST_GRANULARITY_MINIMUM: 2 << 20,
    c.MULTICAST_GRANULARITY_RECOMMENDED: 512 << 20,
}
MINIMUM = GRANULARITY[c.MULTICAST_GRANULARITY_MINIMUM]
HANDLE_TYPES = 0xF  # CUmemAllocationHandleType's bits


class Multicast:
    """A multicast object.

    Attributes:
        team: how many devices it is for.
        devices: those that were added.
        bound: by device and offset into the object, how many bytes of it have memory.
    """

    def __init__(self, cuda: Cuda, team: int, size: int, handle_types: int) -> None:
        self.cuda = cuda
        self.team = team
        self.size = size
        self.handle_types = handle_types
        self.devices: list[Device] = []
        self.bound: dict[tuple[Device, int], int] = {}

    def release(self) -> None:
        """Give up the handle, as cuMemRelease does with any handle of memory."""
        self.cuda.handles("CUmemGenericAllocationHandle").drop(self)

    def add(self, device: Device) -> None:
        """INVALID_VALUE for a device that is in the team, and where the team is complete."""
        if device in self.devices or len(self.devices) == self.team:
            raise CudaError(status.INVALID_VALUE)
        self.devices.append(device)

    def check_device(self, device: Device) -> None:
        """INVALID_DEVICE for one that was not added; ILLEGAL_STATE while some are missing."""
        if device not in self.devices:
            raise CudaError(status.INVALID_DEVICE)
        if len(self.devices) < self.team:
            raise CudaError(status.ILLEGAL_STATE)

    def bind(self, device: Device, offset: int, size: int) -> None:
        """Let a range have memory of a device; INVALID_VALUE outside, and where it has some."""
        self.check_device(device)
        _check_range(offset, size, self.size)
        for (other, begin), length in self.bound.items():
            if other is device and begin < offset + size and offset < begin + length:
                raise CudaError(status.INVALID_VALUE)
        self.bound[device, offset] = size

    def unbind(self, device: Device, offset: int, size: int) -> None:
        """Take the memory of a range away; INVALID_VALUE for what was not bound like this."""
        if self.bound.get((device, offset)) != size:
            raise CudaError(status.INVALID_VALUE)
        del self.bound[device, offset]


def _check_range(offset: int, size: int, whole: int) -> None:
    aligned = size > 0 and size % MINIMUM == 0 and offset % MINIMUM == 0
    if not aligned or offset + size > whole:
        raise CudaError(status.INVALID_VALUE)


def _check_props(cuda: Cuda, prop: Any) -> None:
    """NOT_SUPPORTED on a machine without multicast, INVALID_VALUE for what cannot be meant."""
    if not any(device.cuda_attribute("MULTICAST_SUPPORTED") for device in cuda.devices):
        raise CudaError(status.NOT_SUPPORTED)
    if not prop.numDevices or prop.flags or prop.handleTypes & ~HANDLE_TYPES:
        raise CudaError(status.INVALID_VALUE)


def _multicast(found: Any) -> Multicast:
    if not isinstance(found, Multicast):
        raise CudaError(status.INVALID_VALUE)
    return found


@implements("cuMulticastGetGranularity")
def get_granularity(cuda: Cuda, prop: Any, option: int) -> int:
    _check_props(cuda, prop)
    return GRANULARITY[option]


@implements("cuMulticastCreate")
def create(cuda: Cuda, prop: Any) -> Multicast:
    _check_props(cuda, prop)
    _check_range(0, prop.size, prop.size)
    return Multicast(cuda, prop.numDevices, prop.size, prop.handleTypes)


@implements("cuMulticastAddDevice")
def add_device(mc_handle: Any, dev: Device) -> None:
    multicast = _multicast(mc_handle)
    if not dev.cuda_attribute("MULTICAST_SUPPORTED"):
        raise CudaError(status.INVALID_DEVICE)
    multicast.add(dev)


# Memory handles are of the virtual memory functions: each has its device and size.
@implements("cuMulticastBindMem")
def bind_mem(
    mc_handle: Any, mc_offset: int, mem_handle: Any, mem_offset: int, size: int, flags: int
) -> None:
    multicast = _multicast(mc_handle)
    _check_memory(mem_handle, mem_offset, size, flags)
    multicast.bind(mem_handle.device, mc_offset, size)


@implements("cuMulticastBindMem_v2")
def bind_mem_of(  # noqa: PLR0917
    mc_handle: Any,
    dev: Device,
    mc_offset: int,
    mem_handle: Any,
    mem_offset: int,
    size: int,
    flags: int,
) -> None:
    multicast = _multicast(mc_handle)
    _check_memory(mem_handle, mem_offset, size, flags)
    multicast.bind(dev, mc_offset, size)


def _check_memory(memory: Any, offset: int, size: int, flags: int) -> None:
    if flags or isinstance(memory, Multicast):
        raise CudaError(status.INVALID_VALUE)
    _check_range(offset, size, memory.size)


@implements("cuMulticastBindAddr")
def bind_address(
    cuda: Cuda, mc_handle: Any, mc_offset: int, memptr: int, size: int, flags: int
) -> None:
    multicast = _multicast(mc_handle)
    block = cuda.part(Space).range(memptr, size)
    if flags or block.device is None:
        raise CudaError(status.INVALID_VALUE)
    multicast.bind(block.device, mc_offset, size)


@implements("cuMulticastBindAddr_v2")
def bind_address_of(  # noqa: PLR0917
    cuda: Cuda, mc_handle: Any, dev: Device, mc_offset: int, memptr: int, size: int, flags: int
) -> None:
    multicast = _multicast(mc_handle)
    cuda.part(Space).range(memptr, size)
    if flags:
        raise CudaError(status.INVALID_VALUE)
    multicast.bind(dev, mc_offset, size)


@implements("cuMulticastUnbind")
def unbind(mc_handle: Any, dev: Device, mc_offset: int, size: int) -> None:
    _multicast(mc_handle).unbind(dev, mc_offset, size)
