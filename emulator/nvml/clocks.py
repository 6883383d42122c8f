"""Clocks of a device, in MHz: what they are, may be, and are set to."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .architectures import need
from .bounds import check_between
from .library import Nvml, NvmlError, implements, implements_each
from .permissions import check_application_clocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device

__all__ = ["DOMAINS"]

DOMAINS = ("graphics", "sm", "memory", "video")  # in the order of nvmlClockType_t

#: Figures of a domain in the order of nvmlClockId_t.
FIGURES = ("current", "application", "default_application", "max_customer_boost")


def figure_of(device: Device, clock_type: int, name: str) -> Optional[int]:
    """A figure of the domain `clock_type`."""
    if clock_type >= len(DOMAINS):
        raise NvmlError(status.INVALID_ARGUMENT)
    domain = getattr(device.clocks, DOMAINS[clock_type])
    return getattr(domain, name)  # type: ignore[no-any-return]


def figure(name: str) -> Callable[[Device, int], Optional[int]]:
    """A handler of the functions that give this figure of a domain."""
    return lambda device, clock_type: figure_of(device, clock_type, name)


implements("nvmlDeviceGetApplicationsClock")(figure("application"))
implements("nvmlDeviceGetDefaultApplicationsClock")(figure("default_application"))
implements("nvmlDeviceGetMaxCustomerBoostClock")(figure("max_customer_boost"))


@implements("nvmlDeviceGetClockInfo")
def clock_info(device: Device, type: int) -> Optional[int]:  # noqa: A002 (the C name)
    return figure_of(device, type, "current")


@implements("nvmlDeviceGetMaxClockInfo")
def max_clock_info(device: Device, type: int) -> Optional[int]:  # noqa: A002
    return figure_of(device, type, "max")


@implements("nvmlDeviceGetClock")
def clock(device: Device, clock_type: int, clock_id: int) -> Optional[int]:
    if clock_id >= len(FIGURES):
        raise NvmlError(status.INVALID_ARGUMENT)
    return figure_of(device, clock_type, FIGURES[clock_id])


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
def set_application_clocks(
    nvml: Nvml, device: Device, mem_clock_mhz: int, graphics_clock_mhz: int
) -> None:
    clocks = device.clocks
    if clocks.graphics.application is None:
        raise NvmlError(status.NOT_SUPPORTED)
    check_application_clocks(nvml, device)
    if graphics_clock_mhz not in (clocks.supported_graphics(mem_clock_mhz) or ()):
        raise NvmlError(status.INVALID_ARGUMENT)
    apply(nvml, device, mem_clock_mhz, graphics_clock_mhz)


@implements("nvmlDeviceResetApplicationsClocks")
def reset_application_clocks(nvml: Nvml, device: Device) -> None:
    memory, graphics = device.clocks.memory, device.clocks.graphics
    if graphics.application is None:
        raise NvmlError(status.NOT_SUPPORTED)
    check_application_clocks(nvml, device)
    apply(nvml, device, memory.default_application, graphics.default_application)


def apply(nvml: Nvml, device: Device, memory: Optional[int], graphics: Optional[int]) -> None:
    set_ = {"memory": {"application": memory}, "graphics": {"application": graphics}}
    nvml.machine.alter(device, {"clocks": set_})


# ---- locked clocks


def lock(nvml: Nvml, device: Device, domain: str, pair: Optional[tuple[int, int]]) -> None:
    """Lock a domain's clock between two, or unlock it."""
    if pair is not None and pair[0] > pair[1]:
        raise NvmlError(status.INVALID_ARGUMENT)
    locked = None if pair is None else list(pair)
    nvml.machine.alter(device, {"clocks": {domain: {"locked": locked}}})


