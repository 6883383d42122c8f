"""The quantities that nvmlDeviceGetFieldValues gives by number.

Each has a row: the header's name without NVML_FI_DEV_, and how it is read off the device and the
scope (a link's number, or what else the field says).
"""

from __future__ import annotations

from . import _constants as constants
from .links import VERSIONS, link_of
from .pci import atomics_mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from ..machine import Device
    from ..machine.links import NvLink

    Reader = Callable[[Device, int], Optional[int]]  # given the scope

__all__ = ["READERS", "SIGNED", "UNSIGNED", "UNSIGNED_LONG_LONG"]

UNSIGNED, UNSIGNED_LONG_LONG, SIGNED = 1, 3, 5  # nvmlValueType_t
ALL_LINKS = 0xFFFFFFFF  # as scope: the sum over the links


def power(name: str) -> Reader:
    """A figure of the scope: the GPU, its module (1), its memory (2; which has no limits)."""

    def figure(device: Device, scope: int) -> Optional[int]:
        if scope == constants.POWER_SCOPE_MEMORY:
            return device.power.memory_usage if name in ("usage", "instant") else None
        module = scope == constants.POWER_SCOPE_MODULE
        return getattr(device.power.module if module else device.power, name, None)

    return figure


def counter(name: str) -> Reader:
    return lambda device, _: getattr(device.clocks.event_counters, name)


def link_sum(name: str) -> Reader:
    """An error counter of the link `scope`, or of all of them."""

    def total(device: Device, scope: int) -> Optional[int]:
        links: list[NvLink] = device.nvlinks if scope == ALL_LINKS else [link_of(device, scope)]
        return sum(getattr(link, name) for link in links) if links else None

    return total


def each_link(name: str) -> Reader:
    """The sum over all links; the scope is not looked at."""
    return lambda device, _: link_sum(name)(device, ALL_LINKS)


def one_link(number: int, name: str) -> Reader:
    """A figure of one link, whose number is part of the field's name."""
    return lambda device, _: getattr(link_of(device, number), name)


def traffic(device: Device, scope: int) -> Optional[int]:
    """KiB through a link, or through all: links carry nothing yet."""
    if scope != ALL_LINKS:
        link_of(device, scope)
    return 0 if device.nvlinks else None


def atomics(name: str) -> Reader:
    """A list of PCIe atomic operations as bits."""

    def mask(device: Device, _: int) -> Optional[int]:
        operations = getattr(device.pci, name)
        return None if operations is None else atomics_mask(operations)

    return mask


def ecc_count(lifetime: str, name: str) -> Reader:
    return lambda device, _: (
        getattr(getattr(device.ecc, lifetime), name) if device.ecc.current else None
    )


def retired(name: str) -> Reader:
    def number(device: Device, _: int) -> Optional[int]:
        pages = getattr(device.retired_pages, name)
        return None if pages is None else len(pages)

    return number


UINT: dict[str, Reader] = {
    "ECC_CURRENT": lambda device, _: device.ecc.current,
    "ECC_PENDING": lambda device, _: device.ecc.pending,
    "RETIRED_SBE": retired("single_bit"),
    "RETIRED_DBE": retired("double_bit"),
    "RETIRED_PENDING": lambda device, _: device.retired_pages.pending,
    "MEMORY_TEMP": lambda device, _: device.temperature.memory,
    "NVLINK_LINK_COUNT": lambda device, _: len(device.nvlinks),
    "NVSWITCH_CONNECTED_LINK_COUNT": lambda device, _: sum(
        link.remote_type == "SWITCH" for link in device.nvlinks
    ),
    "NVLINK_GET_STATE": lambda device, scope: link_of(device, scope).active,
    "NVLINK_GET_SPEED": lambda device, scope: link_of(device, scope).speed,
    "NVLINK_GET_VERSION": lambda device, scope: VERSIONS[link_of(device, scope).version],
    "NVLINK_SPEED_MBPS_COMMON": one_link(0, "speed"),
    "NVLINK_REMOTE_NVLINK_ID": lambda device, scope: (
        scope if link_of(device, scope).active else None
    ),
    "PCIE_REPLAY_COUNTER": lambda device, _: device.pci.replay_counter,
    "PCIE_REPLAY_ROLLOVER_COUNTER": lambda device, _: device.pci.replay_rollovers,
    "REMAPPED_COR": lambda device, _: device.remapped_rows.correctable,
    "REMAPPED_UNC": lambda device, _: device.remapped_rows.uncorrectable,
    "REMAPPED_PENDING": lambda device, _: device.remapped_rows.pending,
    "REMAPPED_FAILURE": lambda device, _: device.remapped_rows.failure,
    "C2C_LINK_COUNT": lambda device, _: 0,
    "GET_GPU_RECOVERY_ACTION": lambda device, _: getattr(
        constants, "GPU_RECOVERY_ACTION_" + device.recovery_action
    ),
    "PCIE_INBOUND_ATOMICS_MASK": atomics("atomics_inbound"),
    "PCIE_OUTBOUND_ATOMICS_MASK": atomics("atomics_outbound"),
    "RESET_STATUS": lambda device, _: device.reset_required,
    "DRAIN_AND_RESET_STATUS": lambda device, _: device.drain_recommended,
    "POWER_AVERAGE": power("usage"),
    "POWER_INSTANT": power("instant"),
    "POWER_MIN_LIMIT": power("min_limit"),
    "POWER_MAX_LIMIT": power("max_limit"),
    "POWER_DEFAULT_LIMIT": power("default_limit"),
    "POWER_CURRENT_LIMIT": power("enforced_limit"),
    "POWER_REQUESTED_LIMIT": power("limit"),
}

