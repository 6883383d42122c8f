"""Memory of a device: frame buffer, BAR1, and what confidential computing protects."""

from __future__ import annotations

from .library import Nvml, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceGetMemoryInfo")
def memory_info(nvml: Nvml, device: Device) -> dict[str, int]:
    """The struct without a field for it counts what the driver reserves as used."""
    memory, used = device.memory, nvml.machine.ledger.used(device)
    return {
        "total": memory.total,
        "used": memory.total - memory.usable + used,
        "free": memory.usable - used,
    }


@implements("nvmlDeviceGetMemoryInfo_v2")
def memory_info_v2(nvml: Nvml, device: Device) -> dict[str, int]:
    memory, used = device.memory, nvml.machine.ledger.used(device)
    return {
        "total": memory.total,
        "reserved": memory.reserved,
        "used": used,
        "free": memory.usable - used,
    }


@implements("nvmlDeviceGetBAR1MemoryInfo")
def bar1_memory_info(device: Device) -> dict[str, int]:
    bar1 = device.bar1
    return {"bar1Total": bar1.total, "bar1Free": bar1.free, "bar1Used": bar1.used}


@implements("nvmlDeviceGetConfComputeProtectedMemoryUsage")
def protected_memory_usage(device: Device) -> dict[str, int]:
    memory = device.protected_memory
    return {"total": memory.total, "free": memory.free, "used": memory.used}


implements_each({"nvmlDeviceGetMemoryBusWidth": lambda device: device.memory.bus_width})
