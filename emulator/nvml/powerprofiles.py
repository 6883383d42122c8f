"""Workload power profiles: those that a device has, asks for and keeps to."""

from __future__ import annotations

from ..machine.words import WORDS
from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..machine import Device
    from ..machine.powerprofiles import PowerProfiles

__all__: list[str] = []

NUMBERS = {name: number for number, name in enumerate(WORDS["WorkloadProfile"])}
BITS = 32  # of each word of nvmlMask255_t


def profiles_of(device: Device) -> PowerProfiles:
    found = device.power_profiles
    if not found.supported:
        raise NvmlError(status.NOT_SUPPORTED)
    return found


def mask(names: Iterable[str]) -> dict[str, list[int]]:
    """An nvmlMask255_t with the bits of some profiles."""
    bits = sum(1 << NUMBERS[name] for name in names)
    return {"mask": [bits >> BITS * word & (1 << BITS) - 1 for word in range(8)]}


def named(profiles: PowerProfiles, given: Any) -> list[str]:
    """The profiles of an nvmlMask255_t; a bit that is none of the device's is refused."""
    bits = sum(given.mask[word] << BITS * word for word in range(8))
    names = [row.name for row in profiles.supported if bits >> NUMBERS[row.name] & 1]
    if sum(1 << NUMBERS[name] for name in names) != bits:
        raise NvmlError(status.INVALID_ARGUMENT)
    return names


@implements("nvmlDeviceWorkloadPowerProfileGetProfilesInfo")
def profiles_info(device: Device) -> dict[str, Any]:
    """A profile's entry is where its number is."""
    supported = profiles_of(device).supported
    entries: list[dict[str, Any]] = [{}] * (1 + max(NUMBERS[row.name] for row in supported))
    for row in supported:
        number = NUMBERS[row.name]
        entries[number] = {"profileId": number, "priority": row.priority}
        entries[number]["conflictingMask"] = mask(row.conflicts)
    return {"perfProfilesMask": mask(row.name for row in supported), "perfProfile": entries}


@implements("nvmlDeviceWorkloadPowerProfileGetCurrentProfiles")
def current_profiles(device: Device) -> dict[str, Any]:
    profiles = profiles_of(device)
    return {
        "perfProfilesMask": mask(row.name for row in profiles.supported),
        "requestedProfilesMask": mask(profiles.requested),
        "enforcedProfilesMask": mask(profiles.enforced),
    }


def request(nvml: Nvml, device: Device, given: Any, operation: int) -> None:
    """Add profiles to those asked for, take them away, or ask for just these."""
    with nvml.machine.exclusive():
        profiles = profiles_of(device)
        names, asked = named(profiles, given), profiles.requested
        if operation == constants.POWER_PROFILE_OPERATION_CLEAR:
            asked = [name for name in asked if name not in names]
        elif operation == constants.POWER_PROFILE_OPERATION_SET:
            asked = asked + [name for name in names if name not in asked]
        elif operation == constants.POWER_PROFILE_OPERATION_SET_AND_OVERWRITE:
            asked = names
        else:
            raise NvmlError(status.INVALID_ARGUMENT)
        nvml.machine.alter(device, {"power_profiles": {"requested": asked}})


@implements("nvmlDeviceWorkloadPowerProfileSetRequestedProfiles")
def set_requested(nvml: Nvml, device: Device, requested_profiles: Any) -> None:
    mask_ = requested_profiles.requestedProfilesMask
    request(nvml, device, mask_, constants.POWER_PROFILE_OPERATION_SET)


@implements("nvmlDeviceWorkloadPowerProfileClearRequestedProfiles")
def clear_requested(nvml: Nvml, device: Device, requested_profiles: Any) -> None:
    mask_ = requested_profiles.requestedProfilesMask
    request(nvml, device, mask_, constants.POWER_PROFILE_OPERATION_CLEAR)


@implements("nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1")
def update_requested(nvml: Nvml, device: Device, update_profiles: Any) -> None:
    request(nvml, device, update_profiles.updateProfilesMask, update_profiles.operation)
