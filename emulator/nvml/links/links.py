"""NVLink: the state, the far ends and the error counters of a device's links."""

from __future__ import annotations

from ...machine.links.links import UNSEEN, far_device, switch_bus_id
from .. import _constants as constants
from .. import _status as status
from ..discovery import bus_address
from ..library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device
    from ...machine.links.links import NvLink

__all__ = ["ERRORS", "VERSIONS", "lanes", "link_of"]

#: NVLink generation -> nvmlNvlinkVersion_t.
VERSIONS = {1: 1, 2: 2, 3: 4, 4: 6, 5: 7, 6: 8}

#: NVLink generation -> lanes of a link in one direction: NVIDIA's white papers on V100, A100, H100.
LANES = {1: 8, 2: 8, 3: 4}
NEWER_LANES = 2

#: In the order of nvmlNvLinkErrorCounter_t.
ERRORS = ("replay_errors", "recovery_errors", "crc_errors", "crc_data_errors", "ecc_errors")


def link_of(device: Device, number: int) -> NvLink:
    """The link of this number; one that only other products have is NOT_SUPPORTED.

    nvidia-smi asks an A100 with 12 links for link 12 too, and ends at INVALID_ARGUMENT.
    """
    if number >= constants.NVLINK_MAX_LINKS:
        raise NvmlError(status.INVALID_ARGUMENT)
    if number >= len(device.nvlinks):
        raise NvmlError(status.NOT_SUPPORTED)
    return device.nvlinks[number]


def lanes(device: Device) -> Optional[int]:
    """How many lanes a link has; None on a product without links."""
    return LANES.get(device.nvlinks[0].version, NEWER_LANES) if device.nvlinks else None


def active_link(device: Device, number: int) -> NvLink:
    link = link_of(device, number)
    if not link.active:
        raise NvmlError(status.NOT_SUPPORTED)
    return link


@implements("nvmlDeviceGetNvLinkState")
def state(device: Device, link: int) -> bool:
    return bool(link_of(device, link).active)


@implements("nvmlDeviceGetNvLinkVersion")
def version(device: Device, link: int) -> int:
    return VERSIONS[link_of(device, link).version]


@implements("nvmlDeviceGetNvLinkCapability")
def has_capability(device: Device, link: int, capability: int) -> bool:
    """All but an SLI bridge, which no data-centre product has; nothing on a link that is down."""
    if capability >= constants.NVLINK_CAP_COUNT:
        raise NvmlError(status.INVALID_ARGUMENT)
    if not link_of(device, link).active:
        return False
    if capability == constants.NVLINK_CAP_SLI_BRIDGE:
        return device.brand.startswith(("GEFORCE", "TITAN", "QUADRO"))
    return True


@implements("nvmlDeviceGetNvLinkRemoteDeviceType")
def remote_type(device: Device, link: int) -> Optional[int]:
    kind = active_link(device, link).remote_type
    return None if kind is None else getattr(constants, f"NVLINK_DEVICE_TYPE_{kind}")


@implements("nvmlDeviceGetNvLinkRemotePciInfo")
def remote_pci_info_v1(nvml: Nvml, device: Device, link: int) -> Optional[dict[str, Any]]:
    """The struct had no room for a whole bus id when this function was new."""
    info = remote_pci_info(nvml, device, link)
    return info and {name: value for name, value in info.items() if name != "busId"}


@implements("nvmlDeviceGetNvLinkRemotePciInfo_v2")
def remote_pci_info(nvml: Nvml, device: Device, link: int) -> Optional[dict[str, Any]]:
    """Where the far end is; what it is (ids) is told of a GPU only."""
    found = active_link(device, link)
    far = far_device(nvml.machine.devices, device, found)
    if far is None and (found.remote is None or found.remote_type == "GPU"):
        return None
    bus_id = switch_bus_id(str(found.remote)) if far is None else far.pci.bus_id
    domain, bus, slot = bus_address(bus_id)
    return {
        "busIdLegacy": bus_id[1:] if bus_id == UNSEEN else bus_id[4:],
        "busId": bus_id,
        "domain": domain,
        "bus": bus,
        "device": slot,
        "pciDeviceId": 0 if far is None else far.pci.device_id,
        "pciSubSystemId": 0,
    }


@implements("nvmlDeviceGetNvLinkErrorCounter")
def errors(device: Device, link: int, counter: int) -> Optional[int]:
    if counter >= len(ERRORS):
        raise NvmlError(status.INVALID_ARGUMENT)
    return getattr(active_link(device, link), ERRORS[counter])  # type: ignore[no-any-return]


@implements("nvmlDeviceResetNvLinkErrorCounters")
def reset_errors(nvml: Nvml, device: Device, link: int) -> None:
    found = link_of(device, link)
    counted = {name: 0 for name in ERRORS if getattr(found, name) is not None}
    nvml.machine.alter(device, {"nvlinks": {str(link): counted}})
