"""vGPU types: what each of them has."""

from __future__ import annotations

from ...machine.drivers import branch
from ...machine.mig.profiles import profiles
from ...machine.vgpu.places import instance_room
from ...machine.vgpu.types import GSP_HEAP, WITH_GSP, types_of
from .. import _constants as constants
from .. import _status as status
from ..buffers import put_text
from ..library import Nvml, NvmlError, implements
from .hosts import BEFORE_SRIOV, WHOLE_ONLY, host_devices, mixes_sizes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ...machine import Device
    from ...machine.vgpu.types import VgpuType

__all__ = ["find", "of_device"]

#: So many vGPUs of a type a VM may have, where it may have more than one (user guide).
MOST_PER_VM = 16


def find(nvml: Nvml, vgpu_type_id: int) -> tuple[Device, VgpuType]:
    """A type by its id, and a GPU that can be divided into vGPUs of it."""
    return _first(host_devices(nvml), vgpu_type_id)


def of_device(device: Device, vgpu_type_id: int) -> VgpuType:
    """One of the types that a GPU can be divided into."""
    return _first([device], vgpu_type_id)[1]


def _first(devices: list[Device], vgpu_type_id: int) -> tuple[Device, VgpuType]:
    for device in devices:
        for kind in types_of(device):
            if kind.id == vgpu_type_id:
                return device, kind
    raise NvmlError(status.INVALID_ARGUMENT)


def getter(read: Callable[[Device, VgpuType], Any]) -> Callable[[Nvml, int], Any]:
    """A function that says one thing of a type."""
    return lambda nvml, vgpu_type_id: read(*find(nvml, vgpu_type_id))


def instance_profile(device: Device, kind: VgpuType) -> int:
    """The id of the GPU instance profile behind a MIG-backed type."""
    profile = profiles(device.profile).get(kind.mig_profile or "")
    return constants.INVALID_GPU_INSTANCE_PROFILE_ID if profile is None else profile.id


GETTERS: dict[str, Callable[[Device, VgpuType], Any]] = {
    "nvmlVgpuTypeGetBAR1Info": lambda device, kind: {"bar1Size": kind.bar1},
    # Not as nvml.h has it: nvidia-smi sets NVIDIA's vendor id behind the first, and NVIDIA's open
    # driver has these two for a type.
    "nvmlVgpuTypeGetDeviceID": lambda device, kind: (
        device.pci.device_id >> 16,
        device.pci.device_id & 0xFFFF0000 | (kind.subsystem_id or 0),
    ),
    "nvmlVgpuTypeGetFbReservation": lambda device, kind: kind.reservation,
    "nvmlVgpuTypeGetFrameRateLimit": lambda device, kind: kind.frame_rate_limit,
    "nvmlVgpuTypeGetFramebufferSize": lambda device, kind: kind.framebuffer,
    "nvmlVgpuTypeGetGpuInstanceProfileId": instance_profile,
    "nvmlVgpuTypeGetGspHeapSize": (
        lambda device, kind: GSP_HEAP if device.architecture in WITH_GSP else 0
    ),
    "nvmlVgpuTypeGetLicense": lambda device, kind: kind.license,
    "nvmlVgpuTypeGetNumDisplayHeads": lambda device, kind: kind.heads,
}

for name, read in GETTERS.items():
    implements(name)(getter(read))


@implements("nvmlVgpuTypeGetClass", raw=("vgpuTypeClass", "size"))
def type_class(nvml: Nvml, vgpu_type_id: int, vgpu_type_class: int, size: int) -> None:
    put_text(vgpu_type_class, size, find(nvml, vgpu_type_id)[1].kind)


@implements("nvmlVgpuTypeGetName", raw=("vgpuTypeName", "size"))
def type_name(nvml: Nvml, vgpu_type_id: int, vgpu_type_name: int, size: int) -> None:
    put_text(vgpu_type_name, size, find(nvml, vgpu_type_id)[1].name)


@implements("nvmlVgpuTypeGetResolution")
def resolution(nvml: Nvml, vgpu_type_id: int, display_index: int) -> tuple[int, int]:
    _, kind = find(nvml, vgpu_type_id)
    if display_index >= kind.heads:
        raise NvmlError(status.INVALID_ARGUMENT)
    return kind.resolution


@implements("nvmlVgpuTypeGetMaxInstances")
def max_instances(device: Device, vgpu_type_id: int, nvml: Nvml) -> int:
    if device not in host_devices(nvml):
        raise NvmlError(status.INVALID_ARGUMENT)
    return of_device(device, vgpu_type_id).max_instances or 0


@implements("nvmlVgpuTypeGetMaxInstancesPerVm")
def max_instances_per_vm(nvml: Nvml, vgpu_type_id: int) -> int:
    device, kind = find(nvml, vgpu_type_id)
    parts = branch(nvml.machine.driver) >= 525 and device.architecture not in WHOLE_ONLY
    several = kind.series in "CQ" and kind.mig_profile is None and (parts or is_whole(kind))
    return MOST_PER_VM if several else 1


def is_whole(kind: VgpuType) -> bool:
    """Whether a vGPU of a type has all of the GPU."""
    return kind.max_instances == 1 and kind.mig_profile is None


@implements("nvmlVgpuTypeGetMaxInstancesPerGpuInstance")
def max_instances_per_gpu_instance(nvml: Nvml, p_max_instance: Any) -> dict[str, int]:
    device, kind = find(nvml, p_max_instance.vgpuTypeId)
    if kind.mig_profile is None or device.vgpu.mig_timeslicing is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return {"maxInstancePerGI": instance_room(device, kind)}


#: nvmlVgpuCapability_t -> what it says of a type.
CAPABILITIES: dict[int, Callable[[Nvml, Device, VgpuType], bool]] = {
    # Peer to peer is for vGPUs that have all of their GPU, on GPUs with NVLink (user guide).
    constants.VGPU_CAP_NVLINK_P2P: (
        lambda nvml, device, kind: is_whole(kind) and kind.series in "CQ" and bool(device.nvlinks)
    ),
    constants.VGPU_CAP_GPUDIRECT: (
        lambda nvml, device, kind: (
            kind.series == "C" and is_whole(kind) and device.architecture not in BEFORE_SRIOV
        )
    ),
    constants.VGPU_CAP_MULTI_VGPU_EXCLUSIVE: lambda nvml, device, kind: False,
    constants.VGPU_CAP_EXCLUSIVE_TYPE: lambda nvml, device, kind: False,
    constants.VGPU_CAP_EXCLUSIVE_SIZE: (
        lambda nvml, device, kind: kind.mig_profile is None and not mixes_sizes(nvml, device)
    ),
}


@implements("nvmlVgpuTypeGetCapabilities")
def capabilities(nvml: Nvml, vgpu_type_id: int, capability: int) -> bool:
    device, kind = find(nvml, vgpu_type_id)
    if capability not in CAPABILITIES:  # the enumeration's own count
        raise NvmlError(status.INVALID_ARGUMENT)
    return CAPABILITIES[capability](nvml, device, kind)
