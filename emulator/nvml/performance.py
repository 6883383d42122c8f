"""Performance states, and what holds the clocks down."""

from __future__ import annotations

import ctypes

from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..machine import Device

__all__: list[str] = []

#: The bits of nvmlClocksEventReasons, by the machine's words for them.
EVENT_REASONS = {
    "gpu_idle": 0x1,
    "applications_clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
    "display_clock_setting": 0x100,
}

#: The counter behind each nvmlPerfPolicyType_t that a device counts.
POLICIES = {0: "sw_power_cap", 1: "sw_thermal_slowdown", 2: "sync_boost"}

UNKNOWN_STATE = 32  # NVML_PSTATE_UNKNOWN


def event_reasons(device: Device) -> int:
    return sum(EVENT_REASONS[reason] for reason in device.clocks.event_reasons)


@implements("nvmlDeviceGetViolationStatus")
def violation_status(nvml: Nvml, device: Device, perf_policy_type: int) -> dict[str, Optional[int]]:
    counter = POLICIES.get(perf_policy_type)
    if counter is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return {
        "referenceTime": nvml.machine.clock.now() // 1000,
        "violationTime": getattr(device.clocks.event_counters, counter),
    }


@implements("nvmlDeviceGetSupportedPerformanceStates")
def supported_states(device: Device, pstates: int, size: int) -> None:
    """P0 and the state it idles in: what the device was seen in is all that is known of it.

    `size` is in bytes.
    """
    states = sorted({0, device.performance_state or 0})
    room = size // ctypes.sizeof(ctypes.c_uint)
    if not pstates:
        raise NvmlError(status.INVALID_ARGUMENT)
    if room < len(states):
        raise NvmlError(status.INSUFFICIENT_SIZE)
    states += [UNKNOWN_STATE] * (room - len(states))
    ctypes.memmove(pstates, (ctypes.c_uint * room)(*states), room * ctypes.sizeof(ctypes.c_uint))


implements_each(
    {
        "nvmlDeviceGetCurrentClocksEventReasons": event_reasons,
        "nvmlDeviceGetCurrentClocksThrottleReasons": event_reasons,
        "nvmlDeviceGetPerformanceState": lambda device: device.performance_state,
        "nvmlDeviceGetPowerState": lambda device: device.performance_state,
        "nvmlDeviceGetSupportedClocksEventReasons": lambda device: sum(EVENT_REASONS.values()),
        "nvmlDeviceGetSupportedClocksThrottleReasons": lambda device: sum(EVENT_REASONS.values()),
    }
)
