"""How a GPU's time is shared among vGPUs: the software scheduler's policy, state and log.

Defaults: NVIDIA's Virtual GPU Software User Guide, "vGPU schedulers": slices of 2 ms for up to 8
vGPUs of a type and 1 ms for more; averaging factors of 33; frequencies of 480 a second for up to 8
vGPUs, 960 for more.
"""

from __future__ import annotations

from ...machine.clock import SECOND
from ...machine.vgpu.running import vgpus
from ...machine.words import RANGES
from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements
from .hosts import check_host, check_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Sequence

    from ...machine import Device
    from ...machine.vgpu.running import Running
    from ...machine.vgpu.vgpu import VgpuScheduler

__all__ = ["ENGINES", "chosen", "log", "log_v2", "state", "state_v2"]

#: NVML_VGPU_SCHEDULER_POLICY_*, by their numbers.
POLICIES = ("UNKNOWN", "BEST_EFFORT", "EQUAL_SHARE", "FIXED_SHARE")

ENGINES = (
    constants.VGPU_SCHEDULER_ENGINE_TYPE_GRAPHICS,
    constants.VGPU_SCHEDULER_ENGINE_TYPE_NVENC1,
    constants.VGPU_SCHEDULER_ENGINE_TYPE_NVENC0,
)

FEW = 8  # vGPUs of a type at most, with the longer slices
SHORT, LONG = 1_000_000, 2_000_000  # nanoseconds
SLICES = RANGES["SchedulerSlice"]
FACTORS, FACTOR = RANGES["SchedulerFactor"], 33
FREQUENCIES, SELDOM, OFTEN = RANGES["SchedulerFrequency"], 480, 960
WEIGHT = 1  # every runlist counts as much

ENTRIES = constants.SCHEDULER_SW_MAX_LOG_ENTRIES


def policy(scheduler: VgpuScheduler, engine: int = ENGINES[0]) -> int:
    """Policies are of the graphics engine; the others serve as best they can (nvml.h)."""
    if engine not in ENGINES:
        raise NvmlError(status.INVALID_ARGUMENT)
    if engine != ENGINES[0]:
        return constants.VGPU_SCHEDULER_POLICY_BEST_EFFORT
    return POLICIES.index(scheduler.policy or "BEST_EFFORT")


def many(running: Sequence[Running]) -> bool:
    """Whether so small a type runs that its slices are short."""
    return any((each.type.max_instances or 0) > FEW for each in running)


def is_adaptive(scheduler: VgpuScheduler) -> bool:
    """Adaptive round robin is of the policies that share, and on by default (as the help of
    `nvidia-smi vgpu set-scheduler-state` has it)."""
    shares = scheduler.policy in ("EQUAL_SHARE", "FIXED_SHARE")
    return shares and scheduler.adaptive is not False


def timeslice(scheduler: VgpuScheduler, running: Sequence[Running]) -> int:
    """Nanoseconds; 0 while nothing is scheduled."""
    if not running:
        return 0
    if is_adaptive(scheduler):
        often = OFTEN if many(running) else SELDOM
        return SECOND // (scheduler.frequency or often)
    return scheduler.timeslice or (SHORT if many(running) else LONG)


def factor(scheduler: VgpuScheduler, running: Sequence[Running]) -> int:
    """Of adaptive round robin; 0 while nothing is scheduled."""
    if not running or not is_adaptive(scheduler):
        return 0
    return scheduler.average_factor or FACTOR


def mode(scheduler: VgpuScheduler) -> int:
    """NVML_VGPU_SCHEDULER_ARR_*."""
    if is_adaptive(scheduler):
        return constants.VGPU_SCHEDULER_ARR_ENABLE
    return constants.VGPU_SCHEDULER_ARR_DISABLE


def state(
    scheduler: VgpuScheduler, running: Sequence[Running], engine: int = ENGINES[0]
) -> dict[str, Any]:
    """The fields of a state, where it tells adaptive round robin's mode."""
    nanoseconds = timeslice(scheduler, running)
    plain = {"vgpuSchedData": {"timeslice": nanoseconds}}
    average = factor(scheduler, running)
    adaptive = {"vgpuSchedDataWithARR": {"avgFactor": average, "timeslice": nanoseconds}}
    return {
        "schedulerPolicy": policy(scheduler, engine),
        "arrMode": mode(scheduler),
        "schedulerParams": adaptive if is_adaptive(scheduler) else plain,
    }


def state_v2(scheduler: VgpuScheduler, running: Sequence[Running], engine: int) -> dict[str, Any]:
    """The fields of a state, where adaptive round robin is always on."""
    return {
        "schedulerPolicy": policy(scheduler, engine),
        "avgFactor": factor(scheduler, running),
        "timeslice": timeslice(scheduler, running),
    }


# ---- what is set


def within(given: int, known: range) -> Optional[int]:
    """A parameter that is set; 0 is the default."""
    if given and given not in known:
        raise NvmlError(status.INVALID_ARGUMENT)
    return given or None


def setting_v2(engine: int, number: int, average_factor: int, frequency: int) -> dict[str, Any]:
    """The figures that adaptive round robin is set by."""
    if engine not in ENGINES or number not in range(1, len(POLICIES)):
        raise NvmlError(status.INVALID_ARGUMENT)
    if engine != ENGINES[0]:
        raise NvmlError(status.NOT_SUPPORTED)
    return {
        "policy": POLICIES[number],
        "adaptive": None,
        "average_factor": within(average_factor, FACTORS),
        "frequency": within(frequency, FREQUENCIES),
        "timeslice": None,
    }


