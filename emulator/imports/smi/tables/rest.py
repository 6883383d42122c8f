"""The fields that are no figure of their own: what they follow from, or why they are not kept."""

from __future__ import annotations

__all__ = ["DERIVED", "HOSTS", "MOVING", "NOT_KEPT", "derived_from", "why_not_kept"]

#: What moves on its own, before any GPU.
MOVING = {"timestamp": "the time at which nvidia-smi ran"}

#: What stands before the GPUs of a host of virtual ones.
HOSTS = {"vgpu_driver_capability": "the virtualisation mode"}

_FROM_BUS = "the bus id"
_FROM_STATE = "the performance state"
_FROM_LINK = "the generations that GPU and slot reach"

#: What `-q -d UTILIZATION,POWER,CLOCK` tells of the last seconds.
_SAMPLES = (
    *(f"{engine}_utilization_samples" for engine in ("gpu", "memory", "enc", "dec", "jpg", "ofa")),
    *("power_samples", "sm_clock_samples", "memory_clock_samples"),
)

#: XML path below <gpu> -> what it follows from.
DERIVED = {
    **{f"pci/{path}": _FROM_BUS for path in ("pci_bus", "pci_device", "pci_domain", "pci_bus_id")},
    "board_id": _FROM_BUS,
    "pci/pci_gpu_link_info/pcie_gen/max_link_gen": _FROM_LINK,
    "pci/pci_gpu_link_info/pcie_gen/device_current_link_gen": "the current generation",
    "power_readings/power_state": _FROM_STATE,
    "gpu_power_readings/power_state": _FROM_STATE,
    "module_power_readings/power_state": _FROM_STATE,
    "module_power_readings/current_power_limit": "the module's limit",
    "gpu_memory_power_readings/instant_power_draw": "the memory's average power",
    "fb_memory_usage/free": "the memory's total, reserved and used part",
    "bar1_memory_usage/free": "BAR1's total and used part",
    "cc_protected_memory_usage/free": "the protected memory's total and used part",
    **{
        f"ecc_errors/{lifetime}/{bits}/total": "the counts of each location"
        for lifetime in ("volatile", "aggregate")
        for bits in ("single_bit", "double_bit")
    },
    **{
        f"retired_pages/{cause}/retired_count": "the addresses"
        for cause in ("multiple_single_bit_retirement", "double_bit_retirement")
    },
    **dict.fromkeys(_SAMPLES, "the readings"),
    "retired_pages/pending_blacklist": "the pending retirement",
    "vgpu_device_capability": "the virtualisation mode",
    "fabric/cliques": "the clique's id",
}

#: XML path below <gpu> -> why nvemu keeps nothing of it. A value other than "N/A" makes a note.
NOT_KEPT = {
    "driver_model": "nvemu's drivers are Linux's, which have no driver model",
    "gpu_operation_mode": "no product of the catalogue has GPU operation modes",
    "ibmnpu": "nvemu has no NPU of IBM's",
    "deferred_clocks": "no product of the catalogue has deferred clocks",
    "dla_clocks": "nvemu has no deep learning accelerators",
    "clocks_event_reasons/clocks_event_reason_board_limit": "not an event reason of nvml.h yet",
    "clocks_event_reasons/clocks_event_reason_reliability": "not an event reason of nvml.h yet",
    "temperature/gpu_temp_max": "the highest temperature that was seen is not kept",
    "gpu_power_readings/gpu_base_power": "nvemu has no base power",
    "power_smoothing": "what nvidia-smi shows of power smoothing is too little to set it up by",
    "power_profiles": "what nvidia-smi shows of power profiles is too little to set them up by",
    "edpp_multiplier": "nvemu has no EDPp multiplier",
    "remapped_rows/remapped_row_corr_inactive": "nvemu counts remapped rows that are active",
    "remapped_rows/remapped_row_unc_inactive": "nvemu counts remapped rows that are active",
    "remapped_banks": "nvemu has no remapped banks",
    "mig_devices/mig_device/fb_memory_usage": "a MIG device has in use what its processes have",
    "mig_devices/mig_device/bar1_memory_usage": "a MIG device's part of BAR1 follows from its size",
    "mig_devices/mig_device/device_attributes": "a MIG device's parts follow from its profile",
    "mig_devices/mig_device/ecc_error_count": "a MIG device has the GPU's count of errors",
}


def derived_from(path: str) -> str | None:
    """Return what a field follows from, None if it does not."""
    return _above(DERIVED, path)


def why_not_kept(path: str) -> str | None:
    """Return why a field is not kept, None if it may be."""
    return _above(NOT_KEPT, path)


def _above(table: dict[str, str], path: str) -> str | None:
    """The entry of a path, or of the nearest element that it is in."""
    while path:
        if path in table:
            return table[path]
        path = path.rpartition("/")[0]
    return None
