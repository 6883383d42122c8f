"""What a scenario takes for a figure of a GPU, or for a part of its identity, by its path."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..scenario import Gpu, ScenarioError
from ..scenario.tree import check

__all__ = ["IDENTITY", "checked", "may_lack"]

Path = tuple[str, ...]

#: What a scenario's GPU has as its own, not among its figures.
IDENTITY = ("name", "uuid", "serial", "pci_bus_id")


def checked(path: Path, value: Any) -> Any:
    """Return a value in the machine's unit.

    Raises:
        ScenarioError: there is no such figure, or it cannot be that.
    """
    if path[0] in IDENTITY:
        return getattr(Gpu("-", **{path[0]: value}), path[0])
    found = value
    for part in reversed(path):
        found = {part: found}
    found = check(found)
    for part in path:
        found = found[part]
    return found


@cache
def may_lack(path: Path) -> bool:
    """Return whether a product may be without a figure."""
    try:
        checked(path, None)
    except ScenarioError:
        return False
    return True
