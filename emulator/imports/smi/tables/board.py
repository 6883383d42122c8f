"""Which figure each field is that says what a GPU is, and how it is set: board, modes, PCI.

A path is that of the XML's element below <gpu>; where generations of the XML name it otherwise,
each name has its row. Which figure is behind a field was found by changing one figure at a time and
running NVIDIA's nvidia-smi of drivers 470 to 555; what only newer ones print, by the names in
nvml.h and in outputs that NVIDIA (k8s-test-infra) and Telegraf publish among their tests.
"""

from __future__ import annotations

from ..units import (
    atomics,
    count,
    hexadecimal,
    lanes,
    microseconds,
    moment,
    performance_state,
    plain,
    seconds,
    switched,
    uuid,
    word,
)

__all__ = ["BOARD"]

_BRANDS = word(
    {
        "Unknown": "UNKNOWN",
        "Quadro": "QUADRO",
        "Tesla": "TESLA",
        "NVS": "NVS",
        "Grid": "GRID",
        "GeForce": "GEFORCE",
        "Titan": "TITAN",
        "NVIDIA Virtual Applications": "NVIDIA_VAPPS",
        "NVIDIA Virtual PC": "NVIDIA_VPC",
        "NVIDIA Virtual Compute Server": "NVIDIA_VCS",
        "NVIDIA RTX Virtual Workstation": "NVIDIA_VWS",
        "NVIDIA Cloud Gaming": "NVIDIA_CLOUD_GAMING",
        "NVIDIA vGaming": "NVIDIA_CLOUD_GAMING",
        "Quadro RTX": "QUADRO_RTX",
        "NVIDIA RTX": "NVIDIA_RTX",
        "NVIDIA": "NVIDIA",
        "GeForce RTX": "GEFORCE_RTX",
        "Titan RTX": "TITAN_RTX",
    }
)
_ARCHITECTURES = word(
    {
        "Kepler": "KEPLER",
        "Maxwell": "MAXWELL",
        "Pascal": "PASCAL",
        "Volta": "VOLTA",
        "Turing": "TURING",
        "Ampere": "AMPERE",
        "Ada Lovelace": "ADA",
        "Hopper": "HOPPER",
        "Blackwell": "BLACKWELL",
    }
)
_ADDRESSING = word({"None": "NONE", "HMM": "HMM", "ATS": "ATS"})
_VIRTUALIZATION = word(
    {
        "None": "NONE",
        "Pass-Through": "PASSTHROUGH",
        "VGPU": "VGPU",
        "Host VGPU": "HOST_VGPU",
        "Host VSGA": "HOST_VSGA",
    }
)
_HOST_MODE = word({"Non SR-IOV": "NON_SRIOV", "SR-IOV": "SRIOV"})
_COMPUTE_MODE = word(
    {
        "Default": "DEFAULT",
        "Prohibited": "PROHIBITED",
        "Exclusive_Process": "EXCLUSIVE_PROCESS",
    }
)
_RECOVERY = word(
    {
        "None": "NONE",
        "Reset": "GPU_RESET",
        "GPU Reset": "GPU_RESET",
        "GPU_RESET": "GPU_RESET",  # a published console of GB200 trays
        "Reboot": "NODE_REBOOT",
        "Node Reboot": "NODE_REBOOT",
        "Drain P2P": "DRAIN_P2P",
        "Drain and Reset": "DRAIN_AND_RESET",
    }
)
_PEERS = word({"Direct Connected": "DIRECT", "Switch Connected": "SWITCH"})
#: It is disabled also where there is none.
_EXTENDED = word({"enabled": True, "disabled": None})

_PCI = {
    "pci_base_class": ("pci.base_class", hexadecimal),
    "pci_sub_class": ("pci.sub_class", hexadecimal),
    "pci_device_id": ("pci.device_id", hexadecimal),
    "pci_sub_system_id": ("pci.subsystem_id", hexadecimal),
    "pci_gpu_link_info/pcie_gen/current_link_gen": ("pci.current_generation", count),
    "pci_gpu_link_info/pcie_gen/max_device_link_gen": ("pci.device_max_generation", count),
    "pci_gpu_link_info/pcie_gen/max_host_link_gen": ("pci.host_max_generation", count),
    "pci_gpu_link_info/link_widths/max_link_width": ("pci.max_width", lanes),
    "pci_gpu_link_info/link_widths/current_link_width": ("pci.current_width", lanes),
    "replay_counter": ("pci.replay_counter", count),
    "replay_rollover_counter": ("pci.replay_rollovers", count),
    "atomic_caps_inbound": ("pci.atomics_inbound", atomics),
    "atomic_caps_outbound": ("pci.atomics_outbound", atomics),
}