def setting(engine: int, asked: Any) -> dict[str, Any]:
    """The figures of a client's struct that has adaptive round robin's mode."""
    adaptive = asked.schedulerParams.vgpuSchedDataWithARR
    if asked.enableARRMode == constants.VGPU_SCHEDULER_ARR_ENABLE:
        figures = setting_v2(engine, asked.schedulerPolicy, adaptive.avgFactor, adaptive.frequency)
        return {**figures, "adaptive": True}
    figures = setting_v2(engine, asked.schedulerPolicy, 0, 0)
    if asked.enableARRMode == constants.VGPU_SCHEDULER_ARR_DEFAULT:
        return figures
    if asked.enableARRMode != constants.VGPU_SCHEDULER_ARR_DISABLE:
        raise NvmlError(status.INVALID_ARGUMENT)
    slices = within(asked.schedulerParams.vgpuSchedData.timeslice, SLICES)
    return {**figures, "adaptive": False, "timeslice": slices}


# ---- the log


def log(nvml: Nvml, scheduler: VgpuScheduler, running: Sequence[Running]) -> list[dict[str, int]]:
    """The last turns of the vGPUs, oldest first: one slice each, one after the other, since the
    scenario's start."""
    nanoseconds = timeslice(scheduler, running)
    clock = nvml.machine.clock
    elapsed = clock.elapsed()
    turns = elapsed // nanoseconds if running else 0
    began = clock.now() - elapsed
    return [
        {
            "timestamp": began + (turn + 1) * nanoseconds,
            "timeRunTotal": (turn // len(running) + 1) * nanoseconds,
            "timeRun": nanoseconds,
            "swRunlistId": turn % len(running),
            "targetTimeSlice": nanoseconds,
            "cumulativePreemptionTime": 0,
            "weight": WEIGHT,
        }
        for turn in range(max(turns - ENTRIES, 0), turns)
    ]


# ---- of a device


@implements("nvmlDeviceGetVgpuSchedulerState")
def device_state(device: Device) -> dict[str, Any]:
    return state(check_whole(device).scheduler, vgpus(device))


@implements("nvmlDeviceGetVgpuSchedulerState_v2")
def device_state_v2(device: Device, p_scheduler_state_info: Any) -> dict[str, Any]:
    scheduler = check_whole(device).scheduler
    return state_v2(scheduler, vgpus(device), p_scheduler_state_info.engineId)


@implements("nvmlDeviceSetVgpuSchedulerState", "nvmlDeviceSetVgpuSchedulerState_v2")
def set_device_state(nvml: Nvml, device: Device, p_scheduler_state: Any) -> None:
    check_whole(device)
    figures = chosen(p_scheduler_state)
    with nvml.machine.exclusive():
        if vgpus(device):
            raise NvmlError(status.NOT_SUPPORTED)
        nvml.machine.alter(device, {"vgpu": {"scheduler": figures}})


def chosen(asked: Any) -> dict[str, Any]:
    """The figures of a client's struct, of any version; the first has no engine."""
    engine = getattr(asked, "engineId", ENGINES[0])
    if hasattr(asked, "enableARRMode"):
        return setting(engine, asked)
    return setting_v2(engine, asked.schedulerPolicy, asked.avgFactor, asked.frequency)


@implements("nvmlDeviceGetVgpuSchedulerLog")
def device_log(nvml: Nvml, device: Device) -> dict[str, Any]:
    scheduler, running = check_whole(device).scheduler, vgpus(device)
    entries = log(nvml, scheduler, running)
    return {
        **state(scheduler, running),
        "engineId": ENGINES[0],
        "entriesCount": len(entries),
        "logEntries": entries,
    }


@implements("nvmlDeviceGetVgpuSchedulerLog_v2")
def device_log_v2(nvml: Nvml, device: Device, p_scheduler_log_info: Any) -> dict[str, Any]:
    scheduler, running = check_whole(device).scheduler, vgpus(device)
    return log_v2(nvml, scheduler, running, p_scheduler_log_info.engineId)


def log_v2(
    nvml: Nvml, scheduler: VgpuScheduler, running: Sequence[Running], engine: int
) -> dict[str, Any]:
    """The fields of a log; the graphics engine alone has runlists of vGPUs."""
    fields = state_v2(scheduler, running, engine)
    entries = log(nvml, scheduler, running) if engine == ENGINES[0] else []
    return {**fields, "entriesCount": len(entries), "logEntries": entries}


@implements("nvmlDeviceGetVgpuSchedulerCapabilities")
def capabilities(device: Device) -> dict[str, Any]:
    check_host(device)
    return {
        "supportedSchedulers": range(1, len(POLICIES)),
        "maxTimeslice": SLICES[-1],
        "minTimeslice": SLICES[0],
        "isArrModeSupported": 1,
        "maxFrequencyForARR": FREQUENCIES[-1],
        "minFrequencyForARR": FREQUENCIES[0],
        "maxAvgFactorForARR": FACTORS[-1],
        "minAvgFactorForARR": FACTORS[0],
    }
