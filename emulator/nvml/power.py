"""Power and energy of a device, in milliwatts and millijoules."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceSetPowerManagementLimit")
def set_limit(device: Device, limit: int) -> None:
    power = device.power
    if not power.managed or power.min_limit is None or power.max_limit is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if not power.min_limit <= limit <= power.max_limit:
        raise NvmlError(status.INVALID_ARGUMENT)
    power.limit = limit


@implements("nvmlDeviceSetPowerManagementLimit_v2")
def set_limit_v2(device: Device, power_value: Any) -> None:
    if power_value.powerScope != constants.POWER_SCOPE_GPU:
        raise NvmlError(status.NOT_SUPPORTED)
    set_limit(device, power_value.powerValueMw)


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
        "nvmlDeviceGetPowerSource": lambda device: constants.POWER_SOURCE_AC,
        "nvmlDeviceGetPowerUsage": lambda device: device.power.usage,
        "nvmlDeviceGetTotalEnergyConsumption": lambda device: device.power.total_energy,
    }
)
