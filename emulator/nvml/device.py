"""Finding devices: how many there are, and handles by index, UUID, serial and bus id."""

from __future__ import annotations

from . import _status as status
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceGetCount", "nvmlDeviceGetCount_v2")
def count(library: Nvml) -> int:
    return len(library.machine.devices)


@implements("nvmlDeviceGetHandleByIndex", "nvmlDeviceGetHandleByIndex_v2")
def handle_by_index(library: Nvml, index: int) -> Device:
    if index >= len(library.machine.devices):
        raise NvmlError(status.INVALID_ARGUMENT)
    return library.machine.devices[index]


@implements("nvmlDeviceGetName")
def name(device: Device) -> str:
    return device.name


@implements("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2")
def memory_info(device: Device) -> dict[str, int]:
    memory = device.memory
    return {
        "total": memory.total,
        "reserved": memory.reserved,
        "used": memory.used,
        "free": memory.free,
    }
