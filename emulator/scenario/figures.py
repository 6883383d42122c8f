"""The figures that users write beside the tree of all: short names, changes, and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import ScenarioError
from .loads import check_load
from .tree import check

__all__ = ["SHORTCUTS", "added_figures", "changed_figures", "has_figure"]

#: Short name, a field of Gpu -> where the machine keeps it.
SHORTCUTS: dict[str, tuple[str, ...]] = {
    "name": ("name",),
    "memory_total": ("memory", "total"),
    "memory_used": ("memory", "used"),
    "temperature": ("temperature", "gpu"),
    "power_usage": ("power", "usage"),
    "load": ("load", "gpu"),
    "utilization": ("load", "gpu"),
    "failure": ("failure",),
}


def has_figure(figures: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Return whether a table of figures says something of the one at a path."""
    table: Any = figures
    for part in path:
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True


def changed_figures(value: object) -> dict[str, Any]:
    """Check figures to set: in tables as a profile has them, or by their short names.

    Raises:
        UnknownNameError: a figure that devices do not have.
        ScenarioError: a figure of the wrong type, with its key path.
    """
    if not isinstance(value, Mapping):
        raise ScenarioError(f"expected a table of figures, found {value!r}")
    tree: dict[str, Any] = {}
    for name, entry in value.items():
        path = SHORTCUTS.get(name, (name,)) if not isinstance(entry, Mapping) else (name,)
        table = tree
        for part in path[:-1]:
            table = table.setdefault(part, {})
        if path[-1] in table:
            raise ScenarioError("expected each figure once, found it twice", key=(name,))
        table[path[-1]] = entry
    checked = check(tree)
    check_load(checked.get("load", {}))
    return checked


def added_figures(value: object) -> dict[str, Any]:
    """Check by how much figures grow, or, below zero, shrink: numbers and quantities only.

    Raises:
        ScenarioError: see ``changed_figures``; a figure that is no number.
    """
    return _signed(value, changed_figures(_magnitudes(value)), ())


def _magnitudes(value: Any) -> Any:
    """The same figures without their signs, as they can be checked."""
    if isinstance(value, Mapping):
        return {key: _magnitudes(entry) for key, entry in value.items()}
    if isinstance(value, str):
        return value.strip().removeprefix("-")
    return abs(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _signed(written: Any, checked: dict[str, Any], at: tuple[str, ...]) -> dict[str, Any]:
    signed: dict[str, Any] = {}
    for name, entry in checked.items():
        key = (*at, name)
        if isinstance(entry, dict):
            signed[name] = _signed(written, entry, key)
        elif isinstance(entry, int) and not isinstance(entry, bool):
            signed[name] = -entry if _is_negative(written, key) else entry
        else:
            raise ScenarioError(f"expected a figure that is a number, found {entry!r}", key=key)
    return signed


def _is_negative(written: Any, key: tuple[str, ...]) -> bool:
    """Whether the figure at a path, in tables or by its short name, was written below zero."""
    for short, path in SHORTCUTS.items():
        if path == key and not isinstance(written.get(short, {}), Mapping):
            return str(written[short]).strip().startswith("-")
    for part in key:
        written = written[part]
    return str(written).strip().startswith("-")
