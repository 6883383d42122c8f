"""Where the NVML mock's configuration has the GPUs in the host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...machine.words import PATTERNS
from ..mock.gathering import Gathering, Rows, follows, walk
from ..yaml.node import Node
from .addresses import plain
from .rows import rows

__all__ = ["place"]

#: The keys of a root complex.
_ROOT_COMPLEX = ("id", "numa_node", "devices", "cpu_affinity")


def place(section: Node, gpus: Sequence[Gathering], places: Mapping[str, int]) -> None:
    """Tell which host bridge and NUMA node the GPUs are at; `places` has these by bus id.

    Raises:
        ScenarioFileError: a value is of the wrong type.
    """
    table = section.table()
    complexes = table.get("root_complexes")
    cores = table.get("cores_per_numa")
    each = 0 if cores is None or cores.is_null else cores.integer(0, 4096)
    for row in [] if complexes is None else rows(complexes):
        known = row.table()
        node = known["numa_node"].integer(0, 1023) if "numa_node" in known else 0
        cpus = _cpus(known.get("cpu_affinity"), node, each, gpus[0] if gpus else None)
        for device in rows(known["devices"]) if "devices" in known else []:
            index = places.get(plain(device.text()))
            if index is not None:
                _put(gpus[index], row, node, cpus)
    if gpus:
        row_keys: Rows = dict.fromkeys(_ROOT_COMPLEX, follows)
        for row in [] if complexes is None else rows(complexes):
            walk(row, row_keys, gpus[0])


def _put(gpu: Gathering, row: Node, node: int, cpus: str | None) -> None:
    """One GPU below a root complex: those of one are behind one switch, as the mock has it."""
    named = row.table().get("id")
    gpu.tell(("topology", "numa_node"), node, row)
    gpu.tell(("topology", "host_bridge"), f"node {node}", row)
    if named is not None and named.text():
        gpu.tell(("topology", "switches"), [named.text()], row)
    if cpus is not None:
        gpu.tell(("topology", "cpus"), cpus, row)


def _cpus(said: Node | None, node: int, each: int, found: Gathering | None) -> str | None:
    """The CPUs near a node; None: this machine's are shared out among its nodes."""
    if said is not None and said.text():
        text = said.text().replace(" ", "")
        if re.fullmatch(PATTERNS["CpuList"][0], text):
            return text
        if found is not None:
            found.note(said, f"{text!r} is no list of CPUs such as '0-15,32-47': left out")
    return f"{node * each}-{node * each + each - 1}" if each else None
