"""CUDA device attributes that follow from the device's other figures.

Names are those of ``CUdevice_attribute`` in cuda.h without the prefix CU_DEVICE_ATTRIBUTE_. What a
product or an architecture fixes is in its profile; what changes with the live state, or can be
computed, is here, so that no figure is written down twice.

Where no source is named, the value is what the comment on the attribute in cuda.h makes of an x86
host with one NUMA node and the proprietary kernel modules; no public report of it is known.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .device import Device

__all__ = ["DERIVED", "attribute", "attributes"]

_COMPUTE_MODES = {"DEFAULT": 0, "PROHIBITED": 2, "EXCLUSIVE_PROCESS": 3}


def _kilohertz(megahertz: int | None) -> int | None:
    return None if megahertz is None else megahertz * 1000


#: Attribute -> how it is computed. Clock rates are kHz, sizes bytes, bus widths bits (cuda.h).
DERIVED: dict[str, Callable[[Device], int | None]] = {
    "CLOCK_RATE": lambda device: _kilohertz(device.clocks.sm.max),
    "MEMORY_CLOCK_RATE": lambda device: _kilohertz(device.clocks.memory.max),
    "MULTIPROCESSOR_COUNT": lambda device: device.processor.multiprocessors,
    "L2_CACHE_SIZE": lambda device: device.processor.l2_cache,
    "GLOBAL_MEMORY_BUS_WIDTH": lambda device: device.memory.bus_width,
    "COMPUTE_CAPABILITY_MAJOR": lambda device: device.compute_capability[0],
    "COMPUTE_CAPABILITY_MINOR": lambda device: device.compute_capability[1],
    "COMPUTE_MODE": lambda device: _COMPUTE_MODES[device.compute_mode],
    "ECC_ENABLED": lambda device: int(bool(device.ecc.current)),
    # Only HMM and ATS let kernels follow plain host pointers (CUDA programming guide, "Unified
    # Memory Programming").
    "PAGEABLE_MEMORY_ACCESS": lambda device: int(device.addressing_mode in ("HMM", "ATS")),
    # "Unique id for a group of devices on the same multi-GPU board" (cuda.h): one GPU is a group.
    "MULTI_GPU_BOARD_GROUP_ID": lambda device: device.index,
    # Flushing in streams is for Tegra and POWER: 0 on GB200 and GB10 in public reports. The forms
    # before CUDA 11.7 need a kernel module's option that is off, NVreg_EnableStreamMemOPs (driver
    # API reference, "Stream Memory Operations").
    "CAN_FLUSH_REMOTE_WRITES": lambda device: 0,
    "CAN_USE_STREAM_MEM_OPS_V1": lambda device: 0,
    "CAN_USE_64_BIT_STREAM_MEM_OPS_V1": lambda device: 0,
    "CAN_USE_STREAM_WAIT_VALUE_NOR_V1": lambda device: 0,
    "DEFERRED_MAPPING_CUDA_ARRAY_SUPPORTED": lambda device: 1,
    # Needs the open kernel modules (NVIDIA GPU Operator's guide, "GPUDirect RDMA"); these are the
    # proprietary ones.
    "DMA_BUF_SUPPORTED": lambda device: 0,
    "HOST_ALLOC_DMA_BUF_SUPPORTED": lambda device: 0,
    # What others write is in order for the device that owns the memory from Hopper on: NCCL
    # flushes for compute capabilities before 9.0 alone.
    "GPU_DIRECT_RDMA_WRITES_ORDERING": lambda device: (
        100 if device.compute_capability >= (9, 0) else 0
    ),
    # Fabric handles are for GPUs on a fabric that is up (driver API reference, "Virtual Memory
    # Management").
    "HANDLE_TYPE_FABRIC_SUPPORTED": lambda device: int(device.fabric.state == "COMPLETED"),
    # The GPU's own memory is no node but on Grace ("NUMA node ID of the GPU memory").
    "HOST_NUMA_ID": lambda device: device.topology.numa_node or 0,
    "NUMA_ID": lambda device: (
        -1 if device.topology.memory_node is None else device.topology.memory_node
    ),
    "HOST_MEMORY_POOLS_SUPPORTED": lambda device: 1,
    "HOST_NUMA_MEMORY_POOLS_SUPPORTED": lambda device: 1,
    "HOST_NUMA_MULTINODE_IPC_SUPPORTED": lambda device: 0,
    "HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED": lambda device: 1,
    "HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED": lambda device: 1,
    "READ_ONLY_HOST_REGISTER_SUPPORTED": lambda device: int(device.addressing_mode == "ATS"),
    # What this host has not: a link with native atomics, Windows's graphics, and memory that GPU
    # and host address alike, to tell functions by ("unified function pointers").
    "ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED": lambda device: 0,
    "D3D12_CIG_SUPPORTED": lambda device: 0,
    "VULKAN_CIG_SUPPORTED": lambda device: 0,
    "UNIFIED_FUNCTION_POINTERS": lambda device: 0,
    # A product that says nothing of these has none of them (GeForce).
    "GENERIC_COMPRESSION_SUPPORTED": lambda device: 0,
    "GPU_DIRECT_RDMA_SUPPORTED": lambda device: 0,
    "GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED": lambda device: 0,
    "GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS": lambda device: 0,
    "PCI_DOMAIN_ID": lambda device: device.pci.domain,
    "PCI_BUS_ID": lambda device: device.pci.bus,
    "PCI_DEVICE_ID": lambda device: device.pci.device,
    "GPU_PCI_DEVICE_ID": lambda device: device.pci.device_id,
    "GPU_PCI_SUBSYSTEM_ID": lambda device: device.pci.subsystem_id,
}


def attributes(table: Mapping[str, int]) -> dict[str, int]:
    """Return the attributes that a profile or a scenario states, free to be changed."""
    return dict(table)


def attribute(device: Device, name: str) -> int | None:
    """Return a CUDA device attribute; None if the device has no value for it.

    The profile's table decides before what is derived, so that a scenario can say anything.
    """
    if name in device.cuda:
        return device.cuda[name]
    derive = DERIVED.get(name)
    return None if derive is None else derive(device)
