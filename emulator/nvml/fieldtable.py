"""The quantities that nvmlDeviceGetFieldValues gives by number.

Each has a row: the header's name without NVML_FI_DEV_, and how it is read off the device and the
scope (a link's number, or what else the field says); or the reason why it has none. A name that
begins with PWR_ is the header's without NVML_FI_.
"""

from __future__ import annotations

from . import _constants as constants
from .architectures import is_since
from .ecc import LIFETIMES, counts_of
from .links import fields as linkfields
from .pci import atomics_mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from ..machine import Device

    Reader = Callable[[Device, int], Optional[int]]  # given the scope

__all__ = ["CLEARED", "JOINT", "READERS", "SIGNED", "UNREAD", "UNSIGNED", "UNSIGNED_LONG_LONG"]

UNSIGNED, UNSIGNED_LONG_LONG, SIGNED = 1, 3, 5  # nvmlValueType_t


def power(name: str) -> Reader:
    """A figure of the scope: the GPU, its module (1), its memory (2; which has no limits)."""

    def figure(device: Device, scope: int) -> Optional[int]:
        if scope == constants.POWER_SCOPE_MEMORY:
            return device.power.memory_usage if name in ("usage", "instant") else None
        module = scope == constants.POWER_SCOPE_MODULE
        return getattr(device.power.module if module else device.power, name, None)

    return figure


def averages(device: Device) -> bool:
    """Whether power is averaged over a second: on Ampere, except GA100, and what is newer (nvml.h).

    On others nvmlDeviceGetPowerUsage says what is drawn at once, and nvidia-smi of 550 and later
    prints N/A as the average (published `nvidia-smi -q` of a V100, an MX450).
    """
    return device.compute_capability > (8, 0)


def average_power(device: Device, scope: int) -> Optional[int]:
    known = averages(device) or scope != constants.POWER_SCOPE_GPU
    return power("usage")(device, scope) if known else None


def instant_power(device: Device, scope: int) -> Optional[int]:
    whole = averages(device) or scope != constants.POWER_SCOPE_GPU
    return power("instant" if whole else "usage")(device, scope)


def energy(device: Device, scope: int) -> Optional[int]:
    """What the GPU has used; its memory and its module are not counted apart."""
    return device.power.total_energy if scope == constants.POWER_SCOPE_GPU else None


def counter(name: str) -> Reader:
    return lambda device, _: getattr(device.clocks.event_counters, name)


def atomics(name: str) -> Reader:
    """A list of PCIe atomic operations as bits."""

    def mask(device: Device, _: int) -> Optional[int]:
        operations = getattr(device.pci, name)
        return None if operations is None else atomics_mask(operations)

    return mask


def ecc_count(lifetime: str, name: str) -> Reader:
    return lambda device, _: getattr(counts_of(device, LIFETIMES.index(lifetime)), name)


def retired(name: str) -> Reader:
    def number(device: Device, _: int) -> Optional[int]:
        pages = getattr(device.retired_pages, name)
        return None if pages is None else len(pages)

    return number


def remapped(name: str) -> Reader:
    return lambda device, _: getattr(device.remapped_rows, name)


def pcie(name: str) -> Reader:
    return lambda device, _: getattr(device.pci.errors, name)


def retiring(device: Device, _: int) -> Optional[bool]:
    """Whether a page is to be retired; of which cause it is not said."""
    return device.retired_pages.pending


def can_divide(device: Device, _: int) -> Optional[bool]:
    """From Hopper on, MIG is switched without a reset (MIG user guide)."""
    return None if device.mig.current is None else is_since(device, "HOPPER")


def smoothing(name: str) -> Reader:
    """A figure of power smoothing."""
    return lambda device, _: getattr(device.power_smoothing, name)


def ceiling(device: Device, _: int) -> Optional[int]:
    """The power in watts that floors are a share of: the product's limit if not said otherwise."""
    found = device.power_smoothing
    limit = device.power.default_limit
    if found.enabled is None or found.ceiling is not None or limit is None:
        return found.ceiling
    return limit // 1000


