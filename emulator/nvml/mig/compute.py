"""Compute instances: their profiles and places, creating and destroying them."""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements
from ..processes import all_of
from .instances import change, profile_count
from .mig import shared
from .placements import choose, numbered, put_handles, put_placements, start_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    from ...machine.mig.gpuinstance import GpuInstance
    from ...machine.mig.partition import Partition
    from ...machine.mig.profiles import ComputeProfile

    Rows = list[dict[str, Any]]

__all__: list[str] = []


def by_id(gpu_instance: GpuInstance, profile_id: int) -> ComputeProfile:
    for profile in gpu_instance.compute_kinds:
        if profile.number == profile_id:
            return profile
    raise NvmlError(status.NOT_SUPPORTED)


@implements(
    "nvmlGpuInstanceGetComputeInstanceProfileInfo", "nvmlGpuInstanceGetComputeInstanceProfileInfoV"
)
def profile_info(
    nvml: Nvml, gpu_instance: GpuInstance, profile: int, eng_profile: int
) -> dict[str, Any]:
    """The engines are the GPU instance's, which all its compute instances share."""
    if profile >= profile_count(nvml, compute=True):
        raise NvmlError(status.INVALID_ARGUMENT)
    if eng_profile >= constants.COMPUTE_INSTANCE_ENGINE_PROFILE_COUNT:
        raise NvmlError(status.INVALID_ARGUMENT)
    found, whole = by_id(gpu_instance, profile), gpu_instance.kind
    return {
        "id": found.number,
        "sliceCount": found.slices,
        "instanceCount": found.most,
        "multiprocessorCount": found.multiprocessors,
        **shared(whole),
        "name": "MIG " + found.name,
        "capabilities": constants.COMPUTE_INSTANCE_PROFILE_CAPS_GFX if whole.graphics else 0,
    }


@implements("nvmlGpuInstanceGetComputeInstanceRemainingCapacity")
def remaining_capacity(gpu_instance: GpuInstance, profile_id: int) -> int:
    return gpu_instance.capacity(by_id(gpu_instance, profile_id))


@implements("nvmlGpuInstanceGetComputeInstancePossiblePlacements", raw=("placements", "count"))
def possible_placements(
    gpu_instance: GpuInstance, profile_id: int, placements: int, count: int
) -> None:
    profile = by_id(gpu_instance, profile_id)
    kind = "nvmlComputeInstancePlacement_t"
    put_placements(kind, placements, count, profile.slices, profile.starts)


@implements("nvmlGpuInstanceGetComputeInstances", raw=("computeInstances", "count"))
def compute_instances(
    nvml: Nvml, gpu_instance: GpuInstance, profile_id: int, compute_instances: int, count: int
) -> None:
    profile = by_id(gpu_instance, profile_id)
    found = [each for each in gpu_instance.compute_instances if each.kind.number == profile.number]
    put_handles(compute_instances, count, nvml.handles("nvmlComputeInstance_t").give, found)


@implements("nvmlGpuInstanceGetComputeInstanceById")
def compute_instance_by_id(gpu_instance: GpuInstance, id: int) -> Partition:  # noqa: A002
    found: Partition = numbered(gpu_instance.compute_instances, id)
    return found


@implements("nvmlComputeInstanceGetInfo", "nvmlComputeInstanceGetInfo_v2")
def compute_instance_info(nvml: Nvml, compute_instance: Partition) -> dict[str, Any]:
    gpu_instance = compute_instance.gpu_instance
    return {
        "device": nvml.handles("nvmlDevice_t").give(compute_instance.parent),
        "gpuInstance": nvml.handles("nvmlGpuInstance_t").give(gpu_instance),
        "id": compute_instance.id,
        "profileId": compute_instance.kind.number,
        "placement": {"start": compute_instance.start, "size": compute_instance.slices},
    }


def row_of(instances: Rows, gpu_instance: GpuInstance) -> Rows:
    """The compute instances among the figures of all instances."""
    found: Rows = next(row["compute"] for row in instances if row["id"] == gpu_instance.id)
    return found


def create(
    nvml: Nvml, gpu_instance: GpuInstance, profile_id: int, start: Union[int, None] = None
) -> Partition:
    with nvml.machine.exclusive():
        if not gpu_instance.is_there:
            raise NvmlError(status.INVALID_ARGUMENT)
        profile = by_id(gpu_instance, profile_id)
        start = choose(gpu_instance.places(profile), start)
        ids = [each.id for each in gpu_instance.compute_instances]
        identity = next(number for number in range(len(ids) + 1) if number not in ids)
        row = {"slices": profile.slices, "start": start, "id": identity}
        change(
            nvml,
            gpu_instance.parent,
            lambda instances: row_of(instances, gpu_instance).append(row),
        )
        return compute_instance_by_id(gpu_instance, identity)


@implements("nvmlGpuInstanceCreateComputeInstance")
def create_anywhere(nvml: Nvml, gpu_instance: GpuInstance, profile_id: int) -> Partition:
    return create(nvml, gpu_instance, profile_id)


@implements("nvmlGpuInstanceCreateComputeInstanceWithPlacement")
def create_there(
    nvml: Nvml, gpu_instance: GpuInstance, profile_id: int, placement: Any
) -> Partition:
    profile = by_id(gpu_instance, profile_id)
    start = start_of(placement, profile.slices, profile.starts)
    return create(nvml, gpu_instance, profile_id, start)


@implements("nvmlComputeInstanceDestroy")
def destroy(nvml: Nvml, compute_instance: Partition) -> None:
    """Not while a process computes on it."""
    gpu_instance, identity = compute_instance.gpu_instance, compute_instance.id
    with nvml.machine.exclusive():
        if not compute_instance.is_there:
            raise NvmlError(status.INVALID_ARGUMENT)
        if all_of(nvml, compute_instance):
            raise NvmlError(status.IN_USE)

        def remove(instances: Rows) -> None:
            found = row_of(instances, gpu_instance)
            found[:] = [row for row in found if row["id"] != identity]

        change(nvml, gpu_instance.parent, remove)
    nvml.handles("nvmlComputeInstance_t").drop(compute_instance)
