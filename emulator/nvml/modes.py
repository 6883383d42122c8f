"""Modes of a device that are switched and stay: persistence, compute, display, restrictions."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device

__all__: list[str] = []

#: nvmlComputeMode_t; 1 was exclusive-thread mode, which drivers no longer have.
COMPUTE_MODES = {0: "DEFAULT", 2: "PROHIBITED", 3: "EXCLUSIVE_PROCESS"}
NUMBERS = {word: number for number, word in COMPUTE_MODES.items()}

#: What the driver of a hypervisor's host may be switched between (`nvidia-smi -vm`).
HOST_MODES = {
    constants.GPU_VIRTUALIZATION_MODE_HOST_VGPU: "HOST_VGPU",
    constants.GPU_VIRTUALIZATION_MODE_HOST_VSGA: "HOST_VSGA",
}

#: The groups of readings that a driver can keep where programs see them without asking.
RUSD_GROUPS = sum(
    getattr(constants, "RUSD_POLL_" + name)
    for name in ("CLOCK", "PERF", "MEMORY", "POWER", "THERMAL", "PCI", "FAN", "PROC_UTIL")
)


@implements("nvmlDeviceSetPersistenceMode")
def set_persistence_mode(nvml: Nvml, device: Device, mode: int) -> None:
    nvml.machine.alter(device, {"persistence_mode": bool(mode)})


@implements("nvmlDeviceGetComputeMode")
def compute_mode(device: Device) -> int:
    return NUMBERS[device.compute_mode]


@implements("nvmlDeviceSetComputeMode")
def set_compute_mode(nvml: Nvml, device: Device, mode: int) -> None:
    """nvml.h of NVML_COMPUTEMODE_EXCLUSIVE_THREAD: "Support Removed"."""
    if mode not in COMPUTE_MODES:
        raise NvmlError(status.NOT_SUPPORTED)
    nvml.machine.alter(device, {"compute_mode": COMPUTE_MODES[mode]})


@implements("nvmlDeviceGetAddressingMode")
def addressing_mode(device: Device) -> dict[str, int]:
    if device.addressing_mode is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return {"value": getattr(constants, "DEVICE_ADDRESSING_MODE_" + device.addressing_mode)}


# ---- what root alone may do


@implements("nvmlDeviceGetAPIRestriction")
def restriction(device: Device, api_type: int) -> Optional[bool]:
    """Of the two APIs, only application clocks: no product here switches its auto boost."""
    check_restrictable(device, api_type)
    return device.application_clocks_restricted


@implements("nvmlDeviceSetAPIRestriction")
def set_restriction(nvml: Nvml, device: Device, api_type: int, is_restricted: int) -> None:
    check_restrictable(device, api_type)
    nvml.machine.alter(device, {"application_clocks_restricted": bool(is_restricted)})


def check_restrictable(device: Device, api_type: int) -> None:
    if (
        api_type != constants.RESTRICTED_API_SET_APPLICATION_CLOCKS
        or device.clocks.graphics.application is None
    ):
        raise NvmlError(status.NOT_SUPPORTED)


# ---- virtualization


@implements("nvmlDeviceGetVirtualizationMode")
def virtualization_mode(device: Device) -> int:
    mode: int = getattr(constants, "GPU_VIRTUALIZATION_MODE_" + device.virtualization_mode)
    return mode


@implements("nvmlDeviceSetVirtualizationMode")
def set_virtualization_mode(nvml: Nvml, device: Device, virtual_mode: int) -> None:
    """nvidia-smi: it "can only be set when it is running on a hypervisor", to one of two."""
    if device.virtualization_mode not in HOST_MODES.values():
        raise NvmlError(status.NOT_SUPPORTED)
    if virtual_mode not in HOST_MODES:
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"virtualization_mode": HOST_MODES[virtual_mode]})


# ---- data that the driver shares with programs


@implements("nvmlDeviceSetRusdSettings_v1")
def set_polling(nvml: Nvml, device: Device, settings: Any) -> None:
    if settings.pollMask != constants.RUSD_POLL_ALL and settings.pollMask & ~RUSD_GROUPS:
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"rusd_polls": settings.pollMask & RUSD_GROUPS})


implements_each(
    {
        "nvmlDeviceGetDisplayActive": lambda device: device.display_active,
        "nvmlDeviceGetDisplayMode": lambda device: device.display_mode,
        "nvmlDeviceGetPersistenceMode": lambda device: device.persistence_mode,
    }
)
