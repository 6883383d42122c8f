"""Power smoothing: switched on and off, its profiles chosen and written."""

from __future__ import annotations

from ..machine.smoothing import PARAMETERS
from . import _status as status
from .bounds import check_between
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device
    from ..machine.smoothing import PowerSmoothing

__all__: list[str] = []


def smoothing_of(device: Device) -> PowerSmoothing:
    found = device.power_smoothing
    if found.enabled is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return found


@implements("nvmlDevicePowerSmoothingSetState")
def set_state(nvml: Nvml, device: Device, state: Any) -> None:
    smoothing_of(device)
    if state.state not in (0, 1):
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"power_smoothing": {"enabled": bool(state.state)}})


@implements("nvmlDevicePowerSmoothingActivatePresetProfile")
def activate(nvml: Nvml, device: Device, profile: Any) -> None:
    if profile.profileId >= len(smoothing_of(device).profiles):
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"power_smoothing": {"active_profile": profile.profileId}})


@implements("nvmlDevicePowerSmoothingUpdatePresetProfileParam")
def update(nvml: Nvml, device: Device, profile: Any) -> None:
    smoothing = smoothing_of(device)
    number, parameter, value = profile.profileId, profile.paramId, profile.value
    if number >= len(smoothing.profiles) or parameter >= len(PARAMETERS) or not value >= 0:
        raise NvmlError(status.INVALID_ARGUMENT)
    name = PARAMETERS[parameter]
    if getattr(smoothing.profiles[number], name) is None:
        raise NvmlError(status.NOT_SUPPORTED)  # the product does not delay
    check_between(value, lowest(smoothing, name), highest(smoothing, name))
    row = {str(number): {name: round(value)}}
    nvml.machine.alter(device, {"power_smoothing": {"profiles": row}})


def lowest(smoothing: PowerSmoothing, name: str) -> int:
    return (smoothing.min_percent_floor or 0) if name == "percent_floor" else 0


def highest(smoothing: PowerSmoothing, name: str) -> int:
    """The most that a parameter may be: multipliers fit a byte, others the fields' 32 bits."""
    if name == "percent_floor":
        return 100 if smoothing.max_percent_floor is None else smoothing.max_percent_floor
    return 255 if name.endswith("_window") else (1 << 32) - 1
