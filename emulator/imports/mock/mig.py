"""The GPU instances and compute instances of the NVML mock's configuration."""

from __future__ import annotations

from typing import Any

from ..yaml.node import Node
from .gathering import MOST_ROWS, Gathering, number, rows

__all__ = ["instances", "mig_layout"]


def mig_layout(node: Node, found: Gathering) -> None:
    """GPU instances by kind and number, each with compute instances likewise."""
    layout = []
    for row in node.list(MOST_ROWS):
        table = row.given()
        profile = _profile(row, found)
        if profile is not None:
            one: dict[str, Any] = {"profile": profile}
            if "compute_instances" in table:
                listed = rows(table, "compute_instances")
                one["compute"] = [_compute(each, found) for each in listed for _ in _times(each)]
            layout += [dict(one) for _ in _times(row)]
    _place(layout, node, found)


def instances(node: Node, found: Gathering) -> None:
    """The GPU instances that there are, with their ids and places."""
    layout = []
    for row in node.list(MOST_ROWS):
        table = row.given()
        profile = _profile(row, found)
        if profile is None:
            continue
        one: dict[str, Any] = {"profile": profile}
        if "id" in table:
            one["id"] = table["id"].integer(0, 255)
        if "placement_start" in table:
            one["start"] = table["placement_start"].integer(0, 255)
        if "compute_instances" in table:
            one["compute"] = [_compute(each, found) for each in rows(table, "compute_instances")]
        layout.append(one)
    _place(layout, node, found)


def _place(layout: list[dict[str, Any]], node: Node, found: Gathering) -> None:
    if found.value("mig", "current"):
        found.tell(("mig", "instances"), layout, node)
    elif layout:
        found.note(node, "MIG is off: what a GPU would be divided into is left out")


def _profile(row: Node, found: Gathering) -> str | None:
    table = row.given()
    if "profile" in table:
        return table["profile"].text()
    if "profile_id" not in table:
        raise row.error("expected a key 'profile' such as '1g.10gb', found none")
    found.note(row, "a GPU instance is known by its profile's name, not by a number: left out")
    return None


def _times(row: Node) -> range:
    """As many as there are of a row's kind; one where it says 0, as the mock has it."""
    return range(max(number(row.given(), "count", 64), 1))


def _compute(row: Node, found: Gathering) -> dict[str, Any]:
    """A compute instance: "1c" or "1c.2g.20gb" has one slice."""
    table = row.given()
    one: dict[str, Any] = {}
    if "id" in table:
        one["id"] = table["id"].integer(0, 255)
    text = table["profile"].text() if "profile" in table else ""
    slices, c, _ = text.partition("c")
    if c and slices.isdecimal() and 0 < int(slices[:3]) < 8:
        one["slices"] = int(slices)
    elif "profile_id" in table:
        found.note(row, "a compute instance by number has all slices of its GPU instance")
    elif text and "g." not in text:
        raise row.error(f"expected a profile such as '1c', found {text!r}")
    return one
