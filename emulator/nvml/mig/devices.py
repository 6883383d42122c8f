"""MIG devices in NVML: what their handles are, and which functions take them.

A MIG device has a handle of the GPUs' type. Few functions take one; the table has them. The others
answer NOT_SUPPORTED, and the functions that are about the whole GPU INVALID_ARGUMENT. Some answer
NOT_SUPPORTED for a GPU that is in MIG mode.

Sources: nvml.h ("When used with MIG device handles", "On MIG-enabled GPUs"), and what clients that
were made to work with MIG devices call of them.
"""

from __future__ import annotations

from .. import _status as status
from ..library import NvmlError, api
from ..permissions import check_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Optional

    from ...machine import Device
    from ...machine.mig.partition import Partition
    from ..library import Nvml

__all__ = ["MigDevice", "decoder", "is_mig_device", "mig_device"]

VERSIONS = ("", "_v2", "_v3")

#: What takes a MIG device's handle, and is about the MIG device.
OWN = frozenset(
    (
        *("nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetIndex"),
        *("nvmlDeviceGetAttributes", "nvmlDeviceGetAttributes_v2"),
        *("nvmlDeviceGetBAR1MemoryInfo", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"),
        *("nvmlDeviceGetComputeInstanceId", "nvmlDeviceGetGpuInstanceId"),
        *("nvmlDeviceGetComputeMode", "nvmlDeviceGetFieldValues"),
        *("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", "nvmlDeviceIsMigDeviceHandle"),
        *("nvmlDeviceGetMemoryErrorCounter", "nvmlGpmSampleGet", "nvmlGpmQueryDeviceSupport"),
    )
)

#: The same, of a GPU in MIG mode for root alone; a vGPU host does not tell them of one instance.
PROCESSES = frozenset(
    (
        *(f"nvmlDeviceGetComputeRunningProcesses{version}" for version in VERSIONS),
        *(f"nvmlDeviceGetGraphicsRunningProcesses{version}" for version in VERSIONS),
        *(f"nvmlDeviceGetMPSComputeRunningProcesses{version}" for version in VERSIONS),
        "nvmlDeviceGetRunningProcessDetailList",
    )
)

#: What takes one, and is about the GPU that it is a part of.
PARENT = frozenset(
    (
        *("nvmlDeviceGetArchitecture", "nvmlDeviceGetBrand", "nvmlDeviceGetMinorNumber"),
        *("nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetGpuUptime_v1"),
        *("nvmlDeviceGetPciInfo", "nvmlDeviceGetPciInfo_v2", "nvmlDeviceGetPciInfo_v3"),
        *("nvmlDeviceGetPciInfoExt", "nvmlDeviceGetSerial"),
    )
)

#: What is about a GPU and its instances: a MIG device is an invalid argument.
WHOLE = frozenset(
    (
        *("nvmlDeviceCreateGpuInstance", "nvmlDeviceCreateGpuInstanceWithPlacement"),
        *("nvmlDeviceGetGpuInstanceById", "nvmlDeviceGetGpuInstances", "nvmlDeviceGetMigMode"),
        "nvmlDeviceGetGpuInstancePossiblePlacements",
        "nvmlDeviceGetGpuInstancePossiblePlacements_v2",
        *("nvmlDeviceGetGpuInstanceProfileInfo", "nvmlDeviceGetGpuInstanceProfileInfoV"),
        "nvmlDeviceGetGpuInstanceProfileInfoByIdV",
        *("nvmlDeviceGetGpuInstanceRemainingCapacity", "nvmlDeviceGetMaxMigDeviceCount"),
        *("nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceSetMigMode"),
    )
)

#: What is not supported on MIG-enabled GPUs, as nvml.h says, or, of the cleared counts, nvidia-smi;
#: the handlers of utilization and of vGPUs look themselves.
NOT_IN_MIG_MODE = frozenset(
    (
        *("nvmlDeviceClearEccErrorCounts", "nvmlDeviceGetNumGpuCores"),
        *("nvmlDeviceSetAccountingMode", "nvmlDeviceSetComputeMode"),
    )
)


class MigDevice:
    """What the handle of a MIG device stands for: a function that does not know of MIG devices
    finds a device that has failed in its own way."""

    __slots__ = ("partition",)

    failure = "mig"

    def __init__(self, partition: Partition) -> None:
        self.partition = partition

    @property
    def trace_name(self) -> str:
        """How a trace names it."""
        return self.partition.trace_name


def mig_device(nvml: Nvml, partition: Partition) -> MigDevice:
    """What stands for a MIG device; the same each time, so that its handle is the same."""
    for known in nvml.handles("nvmlDevice_t").objects.values():
        if isinstance(known, MigDevice) and known.partition is partition:
            return known
    return MigDevice(partition)


def is_mig_device(device: Device) -> bool:
    """Whether it is a MIG device in a GPU's place."""
    return device.uuid != device.gpu_uuid


def decoder(nvml: Nvml, type_name: str, function: str) -> Optional[Callable[[int], Any]]:
    """How a function gets an object of a handle, where it has to do with MIG; else None."""
    objects = nvml.handles(type_name).objects
    if type_name in ("nvmlGpuInstance_t", "nvmlComputeInstance_t"):
        return lambda value: existing(objects.get(value))
    if type_name != "nvmlDevice_t":
        return None
    failed = nvml.failures(function)
    for functions, choose in RULES:
        if function in functions:
            return lambda value: working(choose(nvml, objects.get(value)), failed)
    return None


def existing(found: Any) -> Any:
    """An instance that was not destroyed, of a device that works."""
    if found is None or not found.is_there:
        raise NvmlError(status.INVALID_ARGUMENT)
    working(found.parent)
    return found


def working(device: Device, failed: Mapping[str, int] = api.codes.failed) -> Device:
    if device.failure and device.failure in failed:
        raise NvmlError(failed[device.failure])
    return device


def own(nvml: Nvml, found: Any) -> Any:
    if isinstance(found, MigDevice):
        return existing(found.partition)
    return whole(nvml, found)


def parent(nvml: Nvml, found: Any) -> Any:
    device = own(nvml, found)
    return device.parent if isinstance(found, MigDevice) else device


def whole(nvml: Nvml, found: Any) -> Any:
    if found is None or isinstance(found, MigDevice):
        raise NvmlError(status.INVALID_ARGUMENT)
    return found


def processes(nvml: Nvml, found: Any) -> Any:
    device = own(nvml, found)
    if device is found:
        if device.mig.current:
            check_root(nvml)
    elif device.virtualization_mode == "HOST_VGPU":
        raise NvmlError(status.NOT_SUPPORTED)
    return device


def not_in_mig_mode(nvml: Nvml, found: Any) -> Any:
    if found is None:
        raise NvmlError(status.INVALID_ARGUMENT)
    if isinstance(found, MigDevice) or found.mig.current:
        raise NvmlError(status.NOT_SUPPORTED)
    return found


#: Functions -> which device they take for a handle's.
RULES: tuple[tuple[frozenset[str], Callable[[Nvml, Any], Any]], ...] = (
    (OWN, own),
    (PROCESSES, processes),
    (PARENT, parent),
    (WHOLE, whole),
    (NOT_IN_MIG_MODE, not_in_mig_mode),
)