@implements("nvmlDeviceSetGpuLockedClocks")
def lock_graphics(
    nvml: Nvml, device: Device, min_gpu_clock_mhz: int, max_gpu_clock_mhz: int
) -> None:
    """Beside clocks, a pair of names may be given: that of the power limit, or no limit."""
    need(device, "VOLTA")
    pair = (min_gpu_clock_mhz, max_gpu_clock_mhz)
    named = [clock >= constants.CLOCK_LIMIT_ID_RANGE_START for clock in pair]
    if not any(named):
        return lock(nvml, device, "graphics", pair)
    if not all(named) or any(clock not in NAMED for clock in pair):
        raise NvmlError(status.INVALID_ARGUMENT)
    lowest, highest = (NAMED[clock] for clock in pair)
    if lowest == highest == "unlimited":
        return lock(nvml, device, "graphics", None)
    tdp, top = base_clock(device), device.clocks.graphics.max or 0
    floor = tdp if lowest == "tdp" else 0
    return lock(nvml, device, "graphics", (floor, tdp if highest == "tdp" else top))


#: nvmlClockLimitId_t
NAMED = {
    constants.CLOCK_LIMIT_ID_TDP: "tdp",
    constants.CLOCK_LIMIT_ID_UNLIMITED: "unlimited",
}


def base_clock(device: Device) -> int:
    """The clock that the device keeps within its power limit: what applications get by default."""
    graphics = device.clocks.graphics
    return graphics.default_application or graphics.max or 0


@implements("nvmlDeviceSetMemoryLockedClocks")
def lock_memory(nvml: Nvml, device: Device, min_mem_clock_mhz: int, max_mem_clock_mhz: int) -> None:
    need(device, "AMPERE")
    lock(nvml, device, "memory", (min_mem_clock_mhz, max_mem_clock_mhz))


@implements("nvmlDeviceResetGpuLockedClocks")
def unlock_graphics(nvml: Nvml, device: Device) -> None:
    need(device, "VOLTA")
    lock(nvml, device, "graphics", None)


@implements("nvmlDeviceResetMemoryLockedClocks")
def unlock_memory(nvml: Nvml, device: Device) -> None:
    need(device, "AMPERE")
    lock(nvml, device, "memory", None)


# ---- offsets


@implements("nvmlDeviceGetClockOffsets")
def clock_offsets(device: Device, info: Any) -> dict[str, Optional[int]]:
    domain = getattr(device.clocks, domain_of(device, info))
    return {
        "clockOffsetMHz": domain.offset,
        "minClockOffsetMHz": domain.min_offset,
        "maxClockOffsetMHz": domain.max_offset,
    }


@implements("nvmlDeviceSetClockOffsets")
def set_clock_offsets(nvml: Nvml, device: Device, info: Any) -> None:
    set_offset(nvml, device, domain_of(device, info), info.clockOffsetMHz)


def domain_of(device: Device, info: Any) -> str:
    """The domain that an nvmlClockOffset_t is about, in a state that the device has."""
    if info.type >= len(DOMAINS) or info.pstate not in device.performance_states:
        raise NvmlError(status.INVALID_ARGUMENT)
    return DOMAINS[info.type]


@implements("nvmlDeviceSetGpcClkVfOffset")
def set_graphics_offset(nvml: Nvml, device: Device, offset: int) -> None:
    set_offset(nvml, device, "graphics", offset)


@implements("nvmlDeviceSetMemClkVfOffset")
def set_memory_offset(nvml: Nvml, device: Device, offset: int) -> None:
    set_offset(nvml, device, "memory", offset)


def set_offset(nvml: Nvml, device: Device, name: str, offset: int) -> None:
    domain = getattr(device.clocks, name)
    if domain.offset is None:
        raise NvmlError(status.NOT_SUPPORTED)
    check_between(offset, domain.min_offset, domain.max_offset)
    nvml.machine.alter(device, {"clocks": {name: {"offset": offset}}})


# ---- monitors


@implements("nvmlDeviceGetClkMonStatus")
def clock_monitors(device: Device) -> Optional[dict[str, Any]]:
    need(device, "AMPERE")
    faults = device.clocks.faults
    if faults is None:
        return None
    faults = faults[: constants.MAX_CLK_DOMAINS]
    found = [{"clkApiDomain": fault.domain, "clkDomainFaultMask": fault.mask} for fault in faults]
    return {"bGlobalStatus": bool(found), "clkMonListSize": len(found), "clkMonList": found}


implements_each(
    {
        "nvmlDeviceGetAdaptiveClockInfoStatus": lambda device: device.clocks.adaptive,
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
