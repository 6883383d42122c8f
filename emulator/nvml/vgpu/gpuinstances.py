"""vGPUs of a GPU instance: those that it backs, and how they share its time.

Several vGPUs share a GPU instance on Blackwell's GB20x alone (nvml.h): where the figure
`mig_timeslicing` says so.
"""

from __future__ import annotations

from ...machine.vgpu.places import fits, instance_room
from ...machine.vgpu.rows import row
from ...machine.vgpu.running import vgpus, vgpus_in
from ...machine.vgpu.types import types_of
from ...machine.vgpu.vgpu import VgpuGpuInstance, VgpuScheduler
from .. import _status as status
from ..buffers import put_list
from ..library import Nvml, NvmlError, implements
from .hosts import check_host
from .kinds import of_device
from .schedulers import chosen, log, log_v2, state, state_v2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine.mig.gpuinstance import GpuInstance

__all__: list[str] = []


@implements("nvmlGpuInstanceGetActiveVgpus")
def active(gpu_instance: GpuInstance, p_vgpu_instance_info: Any) -> dict[str, int]:
    check_host(gpu_instance.parent)
    numbers = [each.number for each in vgpus_in(gpu_instance)]
    put_list(p_vgpu_instance_info, "vgpuCount", "vgpuInstances", "unsigned int", numbers)
    return {}


@implements("nvmlGpuInstanceGetCreatableVgpus")
def creatable(gpu_instance: GpuInstance, p_vgpus: Any) -> dict[str, int]:
    device = gpu_instance.parent
    check_host(device)
    held = len(vgpus_in(gpu_instance))
    kinds = [kind for kind in types_of(device) if kind.mig_profile == gpu_instance.kind.name]
    running = vgpus(device)
    ids = [
        kind.id
        for kind in kinds
        if held < instance_room(device, kind) and fits(device, kind, running)
    ]
    put_list(p_vgpus, "vgpuCount", "vgpuTypeIds", "unsigned int", ids)
    return {}


# ---- time that is shared


def shared(gpu_instance: GpuInstance) -> VgpuGpuInstance:
    """What is set for a GPU instance whose time can be shared."""
    vgpu = check_host(gpu_instance.parent)
    if vgpu.mig_timeslicing is None:
        raise NvmlError(status.NOT_SUPPORTED)
    for each in vgpu.gpu_instances:
        if each.id == gpu_instance.id:
            return each
    return VgpuGpuInstance({"id": gpu_instance.id})


def scheduler_of(gpu_instance: GpuInstance) -> VgpuScheduler:
    return shared(gpu_instance).scheduler or VgpuScheduler({})


def change(nvml: Nvml, gpu_instance: GpuInstance, figures: dict[str, Any], in_use: int) -> None:
    """Set figures of a GPU instance that no vGPU uses; else `in_use` is returned."""
    with nvml.machine.exclusive():
        if vgpus_in(gpu_instance):
            raise NvmlError(in_use)
        vgpu = gpu_instance.parent.vgpu
        others = [row(each) for each in vgpu.gpu_instances if each.id != gpu_instance.id]
        changed = {**row(shared(gpu_instance)), **figures}
        rows = [*others, changed]
        nvml.machine.alter(gpu_instance.parent, {"vgpu": {"gpu_instances": rows}})


@implements("nvmlGpuInstanceGetVgpuHeterogeneousMode")
def heterogeneous_mode(gpu_instance: GpuInstance) -> dict[str, int]:
    return {"mode": int(bool(shared(gpu_instance).heterogeneous))}


@implements("nvmlGpuInstanceSetVgpuHeterogeneousMode")
def set_heterogeneous_mode(
    nvml: Nvml, gpu_instance: GpuInstance, p_heterogeneous_mode: Any
) -> None:
    shared(gpu_instance)
    if p_heterogeneous_mode.mode > 1:
        raise NvmlError(status.INVALID_ARGUMENT)
    mode = {"heterogeneous": bool(p_heterogeneous_mode.mode)}
    change(nvml, gpu_instance, mode, status.IN_USE)


@implements("nvmlGpuInstanceGetVgpuTypeCreatablePlacements")
def creatable_placements(
    gpu_instance: GpuInstance, p_creatable_placement_info: Any
) -> dict[str, int]:
    """The slots of a GPU instance are as many as vGPUs of the type fit in it."""
    info, device = p_creatable_placement_info, gpu_instance.parent
    if not shared(gpu_instance).heterogeneous:
        raise NvmlError(status.NOT_SUPPORTED)
    kind = of_device(device, info.vgpuTypeId)
    if kind.mig_profile != gpu_instance.kind.name:
        raise NvmlError(status.INVALID_ARGUMENT)
    room, size = instance_room(device, kind), max(kind.gigabytes, 1)
    taken = len(vgpus_in(gpu_instance))
    info.placementSize = size
    starts = [size * place for place in range(taken, room)]
    put_list(info, "count", "placementIds", "unsigned int", starts)
    return {}


@implements("nvmlGpuInstanceGetVgpuSchedulerState")
def scheduler_state(gpu_instance: GpuInstance, p_scheduler_state_info: Any) -> dict[str, Any]:
    scheduler, engine = scheduler_of(gpu_instance), p_scheduler_state_info.engineId
    return state(scheduler, vgpus_in(gpu_instance), engine)


@implements("nvmlGpuInstanceGetVgpuSchedulerState_v2")
def scheduler_state_v2(gpu_instance: GpuInstance, p_scheduler_state_info: Any) -> dict[str, Any]:
    scheduler, engine = scheduler_of(gpu_instance), p_scheduler_state_info.engineId
    return state_v2(scheduler, vgpus_in(gpu_instance), engine)


@implements("nvmlGpuInstanceSetVgpuSchedulerState")
def set_scheduler_state(nvml: Nvml, gpu_instance: GpuInstance, p_scheduler: Any) -> None:
    shared(gpu_instance)
    figures = {"scheduler": chosen(p_scheduler)}
    change(nvml, gpu_instance, figures, status.NOT_SUPPORTED)


@implements("nvmlGpuInstanceSetVgpuSchedulerState_v2")
def set_scheduler_state_v2(nvml: Nvml, gpu_instance: GpuInstance, p_scheduler_state: Any) -> None:
    shared(gpu_instance)
    figures = {"scheduler": chosen(p_scheduler_state)}
    change(nvml, gpu_instance, figures, status.NOT_SUPPORTED)


@implements("nvmlGpuInstanceGetVgpuSchedulerLog")
def scheduler_log(
    nvml: Nvml, gpu_instance: GpuInstance, p_scheduler_log_info: Any
) -> dict[str, Any]:
    scheduler, running = scheduler_of(gpu_instance), vgpus_in(gpu_instance)
    fields = state(scheduler, running, p_scheduler_log_info.engineId)
    entries = log(nvml, scheduler, running)
    return {**fields, "entriesCount": len(entries), "logEntries": entries}


@implements("nvmlGpuInstanceGetVgpuSchedulerLog_v2")
def scheduler_log_v2(
    nvml: Nvml, gpu_instance: GpuInstance, p_scheduler_log_info: Any
) -> dict[str, Any]:
    scheduler, running = scheduler_of(gpu_instance), vgpus_in(gpu_instance)
    return log_v2(nvml, scheduler, running, p_scheduler_log_info.engineId)
