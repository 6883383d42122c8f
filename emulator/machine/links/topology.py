"""Where a device hangs in the host: PCI Express switches, host bridge, NUMA node, CPU socket."""

from __future__ import annotations

import os

from ..figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..device import Device
    from ..words import CpuList, NumaNode, PeerStatus

__all__ = ["Topology", "ancestor", "members", "near_cpus", "near_nodes", "node"]


class Topology(Figures):
    """A device's place in the host. What is None follows from the rest, or from the bus ids.

    ``numa_node`` is the host's node, ``socket`` the CPU's, the node's number if not given. ``cpus``
    lists the node's CPUs, ``socket_cpus`` the socket's: without them the host's CPUs are shared out
    among the nodes. ``socket_nodes`` are the socket's nodes. ``host_bridge`` and ``switches``, from
    the bridge to the device, are names: devices with the same ones share them; by themselves,
    devices on one PCI bus share a bridge. ``memory_node`` is the node of the device's own memory
    where the operating system manages it, as on Grace Hopper. ``peer_access`` is whether other
    devices reach its memory over PCI Express.
    """

    __slots__ = (
        "cpus",
        "host_bridge",
        "memory_node",
        "numa_node",
        "peer_access",
        "socket",
        "socket_cpus",
        "socket_nodes",
        "switches",
    )

    numa_node: NumaNode | None
    socket: int | None
    cpus: CpuList | None
    socket_cpus: CpuList | None
    socket_nodes: list[NumaNode] | None
    host_bridge: str | None
    switches: list[str] | None
    memory_node: NumaNode | None
    peer_access: PeerStatus | None


def ancestor(one: Device, other: Device) -> str:
    """What two devices have in common, as NVML_TOPOLOGY_* without the prefix."""
    if one.board.id == other.board.id:
        return "INTERNAL"
    if one.pci.domain == other.pci.domain:  # a domain has a host bridge of its own
        here, there = one.topology.switches or [], other.topology.switches or []
        if here and there and here[0] == there[0]:
            return "SINGLE" if here == there else "MULTIPLE"
        if _bridge(one) == _bridge(other):
            return "HOSTBRIDGE"
    return "NODE" if node(one) == node(other) else "SYSTEM"


def _bridge(device: Device) -> str | int:
    named = device.topology.host_bridge
    return device.pci.bus if named is None else named


def node(device: Device) -> int:
    """The host's NUMA node that a device is nearest to."""
    return device.topology.numa_node or 0


def _socket(device: Device) -> int:
    given = device.topology.socket
    return node(device) if given is None else given


def _of_socket(devices: Iterable[Device], device: Device) -> list[Device]:
    return [other for other in devices if _socket(other) == _socket(device)]


def near_cpus(devices: Sequence[Device], device: Device, socket: bool = False) -> int:
    """The CPUs of a device's NUMA node, or of its socket, as bits; `devices` are the machine's."""
    topology = device.topology
    if not socket:
        return _share(devices, device) if topology.cpus is None else _bits(topology.cpus)
    if topology.socket_cpus is not None:
        return _bits(topology.socket_cpus)
    return _union(near_cpus(devices, other) for other in _of_socket(devices, device))


def near_nodes(devices: Sequence[Device], device: Device, socket: bool = False) -> int:
    """The NUMA node of a device, or the nodes of its socket, as bits."""
    if not socket:
        return 1 << node(device)
    numbers = device.topology.socket_nodes or map(node, _of_socket(devices, device))
    return _union(1 << number for number in numbers)


def members(bits: int) -> list[int]:
    """The numbers whose bits are set."""
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def _share(devices: Iterable[Device], device: Device) -> int:
    """The host's CPUs, shared out among the nodes: what is bound to them must find them there."""
    nodes = max(map(node, devices), default=0) + 1
    cpus = os.cpu_count() or 1
    first, end = (number * cpus // nodes for number in (node(device), node(device) + 1))
    return (1 << end) - (1 << first) or (1 << cpus) - 1


def _bits(listed: str) -> int:
    bits = 0
    for part in listed.split(","):
        first, _, last = part.partition("-")
        bits |= max((1 << int(last or first) + 1) - (1 << int(first)), 0)
    return bits


def _union(sets: Iterable[int]) -> int:
    union = 0
    for each in sets:
        union |= each
    return union
