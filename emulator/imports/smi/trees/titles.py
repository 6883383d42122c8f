"""The XML's tags of the titles that `nvidia-smi -q` prints, of all drivers from 470 on.

Most follow from the title by one rule: "Product Name" is product_name. The tables have the rest.
They were read off `-q` and `-q -x` of the same machine under five drivers (470 to 555), and for
what newer ones print, off public outputs of 570 and 580 in both forms.
"""

from __future__ import annotations

__all__ = ["PREFIXED", "RECORDS", "REPEATED", "SECTIONS", "tag_of"]

#: Section -> how the tags in it are made of the word that the title gives.
_PATTERNS = {
    "applications_clocks": "{}_clock",
    "clocks": "{}_clock",
    "clocks_event_reasons": "clocks_event_reason_{}",
    "clocks_event_reasons_counters": "clocks_event_reasons_counters_{}",
    "clocks_throttle_reasons": "clocks_throttle_reason_{}",
    "default_applications_clocks": "{}_clock",
    "deferred_clocks": "{}_clock",
    "dram_encryption_mode": "{}_dram_encryption",
    "driver_model": "{}_dm",
    "ecc_mode": "{}_ecc",
    "gpu_operation_mode": "{}_gom",
    "link_widths": "{}_link_width",
    "max_clocks": "{}_clock",
    "max_customer_boost_clocks": "{}_clock",
    "mig_mode": "{}_mig",
    "pcie_gen": "{}_link_gen",
    "power_profiles": "power_profile_{}",
    "row_remapper_histogram": "row_remapper_histogram_{}",
    "supported_gpu_target_temp": "gpu_target_temp_{}",
    "utilization": "{}_util",
    "voltage": "{}_volt",
}

_CLOCKS = {"memory": "mem"}
_REASONS = {"idle": "gpu_idle", "display_clock_setting": "display_clocks_setting"}
_POWER = {"instantaneous_power_draw": "instant_power_draw"}
_SESSIONS = {"active_sessions": "session_count"}
_CELLS = {"texture_shared": "texture_shm"}
_ECC = {"sram_uncorrectable_sec_ded": "sram_uncorrectable_secded"}

#: What drivers from 610 on add to the titles of thresholds.
_SPECIFIED = "_specification"

