"""The GPU instances and compute instances of the NVML mock's configuration."""

from __future__ import annotations

from typing import Any

from ..mock.gathering import Gathering
from ..yaml.node import Node
from .rows import rows

__all__ = ["instances", "mig_layout"]


def mig_layout(node: Node, found: Gathering) -> None:
    """GPU instances by kind and number, each with compute instances likewise."""
    layout = []
    for row in rows(node):
        table = row.table()
        profile = _profile(row, found)
        if profile is not None:
            compute = table.get("compute_instances")
            made = _declared(compute, found) if compute is not None else None
            one = {"profile": profile} if made is None else {"profile": profile, "compute": made}
            layout += [dict(one) for _ in range(_count(table.get("count")))]
    _place(layout, node, found)


def instances(node: Node, found: Gathering) -> None:
    """The GPU instances that there are, with their ids and places."""
    layout = []
    for row in rows(node):
        table = row.table()
        profile = _profile(row, found)
        if profile is None:
            continue
        one: dict[str, Any] = {"profile": profile}
        if "id" in table:
            one["id"] = table["id"].integer(0, 255)
        if "placement_start" in table:
            one["start"] = table["placement_start"].integer(0, 255)
        if "compute_instances" in table:
            one["compute"] = [_compute(each, found) for each in rows(table["compute_instances"])]
        layout.append(one)
    _place(layout, node, found)


def _place(layout: list[dict[str, Any]], node: Node, found: Gathering) -> None:
    if found.value("mig", "current"):
        found.tell(("mig", "instances"), layout, node)
    elif layout:
        found.note(node, "MIG is off: what a GPU would be divided into is left out")


def _profile(row: Node, found: Gathering) -> str | None:
    table = row.table()
    if "profile" in table:
        return table["profile"].text()
    if "profile_id" not in table:
        raise row.error("expected a key 'profile' such as '1g.10gb', found none")
    found.note(row, "a GPU instance is known by its profile's name, not by a number: left out")
    return None


def _count(node: Node | None) -> int:
    return 1 if node is None else max(node.integer(0, 64), 1)


def _declared(node: Node, found: Gathering) -> list[dict[str, Any]]:
    return [
        _compute(row, found) for row in rows(node) for _ in range(_count(row.table().get("count")))
    ]


def _compute(row: Node, found: Gathering) -> dict[str, Any]:
    """A compute instance: "1c" or "1c.2g.20gb" has one slice."""
    table = row.table()
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
