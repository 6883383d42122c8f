"""Where devices are: to one another, to CPUs and to memory."""

from __future__ import annotations

import os

from ...machine.links.peers import access, linked, over_pci
from ...machine.links.topology import ancestor, members, near_cpus, near_nodes
from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ...machine import Device

__all__: list[str] = []

WORD = 64  # bits of the unsigned long that CPU and node sets are made of


@implements("nvmlDeviceGetTopologyCommonAncestor")
def common_ancestor(device1: Device, device2: Device) -> int:
    return getattr(constants, f"TOPOLOGY_{ancestor(device1, device2)}")  # type: ignore[no-any-return]


@implements("nvmlDeviceGetTopologyNearestGpus", sizes=True)
def nearest(nvml: Nvml, device: Device, level: int) -> list[Device]:
    """Those that have just this in common with a device, and nothing nearer."""
    others = [other for other in nvml.devices if other is not device]
    return [other for other in others if common_ancestor(device, other) == level]


@implements("nvmlSystemGetTopologyGpuSet", sizes=True)
def devices_near(nvml: Nvml, cpu_number: int) -> list[Device]:
    near = {device: near_cpus(nvml.machine.devices, device) for device in nvml.devices}
    if cpu_number >= (os.cpu_count() or 1) and not any(
        cpus >> cpu_number & 1 for cpus in near.values()
    ):
        raise NvmlError(status.INVALID_ARGUMENT)
    return [device for device, cpus in near.items() if cpus >> cpu_number & 1]


def words(bits: int, size: int) -> list[int]:
    """A set as `size` words of bits; without room for one, refused."""
    if not size:
        raise NvmlError(status.INVALID_ARGUMENT)
    return [bits >> WORD * index & (1 << WORD) - 1 for index in range(size)]


def is_socket(scope: int) -> bool:
    if scope not in (constants.AFFINITY_SCOPE_NODE, constants.AFFINITY_SCOPE_SOCKET):
        raise NvmlError(status.INVALID_ARGUMENT)
    return scope == constants.AFFINITY_SCOPE_SOCKET


@implements("nvmlDeviceGetCpuAffinity")
def cpu_affinity(nvml: Nvml, device: Device, cpu_set_size: int) -> list[int]:
    return words(near_cpus(nvml.machine.devices, device), cpu_set_size)


@implements("nvmlDeviceGetCpuAffinityWithinScope")
def cpu_affinity_within(nvml: Nvml, device: Device, cpu_set_size: int, scope: int) -> list[int]:
    near = near_cpus(nvml.machine.devices, device, is_socket(scope))
    return words(near, cpu_set_size)


@implements("nvmlDeviceGetMemoryAffinity")
def memory_affinity(nvml: Nvml, device: Device, node_set_size: int, scope: int) -> list[int]:
    near = near_nodes(nvml.machine.devices, device, is_socket(scope))
    return words(near, node_set_size)


@implements("nvmlDeviceSetCpuAffinity")
def set_cpu_affinity(nvml: Nvml, device: Device) -> None:
    """Bind the calling thread to the device's CPUs; nvml.h: not the process, since version 8.0."""
    bind(members(near_cpus(nvml.machine.devices, device)))


@implements("nvmlDeviceClearCpuAffinity")
def clear_cpu_affinity(device: Device) -> None:
    """Let the calling thread run on all of the host's CPUs."""
    bind(range(os.cpu_count() or 1))


def bind(cpus: range | list[int]) -> None:
    """The kernel refuses a set with none of the CPUs that the process may use."""
    try:
        os.sched_setaffinity(0, cpus)
    except (OSError, ValueError):
        raise NvmlError(status.UNKNOWN) from None


@implements("nvmlDeviceGetNumaNodeId")
def numa_node(device: Device) -> Optional[int]:
    """Only memory that the operating system manages, as Grace Hopper's, has a node."""
    return device.topology.memory_node


@implements("nvmlDeviceGetP2PStatus")
def peer_status(nvml: Nvml, device1: Device, device2: Device, p2p_index: int) -> int:
    found = peer_word(nvml, device1, device2, p2p_index)
    return getattr(constants, f"P2P_STATUS_{found}")  # type: ignore[no-any-return]


def peer_word(nvml: Nvml, one: Device, other: Device, index: int) -> str:
    devices = nvml.machine.devices
    if index in (constants.P2P_CAPS_INDEX_READ, constants.P2P_CAPS_INDEX_WRITE):
        return access(devices, one, other)
    if index in (constants.P2P_CAPS_INDEX_NVLINK, constants.P2P_CAPS_INDEX_ATOMICS):
        return "OK" if linked(devices, one, other) else "NOT_SUPPORTED"
    if index == constants.P2P_CAPS_INDEX_PCI:
        return over_pci(one, other)
    raise NvmlError(status.INVALID_ARGUMENT)
