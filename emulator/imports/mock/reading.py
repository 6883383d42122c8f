"""The configuration of the NVML mock in NVIDIA's k8s-test-infra: YAML -> facts.

Format and defaults are those of `pkg/gpu/mocknvml/engine` there: what holds for all GPUs stands
under `device_defaults`, what is different about one under its index in `devices`. There a section
of a GPU takes the place of the defaults', but for `pci` and `platform`, which are put over it key
by key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...scenario import Fault
from ...scenario.checks import CUDA_VERSION, MOST_GPUS, UUID, VERSION
from ..facts import Facts, GpuFacts, Note
from ..yaml.node import Node
from ..yaml.tree import read
from .addresses import plain
from .gathering import Gathering, Rows, left, number, part, walk
from .links import link
from .places import place
from .products import finish
from .table import DEVICE

__all__ = ["read_mock"]

#: The mock's own number of GPUs where a file lists none.
GPUS = 8

#: Sections of a GPU that are put over the defaults', not in their place.
_MERGED = ("pci", "platform")

_HELM = left("for the mock's Helm chart or its file system, not for NVML")


def read_mock(path: str) -> Facts:
    """Read such a file.

    Raises:
        ScenarioFileError: it cannot be read, lacks what it must have, or has values of a wrong
            type.
    """
    root = read(path)
    table = root.given()
    system = _section(root, "system")
    notes: dict[Note, None] = {}
    shared = Gathering(notes)
    walk(root, _ROOT, shared)
    driver = _version(system)
    configured = _devices(root, system, shared)
    gathered = [_gpu(node, index, notes) for index, node in enumerate(configured)]
    _connect(table, gathered)
    for found, node in zip(gathered, configured, strict=True):
        finish(found, node, driver)
    return Facts(
        driver=driver,
        cuda=_cuda(system),
        gpus=tuple(GpuFacts(tuple(found.figures.values())) for found in gathered),
        faults=tuple(fault for i, node in enumerate(configured) for fault in _faults(i, node)),
        notes=tuple(notes),
    )


def _seen(node: Node, found: Gathering) -> None:
    """A key that is read elsewhere."""


_SYSTEM = (
    *("driver_version", "nvml_version", "cuda_version", "cuda_version_major"),
    *("cuda_version_minor", "num_devices"),
)

_ROOT: Rows = {
    "version": _seen,
    "system": dict.fromkeys(_SYSTEM, _seen),
    "device_defaults": _seen,
    "devices": _seen,
    "nvlink": _seen,
    "pcie_topology": _seen,
    "infiniband": _HELM,
    "dynamic_metrics_defaults": _HELM,
}


def _section(root: Node, name: str) -> Node:
    """A table that must be there.

    Raises:
        ScenarioFileError: there is none.
    """
    section = root.given().get(name)
    if section is None:
        problem = f"expected a section {name!r}, as a configuration of the NVML mock has it"
        raise root.error(f"{problem}; found {_names(root)}")
    section.given()
    return section


def _names(node: Node) -> str:
    return ", ".join(sorted(node.given())[:8]) or "nothing"


def _version(system: Node) -> str:
    node = system.given().get("driver_version")
    if node is None:
        raise system.error("expected a key 'driver_version', found none")
    if not VERSION.fullmatch(node.text()):
        problem = f"expected a driver version such as '550.163.01', found {node.value!r}"
        raise node.error(problem)
    return node.text()


def _cuda(system: Node) -> str:
    node = system.given().get("cuda_version")
    if node is None:
        return ""
    if not CUDA_VERSION.fullmatch(node.text()):
        raise node.error(f"expected a CUDA version such as '12.4', found {node.value!r}")
    return node.text()


# ---- the GPUs


def _devices(root: Node, system: Node, shared: Gathering) -> list[Node]:
    """The configuration of each GPU: the defaults with what is different about it over them."""
    defaults = _section(root, "device_defaults")
    overrides = _overrides(root)
    count = number(system.given(), "num_devices", MOST_GPUS) or len(overrides) or GPUS
    for index, node in overrides.items():
        if index >= count:
            shared.note(node, f"there are {count} GPUs: this one is left out")
    return [_merged(defaults, overrides.get(index)) for index in range(count)]


def _overrides(root: Node) -> dict[int, Node]:
    node = root.given().get("devices")
    rows = [] if node is None else node.list()
    if node is not None and len(rows) > MOST_GPUS:
        raise node.error(f"expected at most {MOST_GPUS} GPUs, found {len(rows)}")
    overrides: dict[int, Node] = {}
    for row in rows:
        index = number(row.given(), "index", MOST_GPUS - 1)
        if index in overrides:
            raise row.error(f"expected an index of its own, found {index} again")
        overrides[index] = row
    return overrides


def _merged(defaults: Node, override: Node | None) -> Node:
    """One GPU's configuration: a table whose values still know their own places."""
    if override is None:
        return defaults
    made = Node("table", override.file, override.line, override.key)
    made.value = dict(defaults.given())
    for name, value in override.given().items():
        before = made.value.get(name)
        if name in _MERGED and before is not None and before.kind == value.kind == "table":
            made.value[name] = Node("table", value.file, value.line, value.key)
            made.value[name].value = {**before.value, **value.value}
        else:
            made.value[name] = value
    return made


