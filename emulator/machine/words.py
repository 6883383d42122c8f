"""The words that figures are given in, where they are not numbers: header names, cut short.

Each tuple is an enumeration of nvml.h without its prefix; the aliases are for annotations.
A scenario may write these words and no others.
"""

from __future__ import annotations

__all__ = ["PATTERNS", "RANGES", "WORDS"]

Architecture = str
AtomicOperation = str
AttackerAdvantage = int
Availability = str
Brand = str
AddressingMode = str
BandwidthMode = str
CaptureType = str
ComputeMode = str
ConfidentialEnvironment = str
ConfidentialGpus = str
CounterUnit = str
CpuConfidentiality = str
CpuList = str
EncoderCodec = str
EventReason = str
FabricConfiguration = str
FabricHealth = str
FabricState = str
FabricStatus = str
FabricUuid = str
Failure = str
FbcSessionType = str
HostVgpuMode = str
Hypervisor = str
HexBytes = str
LicensedFeature = str
LinkEnd = str
LinkGeneration = int
LinkUcode = str
Moment = int
MultiGpuProtection = str
NumaNode = int
PciId = int
PeerStatus = str
PeerType = str
PowerMizerMode = str
PowerSource = str
ProcessType = str
RecoveryAction = str
SchedulerFactor = int
SchedulerFrequency = int
SchedulerSlice = int
TdispState = str
ThresholdUnit = str
User = str
VgpuLicense = str
VgpuPolicy = str
VideoCodec = str
VirtualizationMode = str
WorkloadProfile = str
VmIdType = str

#: Annotation -> the numbers of that kind.
RANGES = {
    # NVML_CC_KEY_ROTATION_THRESHOLD_ATTACKER_ADVANTAGE_MIN and _MAX, which NVML takes
    "AttackerAdvantage": range(50, 66),
    # NVML_NVLINK_VERSION_*, by their first digits
    "LinkGeneration": range(1, 7),
    # seconds since the epoch, as far as the calendar has four digits for a year
    "Moment": range(253_402_300_800),
    # as many as Linux has at most (CONFIG_NODES_SHIFT)
    "NumaNode": range(1024),
    # the device above, the vendor below (PCI Local Bus Specification)
    "PciId": range(1 << 32),
    # NVIDIA's Virtual GPU Software User Guide, "vGPU schedulers"; slices in nanoseconds
    "SchedulerFactor": range(1, 61),
    "SchedulerFrequency": range(63, 961),
    "SchedulerSlice": range(1_000_000, 30_000_001),
}

