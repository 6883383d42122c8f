"""Placements: the slots of a GPU that vGPUs of a type begin at."""

from __future__ import annotations

from ...api import NULL_PAGE
from ...machine.vgpu.places import fits, free, places, span
from ...machine.vgpu.running import vgpus
from .. import _constants as constants
from .. import _status as status
from ..buffers import put_list
from ..library import Nvml, NvmlError, implements
from .hosts import check_host, check_whole, mixes_sizes
from .kinds import of_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from ...machine.vgpu.types import VgpuType

__all__: list[str] = []


def check(nvml: Nvml, device: Device, vgpu_type_id: int, mode: int) -> tuple[VgpuType, bool]:
    """The type, and whether sizes are mixed; a MIG-backed type has no slots."""
    kind = of_device(device, vgpu_type_id)
    if mode > constants.VGPU_PGPU_HOMOGENEOUS_MODE:
        raise NvmlError(status.INVALID_ARGUMENT)
    mixed = mode == constants.VGPU_PGPU_HETEROGENEOUS_MODE
    if kind.mig_profile is not None or (mixed and not mixes_sizes(nvml, device)):
        raise NvmlError(status.NOT_SUPPORTED)
    return kind, mixed


@implements("nvmlDeviceGetVgpuTypeSupportedPlacements")
def supported(
    nvml: Nvml, device: Device, vgpu_type_id: int, p_placement_list: Any
) -> dict[str, int]:
    """Version 1 of the struct has no mode; it is about sizes that are mixed."""
    check_host(device)
    kind, mixed = check(nvml, device, vgpu_type_id, getattr(p_placement_list, "mode", 0))
    return put(device, kind, mixed, places(device, kind, mixed), p_placement_list)


@implements("nvmlDeviceGetVgpuTypeCreatablePlacements")
def creatable(
    nvml: Nvml, device: Device, vgpu_type_id: int, p_placement_list: Any
) -> dict[str, int]:
    """Where one more would fit: in the mode that the GPU is in."""
    vgpu = check_whole(device)
    kind, mixed = check(nvml, device, vgpu_type_id, getattr(p_placement_list, "mode", 0))
    running = vgpus(device)
    starts: list[int] = []
    if mixed and vgpu.heterogeneous:
        starts = free(device, kind, running)
    elif not mixed and not vgpu.heterogeneous and fits(device, kind, running):
        starts = places(device, kind, False)[len(running) :]
    return put(device, kind, mixed, starts, p_placement_list)


def put(
    device: Device, kind: VgpuType, mixed: bool, starts: list[int], placement_list: Any
) -> dict[str, int]:
    """In version 1 the count is no input: there is room for as many as fit on the GPU (nvml.h)."""
    placement_list.placementSize = span(device, kind, mixed)
    if not hasattr(placement_list, "mode"):
        placement_list.count = len(starts)
        if starts and placement_list.placementIds < NULL_PAGE:
            raise NvmlError(status.INVALID_ARGUMENT)
    put_list(placement_list, "count", "placementIds", "unsigned int", starts)
    return {}
