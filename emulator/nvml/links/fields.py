"""The quantities of NVLink and of C2C that nvmlDeviceGetFieldValues gives by number.

A field's scope is a link's number, or all links. Each has a row: the header's name without
NVML_FI_DEV_, and how it is read.
"""

from __future__ import annotations

from ...machine.links.links import far_link
from ...machine.words import WORDS
from .. import _constants as constants
from .links import VERSIONS, link_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Callable, Optional

    from ...machine import Device
    from ...machine.links.links import NvLink

    Reader = Callable[[Device, int], Optional[int]]  # given the scope

__all__ = ["ALL_LINKS", "CLEARED", "JOINT", "UINT", "ULL", "UNREAD", "links_of"]

ALL_LINKS = 0xFFFFFFFF  # as scope: the sum over the links
OLD_LINKS = 12  # links that have fields of their own
BLACKWELL = 5  # the generation of NVLink from which on packets are counted

#: What nvml.h names an error counter -> the link's figure.
ERRORS = {
    "CRC_FLIT": "crc_errors",
    "CRC_DATA": "crc_data_errors",
    "REPLAY": "replay_errors",
    "RECOVERY": "recovery_errors",
    "ECC_DATA": "ecc_errors",
}


def links_of(device: Device, scope: int) -> list[NvLink]:
    """The link `scope`, or all of them."""
    return device.nvlinks if scope == ALL_LINKS else [link_of(device, scope)]


def summed(count: Callable[[NvLink], int], since: int = 0) -> Reader:
    """What is counted of the link `scope`, or of all of them, from a generation of NVLink on."""

    def read(device: Device, scope: int) -> Optional[int]:
        links = [link for link in links_of(device, scope) if link.version >= since]
        return sum(map(count, links)) if links else None

    return read


def total(name: str) -> Reader:
    """A counter of the link `scope`, or of all of them."""
    return summed(lambda link: getattr(link, name) or 0)


def each_link(name: str) -> Reader:
    """The sum over all links; the scope is not looked at."""
    return lambda device, _: total(name)(device, ALL_LINKS)


def one_link(number: int, name: str) -> Reader:
    """A figure of one link, whose number is part of the field's name."""
    return lambda device, _: getattr(link_of(device, number), name)


