"""Taking a GPU out of service: draining, removing and finding it again; devices left alone.

A draining GPU takes no new programs: those that initialise NVML or CUDA now do not find it. One
that is removed is gone for all, and comes back where the bus is searched.
"""

from __future__ import annotations

from ..machine.reset import after_reset
from . import _status as status
from .library import Nvml, NvmlError, implements
from .processes import all_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device

__all__: list[str] = []


def device_at(nvml: Nvml, pci_info: Any) -> Device:
    """The device at an address, be it one that programs find or not."""
    for device in nvml.machine.devices:
        if device.pci.address == (pci_info.domain, pci_info.bus, pci_info.device):
            if device.failure == "unplugged" or device.availability == "EXCLUDED":
                break
            return device
    raise NvmlError(status.INVALID_ARGUMENT)


@implements("nvmlDeviceQueryDrainState")
def drain_state(nvml: Nvml, pci_info: Any) -> bool:
    return device_at(nvml, pci_info).availability == "DRAINING"


@implements("nvmlDeviceModifyDrainState")
def set_drain_state(nvml: Nvml, pci_info: Any, new_state: int) -> None:
    device = device_at(nvml, pci_info)
    if device.persistence_mode:
        raise NvmlError(status.IN_USE)
    nvml.machine.alter(device, {"availability": "DRAINING" if new_state else None})


@implements("nvmlDeviceRemoveGpu", "nvmlDeviceRemoveGpu_v2")
def remove(nvml: Nvml, pci_info: Any) -> None:
    """A device that still takes programs, or has some, is in use."""
    with nvml.machine.exclusive():
        device = device_at(nvml, pci_info)
        idle = device.availability == "DRAINING" and not device.persistence_mode
        if not idle or all_of(nvml, device):
            raise NvmlError(status.IN_USE)
        nvml.machine.alter(device, {"availability": "REMOVED", "failure": "unplugged"})


@implements("nvmlDeviceDiscoverGpus")
def discover(nvml: Nvml, pci_info: Any) -> None:
    """What of an address is zero may be anything. A device that is found is started anew."""
    wanted = (pci_info.domain, pci_info.bus, pci_info.device)
    with nvml.machine.exclusive():
        for device in nvml.machine.devices:
            places = zip(wanted, device.pci.address)
            if device.availability == "REMOVED" and all(w in (0, place) for w, place in places):
                started = after_reset(device, nvml.machine.clock.elapsed())
                found = {"availability": "REDISCOVERED", "failure": None}
                nvml.machine.alter(device, {**started, **found})


# ---- devices that the driver was told to leave alone


@implements("nvmlGetExcludedDeviceCount", "nvmlGetBlacklistDeviceCount")
def excluded_count(nvml: Nvml) -> int:
    return len(excluded(nvml))


@implements("nvmlGetExcludedDeviceInfoByIndex", "nvmlGetBlacklistDeviceInfoByIndex")
def excluded_device(nvml: Nvml, index: int) -> dict[str, Any]:
    from .pci import pci_info

    devices = excluded(nvml)
    if index >= len(devices):
        raise NvmlError(status.INVALID_ARGUMENT)
    return {"pciInfo": pci_info(devices[index]), "uuid": devices[index].uuid}


def excluded(nvml: Nvml) -> list[Device]:
    return [device for device in nvml.machine.devices if device.availability == "EXCLUDED"]
