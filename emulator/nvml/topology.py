"""Where devices are: to one another, to CPUs and to memory.

The machine has one NUMA node, with all CPUs of the host: a program that binds itself to a
device's CPUs must find them. GPUs have PCIe host bridges of their own there.
"""

from __future__ import annotations

import os

from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__: list[str] = []

WORD = 64  # bits of the unsigned long that CPU and node sets are made of


def level(one: Device, other: Device) -> int:
    if one.board.id == other.board.id:
        return constants.TOPOLOGY_INTERNAL
    return constants.TOPOLOGY_NODE


@implements("nvmlDeviceGetTopologyCommonAncestor")
def common_ancestor(device1: Device, device2: Device) -> int:
    return level(device1, device2)


@implements("nvmlDeviceGetTopologyNearestGpus", sizes=True)
def nearest(nvml: Nvml, device: Device, level: int) -> list[Device]:
    others = [other for other in nvml.devices if other is not device]
    return [other for other in others if common_ancestor(device, other) == level]


@implements("nvmlSystemGetTopologyGpuSet", sizes=True)
def devices_near(nvml: Nvml, cpu_number: int) -> list[Device]:
    if cpu_number >= (os.cpu_count() or 1):
        raise NvmlError(status.INVALID_ARGUMENT)
    return nvml.devices


def words(numbers: int, size: int) -> list[int]:
    """The set of 0 to `numbers` - 1 as `size` words of bits."""
    bits = (1 << numbers) - 1
    return [bits >> WORD * index & (1 << WORD) - 1 for index in range(size)]


@implements("nvmlDeviceGetCpuAffinity", "nvmlDeviceGetCpuAffinityWithinScope")
def cpu_affinity(device: Device, cpu_set_size: int) -> list[int]:
    return words(os.cpu_count() or 1, cpu_set_size)


@implements("nvmlDeviceGetMemoryAffinity")
def memory_affinity(device: Device, node_set_size: int) -> list[int]:
    return words(1, node_set_size)


@implements("nvmlDeviceSetCpuAffinity", "nvmlDeviceClearCpuAffinity")
def set_cpu_affinity(device: Device) -> None:
    """The calling thread may run on all of the device's CPUs already."""


@implements("nvmlDeviceGetNumaNodeId")
def numa_node(device: Device) -> int:
    """Only memory that the operating system manages, as Grace Hopper's, has a node."""
    raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceGetP2PStatus")
def peer_status(device1: Device, device2: Device, p2p_index: int) -> int:
    linked = all(any(link.active for link in d.nvlinks) for d in (device1, device2))
    over_pcie = "GEFORCE" not in (device1.brand, device2.brand)
    possible = {
        constants.P2P_CAPS_INDEX_READ: linked or over_pcie,
        constants.P2P_CAPS_INDEX_WRITE: linked or over_pcie,
        constants.P2P_CAPS_INDEX_NVLINK: linked,
        constants.P2P_CAPS_INDEX_ATOMICS: linked,
        constants.P2P_CAPS_INDEX_PROP: over_pcie,
    }
    if possible.get(p2p_index):
        return constants.P2P_STATUS_OK
    return constants.P2P_STATUS_NOT_SUPPORTED
