"""The NVLinks of the NVML mock's configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...machine.words import WORDS
from ...scenario.checks import MOST_GPUS
from ..yaml.node import Node
from .addresses import is_address, plain
from .gathering import Gathering, Rows, absent, follows, left, number, part, rows, walk

__all__ = ["link"]

#: More links than any GPU has are a mistake: NVML_NVLINK_MAX_LINKS.
MOST_LINKS = 18


def link(section: Node, gpus: Sequence[Gathering], places: Mapping[str, int]) -> None:
    """Tell what the GPUs' NVLinks lead to; `places` has the GPUs by bus id.

    Raises:
        ScenarioFileError: a value is of the wrong type.
    """
    table = section.given()
    walk(section, _NVLINK, gpus[0])
    listed = [_links(table, index, gpu, places) for index, gpu in enumerate(gpus)]
    for gpu, links in zip(gpus, _joined(listed, section, gpus[0]), strict=True):
        if links:
            gpu.tell(("nvlinks",), links, section)
        _settings(gpu, table)


def _joined(
    listed: Sequence[list[dict[str, Any]]], section: Node, found: Gathering
) -> list[list[dict[str, Any]]]:
    """The links of each GPU, without those to GPUs that do not list as many back: the mock's older
    profiles have a link of the first GPU as an example."""
    ends = [Counter(row.get("remote") for row in links) for links in listed]

    def whole(index: int, row: dict[str, Any]) -> bool:
        remote = row.get("remote") or ""
        if not remote.startswith("GPU"):
            return True
        other = int(remote[3:])
        paired = other != index and other < len(ends)
        return paired and ends[other][f"GPU{index}"] == ends[index][remote]

    kept = [[row for row in links if whole(n, row)] for n, links in enumerate(listed)]
    if any(len(each) != len(links) for each, links in zip(kept, listed, strict=True)):
        found.note(section, "links that do not lead back are left out: a link has two ends")
    return kept


_NVLINK: Rows = {
    "version": follows,
    "links_per_gpu": follows,
    "bandwidth_per_link_mbps": follows,
    "bandwidth_per_link_gbps": follows,  # until 2026
    "c2c_enabled": follows,
    "links": follows,
    "switches": follows,
    "device_links": follows,
    "defaults": {
        "state": follows,
        "duty_cycle": left("what goes over a link follows from the load", "0", "0.0"),
        "counter_seed": left("what went over a link begins at nothing", "0"),
        "error_rate": left("errors that accrue are a change of a scenario", "0", "0.0"),
    },
    "bw_mode": {"scope": follows, "supported": follows, "mode": follows},
    "nvle_enabled": follows,
    "firmware": dict.fromkeys((name.lower() for name in WORDS["LinkUcode"]), follows),
}


def _settings(gpu: Gathering, table: Mapping[str, Node]) -> None:
    """Tell what holds for all links of a GPU."""
    for key, path in (
        ("c2c_enabled", ("c2c", "active")),
        ("nvle_enabled", ("nvlink", "encryption")),
    ):
        if key in table and table[key].truth():
            gpu.tell(path, True, table[key])
    if "bw_mode" in table:
        _bandwidth(gpu, table["bw_mode"])
    versions = part(table, "firmware")
    firmware = [
        _firmware(name, versions) for name in WORDS["LinkUcode"] if name.lower() in versions
    ]
    if firmware:
        gpu.tell(("nvlink", "firmware"), firmware, table["firmware"])


def _bandwidth(gpu: Gathering, section: Node) -> None:
    """The bandwidth mode: of the whole machine (Hopper), or of each GPU (Blackwell)."""
    table = section.given()
    scope = table["scope"].text() if "scope" in table else ""
    modes = WORDS["BandwidthMode"]
    if scope == "system":
        mode = number(table, "mode", len(modes) - 1)
        gpu.tell(("nvlink", "bandwidth_mode"), modes[mode], section)
    elif scope == "device":
        listed = [each.integer(0, len(modes) - 1) for each in rows(table, "supported")]
        supported = listed or list(range(len(modes)))
        gpu.tell(("nvlink", "reduced_bandwidth_modes"), supported, section)
        mode = number(table, "mode", len(modes) - 1, supported[0])
        chosen = mode if mode in supported else supported[0]
        gpu.tell(("nvlink", "reduced_bandwidth_mode"), chosen, section)
    else:
        gpu.note(section, "the bandwidth mode is as the profile has it")


def _firmware(name: str, versions: Mapping[str, Node]) -> dict[str, Any]:
    node = versions[name.lower()]
    parts = node.text().split(":")
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise node.error(f"expected a version such as '2:0:14', found {node.value!r}")
    major, minor, sub_minor = map(int, parts)
    return {"ucode": name, "major": major, "minor": minor, "sub_minor": sub_minor}


def _links(
    table: Mapping[str, Node], index: int, gpu: Gathering, places: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The rows of a GPU's links: those that are listed for it, or as many as it has to switches."""
    version = number(table, "version", 255)
    old = number(table, "bandwidth_per_link_gbps", 1 << 20) * 1000
    speed = number(table, "bandwidth_per_link_mbps", 1 << 20) or old
    common = {"version": version, "speed": speed}
    if not version:
        return []
    if version not in range(1, 7):
        raise table["version"].error(
            f"expected a generation of NVLink from 1 to 6, found {version}"
        )
    listed = _listed(table, index)
    if listed is not None:
        ends = _ends(listed, part(table, "defaults").get("state"), gpu, places)
    else:
        known = [row.given() for row in rows(table, "switches")]
        switches = [_far(row["bdf"]) for row in known if "bdf" in row and row["bdf"].text()]
        count = number(table, "links_per_gpu", MOST_LINKS)
        ends = [switches[n % len(switches)] for n in range(count)] if switches else []
    return [{**common, **({"remote": end} if end else {})} for end in ends]


