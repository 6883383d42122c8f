"""A scenario's changes, resolved into the tables that the machine's schedule is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..machine.machine import gpu_tables
from .errors import ScenarioError, within
from .hooks import located
from .instances import check_rows
from .picking import devices
from .schema import Change
from .times import parse_duration
from .vgpus import check_types

__all__ = ["changes"]


def changes(
    written: Sequence[Change], gpus: Sequence[dict[str, Any]], folder: str = ""
) -> list[dict[str, Any]]:
    """Return the plan's changes, in the order in which they were written.

    Raises:
        ScenarioError: see ``resolve``; its key path begins with ``change[n]``.
    """
    resolved = []
    for index, change in enumerate(written):
        with within("change", index):
            resolved.append(_change(change, gpus, folder))
    return resolved


def _change(change: Change, gpus: Sequence[dict[str, Any]], folder: str) -> dict[str, Any]:
    at = parse_duration(change.at)
    every = None if change.every is None else parse_duration(change.every)
    until = None if change.until is None else parse_duration(change.until)
    if until is not None and (every is None or until < at):
        problem = "expected an end after the beginning, of what happens again and again"
        raise ScenarioError(f"{problem}; found {change.until!r}", key=("until",))
    given = {
        "every": every,
        "until": until,
        "set": change.set or None,
        "add": change.add or None,
        "xid": change.xid,
        "run": None if change.run is None else located(change.run, folder),
    }
    present = {key: value for key, value in given.items() if value is not None}
    chosen = devices(change.device, gpus)
    mig, vgpus = (change.set.get(group, {}).get("instances") for group in ("mig", "vgpu"))
    tables = gpu_tables(gpus) if mig or vgpus else []
    for table in (tables[index] for index in chosen if tables):
        if mig:
            check_rows(table["profile"], mig, ("set", "mig", "instances"))
        if vgpus:
            check_types(table, vgpus, ("set", "vgpu", "instances"))
    return {"at": at, "devices": chosen, **present}
