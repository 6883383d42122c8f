"""What the answers of functions tell of a device's figures: the handlers of NVML, read backwards.

A row is a function, and for each of its outputs, or of an output's fields, the figure that it is.
In braces stands an input, by the word for its number in `CHOICES`, or else as it is. A function has
the row of its own name, or of its name without a version. Where something else than the figure
decides too, `compounds` has it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...machine.ecc import LOCATIONS
from ...nvml import _constants as constants
from ...nvml.board import INFOROM_OBJECTS
from ...nvml.clocks import DOMAINS
from ...nvml.clocks import FIGURES as CLOCK_FIGURES
from ...nvml.ecc import LIFETIMES, SEVERITIES
from ...nvml.links.links import ERRORS
from ...nvml.pci import THROUGHPUT
from ...nvml.performance import POLICIES
from ...nvml.repairs import CAUSES
from ...nvml.thermal import THRESHOLDS
from ...nvml.utilization import ENCODERS

__all__ = [
    "ATTRIBUTES",
    "CHOICES",
    "CUDA",
    "NOT_IN_MIG_MODE",
    "NVML",
    "OFTEN_REFUSED",
]

#: C type of an input -> the words that stand in a figure's name for its numbers.
CHOICES: dict[str, Mapping[int, str]] = {
    "nvmlClockType_t": dict(enumerate(DOMAINS)),
    "nvmlClockId_t": dict(enumerate(CLOCK_FIGURES)),
    "nvmlEccCounterType_t": dict(enumerate(LIFETIMES)),
    "nvmlEncoderType_t": dict(enumerate(ENCODERS)),
    "nvmlInforomObject_t": dict(enumerate(INFOROM_OBJECTS)),
    "nvmlMemoryErrorType_t": dict(enumerate(SEVERITIES)),
    "nvmlMemoryLocation_t": dict(enumerate(LOCATIONS)),
    "nvmlNvLinkErrorCounter_t": dict(enumerate(ERRORS)),
    "nvmlPageRetirementCause_t": dict(enumerate(CAUSES)),
    "nvmlPcieUtilCounter_t": dict(enumerate(THROUGHPUT)),
    "nvmlPerfPolicyType_t": POLICIES,
    # of the two APIs, that of auto boost is no figure
    "nvmlRestrictedAPI_t": {
        constants.RESTRICTED_API_SET_APPLICATION_CLOCKS: "application_clocks_restricted"
    },
    "nvmlTemperatureSensors_t": {0: "gpu"},
    "nvmlTemperatureThresholds_t": dict(enumerate(THRESHOLDS)),
}

_ENGINES = {"Decoder": "decoder", "Encoder": "encoder", "Jpg": "jpeg", "Ofa": "ofa"}

#: NVML's function -> output -> figure.
NVML: dict[str, dict[str, str]] = {
    # what it is
    "nvmlDeviceGetName": {"name": "name"},
    "nvmlDeviceGetUUID": {"uuid": "uuid"},
    "nvmlDeviceGetSerial": {"serial": "serial"},
    "nvmlDeviceGetBrand": {"type": "brand"},
    "nvmlDeviceGetArchitecture": {"arch": "architecture"},
    "nvmlDeviceGetMultiGpuBoard": {"multiGpuBool": "board.multi_gpu"},
    "nvmlDeviceGetModuleId": {"moduleId": "board.module_id"},
    "nvmlDeviceGetBoardPartNumber": {"partNumber": "board.part_number"},
    "nvmlDeviceGetVbiosVersion": {"version": "board.vbios_version"},
    "nvmlDeviceGetInforomImageVersion": {"version": "inforom.image"},
    "nvmlDeviceGetInforomVersion": {"version": "inforom.{object}"},
    "nvmlDeviceGetLastBBXFlushTime": {
        "timestamp": "inforom.bbx_flush_time",
        "durationUs": "inforom.bbx_flush_duration",
    },
    "nvmlDeviceGetGspFirmwareMode": {"isEnabled": "gsp.enabled", "defaultMode": "gsp.default"},
    "nvmlDeviceGetGspFirmwareVersion": {"version": "gsp.version"},
    # the PCI function and its link
    "nvmlDeviceGetPciInfo": {"pci.pciDeviceId": "pci.device_id"},
    "nvmlDeviceGetPciInfo_v2": {
        "pci.pciDeviceId": "pci.device_id",
        "pci.pciSubSystemId": "pci.subsystem_id",
    },
    "nvmlDeviceGetPciInfo_v3": {
        "pci.busId": "pci_bus_id",
        "pci.pciDeviceId": "pci.device_id",
        "pci.pciSubSystemId": "pci.subsystem_id",
    },
    "nvmlDeviceGetPciInfoExt": {
        "pci.busId": "pci_bus_id",
        "pci.pciDeviceId": "pci.device_id",
        "pci.pciSubSystemId": "pci.subsystem_id",
        "pci.baseClass": "pci.base_class",
        "pci.subClass": "pci.sub_class",
    },
    "nvmlDeviceGetCurrPcieLinkGeneration": {"currLinkGen": "pci.current_generation"},
    "nvmlDeviceGetCurrPcieLinkWidth": {"currLinkWidth": "pci.current_width"},
    "nvmlDeviceGetGpuMaxPcieLinkGeneration": {"maxLinkGenDevice": "pci.device_max_generation"},
    "nvmlDeviceGetMaxPcieLinkWidth": {"maxLinkWidth": "pci.max_width"},
    "nvmlDeviceGetPcieReplayCounter": {"value": "pci.replay_counter"},
    "nvmlDeviceGetPcieThroughput": {"value": "pci.{counter}"},
    # memory
    "nvmlDeviceGetMemoryInfo": {"memory.total": "memory.total"},
    "nvmlDeviceGetMemoryInfo_v2": {
        "memory.total": "memory.total",
        "memory.reserved": "memory.reserved",
        "memory.used": "memory.used",
    },
    "nvmlDeviceGetMemoryBusWidth": {"busWidth": "memory.bus_width"},
    "nvmlDeviceGetBAR1MemoryInfo": {
        "bar1Memory.bar1Total": "bar1.total",
        "bar1Memory.bar1Used": "bar1.used",
    },
    # clocks
    "nvmlDeviceGetClockInfo": {"clock": "clocks.{type}.current"},
    "nvmlDeviceGetMaxClockInfo": {"clock": "clocks.{type}.max"},
    "nvmlDeviceGetClock": {"clockMHz": "clocks.{clockType}.{clockId}"},
    "nvmlDeviceGetApplicationsClock": {"clockMHz": "clocks.{clockType}.application"},
    "nvmlDeviceGetDefaultApplicationsClock": {"clockMHz": "clocks.{clockType}.default_application"},
    "nvmlDeviceGetMaxCustomerBoostClock": {"clockMHz": "clocks.{clockType}.max_customer_boost"},
    "nvmlDeviceGetGpcClkVfOffset": {"offset": "clocks.graphics.offset"},
    "nvmlDeviceGetMemClkVfOffset": {"offset": "clocks.memory.offset"},
    "nvmlDeviceGetGpcClkMinMaxVfOffset": {
        "minOffset": "clocks.graphics.min_offset",
        "maxOffset": "clocks.graphics.max_offset",
    },
    "nvmlDeviceGetMemClkMinMaxVfOffset": {
        "minOffset": "clocks.memory.min_offset",
        "maxOffset": "clocks.memory.max_offset",
    },
    "nvmlDeviceGetAdaptiveClockInfoStatus": {"adaptiveClockStatus": "clocks.adaptive"},
    "nvmlDeviceGetAutoBoostedClocksEnabled": {
        "isEnabled": "clocks.auto_boost",
        "defaultIsEnabled": "clocks.auto_boost_default",
    },
    "nvmlDeviceGetCurrentClocksEventReasons": {"clocksEventReasons": "clocks.event_reasons"},
    "nvmlDeviceGetCurrentClocksThrottleReasons": {"clocksThrottleReasons": "clocks.event_reasons"},
    "nvmlDeviceGetViolationStatus": {
        "violTime.violationTime": "clocks.event_counters.{perfPolicyType}"
    },
    "nvmlDeviceGetPerformanceState": {"pState": "performance_state"},
    "nvmlDeviceGetPowerState": {"pState": "performance_state"},
    # power
    "nvmlDeviceGetPowerUsage": {"power": "power.usage"},
    "nvmlDeviceGetPowerManagementMode": {"mode": "power.managed"},
    "nvmlDeviceGetPowerManagementLimit": {"limit": "power.limit"},
    "nvmlDeviceGetPowerManagementDefaultLimit": {"defaultLimit": "power.default_limit"},
    "nvmlDeviceGetPowerManagementLimitConstraints": {
        "minLimit": "power.min_limit",
        "maxLimit": "power.max_limit",
    },
    "nvmlDeviceGetTotalEnergyConsumption": {"energy": "power.total_energy"},
    "nvmlDeviceGetPowerMode": {"powerModeId": "power.mode"},
    "nvmlDeviceGetSupportedPowerModes": {"supportedPowerModes": "power.modes"},
    "nvmlDeviceGetPowerMizerMode_v1": {
        "powerMizerMode.currentMode": "power.mizer_mode",
        "powerMizerMode.supportedPowerMizerModes": "power.mizer_modes",
    },
    # temperatures
    "nvmlDeviceGetTemperature": {"temp": "temperature.{sensorType}"},
    "nvmlDeviceGetTemperatureV": {
        "temperature.temperature": "temperature.{temperature.sensorType}"
    },
    "nvmlDeviceGetTemperatureThreshold": {"temp": "temperature.{thresholdType}"},
    "nvmlDeviceGetMarginTemperature": {"marginTempInfo.marginTemperature": "temperature.margin"},
    # engines
    "nvmlDeviceGetUtilizationRates": {
        "utilization.gpu": "utilization.gpu",
        "utilization.memory": "utilization.memory",
    },
    **{
        f"nvmlDeviceGet{name}Utilization": {
            "utilization": f"utilization.{engine}",
            "samplingPeriodUs": "utilization.sample_period",
        }
        for name, engine in _ENGINES.items()
    },
    "nvmlDeviceGetEncoderCapacity": {"encoderCapacity": "encoder.{encoderQueryType}"},
    # errors of the memory
    "nvmlDeviceGetEccMode": {"current": "ecc.current", "pending": "ecc.pending"},
    "nvmlDeviceGetDefaultEccMode": {"defaultMode": "ecc.default"},
    "nvmlDeviceGetMemoryErrorCounter": {"count": "ecc.{counterType}.{locationType}_{errorType}"},
    "nvmlDeviceGetSramEccErrorStatus": {
        "status.aggregateUncParity": "ecc.aggregate.sram_uncorrectable_parity",
        "status.aggregateUncSecDed": "ecc.aggregate.sram_uncorrectable_secded",
        "status.aggregateCor": "ecc.aggregate.sram_correctable",
        "status.volatileUncParity": "ecc.volatile.sram_uncorrectable_parity",
        "status.volatileUncSecDed": "ecc.volatile.sram_uncorrectable_secded",
        "status.volatileCor": "ecc.volatile.sram_correctable",
        "status.aggregateUncBucketL2": "ecc.sram_sources.l2",
        "status.aggregateUncBucketSm": "ecc.sram_sources.sm",
        "status.aggregateUncBucketPcie": "ecc.sram_sources.pcie",
        "status.aggregateUncBucketMcu": "ecc.sram_sources.microcontroller",
        "status.aggregateUncBucketOther": "ecc.sram_sources.other",
        "status.bThresholdExceeded": "ecc.threshold_exceeded",
    },
    "nvmlDeviceGetRepairStatus": {
        "repairStatus.bChannelRepairPending": "ecc.channel_repair_pending",
        "repairStatus.bTpcRepairPending": "ecc.tpc_repair_pending",
    },
    "nvmlDeviceGetRetiredPages": {
        "addresses": "retired_pages.{cause}",
        "timestamps": "retired_pages.{cause}_times",
    },
    "nvmlDeviceGetRetiredPagesPendingStatus": {"isPending": "retired_pages.pending"},
    "nvmlDeviceGetRemappedRows": {
        "corrRows": "remapped_rows.correctable",
        "uncRows": "remapped_rows.uncorrectable",
        "isPending": "remapped_rows.pending",
        "failureOccurred": "remapped_rows.failure",
    },
    "nvmlDeviceGetRemappedRows_v2": {
        "info.corrActiveRemaps": "remapped_rows.correctable",
        "info.uncActiveRemaps": "remapped_rows.uncorrectable",
        "info.bPending": "remapped_rows.pending",
        "info.bFailureOccurred": "remapped_rows.failure",
    },
    "nvmlDeviceGetRowRemapperHistogram": {
        "values.max": "remapped_rows.banks_max",
        "values.high": "remapped_rows.banks_high",
        "values.partial": "remapped_rows.banks_partial",
        "values.low": "remapped_rows.banks_low",
        "values.none": "remapped_rows.banks_none",
    },
    # modes
    "nvmlDeviceGetPersistenceMode": {"mode": "persistence_mode"},
    "nvmlDeviceGetComputeMode": {"mode": "compute_mode"},
    "nvmlDeviceGetDisplayMode": {"display": "display_mode"},
    "nvmlDeviceGetDisplayActive": {"isActive": "display_active"},
    "nvmlDeviceGetVirtualizationMode": {"pVirtualMode": "virtualization_mode"},
    "nvmlDeviceGetAddressingMode": {"mode.value": "addressing_mode"},
    "nvmlDeviceGetAPIRestriction": {"isRestricted": "{apiType}"},
    "nvmlDeviceGetMigMode": {"currentMode": "mig.current", "pendingMode": "mig.pending"},
    "nvmlDeviceGetAccountingMode": {"mode": "accounting.enabled"},
    "nvmlDeviceGetAccountingBufferSize": {"bufferSize": "accounting.buffer_size"},
    "nvmlDeviceGetDramEncryptionMode": {
        "current.encryptionState": "dram_encryption.current",
        "pending.encryptionState": "dram_encryption.pending",
    },
    "nvmlDeviceGetNumaNodeId": {"node": "topology.memory_node"},
    "nvmlDeviceGetC2cModeInfoV": {"c2cModeInfo.isC2cEnabled": "c2c.active"},
}

#: Functions that are refused in MIG mode whatever the device has (nvml.h, "On MIG-enabled GPUs").
NOT_IN_MIG_MODE = frozenset(
    (
        "nvmlDeviceGetUtilizationRates",
        *(f"nvmlDeviceGet{name}Utilization" for name in _ENGINES),
        *("nvmlDeviceGetRemappedRows", "nvmlDeviceGetRemappedRows_v2"),
    )
)

#: Functions that are also refused for other reasons than that the device lacks the figure: ECC is
#: off, a virtual machine's GPU, an architecture that another function serves.
OFTEN_REFUSED = frozenset(
    (
        *("nvmlDeviceGetMemoryErrorCounter", "nvmlDeviceGetSramEccErrorStatus"),
        *("nvmlDeviceGetPcieThroughput", "nvmlDeviceGetAPIRestriction"),
        *("nvmlDeviceGetViolationStatus", "nvmlDeviceGetAddressingMode"),
    )
)

#: CUDA's function -> output -> figure.
CUDA: dict[str, dict[str, str]] = {
    "cuDeviceGetName": {"name": "name"},
    "cuDeviceGetUuid": {"uuid.bytes": "uuid"},
    "cuDeviceGetUuid_v2": {"uuid.bytes": "uuid"},
    "cuDeviceGetPCIBusId": {"pciBusId": "pci_bus_id"},
}

#: CUdevice_attribute, of those that follow from other figures -> figure.
ATTRIBUTES = {
    "MULTIPROCESSOR_COUNT": "processor.multiprocessors",
    "L2_CACHE_SIZE": "processor.l2_cache",
    "GLOBAL_MEMORY_BUS_WIDTH": "memory.bus_width",
}
