"""Where in the host a GPU hangs: NUMA node, socket, host bridge, switches.

The CPUs are not told: a scenario without them shares the CPUs out that its own host has, so that a
program can bind itself to them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...machine.links.topology import members
from ...nvml import _constants as constants
from ..facts import Told
from .asked import AskedGpu, AskedMachine, gpus_in

__all__ = ["place"]

NODES = "nvmlDeviceGetMemoryAffinity"
ANCESTOR = "nvmlDeviceGetTopologyCommonAncestor"


def place(_: AskedMachine, gpu: AskedGpu) -> Iterator[Told]:
    """What is not as it follows from the bus ids alone, on a host of one node."""
    node = _nodes(gpu, constants.AFFINITY_SCOPE_NODE)
    if node and node[0]:
        yield Told(("topology", "numa_node"), node[0], where=NODES)
    socket = _nodes(gpu, constants.AFFINITY_SCOPE_SOCKET)
    if len(socket) > 1:
        yield Told(("topology", "socket"), socket[0], where=NODES)
        yield Told(("topology", "socket_nodes"), socket, where=NODES)
    bridge, switch = (
        _first_within(gpu, level)
        for level in (constants.TOPOLOGY_HOSTBRIDGE, constants.TOPOLOGY_MULTIPLE)
    )
    if bridge is not None:
        yield Told(("topology", "host_bridge"), f"bridge {bridge}", where=ANCESTOR)
    if switch is not None:
        own = _first_within(gpu, constants.TOPOLOGY_SINGLE)
        below = _itself(gpu) if own is None else own
        switches = [f"switch {switch}", f"switch of {below}"]
        yield Told(("topology", "switches"), switches, where=ANCESTOR)


def _nodes(gpu: AskedGpu, scope: int) -> list[int]:
    words = gpu.output("nodeSet", NODES, scope=scope) or []
    return members(sum(word << 64 * place for place, word in enumerate(words)))


def _itself(gpu: AskedGpu) -> int:
    return min(gpus_in(call.inputs.get("device1") for call in gpu.of(ANCESTOR)))


def _first_within(gpu: AskedGpu, level: int) -> int | None:
    """The first of the GPUs that have no more than a level between them and a GPU, itself among
    them; None where there is no other."""
    near = set()
    for call in gpu.of(ANCESTOR):
        if (call.outputs or {}).get("pathInfo", level + 1) <= level:
            near |= gpus_in(call.inputs.values())
    return min(near, default=None)
