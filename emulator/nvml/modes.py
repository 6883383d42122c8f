"""Modes of a device that are switched and stay: persistence, compute, display, restrictions."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__: list[str] = []

#: nvmlComputeMode_t; 1 was exclusive-thread mode, which drivers no longer have.
COMPUTE_MODES = {0: "DEFAULT", 2: "PROHIBITED", 3: "EXCLUSIVE_PROCESS"}


@implements("nvmlDeviceSetPersistenceMode")
def set_persistence_mode(device: Device, mode: int) -> None:
    device.persistence_mode = bool(mode)


@implements("nvmlDeviceGetComputeMode")
def compute_mode(device: Device) -> int:
    return {word: number for number, word in COMPUTE_MODES.items()}[device.compute_mode]


@implements("nvmlDeviceSetComputeMode")
def set_compute_mode(device: Device, mode: int) -> None:
    if mode not in COMPUTE_MODES:
        raise NvmlError(status.NOT_SUPPORTED)
    device.compute_mode = COMPUTE_MODES[mode]


@implements("nvmlDeviceGetAddressingMode")
def addressing_mode(device: Device) -> dict[str, int]:
    if device.addressing_mode is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return {"value": getattr(constants, "DEVICE_ADDRESSING_MODE_" + device.addressing_mode)}


@implements("nvmlDeviceGetAPIRestriction")
def restriction(device: Device, api_type: int) -> bool:
    """Application clocks are for root alone, as a driver starts; nothing else is restricted."""
    if api_type != constants.RESTRICTED_API_SET_APPLICATION_CLOCKS:
        raise NvmlError(status.NOT_SUPPORTED)
    return True


@implements("nvmlDeviceGetVirtualizationMode")
def virtualization_mode(device: Device) -> int:
    mode: int = getattr(constants, "GPU_VIRTUALIZATION_MODE_" + device.virtualization_mode)
    return mode


implements_each(
    {
        "nvmlDeviceGetDisplayActive": lambda device: device.display_active,
        "nvmlDeviceGetDisplayMode": lambda device: device.display_mode,
        "nvmlDeviceGetPersistenceMode": lambda device: device.persistence_mode,
    }
)
