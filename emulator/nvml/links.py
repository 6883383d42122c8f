"""NVLink: the state, the far ends and the error counters of a device's links."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .library import NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device
    from ..machine.links import NvLink

__all__ = ["ERRORS", "link_of"]

#: NVLink generation -> nvmlNvlinkVersion_t.
VERSIONS = {1: 1, 2: 2, 3: 4, 4: 6, 5: 7, 6: 8}

#: In the order of nvmlNvLinkErrorCounter_t.
ERRORS = ("replay_errors", "recovery_errors", "crc_errors", "crc_errors", "ecc_errors")


def link_of(device: Device, number: int) -> NvLink:
    """The link of this number; one that only other products have is NOT_SUPPORTED.

    nvidia-smi asks an A100 with 12 links for link 12 too, and ends at INVALID_ARGUMENT.
    """
    if number >= constants.NVLINK_MAX_LINKS:
        raise NvmlError(status.INVALID_ARGUMENT)
    if number >= len(device.nvlinks):
        raise NvmlError(status.NOT_SUPPORTED)
    return device.nvlinks[number]


def active_link(device: Device, number: int) -> NvLink:
    link = link_of(device, number)
    if not link.active:
        raise NvmlError(status.NOT_SUPPORTED)
    return link


@implements("nvmlDeviceGetNvLinkState")
def state(device: Device, link: int) -> bool:
    return link_of(device, link).active


@implements("nvmlDeviceGetNvLinkVersion")
def version(device: Device, link: int) -> int:
    return VERSIONS[link_of(device, link).version]


@implements("nvmlDeviceGetNvLinkCapability")
def has_capability(device: Device, link: int, capability: int) -> bool:
    """All but an SLI bridge, which no data-centre product has; nothing on a link that is down."""
    if capability >= constants.NVLINK_CAP_COUNT:
        raise NvmlError(status.INVALID_ARGUMENT)
    return link_of(device, link).active and capability != constants.NVLINK_CAP_SLI_BRIDGE


@implements("nvmlDeviceGetNvLinkRemoteDeviceType")
def remote_type(device: Device, link: int) -> int:
    far_end = active_link(device, link).remote_type
    return getattr(constants, f"NVLINK_DEVICE_TYPE_{far_end}")  # type: ignore[no-any-return]


@implements("nvmlDeviceGetNvLinkRemotePciInfo", "nvmlDeviceGetNvLinkRemotePciInfo_v2")
def remote_pci_info(device: Device, link: int) -> dict[str, Any]:
    """Where the far end is; what it is (ids) is not told for a switch."""
    bus_id = active_link(device, link).remote_bus_id or ""
    domain, bus, slot = (int(part, 16) for part in bus_id[:-2].split(":"))
    return {
        "busIdLegacy": bus_id[4:],
        "busId": bus_id,
        "domain": domain,
        "bus": bus,
        "device": slot,
        "pciDeviceId": 0,
        "pciSubSystemId": 0,
    }


@implements("nvmlDeviceGetNvLinkErrorCounter")
def errors(device: Device, link: int, counter: int) -> int:
    if counter >= len(ERRORS):
        raise NvmlError(status.INVALID_ARGUMENT)
    return getattr(active_link(device, link), ERRORS[counter])  # type: ignore[no-any-return]


@implements("nvmlDeviceResetNvLinkErrorCounters")
def reset_errors(device: Device, link: int) -> None:
    found = link_of(device, link)
    for name in ERRORS:
        setattr(found, name, 0)
