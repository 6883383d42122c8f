"""Where the NVML mock's configuration has the GPUs in the host."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...machine.words import PATTERNS
from ..yaml.node import Node
from .addresses import plain
from .gathering import Gathering, Rows, follows, number, rows, walk

__all__ = ["place"]

#: The keys of a root complex.
_ROOT_COMPLEX: Rows = dict.fromkeys(("id", "numa_node", "devices", "cpu_affinity"), follows)


def place(section: Node, gpus: Sequence[Gathering], places: Mapping[str, int]) -> None:
    """Tell which host bridge and NUMA node the GPUs are at; `places` has these by bus id.

    Raises:
        ScenarioFileError: a value is of the wrong type.
    """
    table = section.given()
    each = number(table, "cores_per_numa", 4096)
    for row in rows(table, "root_complexes"):
        walk(row, _ROOT_COMPLEX, gpus[0])
        known = row.given()
        node = number(known, "numa_node", 1023)
        cpus = _cpus(known.get("cpu_affinity"), node, each, gpus[0])
        for device in rows(known, "devices"):
            index = places.get(plain(device.text()))
            if index is not None:
                _put(gpus[index], row, node, cpus)


def _put(gpu: Gathering, row: Node, node: int, cpus: str | None) -> None:
    """One GPU below a root complex: those of one are behind one switch, as the mock has it."""
    named = row.given().get("id")
    gpu.tell(("topology", "numa_node"), node, row)
    gpu.tell(("topology", "host_bridge"), f"node {node}", row)
    if named is not None and named.text():
        gpu.tell(("topology", "switches"), [named.text()], row)
    if cpus is not None:
        gpu.tell(("topology", "cpus"), cpus, row)


def _cpus(said: Node | None, node: int, each: int, found: Gathering) -> str | None:
    """The CPUs near a node; None: this machine's are shared out among its nodes."""
    if said is not None and said.text():
        text = said.text().replace(" ", "")
        if re.fullmatch(PATTERNS["CpuList"][0], text):
            return text
        found.note(said, f"{text!r} is no list of CPUs such as '0-15,32-47': left out")
    return f"{node * each}-{node * each + each - 1}" if each else None
