"""What the NVLinks of a scenario's GPUs lead to."""

from __future__ import annotations

from typing import Any

from ..machine.changes import elements
from ..machine.links.links import switch_bus_id
from .checks import bus_address
from .errors import ScenarioError, UnknownNameError
from .profiles import Links, Placement

__all__ = ["join", "listed", "wired"]

Address = tuple[int, int, int]


def wired(placement: Placement, address: Address, said: Any) -> dict[str, Any] | list[Any]:
    """Return the plan's table of a GPU's links: as its product has them, and what is said of them.

    Links that lead to GPUs of the same board are still known by where those are; see ``join``.

    Raises:
        UnknownNameError: it has no such link.
    """
    if isinstance(said, (list, tuple)):
        return [dict(row) for row in said]
    if placement.links is None:
        if said:
            problem = "the product has no NVLinks: expected a list of them, found a table"
            raise ScenarioError(problem, key=("figures", "nvlinks"))
        return {}
    rows = _rows(placement, placement.links, address)
    for place, row in (said or {}).items():
        chosen = elements(rows, place)
        if not chosen:
            problem = f"expected one of its {len(rows)} links, found {place!r}"
            raise UnknownNameError(problem, key=("figures", "nvlinks", place))
        for link in chosen:
            if "remote" in row:
                link.clear()
            link.update(row)
    return {"version": placement.links.version, "speed": placement.links.speed, "links": rows}


def _rows(placement: Placement, links: Links, address: Address) -> list[dict[str, Any]]:
    if links.switches:
        ids = [each if each == "SWITCH" else switch_bus_id(each) for each in links.switches]
        return [{"remote": ids[n * len(ids) // links.count]} for n in range(links.count)]
    places = [bus_address(bus_id)[1:] for bus_id in placement.bus_ids]
    if not links.mesh or address[1:] not in places:
        return [{} for _ in range(links.count)]
    leads = links.mesh[places.index(address[1:])]
    return [{} if place < 0 else {"board": (address[0], *places[place])} for place in leads]


def listed(table: dict[str, Any] | list[Any]) -> list[dict[str, Any]]:
    """A plan's table of a GPU's links as a scenario lists them: a row each that says all of it."""
    if isinstance(table, list):
        return table
    links: list[dict[str, Any]] = table.get("links", [])
    return [{"version": table["version"], "speed": table["speed"], **link} for link in links]


def join(devices: list[dict[str, Any]]) -> None:
    """Say of each link which GPU it leads to, by its index.

    Raises:
        ScenarioError: there is no such GPU, or not as many links lead back.
    """
    at = {_place(device): index for index, device in enumerate(devices)}
    between: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for index, device in enumerate(devices):
        for link in _links(device):
            remote = _joined(link, device["profile"], index, at)
            if remote is not None:
                between.setdefault((index, remote), []).append(link)
    for (here, there), ends in between.items():
        back = between.get((there, here), [])
        if len(back) != len(ends):
            problem = f"GPU{here} has {len(ends)} NVLinks to GPU{there}, which has {len(back)} back"
            raise ScenarioError(f"expected as many on both sides: {problem}", key=("gpu",))
        for end, other in zip(ends, back, strict=True):  # down at one end is down at both
            if end.get("active") is False:
                other["active"] = False


def _place(device: dict[str, Any]) -> tuple[str, Address]:
    """Where a device is on a board with others of its product."""
    pci = device["pci"]
    return device["profile"], (pci["domain"], pci["bus"], pci["device"])


def _links(device: dict[str, Any]) -> list[dict[str, Any]]:
    table = device["nvlinks"]
    links: list[dict[str, Any]] = table if isinstance(table, list) else table.get("links", [])
    return links


def _joined(
    link: dict[str, Any], profile: str, index: int, at: dict[tuple[str, Address], int]
) -> int | None:
    """Put a GPU's index where a link leads to one; returns it."""
    remote = link.get("remote")
    if "board" in link:
        found = at.get((profile, link.pop("board")))  # None at an empty place: the link is down
        if found is None:
            return None
    elif remote == "PAIR":
        found = index ^ 1
    elif remote is not None and remote.startswith("GPU"):
        found = int(remote[3:])
    else:
        return None
    if found == index or found >= len(at):
        problem = f"expected another GPU that an NVLink of GPU{index} leads to, found {remote!r}"
        raise ScenarioError(problem, key=("gpu",))
    link["remote"] = f"GPU{found}"
    return found