def floor(device: Device, _: int) -> Optional[int]:
    """The power in watts that is kept up while smoothing is on."""
    percent, whole = device.power_smoothing.in_force("percent_floor"), ceiling(device, 0)
    return None if percent is None or whole is None else whole * percent // 100


def preset(name: str) -> Reader:
    """A figure of the smoothing's profile `scope`."""

    def figure(device: Device, scope: int) -> Optional[int]:
        profiles = device.power_smoothing.profiles
        return getattr(profiles[scope], name) if scope < len(profiles) else None

    return figure


def overridden(name: str) -> Reader:
    """What the administrator has set in place of the smoothing's profiles."""

    def figure(device: Device, _: int) -> Optional[int]:
        found = device.power_smoothing
        if found.enabled is None:
            return None
        value: Optional[int] = getattr(found.override, name)
        return constants.POWER_SMOOTHING_ADMIN_OVERRIDE_NOT_SET if value is None else value

    return figure


def delayed(name: str) -> Reader:
    """A parameter in force, of products that can delay the smoothing."""
    return lambda device, _: (
        device.power_smoothing.in_force(name) if device.power_smoothing.delayed else None
    )


#: What nvml.h names a memory -> the figures of its errors.
MEMORIES = {
    "L1": "l1_cache",
    "L2": "l2_cache",
    "DEV": "dram",
    "REG": "register_file",
    "TEX": "texture_memory",
    "CBU": "cbu",
}

#: What nvml.h names a parameter of a smoothing's profile -> its figure.
PARAMETERS = {
    "PERCENT_TMP_FLOOR": "percent_floor",
    "RAMP_UP_RATE": "ramp_up_rate",
    "RAMP_DOWN_RATE": "ramp_down_rate",
    "RAMP_DOWN_HYST_VAL": "ramp_down_hysteresis",
    "SECONDARY_POWER_FLOOR": "secondary_floor",
    "PRIMARY_FLOOR_ACT_WIN_MULT": "activation_window",
    "PRIMARY_FLOOR_TAR_WIN_MULT": "target_window",
    "PRIMARY_FLOOR_ACT_OFFSET": "activation_offset",
}

