"""Performance states, and what holds the clocks down."""

from __future__ import annotations

import ctypes

from ..api import NULL_PAGE
from . import _constants as constants
from . import _status as status
from .clocks import DOMAINS
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

ALL_REASONS = sum(EVENT_REASONS.values())

#: The counter behind each nvmlPerfPolicyType_t.
POLICIES = {
    constants.PERF_POLICY_POWER: "sw_power_cap",
    constants.PERF_POLICY_THERMAL: "sw_thermal_slowdown",
    constants.PERF_POLICY_SYNC_BOOST: "sync_boost",
    constants.PERF_POLICY_BOARD_LIMIT: "board_limit",
    constants.PERF_POLICY_LOW_UTILIZATION: "low_utilization",
    constants.PERF_POLICY_RELIABILITY: "reliability",
    constants.PERF_POLICY_TOTAL_APP_CLOCKS: "total_app_clocks",
    constants.PERF_POLICY_TOTAL_BASE_CLOCKS: "total_base_clocks",
}

UNKNOWN_STATE = constants.PSTATE_UNKNOWN


def event_reasons(device: Device) -> int:
    return sum(EVENT_REASONS[reason] for reason in device.clocks.event_reasons)


@implements("nvmlDeviceGetViolationStatus")
def violation_status(nvml: Nvml, device: Device, perf_policy_type: int) -> dict[str, Optional[int]]:
    """The reference time is in microseconds, the other one in nanoseconds."""
    name = POLICIES.get(perf_policy_type)
    if name is None:
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.settle(device)
    return {
        "referenceTime": nvml.machine.clock.now() // 1000,
        "violationTime": getattr(device.clocks.event_counters, name),
    }


# ---- states


@implements("nvmlDeviceGetSupportedPerformanceStates")
def supported_states(device: Device, pstates: int, size: int) -> None:
    """`size` is in bytes."""
    if device.performance_state is None:
        raise NvmlError(status.NOT_SUPPORTED)
    states = device.performance_states
    room = size // ctypes.sizeof(ctypes.c_uint)
    if pstates < NULL_PAGE:
        raise NvmlError(status.INVALID_ARGUMENT)
    if room < len(states):
        raise NvmlError(status.INSUFFICIENT_SIZE)
    states = states + [UNKNOWN_STATE] * (room - len(states))
    ctypes.memmove(pstates, (ctypes.c_uint * room)(*states), room * ctypes.sizeof(ctypes.c_uint))


def ranges(device: Device, state: int) -> dict[str, tuple[int, int]]:
    """The lowest and the highest clock of each domain in a state.

    The first state has the highest row of the supported clocks, the last one the lowest; a product
    that lets nobody choose its clocks has those that it runs at.
    """
    clocks, states = device.clocks, device.performance_states
    rows = clocks.steps or [(clocks.memory.max or 0, clocks.graphics.max or 0, 0, 0)]
    place = states.index(state)
    row = rows[min(place, len(rows) - 1) if place < len(states) - 1 or not place else -1]
    memory, highest, lowest = (int(clock) for clock in row[:3])
    video, top = clocks.video.max or 0, clocks.graphics.max or 1
    slowest = min(video * lowest // top, video)
    graphics = (lowest, highest)
    return {
        "graphics": graphics,
        "sm": graphics,
        "memory": (memory, memory),
        "video": (slowest, video * highest // top),
    }


@implements("nvmlDeviceGetMinMaxClockOfPState")
def state_clocks(device: Device, type: int, pstate: int) -> tuple[int, int]:  # noqa: A002
    if device.performance_state is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if type >= len(DOMAINS) or pstate not in device.performance_states:
        raise NvmlError(status.UNKNOWN)  # nvml.h: "if type or pstate are invalid"
    return ranges(device, pstate)[DOMAINS[type]]


def tokens(device: Device, state: int, graphics: int, memory: int) -> str:
    """What is said of a state: the clocks in force, their limits, whether these can be moved."""
    limits = ranges(device, state)
    text = []
    for name, domain, now, factor in (
        ("nvclock", "graphics", graphics, 1),
        ("memclock", "memory", memory, 1),
        ("memtransferrate", "memory", memory, 2),  # two transfers a clock
    ):
        lowest, highest = limits[domain]
        editable = int(getattr(device.clocks, domain).offset is not None)
        text += [f"{name}={now * factor}", f"{name}min={lowest * factor}"]
        text += [f"{name}max={highest * factor}", f"{name}editable={editable}"]
    return ", ".join(text)


@implements("nvmlDeviceGetPerformanceModes")
def performance_modes(device: Device) -> dict[str, str]:
    """Level 0 is the slowest state."""
    states = sorted(device.performance_states, reverse=True)
    modes = []
    for level, state in enumerate(states):
        limits = ranges(device, state)
        said = tokens(device, state, limits["graphics"][0], limits["memory"][0])
        modes.append(f"perf={level}, {said}")
    return {"str": " ; ".join(modes)}


@implements("nvmlDeviceGetCurrentClockFreqs")
def current_clocks(device: Device) -> dict[str, str]:
    clocks, states = device.clocks, device.performance_states
    state = device.performance_state if device.performance_state in states else states[0]
    level = sorted(states, reverse=True).index(state)
    graphics, memory = clocks.graphics.current or 0, clocks.memory.current or 0
    return {"str": f"perf={level}, {tokens(device, state, graphics, memory)}"}


implements_each(
    {
        "nvmlDeviceGetCurrentClocksEventReasons": event_reasons,
        "nvmlDeviceGetCurrentClocksThrottleReasons": event_reasons,
        "nvmlDeviceGetPerformanceState": lambda device: device.performance_state,
        "nvmlDeviceGetPowerState": lambda device: device.performance_state,
        "nvmlDeviceGetSupportedClocksEventReasons": lambda device: ALL_REASONS,
        "nvmlDeviceGetSupportedClocksThrottleReasons": lambda device: ALL_REASONS,
    }
)
