"""How busy vGPUs and the processes in their VMs keep a GPU."""

from __future__ import annotations

from ...machine.vgpu.running import vgpus
from .. import _constants as constants
from .. import _status as status
from ..buffers import put_list
from ..library import Nvml, NvmlError, implements
from .hosts import check_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from ...machine.vgpu.rows import VgpuProcess
    from ...machine.vgpu.running import Running

__all__: list[str] = []

#: Field of a sample -> figure.
FIGURES = {
    "smUtil": "gpu",
    "memUtil": "memory",
    "encUtil": "encoder",
    "decUtil": "decoder",
    "jpgUtil": "jpeg",
    "ofaUtil": "ofa",
}


def sample_time(nvml: Nvml, last_seen: int) -> int:
    """When the driver last took samples, in microseconds: it does each second."""
    now = nvml.machine.clock.now() // 1000
    taken: int = now - now % 1_000_000
    if taken <= last_seen:
        raise NvmlError(status.NOT_FOUND)
    return taken


def shares(figures: Any) -> dict[str, int]:
    """Percent by field; 0 where nothing is given."""
    return {field: getattr(figures, name, None) or 0 for field, name in FIGURES.items()}


def samples(nvml: Nvml, running: list[Running], last_seen: int) -> list[dict[str, Any]]:
    """The fields of a vGPU's sample, in all versions."""
    taken = sample_time(nvml, last_seen) if running else 0
    return [
        {
            "vgpuInstance": each.number,
            "timeStamp": taken,
            **{name: {"uiVal": value} for name, value in shares(each.row.utilization).items()},
        }
        for each in running
    ]


@implements("nvmlDeviceGetVgpuUtilization")
def utilization(
    nvml: Nvml, device: Device, last_seen_time_stamp: int
) -> tuple[int, list[dict[str, Any]]]:
    check_host(device)
    found = samples(nvml, vgpus(device), last_seen_time_stamp)
    return constants.VALUE_TYPE_UNSIGNED_INT, found


@implements("nvmlDeviceGetVgpuInstancesUtilizationInfo")
def instances_utilization(nvml: Nvml, device: Device, vgpu_util_info: Any) -> dict[str, int]:
    check_host(device)
    found = samples(nvml, vgpus(device), vgpu_util_info.lastSeenTimeStamp)
    kind = "nvmlVgpuInstanceUtilizationInfo_v1_t"
    put_list(vgpu_util_info, "vgpuInstanceCount", "vgpuUtilArray", kind, found)
    return {"sampleValType": constants.VALUE_TYPE_UNSIGNED_INT}


def busy(device: Device) -> list[tuple[Running, VgpuProcess]]:
    """The processes that kept a GPU busy in the last sample period."""
    return [
        (each, process)
        for each in vgpus(device)
        for process in each.row.processes or []
        if not process.ended and any(shares(process).values())
    ]


def process_samples(nvml: Nvml, device: Device, last_seen: int) -> list[dict[str, Any]]:
    """The fields of a process's sample, in all versions."""
    found = busy(device)
    taken = sample_time(nvml, last_seen) if found else 0
    return [
        {
            "vgpuInstance": each.number,
            "pid": process.pid,
            "processName": process.name,
            "timeStamp": taken,
            **shares(process),
        }
        for each, process in found
    ]


@implements("nvmlDeviceGetVgpuProcessUtilization")
def process_utilization(
    nvml: Nvml, device: Device, last_seen_time_stamp: int
) -> list[dict[str, Any]]:
    check_host(device)
    return process_samples(nvml, device, last_seen_time_stamp)


@implements("nvmlDeviceGetVgpuProcessesUtilizationInfo")
def processes_utilization(nvml: Nvml, device: Device, vgpu_proc_util_info: Any) -> dict[str, int]:
    check_host(device)
    info = vgpu_proc_util_info
    found = process_samples(nvml, device, info.lastSeenTimeStamp)
    rows = [{**each, "processName": each["processName"].encode()[:63]} for each in found]
    kind = "nvmlVgpuProcessUtilizationInfo_v1_t"
    put_list(info, "vgpuProcessCount", "vgpuProcUtilArray", kind, rows)
    return {}
