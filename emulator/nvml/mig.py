"""Multi-Instance GPU: the mode. No instances can be made yet, so none are there."""

from __future__ import annotations

from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each
from .processes import all_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device

__all__: list[str] = []


def check(device: Device) -> None:
    if device.mig.current is None:
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceSetMigMode")
def set_mode(nvml: Nvml, device: Device, mode: int) -> int:
    """Switched at once on an idle device; the answer is the activation's own status."""
    check(device)
    if mode > 1:
        raise NvmlError(status.INVALID_ARGUMENT)
    device.mig.pending = bool(mode)
    if all_of(nvml, device):
        return status.IN_USE
    device.mig.current = device.mig.pending
    return status.SUCCESS


@implements("nvmlDeviceGetMigDeviceHandleByIndex")
def device_by_index(device: Device, index: int) -> Device:
    check(device)
    raise NvmlError(status.NOT_FOUND)


@implements("nvmlDeviceGetDeviceHandleFromMigDeviceHandle")
def parent(mig_device: Device) -> Device:
    raise NvmlError(status.INVALID_ARGUMENT)


@implements("nvmlDeviceGetGpuInstances")
def instances(device: Device) -> list[Any]:
    if not device.mig.current:
        raise NvmlError(status.NOT_SUPPORTED)
    return []


implements_each(
    {
        # What only a MIG device has.
        "nvmlDeviceGetAttributes": lambda device: None,
        "nvmlDeviceGetAttributes_v2": lambda device: None,
        "nvmlDeviceGetComputeInstanceId": lambda device: None,
        "nvmlDeviceGetGpuInstanceId": lambda device: None,
        "nvmlDeviceGetMaxMigDeviceCount": lambda device: device.mig.max_instances or 0,
        "nvmlDeviceGetMigMode": lambda device: (device.mig.current, device.mig.pending),
        "nvmlDeviceIsMigDeviceHandle": lambda device: 0,
    }
)