UINT: dict[str, Reader] = {
    "ECC_CURRENT": lambda device, _: device.ecc.current,
    "ECC_PENDING": lambda device, _: device.ecc.pending,
    "RETIRED_SBE": retired("single_bit"),
    "RETIRED_DBE": retired("double_bit"),
    "RETIRED_PENDING": retiring,
    "RETIRED_PENDING_SBE": retiring,
    "RETIRED_PENDING_DBE": retiring,
    "MEMORY_TEMP": lambda device, _: device.temperature.memory,
    "GPU_TEMP": lambda device, _: device.temperature.gpu,
    "PCIE_REPLAY_COUNTER": lambda device, _: device.pci.replay_counter,
    "PCIE_REPLAY_ROLLOVER_COUNTER": lambda device, _: device.pci.replay_rollovers,
    "PCIE_L0_TO_RECOVERY_COUNTER": pcie("recoveries"),
    "PCIE_COUNT_CORRECTABLE_ERRORS": pcie("correctable"),
    "PCIE_COUNT_NAKS_RECEIVED": pcie("naks_received"),
    "PCIE_COUNT_RECEIVER_ERROR": pcie("receiver"),
    "PCIE_COUNT_BAD_TLP": pcie("bad_tlps"),
    "PCIE_COUNT_NAKS_SENT": pcie("naks_sent"),
    "PCIE_COUNT_BAD_DLLP": pcie("bad_dllps"),
    "PCIE_COUNT_NON_FATAL_ERROR": pcie("non_fatal"),
    "PCIE_COUNT_FATAL_ERROR": pcie("fatal"),
    "PCIE_COUNT_UNSUPPORTED_REQ": pcie("unsupported_requests"),
    "PCIE_COUNT_LCRC_ERROR": pcie("lcrc"),
    "PCIE_COUNT_LANE_ERROR": pcie("lane"),
    "REMAPPED_COR": remapped("correctable"),
    "REMAPPED_UNC": remapped("uncorrectable"),
    "REMAPPED_PENDING": remapped("pending"),
    "REMAPPED_FAILURE": remapped("failure"),
    "IS_RESETLESS_MIG_SUPPORTED": can_divide,
    "IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE": can_divide,
    "GET_GPU_RECOVERY_ACTION": lambda device, _: getattr(
        constants, "GPU_RECOVERY_ACTION_" + device.recovery_action
    ),
    "PCIE_INBOUND_ATOMICS_MASK": atomics("atomics_inbound"),
    "PCIE_OUTBOUND_ATOMICS_MASK": atomics("atomics_outbound"),
    "RESET_STATUS": lambda device, _: device.reset_required,
    "DRAIN_AND_RESET_STATUS": lambda device, _: device.drain_recommended,
    "POWER_AVERAGE": average_power,
    "POWER_INSTANT": instant_power,
    "POWER_MIN_LIMIT": power("min_limit"),
    "POWER_MAX_LIMIT": power("max_limit"),
    "POWER_DEFAULT_LIMIT": power("default_limit"),
    "POWER_CURRENT_LIMIT": power("enforced_limit"),
    "POWER_REQUESTED_LIMIT": power("limit"),
    "PWR_SMOOTHING_ENABLED": smoothing("enabled"),
    "PWR_SMOOTHING_PRIV_LVL": smoothing("privilege"),
    "PWR_SMOOTHING_IMM_RAMP_DOWN_ENABLED": smoothing("immediate_ramp_down"),
    "PWR_SMOOTHING_APPLIED_TMP_CEIL": ceiling,
    "PWR_SMOOTHING_APPLIED_TMP_FLOOR": floor,
    "PWR_SMOOTHING_MAX_PERCENT_TMP_FLOOR_SETTING": smoothing("max_percent_floor"),
    "PWR_SMOOTHING_MIN_PERCENT_TMP_FLOOR_SETTING": smoothing("min_percent_floor"),
    "PWR_SMOOTHING_HW_CIRCUITRY_PERCENT_LIFETIME_REMAINING": smoothing("lifetime"),
    "PWR_SMOOTHING_MAX_NUM_PRESET_PROFILES": lambda device, _: (
        len(device.power_smoothing.profiles) or None
    ),
    "PWR_SMOOTHING_ACTIVE_PRESET_PROFILE": smoothing("active_profile"),
    "PWR_SMOOTHING_PRIMARY_POWER_FLOOR": floor,
    "PWR_SMOOTHING_SECONDARY_POWER_FLOOR": delayed("secondary_floor"),
    "PWR_SMOOTHING_MIN_PRIMARY_FLOOR_ACT_OFFSET": smoothing("min_activation_offset"),
    "PWR_SMOOTHING_MIN_PRIMARY_FLOOR_ACT_POINT": smoothing("min_activation_point"),
    "PWR_SMOOTHING_WINDOW_MULTIPLIER": smoothing("window"),
    "PWR_SMOOTHING_DELAYED_PWR_SMOOTHING_SUPPORTED": smoothing("delayed"),
    "PWR_SMOOTHING_SOC_POWER_SMOOTHING_ENABLED": smoothing("state_of_charge"),
    **{f"PWR_SMOOTHING_PROFILE_{part}": preset(name) for part, name in PARAMETERS.items()},
    **{
        f"PWR_SMOOTHING_ADMIN_OVERRIDE_{part}": overridden(name)
        for part, name in PARAMETERS.items()
    },
    **linkfields.UINT,
}

