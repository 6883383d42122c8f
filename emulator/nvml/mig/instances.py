"""GPU instances: their profiles and places, creating and destroying them."""

from __future__ import annotations

from ...machine.drivers import branch
from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements
from .mig import check_capable, check_enabled
from .placements import choose, numbered, put_handles, put_placements, start_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Union

    from ...machine import Device
    from ...machine.mig.gpuinstance import GpuInstance
    from ...machine.mig.profiles import Profile

    Rows = list[dict[str, Any]]

__all__ = ["change", "known_to", "profile_count"]

#: From which release branch on nvml.h has so many profiles: of GPU instances, compute instances.
COUNTS = {450: (8, 7), 525: (10, 8), 570: (13, 8), 575: (17, 8), 590: (18, 9)}


def profile_count(nvml: Nvml, compute: bool = False) -> int:
    """How many profiles the driver's nvml.h has: a number from there on is no argument."""
    release = branch(nvml.machine.driver)
    return [counts[compute] for since, counts in COUNTS.items() if release >= since][-1]


def known_to(nvml: Nvml, device: Device) -> dict[str, Profile]:
    """The profiles of a device that the driver knows."""
    from ...machine.mig.profiles import profiles

    release = branch(nvml.machine.driver)
    known = profiles(device.profile)
    return {name: each for name, each in known.items() if each.since <= release}


#: From this release branch on profiles and their places can be asked for while the mode is off:
#: nvidia-smi does it from 550 on, and only then; nvml.h has a field for such devices since then.
ANSWERS_ALWAYS = 550


def check_queryable(nvml: Nvml, device: Device) -> None:
    """Whether the driver tells the profiles of a device now."""
    check_capable(device)
    if branch(nvml.machine.driver) < ANSWERS_ALWAYS:
        check_enabled(device)


def by_id(nvml: Nvml, device: Device, profile_id: int) -> Profile:
    for profile in known_to(nvml, device).values():
        if profile.id == profile_id:
            return profile
    raise NvmlError(status.INVALID_ARGUMENT)


#: Before this release branch the profile of the whole GPU has 256 MiB more: `nvidia-smi mig -lgip`
#: of an A100 40GB shows 39.50 GiB in place of 39.25. The nvidia-smi of then makes the names, of the
#: memory rounded up: with the 79.00 GiB of later it would call the A100's largest "7g.79gb".
KEEPS_MORE, MORE = 525, 256


def info(nvml: Nvml, profile: Profile) -> dict[str, Any]:
    """The fields of nvmlGpuInstanceProfileInfo_t, in all its versions."""
    more = MORE if branch(nvml.machine.driver) < KEEPS_MORE and profile.size == 8 else 0
    return {
        "id": profile.id,
        "isP2pSupported": 0,
        "sliceCount": profile.slices,
        "instanceCount": profile.most,
        "multiprocessorCount": profile.multiprocessors,
        "copyEngineCount": profile.copies,
        "decoderCount": profile.decoders,
        "encoderCount": profile.encoders,
        "jpegCount": profile.jpegs,
        "ofaCount": profile.ofas,
        "memorySizeMB": (profile.memory >> 20) + more,
        "name": "MIG " + profile.name,
        "capabilities": constants.GPU_INSTANCE_PROFILE_CAPS_GFX if profile.graphics else 0,
    }


@implements("nvmlDeviceGetGpuInstanceProfileInfo", "nvmlDeviceGetGpuInstanceProfileInfoV")
def profile_info(nvml: Nvml, device: Device, profile: int) -> dict[str, Any]:
    if profile >= profile_count(nvml):
        raise NvmlError(status.INVALID_ARGUMENT)
    check_queryable(nvml, device)
    for each in known_to(nvml, device).values():
        if each.number == profile:
            return info(nvml, each)
    raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceGetGpuInstanceProfileInfoByIdV")
def profile_info_by_id(nvml: Nvml, device: Device, profile_id: int) -> dict[str, Any]:
    check_queryable(nvml, device)
    return info(nvml, by_id(nvml, device, profile_id))


@implements(
    "nvmlDeviceGetGpuInstancePossiblePlacements",
    "nvmlDeviceGetGpuInstancePossiblePlacements_v2",
    raw=("placements", "count"),
)
def possible_placements(
    nvml: Nvml, device: Device, profile_id: int, placements: int, count: int
) -> None:
    check_queryable(nvml, device)
    profile = by_id(nvml, device, profile_id)
    kind = "nvmlGpuInstancePlacement_t"
    put_placements(kind, placements, count, profile.size, profile.starts)


