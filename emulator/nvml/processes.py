"""Processes that use a device, and what they use of it."""

from __future__ import annotations

from . import _status as status
from .library import Nvml, NvmlError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device, Process

__all__ = ["COMPUTE", "GRAPHICS", "MPS", "all_of", "info", "of_kind"]

#: The types of processes that each list holds; one that computes and draws is in two of them.
COMPUTE = ("C", "C+G", "M+C")
GRAPHICS = ("G", "C+G")
MPS = ("M+C",)

NO_INSTANCE = 0xFFFFFFFF  # NVML_INVALID_GPU_INSTANCE_ID: not in a MIG instance
UNKNOWN_SIZE = (1 << 64) - 1  # NVML_VALUE_NOT_AVAILABLE as the struct holds it


def all_of(nvml: Nvml, device: Device) -> list[Process]:
    """The processes of a device: the scenario's, then those that are there."""
    return [*device.processes, *nvml.machine.ledger.processes(device)]


def of_kind(nvml: Nvml, device: Device, types: tuple[str, ...]) -> list[Process]:
    """The processes of a device that are of one of `types`."""
    return [process for process in all_of(nvml, device) if process.type in types]


def instance(number: Optional[int]) -> int:
    return NO_INSTANCE if number is None else number


def info(process: Process) -> dict[str, Any]:
    """The fields of nvmlProcessInfo_t, in all its versions, and of nvmlProcessDetail_t."""
    return {
        "pid": process.pid,
        "usedGpuMemory": UNKNOWN_SIZE if process.used_memory is None else process.used_memory,
        "gpuInstanceId": instance(process.gpu_instance),
        "computeInstanceId": instance(process.compute_instance),
    }


def listing(types: tuple[str, ...]) -> Callable[[Nvml, Device], list[dict[str, Any]]]:
    return lambda nvml, device: [info(process) for process in of_kind(nvml, device, types)]


for kind, types in (("Compute", COMPUTE), ("Graphics", GRAPHICS), ("MPSCompute", MPS)):
    for version in ("", "_v2", "_v3"):
        implements(f"nvmlDeviceGet{kind}RunningProcesses{version}")(listing(types))


@implements("nvmlSystemGetProcessName")
def process_name(nvml: Nvml, pid: int) -> str:
    for device in nvml.devices:
        for process in all_of(nvml, device):
            if process.pid == pid:
                return process.name
    raise NvmlError(status.NOT_FOUND)


@implements("nvmlDeviceGetRunningProcessDetailList")
def details(nvml: Nvml, device: Device, plist: Any) -> dict[str, Any]:
    """The list lies where the client's struct points; its modes are in the order of the types."""
    modes = (COMPUTE, GRAPHICS, MPS)
    if plist.mode >= len(modes):
        raise NvmlError(status.INVALID_ARGUMENT)
    found = listing(modes[plist.mode])(nvml, device)
    capacity, plist.numProcArrayEntries = plist.numProcArrayEntries, len(found)
    if len(found) > capacity:
        raise NvmlError(status.INSUFFICIENT_SIZE)
    if found and not plist.procArray:
        raise NvmlError(status.INVALID_ARGUMENT)
    entries = (api.types["nvmlProcessDetail_v1_t"] * len(found)).from_address(plist.procArray)
    for entry, fields in zip(entries, found):
        for name, value in fields.items():
            setattr(entry, name, value)
        entry.usedGpuCcProtectedMemory = 0
    return {}


@implements("nvmlDeviceGetProcessUtilization")
def process_utilization(
    nvml: Nvml, device: Device, last_seen_time_stamp: int
) -> list[dict[str, int]]:
    """A sample for each process: the device's figures, in equal parts."""
    now = nvml.machine.clock.now() // 1000
    sharers = device.processes
    if not sharers or now <= last_seen_time_stamp:
        raise NvmlError(status.NOT_FOUND)
    use = device.utilization
    shares = {"smUtil": use.gpu, "memUtil": use.memory, "encUtil": use.encoder}
    each = {name: (share or 0) // len(sharers) for name, share in shares.items()}
    return [{"pid": process.pid, "timeStamp": now, "decUtil": 0, **each} for process in sharers]