def _gpu(node: Node, index: int, notes: dict[Note, None]) -> Gathering:
    found = Gathering(notes)
    _capability(node, found)
    walk(node, DEVICE, found)
    _uuid(node, found)
    minor = node.given().get("minor_number")
    if minor is not None and minor.integer() != index:
        found.note(minor, f"nvemu counts device nodes as GPUs: it is {index}")
    return found


def _capability(node: Node, found: Gathering) -> None:
    section = node.given().get("compute_capability")
    if section is None:
        return
    parts = [section.given().get(name) for name in ("major", "minor")]
    if parts[0] is None or parts[1] is None:
        raise section.error("expected keys 'major' and 'minor'")
    pair = [part.integer(0, 99) for part in parts if part is not None]
    found.tell(("compute_capability",), pair, section)


def _uuid(node: Node, found: Gathering) -> None:
    uuid = node.given().get("uuid")
    if uuid is None or not uuid.text():
        return
    if UUID.fullmatch(uuid.text()):
        found.tell(("uuid",), uuid.text(), uuid)
    else:
        found.note(uuid, f"{uuid.value!r} is no UUID of a GPU: it gets one that is made up")


def _connect(root: Mapping[str, Node], gpus: Sequence[Gathering]) -> None:
    """Tell the GPUs' places in the host, and what their NVLinks lead to."""
    told = [gpu.value("pci_bus_id") for gpu in gpus]
    places = {plain(address): index for index, address in enumerate(told) if address}
    for name, tell in (("pcie_topology", place), ("nvlink", link)):
        section = root.get(name)
        if section is not None and gpus:
            tell(section, gpus, places)


# ---- what fails later


def _faults(index: int, node: Node) -> list[Fault]:
    """The faults of a GPU that is lost after some calls, or by chance."""
    table = part(node.given(), "failure")
    mode = table["mode"].text() if "mode" in table else ""
    if mode not in ("lost", "fallen_off_bus"):
        return []
    conditions: list[dict[str, Any]] = []
    if after := number(table, "after_calls", 1 << 31):
        conditions.append({"calls": f"{after}-"})
    if "probability" in table and (chance := table["probability"].number()):
        if not 0 < chance <= 1:
            raise table["probability"].error("expected a number from 0 to 1")
        seed = table["seed"].integer(-(1 << 63), (1 << 63) - 1) if "seed" in table else 0
        conditions.append({"probability": chance, "seed": seed})
    return [
        Fault("nvmlDeviceGet*", device=index, returns="GPU_IS_LOST", **condition)
        for condition in conditions
    ]
