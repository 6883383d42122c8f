"""The vGPUs at work on a GPU."""

from __future__ import annotations

from _blake2 import blake2b

from ..uuids import derived
from .places import arrange
from .types import types_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..device import Device
    from ..mig.gpuinstance import GpuInstance
    from .rows import VgpuInstance
    from .types import VgpuType

__all__ = ["Running", "hosts", "vgpus", "vgpus_in"]


def hosts(device: Device) -> bool:
    """Whether a GPU is a host's and can be divided into vGPUs."""
    return device.virtualization_mode == "HOST_VGPU" and bool(types_of(device))


class Running:
    """A vGPU at work on a GPU.

    Attributes:
        device: the GPU.
        position: of its row among the device's.
        row: what it has.
        type: its type.
        number: what NVML calls it by.
        uuid, mdev_uuid: with five groups of digits.
        gpu_instance: the id of the GPU instance behind it, if its type has one.
        placement: the slot that it begins at, while sizes are mixed.
    """

    __slots__ = (
        *("device", "gpu_instance", "mdev_uuid", "number", "placement", "position", "row", "type"),
        "uuid",
    )

    def __init__(self, device: Device, position: int, given: VgpuInstance, kind: VgpuType) -> None:
        self.device = device
        self.position = position
        self.row = given
        self.type = kind
        origin = f"{device.uuid}/{position}"
        self.uuid = given.uuid or derived(origin)
        self.mdev_uuid = given.mdev_uuid or derived(origin + "/mdev")
        number = int.from_bytes(blake2b(origin.encode(), digest_size=4).digest(), "little")
        self.number = given.id if given.id is not None else number | 1 << 31
        self.gpu_instance = given.gpu_instance
        self.placement: int | None = None


def vgpus(device: Device) -> list[Running]:
    """The vGPUs at work on a GPU; none where it is no host's, and none of a type it does not have.

    Those that a change has left without room have no place.
    """
    if not hosts(device):
        return []
    kinds = {kind.name: kind for kind in types_of(device)}
    found = [
        Running(device, position, given, kinds[given.type])
        for position, given in enumerate(device.vgpu.instances)
        if given.type in kinds
    ]
    arrange(device, found)
    return found


def vgpus_in(gpu_instance: GpuInstance) -> list[Running]:
    """The vGPUs that a GPU instance backs."""
    return [each for each in vgpus(gpu_instance.parent) if each.gpu_instance == gpu_instance.id]
