"""Scenarios with a little less in them, for finding out what of one matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from msgspec.structs import fields as fields_of
from msgspec.structs import replace

from ..plans import plan_of
from ..scenario import Gpu, Scenario, ScenarioError, dumps

__all__ = ["smaller", "weight"]

#: The plainest product of the catalogue.
_PLAINEST = "t4"


def weight(scenario: Scenario) -> int:
    """How much there is in a scenario, to compare it with another."""
    return len(dumps(scenario))


def smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Yield scenarios with less in them, those with the least first.

    Parts go in halves, then one by one; then what parts say beyond the usual.
    """
    for name in ("kernels", "changes", "faults", "gpus"):
        rows = getattr(scenario, name)
        for kept in _shorter(rows):
            yield from _possible(scenario, {name: kept})
    for name in ("loader", "environment"):
        table = getattr(scenario, name)
        for key in table:
            yield from _possible(scenario, {name: {k: v for k, v in table.items() if k != key}})
    for name in ("gpus", "faults", "changes"):
        rows = getattr(scenario, name)
        for index, row in enumerate(rows):
            for simpler in _simpler(row):
                changed = (*rows[:index], simpler, *rows[index + 1 :])
                yield from _possible(scenario, {name: changed})
    for field in fields_of(Scenario):
        if field.name in ("strict", "clock", "description", "origin", "sees"):
            yield from _possible(scenario, {field.name: field.default})


def _shorter(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the rows without all of them, without each half, without each one."""
    size = len(rows)
    while size:
        for start in range(0, len(rows), size):
            yield (*rows[:start], *rows[start + size :])
        size //= 2


def _simpler(row: Any) -> Iterator[Any]:
    """Yield a GPU, fault or change with one field less."""
    if isinstance(row, Gpu) and row.profile != _PLAINEST:
        yield from _changed(row, {"profile": _PLAINEST})
    for field in fields_of(type(row)):
        if field.required:
            continue
        default = field.default_factory() if callable(field.default_factory) else field.default
        yield from _changed(row, {field.name: default})


def _changed(row: Any, change: dict[str, Any]) -> Iterator[Any]:
    """Yield the row with a change, if it is another then, and one that may be."""
    with suppress(ScenarioError):
        changed = replace(row, **change)
        if changed != row:
            yield changed


def _possible(scenario: Scenario, change: dict[str, Any]) -> Iterator[Scenario]:
    with suppress(ScenarioError):
        for changed in _changed(scenario, change):
            plan_of(changed)
            yield changed