#: Annotation -> the words of that kind.
WORDS = {
    # NVML_DEVICE_ARCH_*
    "Architecture": (
        *("KEPLER", "MAXWELL", "PASCAL", "VOLTA", "TURING", "AMPERE", "ADA", "HOPPER", "BLACKWELL"),
        "UNKNOWN",
    ),
    # NVML_PCIE_ATOMICS_CAP_*, spelt as nvidia-smi prints them
    "AtomicOperation": (
        *("FETCHADD_32", "FETCHADD_64", "SWAP_32", "SWAP_64", "CAS_32", "CAS_64", "CAS_128"),
    ),
    # what keeps a working GPU from programs: the driver was told to leave it alone, it takes no new
    # ones, it was taken out; or it is back, also for those that were there before
    "Availability": ("EXCLUDED", "DRAINING", "REMOVED", "REDISCOVERED"),
    # NVML_BRAND_*
    "Brand": (
        *("UNKNOWN", "QUADRO", "TESLA", "NVS", "GRID", "GEFORCE", "TITAN", "NVIDIA_VAPPS"),
        *("NVIDIA_VPC", "NVIDIA_VCS", "NVIDIA_VWS", "NVIDIA_CLOUD_GAMING", "QUADRO_RTX"),
        *("NVIDIA_RTX", "NVIDIA", "GEFORCE_RTX", "TITAN_RTX"),
    ),
    # NVML_DEVICE_ADDRESSING_MODE_*
    "AddressingMode": ("NONE", "HMM", "ATS"),
    # NVML_COMPUTEMODE_*, less EXCLUSIVE_THREAD: "Support Removed" (nvml.h)
    "ComputeMode": ("DEFAULT", "PROHIBITED", "EXCLUSIVE_PROCESS"),
    # NVML_CC_SYSTEM_ENVIRONMENT_*, in the order of their values
    "ConfidentialEnvironment": ("UNAVAILABLE", "SIM", "PROD"),
    # NVML_CC_SYSTEM_GPUS_CC_*, in the order of their values
    "ConfidentialGpus": ("NOT_CAPABLE", "CAPABLE", "BMSAI_CAPABLE"),
    # NVML_CC_SYSTEM_CPU_CAPS_*, in the order of their values
    "CpuConfidentiality": (
        *("NONE", "AMD_SEV", "INTEL_TDX", "AMD_SEV_SNP", "AMD_SNP_VTOM", "ARM_CCA"),
        *("INTEL_TDX_CONNECT", "AMD_SEV_TIO"),
    ),
    # NVML_ENCODER_QUERY_*
    "EncoderCodec": ("H264", "HEVC", "AV1"),
    # nvmlClocksEventReason*, in snake case
    "EventReason": (
        *("gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost"),
        *("sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"),
        "display_clock_setting",
    ),
    # GPU_NVLINK_BW_MODE_* of nvidia-smi, in the order of their values
    "BandwidthMode": ("FULL", "OFF", "MIN", "HALF", "3QUARTER"),
    # NVML_NVLINK_COUNTER_UNIT_*
    "CounterUnit": ("CYCLES", "PACKETS", "BYTES"),
    # what can become of a GPU: off the bus, in need of a reset, taken out
    "Failure": ("lost", "reset_required", "unplugged"),
    # NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_*, in the order of their values
    "FabricConfiguration": (
        *("NOT_SUPPORTED", "NONE", "INCORRECT_SYSGUID", "INCORRECT_CHASSIS_SN", "NO_PARTITION"),
        *("INSUFFICIENT_NVLINKS", "INCOMPATIBLE_GPU_FW", "INVALID_LOCATION", "GPU_STATE_INVALID"),
    ),
    # NVML_GPU_FABRIC_HEALTH_SUMMARY_*, in the order of their values
    "FabricHealth": ("NOT_SUPPORTED", "HEALTHY", "UNHEALTHY", "LIMITED_CAPACITY"),
    # NVML_FBC_SESSION_TYPE_*
    "FbcSessionType": ("UNKNOWN", "TOSYS", "CUDA", "VID", "HWENC"),
    # NVML_HOST_VGPU_MODE_*
    "HostVgpuMode": ("NON_SRIOV", "SRIOV"),
    # what can run on a vGPU host; NVML tells KVM alone from others
    "Hypervisor": ("KVM", "VMWARE", "XEN", "HYPERV"),
    # NVML_GPU_FABRIC_STATE_*
    "FabricState": ("NOT_SUPPORTED", "NOT_STARTED", "IN_PROGRESS", "COMPLETED"),
    # NVML_SUCCESS and NVML_ERROR_*
    "FabricStatus": (
        *("SUCCESS", "UNINITIALIZED", "INVALID_ARGUMENT", "NOT_SUPPORTED", "NO_PERMISSION"),
        *("ALREADY_INITIALIZED", "NOT_FOUND", "INSUFFICIENT_SIZE", "INSUFFICIENT_POWER"),
        *("DRIVER_NOT_LOADED", "TIMEOUT", "IRQ_ISSUE", "LIBRARY_NOT_FOUND", "FUNCTION_NOT_FOUND"),
        *("CORRUPTED_INFOROM", "GPU_IS_LOST", "RESET_REQUIRED", "OPERATING_SYSTEM"),
        *("LIB_RM_VERSION_MISMATCH", "IN_USE", "MEMORY", "NO_DATA", "VGPU_ECC_NOT_SUPPORTED"),
        *("INSUFFICIENT_RESOURCES", "FREQ_NOT_SUPPORTED", "ARGUMENT_VERSION_MISMATCH"),
        *("DEPRECATED", "NOT_READY", "GPU_NOT_FOUND", "INVALID_STATE", "RESET_TYPE_NOT_SUPPORTED"),
        "UNKNOWN",
    ),
    # NVML_GRID_LICENSE_FEATURE_CODE_*
    "LicensedFeature": ("VGPU", "NVIDIA_RTX", "VWORKSTATION", "GAMING", "COMPUTE"),
    # NVML_CC_SYSTEM_MULTIGPU_*, in the order of their values
    "MultiGpuProtection": ("NONE", "PROTECTED_PCIE", "NVLE"),
    # NVML_NVLINK_FIRMWARE_UCODE_TYPE_*, in the order of their values from 1 on
    "LinkUcode": ("MSE", "NETIR", "NETIR_UPHY", "NETIR_CLN", "NETIR_DLN"),
    # NVML_POWER_MIZER_MODE_*, in the order of their values
    "PowerMizerMode": (
        *("ADAPTIVE", "PREFER_MAXIMUM_PERFORMANCE", "AUTO", "PREFER_CONSISTENT_PERFORMANCE"),
    ),
    # NVML_POWER_SOURCE_*, in the order of their values
    "PowerSource": ("AC", "BATTERY", "UNDERSIZED"),
    # NVML_P2P_STATUS_*
    "PeerStatus": (
        *("OK", "CHIPSET_NOT_SUPPORTED", "GPU_NOT_SUPPORTED", "IOH_TOPOLOGY_NOT_SUPPORTED"),
        *("DISABLED_BY_REGKEY", "NOT_SUPPORTED", "UNKNOWN"),
    ),
    # what NVLinks lead to, as nvidia-smi has it, in the order of the values in nvmlPlatformInfo_t
    "PeerType": ("DIRECT", "SWITCH"),
    # as nvidia-smi prints them
    "ProcessType": ("C", "G", "C+G", "M+C"),
    # NVML_GPU_RECOVERY_ACTION_*
    "RecoveryAction": ("NONE", "GPU_RESET", "NODE_REBOOT", "DRAIN_P2P", "DRAIN_AND_RESET"),
    # NVML_CC_SYSTEM_TDISP_STATE_*, in the order of their values
    "TdispState": ("DISABLED", "NOT_READY", "READY"),
    # NVML_NVLINK_LOW_POWER_THRESHOLD_UNIT_*, in the order of their values
    "ThresholdUnit": ("100US", "50US"),
    # who runs programs: root may change the machine
    "User": ("root", "unprivileged"),
    # NVML_GRID_LICENSE_STATE_*
    "VgpuLicense": (
        *("UNKNOWN", "UNINITIALIZED", "UNLICENSED_UNRESTRICTED", "UNLICENSED_RESTRICTED"),
        *("UNLICENSED", "LICENSED"),
    ),
    # NVML_VGPU_SCHEDULER_POLICY_*
    "VgpuPolicy": ("BEST_EFFORT", "EQUAL_SHARE", "FIXED_SHARE"),
    # NVML_FBC_SESSION_TYPE_*, in the order of their values
    "CaptureType": ("UNKNOWN", "TOSYS", "CUDA", "VID", "HWENC"),
    # NVML_ENCODER_QUERY_*, in the order of their values
    "VideoCodec": ("h264", "hevc", "av1"),
    # NVML_POWER_PROFILE_*, in the order of their values
    "WorkloadProfile": (
        *("MAX_P", "MAX_Q", "COMPUTE", "MEMORY_BOUND", "NETWORK", "BALANCED", "LLM_INFERENCE"),
        *("LLM_TRAINING", "RBM", "DCPCIE", "HMMA_SPARSE", "HMMA_DENSE", "SYNC_BALANCED", "HPC"),
        *("MIG", "MAX_Q_1", "NETWORK_BOUND", "HIGH_THROUGHPUT_INFERENCE"),
        *("MEDIUM_THROUGHPUT_INFERENCE", "LOW_LATENCY_INFERENCE", "TRAINING", "INFERENCE"),
        *("MAX_Q_2", "MAX_Q_3", "LOW_PRIORITY_BACKGROUND"),
    ),
    # NVML_GPU_VIRTUALIZATION_MODE_*
    "VirtualizationMode": ("NONE", "PASSTHROUGH", "VGPU", "HOST_VGPU", "HOST_VSGA"),
    # NVML_VGPU_VM_ID_*
    "VmIdType": ("DOMAIN_ID", "UUID"),
}

_BUS_ID = r"(([0-9a-fA-F]{4}|[0-9a-fA-F]{8}):)?[0-9a-fA-F]{2}:[01][0-9a-fA-F](\.0)?"

#: Annotation -> what text of that kind matches, as a regular expression, and an example.
PATTERNS = {
    # as Linux and nvidia-smi list CPUs
    "CpuList": (r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", "0-15,32-47"),
    "HexBytes": (r"([0-9a-fA-F]{2})*", "0a1b2c"),
    "FabricUuid": (
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
        "00112233-4455-6677-8899-aabbccddeeff",
    ),
    # a GPU by its index, the other one of a pair, a switch by its PCI bus id or out of sight
    "LinkEnd": (rf"GPU\d+|PAIR|SWITCH|{_BUS_ID}", "GPU1"),
}