ULL: dict[str, Reader] = {
    "ECC_SBE_VOL_TOTAL": ecc_count("volatile", "correctable"),
    "ECC_DBE_VOL_TOTAL": ecc_count("volatile", "uncorrectable"),
    "ECC_SBE_AGG_TOTAL": ecc_count("aggregate", "correctable"),
    "ECC_DBE_AGG_TOTAL": ecc_count("aggregate", "uncorrectable"),
    "ECC_SBE_VOL_DEV": ecc_count("volatile", "dram_correctable"),
    "ECC_DBE_VOL_DEV": ecc_count("volatile", "dram_uncorrectable"),
    "ECC_SBE_AGG_DEV": ecc_count("aggregate", "dram_correctable"),
    "ECC_DBE_AGG_DEV": ecc_count("aggregate", "dram_uncorrectable"),
    "NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": each_link("crc_errors"),
    "NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": each_link("crc_errors"),
    "NVLINK_REPLAY_ERROR_COUNT_TOTAL": each_link("replay_errors"),
    "NVLINK_RECOVERY_ERROR_COUNT_TOTAL": each_link("recovery_errors"),
    "NVLINK_ECC_DATA_ERROR_COUNT_TOTAL": each_link("ecc_errors"),
    "NVLINK_ERROR_DL_REPLAY": link_sum("replay_errors"),
    "NVLINK_ERROR_DL_RECOVERY": link_sum("recovery_errors"),
    "NVLINK_ERROR_DL_CRC": link_sum("crc_errors"),
    "NVLINK_THROUGHPUT_DATA_TX": traffic,
    "NVLINK_THROUGHPUT_DATA_RX": traffic,
    "NVLINK_THROUGHPUT_RAW_TX": traffic,
    "NVLINK_THROUGHPUT_RAW_RX": traffic,
    "TOTAL_ENERGY_CONSUMPTION": lambda device, _: device.power.total_energy,
    "ENERGY": lambda device, _: device.power.total_energy,
    "CLOCKS_EVENT_REASON_SW_POWER_CAP": counter("sw_power_cap"),
    "CLOCKS_EVENT_REASON_SYNC_BOOST": counter("sync_boost"),
    "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN": counter("sw_thermal_slowdown"),
    "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN": counter("hw_thermal_slowdown"),
    "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN": counter("hw_power_brake_slowdown"),
}

INT: dict[str, Reader] = {
    "TEMPERATURE_SHUTDOWN_TLIMIT": lambda device, _: device.temperature.shutdown_margin,
    "TEMPERATURE_SLOWDOWN_TLIMIT": lambda device, _: device.temperature.slowdown_margin,
    "TEMPERATURE_MEM_MAX_TLIMIT": lambda device, _: device.temperature.memory_max_margin,
    "TEMPERATURE_GPU_MAX_TLIMIT": lambda device, _: device.temperature.max_operating_margin,
}

#: The fields of single links, for the first twelve: what follows NVLINK_ and precedes _L0.
UINT.update({f"NVLINK_SPEED_MBPS_L{n}": one_link(n, "speed") for n in range(12)})
for part, figure in (
    ("CRC_FLIT", "crc_errors"),
    ("CRC_DATA", "crc_errors"),
    ("REPLAY", "replay_errors"),
    ("RECOVERY", "recovery_errors"),
    ("ECC_DATA", "ecc_errors"),
):
    ULL.update({f"NVLINK_{part}_ERROR_COUNT_L{n}": one_link(n, figure) for n in range(12)})

#: Field number -> its type and how it is read.
READERS = {
    getattr(constants, "FI_DEV_" + name): (kind, reader)
    for kind, table in ((UNSIGNED, UINT), (UNSIGNED_LONG_LONG, ULL), (SIGNED, INT))
    for name, reader in table.items()
}