#: XML path below <gpu> -> figure, and what reads it.
BOARD = {
    "product_name": ("name", plain),
    "product_brand": ("brand", _BRANDS),
    "product_architecture": ("architecture", _ARCHITECTURES),
    "display_mode": ("display_mode", switched),
    "display_attached": ("display_mode", switched),  # from 575 on in its place
    "display_active": ("display_active", switched),
    "persistence_mode": ("persistence_mode", switched),
    "addressing_mode": ("addressing_mode", _ADDRESSING),
    "mig_mode/current_mig": ("mig.current", switched),
    "mig_mode/pending_mig": ("mig.pending", switched),
    "accounting_mode": ("accounting.enabled", switched),
    "accounting_mode_buffer_size": ("accounting.buffer_size", count),
    "serial": ("serial", plain),
    "uuid": ("uuid", uuid),
    "pdi": ("pdi", hexadecimal),
    "vbios_version": ("board.vbios_version", plain),
    "multigpu_board": ("board.multi_gpu", switched),
    "board_part_number": ("board.part_number", plain),
    "gpu_part_number": ("board.gpu_part_number", plain),
    "gpu_fru_part_number": ("board.fru_part_number", plain),
    "gpu_module_id": ("board.module_id", count),
    "platformInfo/chassis_serial_number": ("platform.chassis_serial_number", plain),
    "platformInfo/slot_number": ("platform.slot_number", count),
    "platformInfo/tray_index": ("platform.tray_index", count),
    "platformInfo/host_id": ("platform.host_id", count),
    "platformInfo/peer_type": ("platform.peer_type", _PEERS),
    "platformInfo/module_id": ("board.module_id", count),
    "inforom_version/img_version": ("inforom.image", plain),
    "inforom_version/oem_object": ("inforom.oem", plain),
    "inforom_version/ecc_object": ("inforom.ecc", plain),
    "inforom_version/pwr_object": ("inforom.power", plain),
    "inforom_bbx_flush/latest_timestamp": ("inforom.bbx_flush_time", moment),
    "inforom_bbx_flush/latest_duration": ("inforom.bbx_flush_duration", microseconds),
    "inforom_time_data/time_run": ("inforom.bbx_run_time", seconds),
    "c2c_mode": ("c2c.active", switched),
    "gpu_virtualization_mode/virtualization_mode": ("virtualization_mode", _VIRTUALIZATION),
    "gpu_virtualization_mode/host_vgpu_mode": ("vgpu.host_mode", _HOST_MODE),
    "gpu_virtualization_mode/vgpu_heterogeneous_mode": ("vgpu.heterogeneous", switched),
    "gpu_reset_status/reset_required": ("reset_required", switched),
    "gpu_reset_status/drain_and_reset_recommended": ("drain_recommended", switched),
    "gpu_recovery_action": ("recovery_action", _RECOVERY),
    "gsp_firmware_version": ("gsp.version", plain),
    **{f"pci/{path}": row for path, row in _PCI.items()},
    "performance_state": ("performance_state", performance_state),
    "sparse_operation_mode": ("sparse_operation_mode", switched),
    "compute_mode": ("compute_mode", _COMPUTE_MODE),
    "dram_encryption_mode/current_dram_encryption": ("dram_encryption.current", switched),
    "dram_encryption_mode/pending_dram_encryption": ("dram_encryption.pending", switched),
    "ecc_mode/current_ecc": ("ecc.current", switched),
    "ecc_mode/pending_ecc": ("ecc.pending", switched),
    "clock_policy/auto_boost": ("clocks.auto_boost", switched),
    "clock_policy/auto_boost_default": ("clocks.auto_boost_default", switched),
    "capabilities/egm": ("extended_memory", _EXTENDED),
}
