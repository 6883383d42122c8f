"""MIG instances of a scenario's GPU: whether the product can be divided so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..machine.mig.places import arrange
from ..machine.modes import Instance
from .errors import ScenarioError
from .vgpus import Name

__all__ = ["check_instances", "check_rows", "mig_names"]

_UUID = re.compile("MIG-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_instances(product: str, mig: Mapping[str, Any]) -> None:
    """Refuse instances that could not be made, or while the mode is off.

    Raises:
        ScenarioError: what is wrong, and what the product has.
    """
    rows = mig.get("instances")
    if not rows:
        return
    key = ("figures", "mig", "instances")
    if not mig.get("current"):
        raise ScenarioError("expected no instances, as MIG is off: set current = true", key=key)
    check_rows(product, rows, key)
    if not mig.get("max_instances"):
        raise ScenarioError("expected max_instances, the most MIG devices there can be", key=key)


def check_rows(product: str, rows: Sequence[Mapping[str, Any]], key: tuple[str, ...]) -> None:
    """Refuse instances that could not be made together; they were written at `key`.

    Raises:
        ScenarioError: what is wrong, and what the product has.
    """
    uuids = _uuids(rows)
    for uuid in uuids:
        if not _UUID.fullmatch(uuid):
            raise ScenarioError(f"expected 'MIG-' and a UUID, found {uuid!r}", key=key)
        if uuids.count(uuid) > 1:
            raise ScenarioError(f"expected UUIDs of their own, found {uuid!r} again", key=key)
    try:
        arrange(product, [Instance(row) for row in rows])
    except ValueError as error:
        raise ScenarioError(str(error), key=key) from None


def mig_names(figures: Mapping[str, Any]) -> list[Name]:
    """What the MIG devices of a GPU are known by, where it is given."""
    rows = figures.get("mig", {}).get("instances") or ()
    return [("MIG UUID", uuid, ("figures", "mig", "instances")) for uuid in _uuids(rows)]


def _uuids(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        each["uuid"]
        for row in rows
        for each in row.get("compute") or ()
        if each.get("uuid") is not None
    ]
