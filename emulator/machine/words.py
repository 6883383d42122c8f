"""The words that figures are given in, where they are not numbers: header names, cut short.

Each tuple is an enumeration of nvml.h without its prefix; the aliases are for annotations.
A scenario may write these words and no others.
"""

from __future__ import annotations

__all__ = ["WORDS"]

Architecture = str
AtomicOperation = str
Brand = str
AddressingMode = str
ComputeMode = str
EventReason = str
FabricState = str
Failure = str
ProcessType = str
RecoveryAction = str
VirtualizationMode = str

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
    # NVML_BRAND_*
    "Brand": (
        *("UNKNOWN", "QUADRO", "TESLA", "NVS", "GRID", "GEFORCE", "TITAN", "NVIDIA_VAPPS"),
        *("NVIDIA_VPC", "NVIDIA_VCS", "NVIDIA_VWS", "NVIDIA_CLOUD_GAMING", "QUADRO_RTX"),
        *("NVIDIA_RTX", "NVIDIA", "GEFORCE_RTX", "TITAN_RTX"),
    ),
    # NVML_DEVICE_ADDRESSING_MODE_*
    "AddressingMode": ("NONE", "HMM", "ATS"),
    # NVML_COMPUTEMODE_*
    "ComputeMode": ("DEFAULT", "EXCLUSIVE_THREAD", "PROHIBITED", "EXCLUSIVE_PROCESS"),
    # nvmlClocksEventReason*, in snake case
    "EventReason": (
        *("gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost"),
        *("sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"),
        "display_clock_setting",
    ),
    # what can become of a GPU: off the bus, in need of a reset, taken out
    "Failure": ("lost", "reset_required", "unplugged"),
    # NVML_GPU_FABRIC_STATE_*
    "FabricState": ("NOT_SUPPORTED", "NOT_STARTED", "IN_PROGRESS", "COMPLETED"),
    # as nvidia-smi prints them
    "ProcessType": ("C", "G", "C+G"),
    # NVML_GPU_RECOVERY_ACTION_*
    "RecoveryAction": ("NONE", "GPU_RESET", "NODE_REBOOT", "DRAIN_P2P", "DRAIN_AND_RESET"),
    # NVML_GPU_VIRTUALIZATION_MODE_*
    "VirtualizationMode": ("NONE", "PASSTHROUGH", "VGPU", "HOST_VGPU", "HOST_VSGA"),
}
