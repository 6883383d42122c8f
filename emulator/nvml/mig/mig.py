"""Multi-Instance GPU: the mode, and the handles of MIG devices."""

from __future__ import annotations

from .. import _status as status
from ..library import Nvml, NvmlError, implements, implements_each
from ..processes import all_of
from .devices import MigDevice, is_mig_device, mig_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device
    from ...machine.mig.partition import Partition
    from ...machine.mig.profiles import Profile

__all__ = ["check_capable", "check_enabled", "shared"]


def check_capable(device: Device) -> None:
    """Refuse a product without MIG."""
    if device.mig.current is None:
        raise NvmlError(status.NOT_SUPPORTED)


def check_enabled(device: Device) -> None:
    """Refuse a device whose MIG mode is off."""
    if not device.mig.current:
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceSetMigMode")
def set_mode(nvml: Nvml, device: Device, mode: int) -> int:
    """The answer is the activation's own status: the mode that is to come is set in any case."""
    check_capable(device)
    if mode > 1:
        raise NvmlError(status.INVALID_ARGUMENT)
    with nvml.machine.exclusive():
        wanted = bool(mode)
        nvml.machine.alter(device, {"mig": {"pending": wanted}})
        if device.mig.current == wanted:
            return status.SUCCESS
        problem = hindrance(nvml, device)
        if problem is None:
            nvml.machine.alter(device, switched(device, wanted))
        return problem or status.SUCCESS


def switched(device: Device, wanted: bool) -> dict[str, Any]:
    """What else is so in the other mode: no instances. While it is on, there is no accounting, and
    the compute mode is the default (nvml.h)."""
    figures: dict[str, Any] = {"mig": {"current": wanted, "instances": []}}
    if wanted:
        figures["compute_mode"] = "DEFAULT"
        if device.accounting.enabled:
            figures["accounting"] = {"enabled": False}
    return figures


def hindrance(nvml: Nvml, device: Device) -> Optional[int]:
    """Why the mode cannot be switched now, if it cannot.

    Nobody may use the GPU. One of the Ampere generation is reset for it, which a virtual machine
    that it was passed through to cannot do (MIG user guide).
    """
    from ...machine.vgpu.running import vgpus

    if all_of(nvml, device) or vgpus(device):
        return status.IN_USE
    if device.architecture == "AMPERE" and device.virtualization_mode == "PASSTHROUGH":
        return status.RESET_REQUIRED
    return None


@implements("nvmlDeviceGetMigDeviceHandleByIndex")
def device_by_index(nvml: Nvml, device: Device, index: int) -> MigDevice:
    check_capable(device)
    if index >= (device.mig.max_instances or 0):
        raise NvmlError(status.INVALID_ARGUMENT)
    found = device.partitions[index : index + 1]
    if not found:
        raise NvmlError(status.NOT_FOUND)
    return mig_device(nvml, found[0])


def check_mig_device(device: Partition) -> Partition:
    if not is_mig_device(device):
        raise NvmlError(status.INVALID_ARGUMENT)
    return device


@implements("nvmlDeviceGetDeviceHandleFromMigDeviceHandle")
def parent(mig_device: Partition) -> Device:
    return check_mig_device(mig_device).parent


@implements("nvmlDeviceGetGpuInstanceId")
def gpu_instance_id(device: Partition) -> int:
    return check_mig_device(device).gpu_instance.id


@implements("nvmlDeviceGetComputeInstanceId")
def compute_instance_id(device: Partition) -> int:
    return check_mig_device(device).id


@implements("nvmlDeviceIsMigDeviceHandle")
def is_mig_device_handle(device: Device) -> bool:
    return is_mig_device(device)


def shared(profile: Profile) -> dict[str, int]:
    """The engines of a GPU instance, which its compute instances share."""
    return {
        "sharedCopyEngineCount": profile.copies,
        "sharedDecoderCount": profile.decoders,
        "sharedEncoderCount": profile.encoders,
        "sharedJpegCount": profile.jpegs,
        "sharedOfaCount": profile.ofas,
    }


@implements("nvmlDeviceGetAttributes", "nvmlDeviceGetAttributes_v2")
def attributes(device: Partition) -> dict[str, int]:
    """Only MIG devices have them."""
    if not is_mig_device(device):
        raise NvmlError(status.NOT_SUPPORTED)
    profile = device.gpu_instance.kind
    return {
        "multiprocessorCount": device.kind.multiprocessors,
        **shared(profile),
        "gpuInstanceSliceCount": profile.slices,
        "computeInstanceSliceCount": device.slices,
        "memorySizeMB": device.memory.total >> 20,
    }


implements_each(
    {
        "nvmlDeviceGetMaxMigDeviceCount": lambda device: (
            (device.mig.max_instances or 0) if device.mig.current else 0
        ),
        "nvmlDeviceGetMigMode": lambda device: (device.mig.current, device.mig.pending),
    }
)