ULL: dict[str, Reader] = {
    **{
        f"ECC_{bits}_{lifetime}_{part}": ecc_count(word, f"{memory}_{severity}")
        for lifetime, word in (("VOL", "volatile"), ("AGG", "aggregate"))
        for bits, severity in (("SBE", "correctable"), ("DBE", "uncorrectable"))
        for part, memory in MEMORIES.items()
        if (bits, part) != ("SBE", "CBU")  # which corrects nothing
    },
    "ECC_SBE_VOL_TOTAL": ecc_count("volatile", "correctable"),
    "ECC_DBE_VOL_TOTAL": ecc_count("volatile", "uncorrectable"),
    "ECC_SBE_AGG_TOTAL": ecc_count("aggregate", "correctable"),
    "ECC_DBE_AGG_TOTAL": ecc_count("aggregate", "uncorrectable"),
    "TOTAL_ENERGY_CONSUMPTION": lambda device, _: device.power.total_energy,
    "ENERGY": energy,
    "PCIE_COUNT_TX_BYTES": lambda device, _: device.pci.tx_bytes,
    "PCIE_COUNT_RX_BYTES": lambda device, _: device.pci.rx_bytes,
    "PERF_POLICY_POWER": counter("sw_power_cap"),
    "PERF_POLICY_THERMAL": counter("sw_thermal_slowdown"),
    "PERF_POLICY_SYNC_BOOST": counter("sync_boost"),
    "PERF_POLICY_BOARD_LIMIT": counter("board_limit"),
    "PERF_POLICY_LOW_UTILIZATION": counter("low_utilization"),
    "PERF_POLICY_RELIABILITY": counter("reliability"),
    "PERF_POLICY_TOTAL_APP_CLOCKS": counter("total_app_clocks"),
    "PERF_POLICY_TOTAL_BASE_CLOCKS": counter("total_base_clocks"),
    "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN": counter("sw_thermal_slowdown"),
    "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN": counter("hw_thermal_slowdown"),
    "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN": counter("hw_power_brake_slowdown"),
    "PWR_SMOOTHING_LIMITED_TIME": smoothing("limited_time"),
    **linkfields.ULL,
}

INT: dict[str, Reader] = {
    "TEMPERATURE_SHUTDOWN_TLIMIT": lambda device, _: device.temperature.shutdown_margin,
    "TEMPERATURE_SLOWDOWN_TLIMIT": lambda device, _: device.temperature.slowdown_margin,
    "TEMPERATURE_MEM_MAX_TLIMIT": lambda device, _: device.temperature.memory_max_margin,
    "TEMPERATURE_GPU_MAX_TLIMIT": lambda device, _: device.temperature.max_operating_margin,
}

#: Why no product here gives these.
UNREAD_NAMES = {
    **linkfields.UNREAD,
    **dict.fromkeys(
        ("POWER_SYNC_BALANCING_FREQ", "POWER_SYNC_BALANCING_AF"),
        "accumulated for the boards of a GB200 NVL rack to balance their power: an agent's affair",
    ),
    "EDPP_MULTIPLIER": "the peak current's multiplier can be set on workstation boards of "
    "Blackwell by their maker alone",
    "MMA_STALL_PERCENT": "of products after Blackwell (nvml.h of CUDA 13.1 and newer)",
    **dict.fromkeys(
        ("MCLK_SWITCH_TYPE", "MCLK_MIN_SWITCH_INTERVAL_MILLISECONDS"),
        "of products after Blackwell, which switch their memory's clock on demand",
    ),
    **dict.fromkeys(
        ("REMAPPED_ROWS_COR_INACTIVE", "REMAPPED_ROWS_UNC_INACTIVE"),
        "of products after Blackwell, which remap banks beside rows",
    ),
    **dict.fromkeys(
        (
            "ACTIVE_BANK_REMAPPINGS",
            "INACTIVE_BANK_REMAPPINGS",
            "BANK_REMAPPER_HISTOGRAM_MAX",
            "BANK_REMAPPER_HISTOGRAM_NONE",
            "PENDING_BANK_REMAPPING",
        ),
        "of products after Blackwell, which remap banks",
    ),
}


def number(name: str) -> int:
    """A field's number by its name here."""
    prefix = "FI_" if name.startswith("PWR_") else "FI_DEV_"
    value: int = getattr(constants, prefix + name)
    return value


#: Field number -> its type and how it is read.
READERS = {
    number(name): (kind, reader)
    for kind, table in ((UNSIGNED, UINT), (UNSIGNED_LONG_LONG, ULL), (SIGNED, INT))
    for name, reader in table.items()
}

#: As that of `links.fields`, by number; all are UNSIGNED.
JOINT = {number(name): reader for name, reader in linkfields.JOINT.items()}

#: Field number -> why it is NOT_SUPPORTED everywhere.
UNREAD = {number(name): reason for name, reason in UNREAD_NAMES.items()}

#: As that of `links.fields`, by number.
CLEARED = {number(name): cleared for name, cleared in linkfields.CLEARED.items()}