@implements("nvmlDeviceGetGpuInstanceRemainingCapacity")
def remaining_capacity(nvml: Nvml, device: Device, profile_id: int) -> int:
    from ...machine.mig.places import capacity
    from ...machine.mig.profiles import profiles

    check_queryable(nvml, device)
    profile = by_id(nvml, device, profile_id)
    if not device.mig.current:
        return 0
    return capacity(profiles(device.profile), held(device), profile)


def held(device: Device) -> list[tuple[Profile, int]]:
    return [(each.kind, each.start) for each in device.gpu_instances]


@implements("nvmlDeviceGetGpuInstances", raw=("gpuInstances", "count"))
def gpu_instances(
    nvml: Nvml, device: Device, profile_id: int, gpu_instances: int, count: int
) -> None:
    check_enabled(device)
    profile = by_id(nvml, device, profile_id)
    found = [each for each in device.gpu_instances if each.kind.id == profile.id]
    put_handles(gpu_instances, count, nvml.handles("nvmlGpuInstance_t").give, found)


@implements("nvmlDeviceGetGpuInstanceById")
def gpu_instance_by_id(device: Device, id: int) -> GpuInstance:  # noqa: A002  (nvml.h's word)
    check_enabled(device)
    found: GpuInstance = numbered(device.gpu_instances, id)
    return found


@implements("nvmlGpuInstanceGetInfo")
def gpu_instance_info(nvml: Nvml, gpu_instance: GpuInstance) -> dict[str, Any]:
    return {
        "device": nvml.handles("nvmlDevice_t").give(gpu_instance.parent),
        "id": gpu_instance.id,
        "profileId": gpu_instance.kind.id,
        "placement": {"start": gpu_instance.start, "size": gpu_instance.kind.size},
    }


def change(nvml: Nvml, device: Device, edit: Callable[[Rows], None]) -> None:
    """Have other instances on a device: `edit` is given those that are there, as figures."""
    from ...machine.mig.gpuinstance import rows

    instances = rows(device.gpu_instances)
    edit(instances)
    nvml.machine.alter(device, {"mig": {"instances": instances}})
    device.gpu_instances  # noqa: B018  (what was destroyed is gone before anything is made anew)


def create(
    nvml: Nvml, device: Device, profile_id: int, start: Union[int, None] = None
) -> GpuInstance:
    from ...machine.mig.places import number, places
    from ...machine.mig.profiles import profiles

    with nvml.machine.exclusive():
        check_dividable(device)
        known, profile = profiles(device.profile), by_id(nvml, device, profile_id)
        start = choose(places(known, held(device), profile), start)
        identity = number(known, profile, start)
        row = {"profile": profile.name, "start": start, "id": identity, "compute": []}
        change(nvml, device, lambda instances: instances.append(row))
        return gpu_instance_by_id(device, identity)


def check_dividable(device: Device) -> None:
    """Refuse a device without the mode, and a virtual GPU: what it has is for its host to make."""
    check_enabled(device)
    if device.virtualization_mode == "VGPU":
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceCreateGpuInstance")
def create_anywhere(nvml: Nvml, device: Device, profile_id: int) -> GpuInstance:
    return create(nvml, device, profile_id)


@implements("nvmlDeviceCreateGpuInstanceWithPlacement")
def create_there(nvml: Nvml, device: Device, profile_id: int, placement: Any) -> GpuInstance:
    check_dividable(device)
    profile = by_id(nvml, device, profile_id)
    return create(nvml, device, profile_id, start_of(placement, profile.size, profile.starts))


@implements("nvmlGpuInstanceDestroy")
def destroy(nvml: Nvml, gpu_instance: GpuInstance) -> None:
    """Not while it has compute instances, which is also where processes are, or backs vGPUs."""
    from ...machine.vgpu.running import vgpus_in

    device, identity = gpu_instance.parent, gpu_instance.id
    with nvml.machine.exclusive():
        if not gpu_instance.is_there:
            raise NvmlError(status.INVALID_ARGUMENT)
        if gpu_instance.compute_instances or vgpus_in(gpu_instance):
            raise NvmlError(status.IN_USE)

        def remove(instances: Rows) -> None:
            instances[:] = [row for row in instances if row["id"] != identity]

        change(nvml, device, remove)
    nvml.handles("nvmlGpuInstance_t").drop(gpu_instance)
