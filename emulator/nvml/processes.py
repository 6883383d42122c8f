"""Processes that use a device, and what they use of it."""

from __future__ import annotations

from ..machine.processes import shares
from . import _status as status
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..machine import Device, Process

__all__ = [
    "COMPUTE",
    "GRAPHICS",
    "MPS",
    "UNKNOWN_SIZE",
    "all_of",
    "info",
    "of_kind",
    "sample_time",
]

#: The types of processes that each list holds; one that computes and draws is in two of them.
COMPUTE = ("C", "C+G", "M+C")
GRAPHICS = ("G", "C+G")
MPS = ("M+C",)

NO_INSTANCE = 0xFFFFFFFF  # NVML_INVALID_GPU_INSTANCE_ID: not in a MIG instance
UNKNOWN_SIZE = (1 << 64) - 1  # NVML_VALUE_NOT_AVAILABLE as the struct holds it

PERIOD = 1_000_000 // 6  # microseconds of a sample where the product does not say how long


def all_of(nvml: Nvml, device: Device) -> list[Process]:
    """The processes of a device: the scenario's, then those that are there."""
    found = [*device.processes, *nvml.machine.ledger.processes(device)]
    ids = device.instance(device.place)  # None: a whole GPU
    if ids is None:
        return found
    # The ledger has all that share its memory: the GPU instance's.
    return [each for each in found if (each.gpu_instance, each.compute_instance) == ids]


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
        "usedGpuCcProtectedMemory": process.protected_memory or 0,
    }


def listed(nvml: Nvml, device: Device, types: tuple[str, ...]) -> list[dict[str, Any]]:
    return [info(process) for process in of_kind(nvml, device, types)]


def listing(types: tuple[str, ...]) -> Callable[[Nvml, Device], list[dict[str, Any]]]:
    return lambda nvml, device: listed(nvml, device, types)


for kind, types in (("Compute", COMPUTE), ("Graphics", GRAPHICS), ("MPSCompute", MPS)):
    for version in ("", "_v2", "_v3"):
        implements(f"nvmlDeviceGet{kind}RunningProcesses{version}")(listing(types))


@implements("nvmlSystemGetProcessName")
def process_name(nvml: Nvml, pid: int, length: int) -> str:
    """Cropped to the room there is."""
    if not length:
        raise NvmlError(status.INVALID_ARGUMENT)
    for device in nvml.devices:
        for process in device.processes:
            if process.pid == pid:
                return cropped(process.name.encode(), length)
    return cropped(program(pid), length)


def cropped(name: bytes, length: int) -> str:
    """As much of a name as fits, with its NUL, in whole characters."""
    return name[: length - 1].decode("utf-8", "ignore")


def program(pid: int) -> bytes:
    """What a process of this system was called as.

    Raises:
        NvmlError: NOT_FOUND; NO_PERMISSION: it is another user's, and /proc hides it.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            return file.read(4096).partition(b"\0")[0]
    except PermissionError:
        raise NvmlError(status.NO_PERMISSION) from None
    except OSError:
        raise NvmlError(status.NOT_FOUND) from None


@implements("nvmlDeviceGetRunningProcessDetailList")
def details(nvml: Nvml, device: Device, plist: Any) -> dict[str, Any]:
    """The list lies where the client's struct points; its modes are in the order of the types."""
    from .architectures import need  # here, as most clients ask for lists alone
    from .buffers import put_list

    modes = (COMPUTE, GRAPHICS, MPS)
    if plist.mode >= len(modes):
        raise NvmlError(status.INVALID_ARGUMENT)
    need(device, "HOPPER")  # nvml.h: "For Hopper or newer"
    found = listed(nvml, device, modes[plist.mode])
    put_list(plist, "numProcArrayEntries", "procArray", "nvmlProcessDetail_v1_t", found)
    return {}


# ---- utilisation


@implements("nvmlDeviceGetProcessUtilization")
def process_utilization(
    nvml: Nvml, device: Device, last_seen_time_stamp: int
) -> list[dict[str, int]]:
    return samples(nvml, device, last_seen_time_stamp)


@implements("nvmlDeviceGetProcessesUtilizationInfo")
def processes_utilization(nvml: Nvml, device: Device, proceses_util_info: Any) -> dict[str, Any]:
    from .buffers import put_list

    asked = proceses_util_info
    found = samples(nvml, device, asked.lastSeenTimeStamp)
    kind = "nvmlProcessUtilizationInfo_v1_t"
    put_list(asked, "processSamplesCount", "procUtilArray", kind, found)
    return {}


def samples(nvml: Nvml, device: Device, last_seen: int) -> list[dict[str, int]]:
    """The last sample of each process that used an engine in it.

    Raises:
        NvmlError: NOT_FOUND: none is newer than `last_seen`; NOT_SUPPORTED in MIG mode (nvml.h).
    """
    from .utilization import whole

    whole(device)
    taken = sample_time(nvml, device)
    sharers = all_of(nvml, device)
    found = [
        sample(process, share, taken)
        for process, share in zip(sharers, shares(device, sharers))
        if any(share.values())
    ]
    if not found or taken <= last_seen:
        raise NvmlError(status.NOT_FOUND)
    return found


def sample_time(nvml: Nvml, device: Device) -> int:
    """When the last sample was taken, in microseconds since the epoch."""
    clock = nvml.machine.clock
    elapsed = clock.elapsed() // 1000
    return clock.start // 1000 + elapsed - elapsed % (device.utilization.sample_period or PERIOD)


def sample(process: Process, share: dict[str, int], taken: int) -> dict[str, int]:
    """The fields of nvmlProcessUtilizationSample_t, and of nvmlProcessUtilizationInfo_t."""
    return {
        "pid": process.pid,
        "timeStamp": taken,
        "smUtil": share["gpu"],
        "memUtil": share["memory"],
        "encUtil": share["encoder"],
        "decUtil": share["decoder"],
        "jpgUtil": share["jpeg"],
        "ofaUtil": share["ofa"],
    }
