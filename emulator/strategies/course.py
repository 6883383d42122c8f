"""Drawn changes: what happens to a machine in the course of time."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ..machine.words import WORDS
from ..scenario import Change

__all__ = ["changes"]

#: What can happen at a time, the simplest first.
_EVENTS: tuple[dict[str, Any], ...] = (
    *({"set": {"failure": word}} for word in WORDS["Failure"]),
    {"set": {"failure": "N/A"}},
    {"set": {"temperature": 0}},
    {"set": {"temperature": 95}},
    {"set": {"utilization": 100}},
    {"set": {"memory_used": 0}},
    {"add": {"memory_used": "1 GiB"}},
    {"add": {"temperature": 10}},
    {"xid": 31},
)


def changes(devices: int, *, within: int = 60) -> st.SearchStrategy[Change]:
    """One change of one device, or of all.

    Args:
        devices: how many GPUs the machine has.
        within: the latest time of a change, in seconds from the scenario's start.
    """
    return _changes(devices, within)


@st.composite
def _changes(draw: st.DrawFn, devices: int, within: int) -> Change:
    event = draw(st.sampled_from(_EVENTS))
    at = draw(st.integers(0, within))
    device = draw(st.sampled_from([None, *range(devices)]))
    every = draw(st.sampled_from([None, 1, 10])) if "add" in event else None
    return Change(at=at, every=every, device=device, **event)