#: Section -> a title's word -> that of the XML.
_WORDS = {
    "accounted_process_info": {
        "process_id": "pid",
        "gpu_utilization": "gpu_util",
        "memory_utilization": "memory_util",
    },
    "aggregate": _ECC,
    "applications_clocks": _CLOCKS,
    "clocks": _CLOCKS,
    "clocks_event_reasons": _REASONS,
    "clocks_event_reasons_counters": {
        "sw_power_capping": "sw_power_cap",
        "sw_thermal_slowdown": "sw_therm_slowdown",
        "hw_thermal_slowdown": "hw_therm_slowdown",
        "hw_power_braking": "hw_power_brake",
    },
    "clocks_throttle_reasons": _REASONS,
    "default_applications_clocks": _CLOCKS,
    "deferred_clocks": _CLOCKS,
    "double_bit": _CELLS,
    "ecc_error_count": {"volatile": "volatile_count"},
    "encoder_stats": _SESSIONS,
    "fabric": {"cliqueid": "cliqueId", "clusteruuid": "clusterUuid"},
    "fbc_stats": _SESSIONS,
    "gpu": {
        "conf_compute_protected_memory_usage": "cc_protected_memory_usage",
        "fru_part_number": "gpu_fru_part_number",
        "gpu_c2c_mode": "c2c_mode",
        "gpu_pdi": "pdi",
        "gpu_uuid": "uuid",
        "inforom_bbx_object_flush": "inforom_bbx_flush",
        "module_id": "gpu_module_id",
        "platform_info": "platformInfo",
        "serial_number": "serial",
        "workload_power_profiles": "power_profiles",
    },
    "gpu_memory_power_readings": _POWER,
    "gpu_power_readings": _POWER,
    "inforom_version": {
        "image_version": "img_version",
        "power_management_object": "pwr_object",
    },
    "max_clocks": _CLOCKS,
    "mig_device": {"bar1_memory": "bar1_memory_usage", "ecc_errors": "ecc_error_count"},
    "module_power_readings": _POWER,
    "pci": {
        "base_classcode": "pci_base_class",
        "bridge_chip": "pci_bridge_chip",
        "bus": "pci_bus",
        "bus_id": "pci_bus_id",
        "device": "pci_device",
        "device_id": "pci_device_id",
        "domain": "pci_domain",
        "gpu_link_info": "pci_gpu_link_info",
        "replay_number_rollovers": "replay_rollover_counter",
        "replays_since_reset": "replay_counter",
        "rx_throughput": "rx_util",
        "sub_classcode": "pci_sub_class",
        "sub_system_id": "pci_sub_system_id",
        "tx_throughput": "tx_util",
    },
    "pci_bridge_chip": {"firmware": "bridge_chip_fw", "type": "bridge_chip_type"},
    "pci_gpu_link_info": {"link_width": "link_widths", "pcie_generation": "pcie_gen"},
    "pcie_gen": {"device_max": "max_device", "host_max": "max_host"},
    "process_info": {"process_id": "pid", "name": "process_name", "used_gpu_memory": "used_memory"},
    "remapped_rows": {
        "bank_remap_availability_histogram": "row_remapper_histogram",
        "correctable_error": "remapped_row_corr",
        "pending": "remapped_row_pending",
        "remapping_failure_occurred": "remapped_row_failure",
        "uncorrectable_error": "remapped_row_unc",
    },
    "retired_pages": {
        "double_bit_ecc": "double_bit_retirement",
        "pending": "pending_retirement",  # before 418
        "pending_page_blacklist": "pending_retirement",  # the XML has it by both names
        "single_bit_ecc": "multiple_single_bit_retirement",
    },
    "single_bit": _CELLS,
    "supported_clocks": {
        "graphics": "supported_graphics_clock",
        "memory": "supported_mem_clock",
    },
    "temperature": {
        "gpu_current_temp": "gpu_temp",
        "gpu_current_t_limit_temp": "gpu_temp_tlimit",  # from 610
        "gpu_max_operating_t_limit_temp": "gpu_temp_max_gpu_tlimit_threshold",
        "gpu_max_operating_temp": "gpu_temp_max_gpu_threshold",
        "gpu_shutdown_t_limit_temp": "gpu_temp_max_tlimit_threshold",
        "gpu_shutdown_temp": "gpu_temp_max_threshold",
        "gpu_slowdown_t_limit_temp": "gpu_temp_slow_tlimit_threshold",
        "gpu_slowdown_temp": "gpu_temp_slow_threshold",
        "gpu_t_limit_temp": "gpu_temp_tlimit",
        "memory_current_temp": "memory_temp",
        "memory_max_operating_t_limit_temp": "gpu_temp_max_mem_tlimit_threshold",
        "memory_max_operating_temp": "gpu_temp_max_mem_threshold",
    },
    "vgpu_device_capability": {
        "fractional_multi_vgpu": "fractional_multiVgpu",
        "heterogeneous_time_slice_profiles": "heterogeneous_timeSlice_profile",
        "heterogeneous_time_slice_sizes": "heterogeneous_timeSlice_sizes",
    },
    "vgpu_driver_capability": {"heterogenous_multi_vgpu": "heterogenous_multivGPU"},
    "vgpu_software_licensed_product": {"product_name": "licensed_product_name"},
    "volatile": _ECC,
}

#: Tags whose value has an "0x" in the text, and none in the XML.
PREFIXED = frozenset(
    (
        "pci_base_class",
        "pci_bus",
        "pci_device",
        "pci_device_id",
        "pci_domain",
        "pci_sub_class",
        "pci_sub_system_id",
    )
)

#: Lists of records that the text prints one after another -> the element that each has in the XML.
RECORDS = {"processes": "process_info", "accounted_processes": "accounted_process_info"}

#: What may stand in its section more than once.
REPEATED = frozenset(
    (
        "gpu",
        "mig_device",
        "supported_graphics_clock",
        "supported_mem_clock",
        *RECORDS.values(),
    )
)

#: Sections of which it is known what is in them.
SECTIONS = frozenset(
    (
        "bar1_memory_usage",
        "cc_protected_memory_usage",
        "ecc_errors",
        "fb_memory_usage",
        "nvidia_smi_log",
        *_PATTERNS,
        *_WORDS,
    )
)


def tag_of(section: str, title: str) -> str:
    """Return the tag that the XML has for a title in a section, which is given by its tag."""
    word = "_".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    if section == "temperature":
        word = word.removesuffix(_SPECIFIED)
    word = _WORDS.get(section, {}).get(word, word)
    return _PATTERNS.get(section, "{}").format(word)
