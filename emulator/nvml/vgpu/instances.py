"""vGPU instances: what a host knows of the vGPUs that its VMs have."""

from __future__ import annotations

from ...machine.vgpu.running import vgpus
from .. import _constants as constants
from .. import _status as status
from ..buffers import put_cropped, put_text
from ..library import Nvml, NvmlError, implements
from .hosts import host_devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ...machine.vgpu.running import Running

__all__ = ["change", "find", "put_vm_name"]

NO_BUS_ID = "00000000:00:00.0"  # nvml.h: while no driver is in the VM


def find(nvml: Nvml, vgpu_instance: int) -> Running:
    """A vGPU by its number: 0 is none, another that is not there is not found."""
    if not vgpu_instance:
        raise NvmlError(status.INVALID_ARGUMENT)
    for device in host_devices(nvml):
        for each in vgpus(device):
            if each.number == vgpu_instance:
                return each
    raise NvmlError(status.NOT_FOUND)


def change(nvml: Nvml, each: Running, figures: dict[str, Any]) -> None:
    """Set figures of a vGPU."""
    nvml.machine.alter(each.device, {"vgpu": {"instances": {str(each.position): figures}}})


def getter(read: Callable[[Running], Any]) -> Callable[[Nvml, int], Any]:
    """A function that says one thing of a vGPU."""
    return lambda nvml, vgpu_instance: read(find(nvml, vgpu_instance))


def ecc_mode(each: Running) -> Optional[bool]:
    """The GPU's, on the series for computing and workstations; nobody knows without a driver."""
    if each.row.driver_version is None or each.type.series not in "CQ":
        return None
    return each.device.ecc.current if each.row.ecc is None else each.row.ecc


def frame_rate_limit(each: Running) -> Optional[int]:
    """None while nothing limits: without a driver in the VM, and where all have the same share of
    time (user guide: the limiter is off with fixed and equal share)."""
    if each.row.driver_version is None:
        return None
    if each.device.vgpu.scheduler.policy not in (None, "BEST_EFFORT"):
        return None
    limit = each.row.frame_rate_limit
    return each.type.frame_rate_limit if limit is None else limit or None


def vm_id(each: Running) -> tuple[str, int]:
    """A VM has a UUID, on Xen the number of its domain."""
    kind = each.row.vm_id_type or ("DOMAIN_ID" if hypervisor(each) == "XEN" else "UUID")
    return each.row.vm_id or "", getattr(constants, "VGPU_VM_ID_" + kind)


def hypervisor(each: Running) -> str:
    return each.device.vgpu.hypervisor or "KVM"


GETTERS: dict[str, Callable[[Running], Any]] = {
    "nvmlVgpuInstanceGetEccMode": ecc_mode,
    "nvmlVgpuInstanceGetEncoderCapacity": (
        lambda each: 100 if each.row.encoder_capacity is None else each.row.encoder_capacity
    ),
    "nvmlVgpuInstanceGetFbUsage": lambda each: each.row.used_memory or 0,
    "nvmlVgpuInstanceGetFrameRateLimit": frame_rate_limit,
    "nvmlVgpuInstanceGetGpuInstanceId": (
        lambda each: (
            constants.INVALID_GPU_INSTANCE_ID if each.gpu_instance is None else each.gpu_instance
        )
    ),
    "nvmlVgpuInstanceGetPlacementId": lambda each: {
        "placementId": (
            constants.INVALID_VGPU_PLACEMENT_ID if each.placement is None else each.placement
        )
    },
    "nvmlVgpuInstanceGetRuntimeStateSize": lambda each: {"size": each.row.runtime_state_size or 0},
    "nvmlVgpuInstanceGetType": lambda each: each.type.id,
    "nvmlVgpuInstanceGetUUID": lambda each: each.uuid,
    "nvmlVgpuInstanceGetVmDriverVersion": lambda each: each.row.driver_version or "Not Available",
    "nvmlVgpuInstanceGetVmID": vm_id,
}

for name, read in GETTERS.items():
    implements(name)(getter(read))


@implements("nvmlVgpuInstanceGetMdevUUID")
def mdev_uuid(nvml: Nvml, vgpu_instance: int) -> Optional[str]:
    """Mediated devices are KVM's."""
    each = find(nvml, vgpu_instance)
    return each.mdev_uuid if hypervisor(each) == "KVM" else None


@implements("nvmlVgpuInstanceGetGpuPciId", raw=("vgpuPciId", "length"))
def pci_id(nvml: Nvml, vgpu_instance: int, vgpu_pci_id: int, length: int) -> None:
    row = find(nvml, vgpu_instance).row
    known = row.pci_bus_id if row.driver_version else None
    put_text(vgpu_pci_id, length, known or NO_BUS_ID)


def put_vm_name(nvml: Nvml, words: tuple[int, ...]) -> None:
    """What nvidia-smi asks through the private table: (nvmlVgpuInstance_t, char *)."""
    name = find(nvml, words[0] & 0xFFFFFFFF).row.vm_name or ""
    put_cropped(words[1], constants.VGPU_NAME_BUFFER_SIZE, name)


@implements("nvmlVgpuInstanceSetEncoderCapacity")
def set_encoder_capacity(nvml: Nvml, vgpu_instance: int, encoder_capacity: int) -> None:
    if encoder_capacity > 100:
        raise NvmlError(status.INVALID_ARGUMENT)
    with nvml.machine.exclusive():
        each = find(nvml, vgpu_instance)
        change(nvml, each, {"encoder_capacity": encoder_capacity})
