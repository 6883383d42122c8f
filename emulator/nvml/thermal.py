"""Temperatures in degrees Celsius, and fans."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .bounds import check_between
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device
    from ..machine.thermal import Fan

__all__: list[str] = []

#: In the order of nvmlTemperatureThresholds_t.
THRESHOLDS = (
    "shutdown",
    "slowdown",
    "memory_max",
    "max_operating",
    "target_min",
    "target",
    "target_max",
    "platform_target",
)

ALL_SENSORS = 15  # NVML_THERMAL_TARGET_ALL

#: The GPU's own sensor: NVML_THERMAL_CONTROLLER_GPU_INTERNAL, NVML_THERMAL_TARGET_GPU.
SENSOR = {"controller": 1, "target": 1, "defaultMinTemp": 0, "defaultMaxTemp": 127}


@implements("nvmlDeviceGetTemperature")
def sensed(device: Device, sensor_type: int) -> Optional[int]:
    if sensor_type:  # there is one sensor, NVML_TEMPERATURE_GPU
        raise NvmlError(status.INVALID_ARGUMENT)
    return device.temperature.gpu


@implements("nvmlDeviceGetTemperatureV")
def temperature_v(device: Device, temperature: Any) -> dict[str, Optional[int]]:
    return {"temperature": sensed(device, temperature.sensorType)}


@implements("nvmlDeviceGetMarginTemperature")
def margin_temperature(device: Device) -> dict[str, Optional[int]]:
    return {"marginTemperature": device.temperature.margin}


@implements("nvmlDeviceGetThermalSettings")
def thermal_settings(device: Device, sensor_index: int) -> dict[str, Any]:
    if sensor_index not in (0, ALL_SENSORS):
        raise NvmlError(status.INVALID_ARGUMENT)
    if device.temperature.gpu is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return {"count": 1, "sensor": [{**SENSOR, "currentTemp": device.temperature.gpu}]}


@implements("nvmlDeviceGetTemperatureThreshold")
def threshold(device: Device, threshold_type: int) -> Optional[int]:
    if threshold_type >= len(THRESHOLDS):
        raise NvmlError(status.INVALID_ARGUMENT)
    return getattr(device.temperature, THRESHOLDS[threshold_type])  # type: ignore[no-any-return]


@implements("nvmlDeviceSetTemperatureThreshold")
def set_threshold(nvml: Nvml, device: Device, threshold_type: int, temp: int) -> None:
    """The acoustic threshold alone can be set, between its bounds: others are the product's."""
    if threshold_type >= len(THRESHOLDS):
        raise NvmlError(status.INVALID_ARGUMENT)
    heat = device.temperature
    if THRESHOLDS[threshold_type] != "target" or heat.target is None:
        raise NvmlError(status.NOT_SUPPORTED)
    check_between(temp, heat.target_min, heat.target_max)
    nvml.machine.alter(device, {"temperature": {"target": temp}})


# ---- fans


def fan_of(device: Device, index: int) -> Fan:
    if not device.fans:
        raise NvmlError(status.NOT_SUPPORTED)
    if index >= len(device.fans):
        raise NvmlError(status.INVALID_ARGUMENT)
    return device.fans[index]


@implements("nvmlDeviceGetFanSpeed")
def fan_speed(device: Device) -> Optional[int]:
    return fan_of(device, 0).speed


@implements("nvmlDeviceGetFanSpeed_v2")
def fan_speed_v2(device: Device, fan: int) -> Optional[int]:
    return fan_of(device, fan).speed


@implements("nvmlDeviceGetTargetFanSpeed")
def target_fan_speed(device: Device, fan: int) -> Optional[int]:
    return fan_of(device, fan).target


@implements("nvmlDeviceGetFanSpeedRPM")
def fan_speed_rpm(device: Device, fan_speed: Any) -> dict[str, Optional[int]]:
    return {"speed": fan_of(device, fan_speed.fan).rpm}


@implements("nvmlDeviceGetMinMaxFanSpeed")
def fan_limits(device: Device) -> tuple[Optional[int], Optional[int]]:
    fan = fan_of(device, 0)
    return fan.min_speed, fan.max_speed


@implements("nvmlDeviceGetFanControlPolicy_v2")
def fan_policy(device: Device, fan: int) -> Optional[bool]:
    return fan_of(device, fan).manual


@implements("nvmlDeviceSetFanSpeed_v2")
def set_fan_speed(nvml: Nvml, device: Device, fan: int, speed: int) -> None:
    found = fan_of(device, fan)
    check_between(speed, found.min_speed, 100 if found.max_speed is None else found.max_speed)
    turn(nvml, device, fan, {"manual": True, "speed": speed, "target": speed})


@implements("nvmlDeviceSetDefaultFanSpeed_v2")
def set_default_fan_speed(nvml: Nvml, device: Device, fan: int) -> None:
    speed = fan_of(device, fan).automatic
    turn(nvml, device, fan, {"manual": False, "speed": speed, "target": speed})


@implements("nvmlDeviceSetFanControlPolicy")
def set_fan_policy(nvml: Nvml, device: Device, fan: int, policy: int) -> None:
    found = fan_of(device, fan)
    if policy not in (constants.FAN_POLICY_MANUAL, constants.FAN_POLICY_TEMPERATURE_CONTINOUS_SW):
        raise NvmlError(status.INVALID_ARGUMENT)
    if policy == constants.FAN_POLICY_MANUAL:
        turn(nvml, device, fan, {"manual": True, "target": found.speed})
    else:
        set_default_fan_speed(nvml, device, fan)


def turn(nvml: Nvml, device: Device, fan: int, figures: dict[str, Any]) -> None:
    speed, found = figures.get("speed"), device.fans[fan]
    if speed is not None and found.rpm is not None:
        figures["rpm"] = found.turns(speed)
    nvml.machine.alter(device, {"fans": {str(fan): figures}})


@implements("nvmlDeviceGetCoolerInfo")
def cooler_info(device: Device, cooler_info: Any) -> dict[str, int]:
    """Each cooler is a fan whose speed can be set, and cools the whole board."""
    fan_of(device, cooler_info.index)
    return {
        "signalType": constants.THERMAL_COOLER_SIGNAL_VARIABLE,
        "target": constants.THERMAL_COOLER_TARGET_GPU_RELATED,
    }


implements_each({"nvmlDeviceGetNumFans": lambda device: len(device.fans)})