def _listed(table: Mapping[str, Node], index: int) -> list[Node] | None:
    for row in rows(table, "device_links"):
        known = row.given()
        if "links" in known and number(known, "index", MOST_GPUS) == index:
            return rows(known, "links")
    return rows(table, "links") if index == 0 and "links" in table else None


def _ends(
    listed: Sequence[Node], default: Node | None, gpu: Gathering, places: Mapping[str, int]
) -> list[str | None]:
    """What each link leads to, by its number; None where it is down."""
    ends: dict[int, str | None] = {}
    for row in listed:
        known = row.given()
        state = known.get("state", default)
        up = state is None or state.text().strip().lower() in ("", "active", "up", "enabled")
        place = number(known, "link", MOST_LINKS - 1)
        ends[place] = _end(row, known, gpu, places) if up else None
    return [ends.get(place) for place in range(max(ends, default=-1) + 1)]


def _end(
    row: Node, known: Mapping[str, Node], gpu: Gathering, places: Mapping[str, int]
) -> str | None:
    if "remote_index" in known:
        return f"GPU{known['remote_index'].integer(0, 255)}"
    kind = known["remote_device_type"].text().lower() if "remote_device_type" in known else ""
    address = known.get("remote_pci_bus_id")
    if address is None or absent(address):
        return "SWITCH" if "switch" in kind else None
    if plain(address.text()) in places:
        return f"GPU{places[plain(address.text())]}"
    if kind in ("cpu", "c2c"):
        gpu.note(row, "a link to the CPU is no NVLink in nvemu: it is the GPU's C2C")
        return None
    return _far(address)


def _far(node: Node) -> str:
    """The bus id of a switch.

    Raises:
        ScenarioFileError: it is none.
    """
    if not is_address(node.text().strip()):
        raise node.error(f"expected a PCI bus id, found {node.value!r}")
    return plain(node.text())