def newer(name: str, factor: int = 1, divisor: int = 1) -> Reader:
    """A counter that NVLink has from Blackwell on."""
    return summed(lambda link: (getattr(link, name) or 0) * factor // divisor, BLACKWELL)


def port(*names: str) -> Reader:
    """A counter of the ports from Blackwell on, the sum of these of nvmlPRMCounterId_t."""
    return summed(
        lambda link: sum((link.port_counters or {}).get(name, 0) for name in names), BLACKWELL
    )


def setting(name: str) -> Reader:
    """What holds for all links; None where the product has it not, or has no links."""
    return lambda device, _: getattr(device.nvlink, name) if device.nvlinks else None


def threshold_unit(device: Device, _: int) -> Optional[int]:
    unit = device.nvlink.low_power_threshold_unit if device.nvlinks else None
    return None if unit is None else WORDS["ThresholdUnit"].index(unit)


def power_state(device: Device, scope: int) -> Optional[int]:
    """A link with a threshold sleeps while the device idles (nvml.h: 0 is high speed, 1 low)."""
    if device.nvlink.low_power_threshold is None:
        return None
    active = link_of(device, scope).active
    return int(active and device.utilization.gpu == 0) if active else None


def remote_number(devices: Sequence[Device], device: Device, scope: int) -> Optional[int]:
    """The number that the far end gives to a link; None of a link that is down."""
    return far_link(devices, device, scope) if link_of(device, scope).active else None


def c2c(name: str) -> Reader:
    """A figure of the link to the CPU, where there is one."""
    return lambda device, _: getattr(device.c2c, name) if device.c2c.links else None


def c2c_count(name: str) -> Reader:
    """Errors of the link to the CPU: it makes none here."""
    return lambda device, _: 0 if device.c2c.links else None


UINT: dict[str, Reader] = {
    "NVLINK_LINK_COUNT": lambda device, _: len(device.nvlinks),
    "NVSWITCH_CONNECTED_LINK_COUNT": lambda device, _: sum(
        link.remote_type == "SWITCH" for link in device.nvlinks
    ),
    "NVLINK_GET_STATE": lambda device, scope: link_of(device, scope).active,
    "NVLINK_GET_SPEED": lambda device, scope: link_of(device, scope).speed,
    "NVLINK_GET_DATA_RATE": newer("speed"),
    "NVLINK_GET_VERSION": lambda device, scope: VERSIONS[link_of(device, scope).version],
    "NVLINK_SPEED_MBPS_COMMON": one_link(0, "speed"),
    "NVLINK_GET_POWER_STATE": power_state,
    "NVLINK_GET_POWER_THRESHOLD": setting("low_power_threshold"),
    "NVLINK_GET_POWER_THRESHOLD_MIN": setting("low_power_threshold_min"),
    "NVLINK_GET_POWER_THRESHOLD_MAX": setting("low_power_threshold_max"),
    "NVLINK_GET_POWER_THRESHOLD_UNITS": threshold_unit,
    "NVLINK_GET_POWER_THRESHOLD_SUPPORTED": lambda device, _: (
        device.nvlink.low_power_threshold is not None if device.nvlinks else None
    ),
    **{f"NVLINK_SPEED_MBPS_L{number}": one_link(number, "speed") for number in range(OLD_LINKS)},
    "C2C_LINK_COUNT": lambda device, _: device.c2c.links or 0,
    "C2C_LINK_GET_STATUS": c2c("active"),
    "C2C_LINK_GET_MAX_BW": c2c("speed"),
    "C2C_LINK_POWER_STATE": lambda device, _: (
        constants.C2C_POWER_STATE_FULL_POWER if device.c2c.links else None
    ),
}

#: What follows from other devices, too: read with all of the machine's.
JOINT = {"NVLINK_REMOTE_NVLINK_ID": remote_number}

PACKET = 256  # bytes that a packet of NVLink carries at most

ULL: dict[str, Reader] = {
    **{f"NVLINK_{part}_ERROR_COUNT_TOTAL": each_link(name) for part, name in ERRORS.items()},
    **{
        f"NVLINK_{part}_ERROR_COUNT_L{number}": one_link(number, name)
        for part, name in ERRORS.items()
        for number in range(OLD_LINKS)
    },
    "NVLINK_ERROR_DL_REPLAY": total("replay_errors"),
    "NVLINK_ERROR_DL_RECOVERY": total("recovery_errors"),
    "NVLINK_ERROR_DL_CRC": total("crc_errors"),
    "NVLINK_THROUGHPUT_DATA_TX": total("data_tx"),
    "NVLINK_THROUGHPUT_DATA_RX": total("data_rx"),
    "NVLINK_THROUGHPUT_RAW_TX": total("raw_tx"),
    "NVLINK_THROUGHPUT_RAW_RX": total("raw_rx"),
    "NVLINK_COUNT_XMIT_BYTES": newer("data_tx", 1024),
    "NVLINK_COUNT_RCV_BYTES": newer("data_rx", 1024),
    "NVLINK_COUNT_XMIT_PACKETS": newer("data_tx", 1024, PACKET),
    "NVLINK_COUNT_RCV_PACKETS": newer("data_rx", 1024, PACKET),
    "NVLINK_COUNT_VL15_DROPPED": port(),
    "NVLINK_COUNT_MALFORMED_PACKET_ERRORS": newer("crc_errors"),
    "NVLINK_COUNT_BUFFER_OVERRUN_ERRORS": port(),
    "NVLINK_COUNT_RCV_ERRORS": newer("crc_data_errors"),
    "NVLINK_COUNT_RCV_REMOTE_ERRORS": port(),
    "NVLINK_COUNT_RCV_GENERAL_ERRORS": port(),
    "NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS": port("PPCNT_PHYSICAL_LAYER_CTRS_LINK_DOWN_EVENTS"),
    "NVLINK_COUNT_XMIT_DISCARDS": port(),
    "NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS": port(
        "PPCNT_PHYSICAL_LAYER_CTRS_SUCCESSFUL_RECOVERY_EVENTS"
    ),
    "NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS": port("PPCNT_PHYSICAL_LAYER_CTRS_LINK_DOWN_EVENTS"),
    "NVLINK_COUNT_LINK_RECOVERY_EVENTS": port(
        "PPCNT_PHYSICAL_LAYER_CTRS_SUCCESSFUL_RECOVERY_EVENTS",
        "PPCNT_PHYSICAL_LAYER_CTRS_LINK_DOWN_EVENTS",
    ),
    "NVLINK_COUNT_EFFECTIVE_ERRORS": port("PPCNT_PLR_RCV_UNCORRECTABLE_CODE"),
    "NVLINK_COUNT_SYMBOL_ERRORS": port("PPCNT_PLR_RCV_CODE_ERR"),
    # Rates of bit errors have an exponent and a mantissa in them (nvml.h); 0 is none at all.
    "NVLINK_COUNT_EFFECTIVE_BER": port(),
    "NVLINK_COUNT_SYMBOL_BER": port(),
    "NVLINK_COUNT_RAW_BER_LANE0_V2": port(),
    "NVLINK_COUNT_RAW_BER_LANE1_V2": port(),
    "NVLINK_COUNT_RAW_BER_V2": port(),
    "NVLINK_COUNT_RAW_ERRORS_LANE0": port(),
    "NVLINK_COUNT_RAW_ERRORS_LANE1": port(),
    "NVLINK_PLR_XMIT_BLOCKS": port("PPCNT_PLR_XMIT_CODES"),
    "NVLINK_PLR_XMIT_RETRY_BLOCKS": port("PPCNT_PLR_XMIT_RETRY_CODES"),
    # Of the blocks with so many corrected symbols, all are among those with none.
    "NVLINK_COUNT_FEC_HISTORY_0": port("PPCNT_PLR_RCV_CODES"),
    **{f"NVLINK_COUNT_FEC_HISTORY_{bin_}": port() for bin_ in range(1, 16)},
    "C2C_LINK_ERROR_INTR": c2c_count("interrupts"),
    "C2C_LINK_ERROR_REPLAY": c2c_count("replays"),
    "C2C_LINK_ERROR_REPLAY_B2B": c2c_count("replays"),
}

#: Fields that nvmlDeviceClearFieldValues sets to zero -> the links' figure, and whether it is that
#: of all links, whatever the scope.
CLEARED = {
    **{f"NVLINK_{part}_ERROR_COUNT_TOTAL": (name, True) for part, name in ERRORS.items()},
    "NVLINK_ERROR_DL_REPLAY": ("replay_errors", False),
    "NVLINK_ERROR_DL_RECOVERY": ("recovery_errors", False),
    "NVLINK_ERROR_DL_CRC": ("crc_errors", False),
}

_PLACES = ("L0", "L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L10", "L11", "TOTAL")

#: Why the real library gives none of these.
UNREAD = {
    **{
        f"NVLINK_BANDWIDTH_C{counter}_{place}": "the counters are deprecated (nvml.h)"
        for counter in (0, 1)
        for place in _PLACES
    },
    **dict.fromkeys(
        (
            "NVLINK_COUNT_RAW_BER_LANE0",
            "NVLINK_COUNT_RAW_BER_LANE1",
            "NVLINK_COUNT_RAW_BER",
        ),
        "nvml.h: deprecated, do not use",
    ),
}
