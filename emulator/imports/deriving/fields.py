"""What the fields of nvmlDeviceGetFieldValues tell of a device's figures."""

from __future__ import annotations

from ...nvml import _constants as constants
from ...nvml.fieldtable import MEMORIES, PARAMETERS, number

__all__ = ["FIELDS"]

#: The scopes of a power's fields (NVML_POWER_SCOPE_*) -> whose figures they are.
_POWERS = {constants.POWER_SCOPE_GPU: "power", constants.POWER_SCOPE_MODULE: "power.module"}

_LIMITS = {
    "POWER_MIN_LIMIT": "min_limit",
    "POWER_MAX_LIMIT": "max_limit",
    "POWER_DEFAULT_LIMIT": "default_limit",
    "POWER_REQUESTED_LIMIT": "limit",
}

_ERRORS = {
    "PCIE_L0_TO_RECOVERY_COUNTER": "recoveries",
    "PCIE_COUNT_CORRECTABLE_ERRORS": "correctable",
    "PCIE_COUNT_NAKS_RECEIVED": "naks_received",
    "PCIE_COUNT_RECEIVER_ERROR": "receiver",
    "PCIE_COUNT_BAD_TLP": "bad_tlps",
    "PCIE_COUNT_NAKS_SENT": "naks_sent",
    "PCIE_COUNT_BAD_DLLP": "bad_dllps",
    "PCIE_COUNT_NON_FATAL_ERROR": "non_fatal",
    "PCIE_COUNT_FATAL_ERROR": "fatal",
    "PCIE_COUNT_UNSUPPORTED_REQ": "unsupported_requests",
    "PCIE_COUNT_LCRC_ERROR": "lcrc",
    "PCIE_COUNT_LANE_ERROR": "lane",
}

_SMOOTHING = {
    "ENABLED": "enabled",
    "PRIV_LVL": "privilege",
    "IMM_RAMP_DOWN_ENABLED": "immediate_ramp_down",
    "MAX_PERCENT_TMP_FLOOR_SETTING": "max_percent_floor",
    "MIN_PERCENT_TMP_FLOOR_SETTING": "min_percent_floor",
    "HW_CIRCUITRY_PERCENT_LIFETIME_REMAINING": "lifetime",
    "ACTIVE_PRESET_PROFILE": "active_profile",
    "MIN_PRIMARY_FLOOR_ACT_OFFSET": "min_activation_offset",
    "MIN_PRIMARY_FLOOR_ACT_POINT": "min_activation_point",
    "WINDOW_MULTIPLIER": "window",
    "DELAYED_PWR_SMOOTHING_SUPPORTED": "delayed",
    "SOC_POWER_SMOOTHING_ENABLED": "state_of_charge",
    "LIMITED_TIME": "limited_time",
    **{f"ADMIN_OVERRIDE_{part}": f"override.{name}" for part, name in PARAMETERS.items()},
}

_PLAIN_FIELDS = {
    "ECC_CURRENT": "ecc.current",
    "ECC_PENDING": "ecc.pending",
    "RETIRED_PENDING": "retired_pages.pending",
    "MEMORY_TEMP": "temperature.memory",
    "GPU_TEMP": "temperature.gpu",
    "PCIE_REPLAY_COUNTER": "pci.replay_counter",
    "PCIE_REPLAY_ROLLOVER_COUNTER": "pci.replay_rollovers",
    "PCIE_COUNT_TX_BYTES": "pci.tx_bytes",
    "PCIE_COUNT_RX_BYTES": "pci.rx_bytes",
    "PCIE_INBOUND_ATOMICS_MASK": "pci.atomics_inbound",
    "PCIE_OUTBOUND_ATOMICS_MASK": "pci.atomics_outbound",
    "REMAPPED_COR": "remapped_rows.correctable",
    "REMAPPED_UNC": "remapped_rows.uncorrectable",
    "REMAPPED_PENDING": "remapped_rows.pending",
    "REMAPPED_FAILURE": "remapped_rows.failure",
    "GET_GPU_RECOVERY_ACTION": "recovery_action",
    "RESET_STATUS": "reset_required",
    "DRAIN_AND_RESET_STATUS": "drain_recommended",
    "TOTAL_ENERGY_CONSUMPTION": "power.total_energy",
    "TEMPERATURE_SHUTDOWN_TLIMIT": "temperature.shutdown_margin",
    "TEMPERATURE_SLOWDOWN_TLIMIT": "temperature.slowdown_margin",
    "TEMPERATURE_MEM_MAX_TLIMIT": "temperature.memory_max_margin",
    "TEMPERATURE_GPU_MAX_TLIMIT": "temperature.max_operating_margin",
    "PERF_POLICY_POWER": "clocks.event_counters.sw_power_cap",
    "PERF_POLICY_THERMAL": "clocks.event_counters.sw_thermal_slowdown",
    "PERF_POLICY_SYNC_BOOST": "clocks.event_counters.sync_boost",
    "PERF_POLICY_BOARD_LIMIT": "clocks.event_counters.board_limit",
    "PERF_POLICY_LOW_UTILIZATION": "clocks.event_counters.low_utilization",
    "PERF_POLICY_RELIABILITY": "clocks.event_counters.reliability",
    "PERF_POLICY_TOTAL_BASE_CLOCKS": "clocks.event_counters.total_base_clocks",
    "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN": "clocks.event_counters.sw_thermal_slowdown",
    "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN": "clocks.event_counters.hw_thermal_slowdown",
    "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN": "clocks.event_counters.hw_power_brake_slowdown",
    **{name: f"pci.errors.{figure}" for name, figure in _ERRORS.items()},
    **{f"PWR_SMOOTHING_{name}": f"power_smoothing.{figure}" for name, figure in _SMOOTHING.items()},
    **{
        f"ECC_{bits}_{lifetime}_{part}": f"ecc.{word}.{memory}_{severity}"
        for lifetime, word in (("VOL", "volatile"), ("AGG", "aggregate"))
        for bits, severity in (("SBE", "correctable"), ("DBE", "uncorrectable"))
        for part, memory in MEMORIES.items()
        if (bits, part) != ("SBE", "CBU")  # which corrects nothing
    },
}

#: Number and scope of a field of nvmlDeviceGetFieldValues -> figure.
FIELDS: dict[tuple[int, int], str] = {
    **{(number(name), 0): figure for name, figure in _PLAIN_FIELDS.items()},
    **{
        (number(name), scope): f"{whose}.{figure}"
        for name, figure in _LIMITS.items()
        for scope, whose in _POWERS.items()
    },
    (number("POWER_AVERAGE"), constants.POWER_SCOPE_MODULE): "power.module.usage",
    (number("POWER_INSTANT"), constants.POWER_SCOPE_MODULE): "power.module.instant",
    (number("POWER_AVERAGE"), constants.POWER_SCOPE_MEMORY): "power.memory_usage",
}
