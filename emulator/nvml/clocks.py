"""Clocks of a device, in MHz: what they are, may be, and are set to."""

from __future__ import annotations

from . import _status as status
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device

__all__ = ["DOMAINS"]

DOMAINS = ("graphics", "sm", "memory", "video")  # in the order of nvmlClockType_t

#: Figures of a domain in the order of nvmlClockId_t.
FIGURES = ("current", "application", "default_application", "max_customer_boost")


def figure(name: str) -> Callable[[Device, int], Optional[int]]:
    """A handler of the functions that give this figure of the domain `clock_type`."""

    def clock(device: Device, clock_type: int) -> Optional[int]:
        if clock_type >= len(DOMAINS):
            raise NvmlError(status.INVALID_ARGUMENT)
        domain = getattr(device.clocks, DOMAINS[clock_type])
        return getattr(domain, name)  # type: ignore[no-any-return]

    return clock


implements("nvmlDeviceGetApplicationsClock")(figure("application"))
implements("nvmlDeviceGetDefaultApplicationsClock")(figure("default_application"))
implements("nvmlDeviceGetMaxCustomerBoostClock")(figure("max_customer_boost"))


@implements("nvmlDeviceGetClockInfo")
def clock_info(device: Device, type: int) -> Optional[int]:  # noqa: A002 (the C name)
    return figure("current")(device, type)


@implements("nvmlDeviceGetMaxClockInfo")
def max_clock_info(device: Device, type: int) -> Optional[int]:  # noqa: A002
    return figure("max")(device, type)


@implements("nvmlDeviceGetClock")
def clock(device: Device, clock_type: int, clock_id: int) -> Optional[int]:
    if clock_id >= len(FIGURES):
        raise NvmlError(status.INVALID_ARGUMENT)
    return figure(FIGURES[clock_id])(device, clock_type)


# ---- the pairs of memory and graphics clocks


@implements("nvmlDeviceGetSupportedGraphicsClocks")
def supported_graphics_clocks(device: Device, memory_clock_mhz: int) -> Optional[list[int]]:
    if device.clocks.steps is None:
        return None
    found = device.clocks.supported_graphics(memory_clock_mhz)
    if found is None:
        raise NvmlError(status.NOT_FOUND)
    return found


@implements("nvmlDeviceSetApplicationsClocks")
def set_application_clocks(device: Device, mem_clock_mhz: int, graphics_clock_mhz: int) -> None:
    clocks = device.clocks
    if clocks.graphics.application is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if graphics_clock_mhz not in (clocks.supported_graphics(mem_clock_mhz) or ()):
        raise NvmlError(status.INVALID_ARGUMENT)
    clocks.memory.application = mem_clock_mhz
    clocks.graphics.application = graphics_clock_mhz


@implements("nvmlDeviceResetApplicationsClocks")
def reset_application_clocks(device: Device) -> None:
    clocks = device.clocks
    if clocks.graphics.application is None:
        raise NvmlError(status.NOT_SUPPORTED)
    for domain in (clocks.graphics, clocks.memory):
        domain.application = domain.default_application


# ---- locked clocks


@implements("nvmlDeviceSetGpuLockedClocks")
def lock_graphics(device: Device, min_gpu_clock_mhz: int, max_gpu_clock_mhz: int) -> None:
    if min_gpu_clock_mhz > max_gpu_clock_mhz:
        raise NvmlError(status.INVALID_ARGUMENT)
    device.clocks.graphics.locked = (min_gpu_clock_mhz, max_gpu_clock_mhz)


@implements("nvmlDeviceSetMemoryLockedClocks")
def lock_memory(device: Device, min_mem_clock_mhz: int, max_mem_clock_mhz: int) -> None:
    if min_mem_clock_mhz > max_mem_clock_mhz:
        raise NvmlError(status.INVALID_ARGUMENT)
    device.clocks.memory.locked = (min_mem_clock_mhz, max_mem_clock_mhz)


@implements("nvmlDeviceResetGpuLockedClocks")
def unlock_graphics(device: Device) -> None:
    device.clocks.graphics.locked = None


@implements("nvmlDeviceResetMemoryLockedClocks")
def unlock_memory(device: Device) -> None:
    device.clocks.memory.locked = None


# ---- offsets


@implements("nvmlDeviceGetClockOffsets")
def clock_offsets(device: Device, info: Any) -> dict[str, Optional[int]]:
    if info.type >= len(DOMAINS):
        raise NvmlError(status.INVALID_ARGUMENT)
    domain = getattr(device.clocks, DOMAINS[info.type])
    return {
        "clockOffsetMHz": domain.offset,
        "minClockOffsetMHz": domain.min_offset,
        "maxClockOffsetMHz": domain.max_offset,
    }


@implements("nvmlDeviceSetClockOffsets")
def set_clock_offsets(device: Device, info: Any) -> None:
    if info.type >= len(DOMAINS):
        raise NvmlError(status.INVALID_ARGUMENT)
    set_offset(getattr(device.clocks, DOMAINS[info.type]), info.clockOffsetMHz)


@implements("nvmlDeviceSetGpcClkVfOffset")
def set_graphics_offset(device: Device, offset: int) -> None:
    set_offset(device.clocks.graphics, offset)


@implements("nvmlDeviceSetMemClkVfOffset")
def set_memory_offset(device: Device, offset: int) -> None:
    set_offset(device.clocks.memory, offset)


def set_offset(domain: Any, offset: int) -> None:
    if domain.offset is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if not domain.min_offset <= offset <= domain.max_offset:
        raise NvmlError(status.INVALID_ARGUMENT)
    domain.offset = offset


implements_each(
    {
        "nvmlDeviceGetAutoBoostedClocksEnabled": lambda device: (
            device.clocks.auto_boost,
            device.clocks.auto_boost_default,
        ),
        "nvmlDeviceGetGpcClkMinMaxVfOffset": lambda device: (
            device.clocks.graphics.min_offset,
            device.clocks.graphics.max_offset,
        ),
        "nvmlDeviceGetGpcClkVfOffset": lambda device: device.clocks.graphics.offset,
        "nvmlDeviceGetMemClkMinMaxVfOffset": lambda device: (
            device.clocks.memory.min_offset,
            device.clocks.memory.max_offset,
        ),
        "nvmlDeviceGetMemClkVfOffset": lambda device: device.clocks.memory.offset,
        "nvmlDeviceGetSupportedMemoryClocks": lambda device: device.clocks.supported_memory(),
    }
)
