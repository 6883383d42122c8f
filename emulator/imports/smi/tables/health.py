"""Which figure each field is that says what is wrong: ECC, retired memory, the fabric."""

from __future__ import annotations

from ....nvml import _status
from ....nvml.system import TEXTS, UNKNOWN_TEXT
from ..units import banks, count, plain, switched, word

__all__ = ["HEALTH"]

_LIFETIMES = ("volatile", "aggregate")

#: From Turing on.
_SRAM = (
    "sram_correctable",
    "sram_uncorrectable_parity",
    "sram_uncorrectable_secded",
    "dram_correctable",
    "dram_uncorrectable",
)

#: Until Volta: where single-bit (correctable) and double-bit errors were.
_LOCATIONS = {
    "device_memory": "dram",
    "register_file": "register_file",
    "l1_cache": "l1_cache",
    "l2_cache": "l2_cache",
    "texture_memory": "texture_memory",
    "texture_shm": "texture_shared",
    "cbu": "cbu",
}
_BITS = {"single_bit": "correctable", "double_bit": "uncorrectable"}

_STATES = word(
    {"Not Started": "NOT_STARTED", "In Progress": "IN_PROGRESS", "Completed": "COMPLETED"}
)
#: nvmlErrorString's texts.
_STATUSES = word(
    {
        **{
            TEXTS[code][1]: name
            for name, code in vars(_status).items()
            if name.isupper() and code < len(TEXTS)
        },
        UNKNOWN_TEXT: "UNKNOWN",
    }
)
_BANDWIDTH = word({"Full": False, "Degraded": True})
_SUMMARIES = word(
    {"Healthy": "HEALTHY", "Unhealthy": "UNHEALTHY", "Limited Capacity": "LIMITED_CAPACITY"}
)
_CONFIGURATIONS = word(
    {
        "None": "NONE",
        "Incorrect SysGUID": "INCORRECT_SYSGUID",
        "Incorrect Chassis SN": "INCORRECT_CHASSIS_SN",
        "No Partition": "NO_PARTITION",
        "Insufficient NVLinks": "INSUFFICIENT_NVLINKS",
        "Incompatible GPU FW": "INCOMPATIBLE_GPU_FW",
        "Invalid Location": "INVALID_LOCATION",
        "GPU State Invalid": "GPU_STATE_INVALID",
    }
)

_FABRIC = {
    "state": ("state", _STATES),
    "status": ("status", _STATUSES),
    "cliqueId": ("clique_id", count),
    "clusterUuid": ("cluster_uuid", plain),
    "health/summary": ("health_summary", _SUMMARIES),
    "health/bandwidth": ("degraded_bandwidth", _BANDWIDTH),
    "health/route_recovery_in_progress": ("route_recovery", switched),
    "health/route_unhealthy": ("route_unhealthy", switched),
    "health/access_timeout_recovery": ("access_timeout_recovery", switched),
    "health/incorrect_configuration": ("incorrect_configuration", _CONFIGURATIONS),
    "health/partition_assigned": ("partition_assigned", switched),
    "health/gfm_state": ("global_manager_connected", switched),
}

_HISTOGRAM = "remapped_rows/row_remapper_histogram/row_remapper_histogram"

#: XML path below <gpu> -> figure, and what reads it.
HEALTH = {
    **{
        f"ecc_errors/{lifetime}/{figure}": (f"ecc.{lifetime}.{figure}", count)
        for lifetime in _LIFETIMES
        for figure in _SRAM
    },
    **{
        f"ecc_errors/{lifetime}/{bits}/{tag}": (f"ecc.{lifetime}.{location}_{severity}", count)
        for lifetime in _LIFETIMES
        for bits, severity in _BITS.items()
        for tag, location in _LOCATIONS.items()
    },
    "ecc_errors/aggregate/sram_threshold_exceeded": ("ecc.threshold_exceeded", switched),
    **{
        f"ecc_errors/aggregate_uncorrectable_sram_sources/sram_{source}": (
            f"ecc.sram_sources.{source}",
            count,
        )
        for source in ("l2", "sm", "microcontroller", "pcie", "other")
    },
    "ecc_errors/channel_repair_pending": ("ecc.channel_repair_pending", switched),
    "ecc_errors/tpc_repair_pending": ("ecc.tpc_repair_pending", switched),
    "ecc_errors/unrepairable_memory": ("remapped_rows.unrepairable", switched),
    "retired_pages/pending_retirement": ("retired_pages.pending", switched),
    "remapped_rows/remapped_row_corr": ("remapped_rows.correctable", count),
    "remapped_rows/remapped_row_unc": ("remapped_rows.uncorrectable", count),
    "remapped_rows/remapped_row_pending": ("remapped_rows.pending", switched),
    "remapped_rows/remapped_row_failure": ("remapped_rows.failure", switched),
    **{
        f"{_HISTOGRAM}_{part}": (f"remapped_rows.banks_{part}", banks)
        for part in ("max", "high", "partial", "low", "none")
    },
    **{
        f"fabric/{path}": (f"fabric.{figure}", reader) for path, (figure, reader) in _FABRIC.items()
    },
}
