"""Which NVML function is behind a field: the one that failed where an error stands in its place.

Found by letting each function fail under NVIDIA's nvidia-smi of drivers 470 to 555. Fields that are
asked for together with many others (nvmlDeviceGetFieldValues) have no function of their own here.
"""

from __future__ import annotations

from .trees.tree import Node

__all__ = ["functions_of", "texts_of"]

#: Functions of one thing -> the fields below <gpu> that they answer: elements, or all in one.
_FUNCTIONS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("nvmlDeviceGetAccountingBufferSize",): ("accounting_mode_buffer_size",),
    ("nvmlDeviceGetAccountingMode",): ("accounting_mode",),
    ("nvmlDeviceGetAccountingPids",): ("accounted_processes",),
    ("nvmlDeviceGetApplicationsClock",): ("applications_clocks",),
    ("nvmlDeviceGetArchitecture",): ("product_architecture",),
    ("nvmlDeviceGetAutoBoostedClocksEnabled",): ("clock_policy",),
    ("nvmlDeviceGetBAR1MemoryInfo",): ("bar1_memory_usage",),
    ("nvmlDeviceGetBoardId",): ("board_id",),
    ("nvmlDeviceGetBoardPartNumber",): ("board_part_number",),
    ("nvmlDeviceGetBrand",): ("product_brand",),
    ("nvmlDeviceGetBridgeChipInfo",): ("pci/pci_bridge_chip",),
    ("nvmlDeviceGetC2cModeInfoV",): ("c2c_mode",),
    ("nvmlDeviceGetClock",): ("max_customer_boost_clocks",),
    ("nvmlDeviceGetClockInfo",): ("clocks",),
    ("nvmlDeviceGetComputeMode",): ("compute_mode",),
    ("nvmlDeviceGetConfComputeProtectedMemoryUsage",): ("cc_protected_memory_usage",),
    ("nvmlDeviceGetCurrPcieLinkGeneration",): (
        "pci/pci_gpu_link_info/pcie_gen/current_link_gen",
        "pci/pci_gpu_link_info/pcie_gen/device_current_link_gen",
    ),
    ("nvmlDeviceGetCurrPcieLinkWidth",): ("pci/pci_gpu_link_info/link_widths/current_link_width",),
    ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"): (
        "clocks_event_reasons",
        "clocks_throttle_reasons",
    ),
    ("nvmlDeviceGetDecoderUtilization",): ("utilization/decoder_util",),
    ("nvmlDeviceGetDefaultApplicationsClock",): ("default_applications_clocks",),
    ("nvmlDeviceGetDisplayActive",): ("display_active",),
    ("nvmlDeviceGetDisplayMode",): ("display_mode", "display_attached"),
    ("nvmlDeviceGetDriverModel", "nvmlDeviceGetDriverModel_v2"): ("driver_model",),
    ("nvmlDeviceGetEccMode",): ("ecc_mode",),
    ("nvmlDeviceGetEncoderStats",): ("encoder_stats",),
    ("nvmlDeviceGetEncoderUtilization",): ("utilization/encoder_util",),
    ("nvmlDeviceGetEnforcedPowerLimit",): ("power_readings/enforced_power_limit",),
    ("nvmlDeviceGetFBCStats",): ("fbc_stats",),
    ("nvmlDeviceGetFanSpeed", "nvmlDeviceGetFanSpeed_v2"): ("fan_speed",),
    ("nvmlDeviceGetGpuFabricInfo", "nvmlDeviceGetGpuFabricInfoV"): ("fabric",),
    ("nvmlDeviceGetGpuMaxPcieLinkGeneration",): (
        "pci/pci_gpu_link_info/pcie_gen/max_device_link_gen",
    ),
    ("nvmlDeviceGetGpuOperationMode",): ("gpu_operation_mode",),
    ("nvmlDeviceGetGspFirmwareVersion",): ("gsp_firmware_version",),
    ("nvmlDeviceGetHostVgpuMode",): ("gpu_virtualization_mode/host_vgpu_mode",),
    ("nvmlDeviceGetInforomImageVersion",): ("inforom_version/img_version",),
    ("nvmlDeviceGetInforomVersion",): (
        "inforom_version/oem_object",
        "inforom_version/ecc_object",
        "inforom_version/pwr_object",
    ),
    ("nvmlDeviceGetJpgUtilization",): ("utilization/jpeg_util",),
    ("nvmlDeviceGetLastBBXFlushTime",): ("inforom_bbx_flush",),
    ("nvmlDeviceGetMaxClockInfo",): ("max_clocks",),
    ("nvmlDeviceGetMaxPcieLinkGeneration",): ("pci/pci_gpu_link_info/pcie_gen/max_link_gen",),
    ("nvmlDeviceGetMaxPcieLinkWidth",): ("pci/pci_gpu_link_info/link_widths/max_link_width",),
    ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"): ("fb_memory_usage",),
    ("nvmlDeviceGetMigMode",): ("mig_mode",),
    ("nvmlDeviceGetMinorNumber",): ("minor_number",),
    ("nvmlDeviceGetModuleId",): ("gpu_module_id",),
    ("nvmlDeviceGetMultiGpuBoard",): ("multigpu_board",),
    ("nvmlDeviceGetName",): ("product_name",),
    ("nvmlDeviceGetOfaUtilization",): ("utilization/ofa_util",),
    ("nvmlDeviceGetPcieReplayCounter",): ("pci/replay_counter",),
    ("nvmlDeviceGetPcieThroughput",): ("pci/tx_util", "pci/rx_util"),
    ("nvmlDeviceGetPerformanceState",): ("performance_state",),
    ("nvmlDeviceGetPersistenceMode",): ("persistence_mode",),
    ("nvmlDeviceGetPowerManagementDefaultLimit",): ("power_readings/default_power_limit",),
    ("nvmlDeviceGetPowerManagementLimit",): ("power_readings/power_limit",),
    ("nvmlDeviceGetPowerManagementLimitConstraints",): (
        "power_readings/min_power_limit",
        "power_readings/max_power_limit",
    ),
    ("nvmlDeviceGetPowerManagementMode",): ("power_readings/power_management",),
    ("nvmlDeviceGetPowerState",): (
        "power_readings/power_state",
        "gpu_power_readings/power_state",
        "module_power_readings/power_state",
    ),
    ("nvmlDeviceGetPowerUsage",): (
        "power_readings/power_draw",
        "gpu_power_readings/power_draw",
    ),
    ("nvmlDeviceGetRemappedRows",): ("remapped_rows",),
    ("nvmlDeviceGetRetiredPagesPendingStatus",): (
        "retired_pages/pending_blacklist",
        "retired_pages/pending_retirement",
    ),
    ("nvmlDeviceGetRetiredPages", "nvmlDeviceGetRetiredPages_v2"): (
        "retired_pages/multiple_single_bit_retirement",
        "retired_pages/double_bit_retirement",
    ),
    ("nvmlDeviceGetRowRemapperHistogram",): ("remapped_rows/row_remapper_histogram",),
    ("nvmlDeviceGetSerial",): ("serial",),
    ("nvmlDeviceGetSupportedGraphicsClocks",): (
        "supported_clocks/supported_mem_clock/supported_graphics_clock",
    ),
    ("nvmlDeviceGetSupportedMemoryClocks",): ("supported_clocks",),
    ("nvmlDeviceGetTemperature", "nvmlDeviceGetTemperatureV"): ("temperature/gpu_temp",),
    ("nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetMemoryErrorCounter"): ("ecc_errors",),
    ("nvmlDeviceGetUUID",): ("uuid",),
    ("nvmlDeviceGetUtilizationRates",): ("utilization/gpu_util", "utilization/memory_util"),
    ("nvmlDeviceGetVbiosVersion",): ("vbios_version",),
    ("nvmlDeviceGetVgpuHeterogeneousMode",): ("gpu_virtualization_mode/vgpu_heterogeneous_mode",),
    ("nvmlDeviceGetVirtualizationMode",): ("gpu_virtualization_mode/virtualization_mode",),
}
_OWNERS = {path: functions for functions, paths in _FUNCTIONS.items() for path in paths}


def functions_of(path: str) -> tuple[str, ...]:
    """Return the functions that answer for a field below <gpu>; none if it has none of its own."""
    while path:
        if path in _OWNERS:
            return _OWNERS[path]
        path = path.rpartition("/")[0]
    return ()


def texts_of(gpu: Node) -> dict[tuple[str, ...], set[str]]:
    """Return what the fields below <gpu> say that functions answer, by the functions."""
    found: dict[tuple[str, ...], set[str]] = {}
    for path, leaf in gpu.leaves():
        found.setdefault(functions_of(path), set()).add(leaf.text)
    return found
