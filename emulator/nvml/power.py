"""Power and energy of a device, in milliwatts and millijoules."""

from __future__ import annotations

from ..machine.words import WORDS
from . import _constants as constants
from . import _status as status
from .bounds import check_between
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceSetPowerManagementLimit")
def set_limit(nvml: Nvml, device: Device, limit: int) -> None:
    power = device.power
    if not power.managed or power.min_limit is None or power.max_limit is None:
        raise NvmlError(status.NOT_SUPPORTED)
    check_between(limit, power.min_limit, power.max_limit)
    nvml.machine.alter(device, {"power": {"limit": limit}})


@implements("nvmlDeviceSetPowerManagementLimit_v2")
def set_limit_v2(nvml: Nvml, device: Device, power_value: Any) -> None:
    scope, limit = power_value.powerScope, power_value.powerValueMw
    if scope == constants.POWER_SCOPE_GPU:
        return set_limit(nvml, device, limit)
    module = device.power.module
    if scope != constants.POWER_SCOPE_MODULE or module.min_limit is None:
        raise NvmlError(status.NOT_SUPPORTED)
    check_between(limit, module.min_limit, module.max_limit)
    nvml.machine.alter(device, {"power": {"module": {"limit": limit}}})
    return None


@implements("nvmlDeviceGetTotalEnergyConsumption")
def total_energy(nvml: Nvml, device: Device) -> Optional[int]:
    nvml.machine.settle(device)
    return device.power.total_energy


def power_source(device: Device) -> int:
    source = device.power.source or "AC"  # what has no battery runs on the mains
    return WORDS["PowerSource"].index(source)


# ---- modes


def mask(numbers: Optional[list[int]]) -> Optional[int]:
    """A bit for each of some numbers."""
    return None if numbers is None else sum(1 << number for number in numbers)


@implements("nvmlDeviceSetPowerMode")
def set_power_mode(nvml: Nvml, device: Device, power_mode_id: int) -> None:
    if device.power.modes is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if power_mode_id not in device.power.modes:
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"power": {"mode": power_mode_id}})


@implements("nvmlDeviceGetPowerMizerMode_v1")
def power_mizer_mode(device: Device) -> dict[str, Optional[int]]:
    power = device.power
    current = None if power.mizer_mode is None else WORDS["PowerMizerMode"].index(power.mizer_mode)
    supported = [WORDS["PowerMizerMode"].index(mode) for mode in power.mizer_modes or ()]
    return {"currentMode": current, "supportedPowerMizerModes": mask(supported)}


@implements("nvmlDeviceSetPowerMizerMode_v1")
def set_power_mizer_mode(nvml: Nvml, device: Device, power_mizer_mode: Any) -> None:
    words, wanted = WORDS["PowerMizerMode"], power_mizer_mode.mode
    if device.power.mizer_mode is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if wanted >= len(words) or words[wanted] not in (device.power.mizer_modes or ()):
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"power": {"mizer_mode": words[wanted]}})


implements_each(
    {
        "nvmlDeviceGetEnforcedPowerLimit": lambda device: device.power.enforced_limit,
        "nvmlDeviceGetPowerManagementDefaultLimit": lambda device: device.power.default_limit,
        "nvmlDeviceGetPowerManagementLimit": lambda device: device.power.limit,
        "nvmlDeviceGetPowerManagementLimitConstraints": lambda device: (
            device.power.min_limit,
            device.power.max_limit,
        ),
        "nvmlDeviceGetPowerManagementMode": lambda device: device.power.managed,
        "nvmlDeviceGetPowerMode": lambda device: device.power.mode,
        "nvmlDeviceGetPowerSource": power_source,
        "nvmlDeviceGetPowerUsage": lambda device: device.power.usage,
        "nvmlDeviceGetSupportedPowerModes": lambda device: mask(device.power.modes),
    }
)
