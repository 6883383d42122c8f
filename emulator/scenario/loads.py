"""The loads that scenarios give devices, and the readings that do not follow them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ..machine.load.load import DRIVEN, written
from .errors import ScenarioError

__all__ = ["check_load", "resolved"]

#: A time of a curve that is shorter was meant to be in seconds.
_SHORTEST = 1_000_000


def resolved(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a device's load has beside what the scenario says of it: the readings that do
    not follow, as the scenario gives them itself.

    Raises:
        ScenarioError: see ``check_load``; a reading to pin that follows no load.
    """
    load = figures.get("load", {})
    check_load(load)
    pinned = [".".join(path) for path in DRIVEN if written(figures, path)]
    pinned += [name for name in load.get("pinned") or () if name not in pinned]
    return {"load": {"pinned": pinned}} if pinned else {}


def check_load(load: Mapping[str, Any]) -> None:
    """Refuse a load that cannot be.

    Raises:
        ScenarioError: an engine that is busy for more than all of the time, a curve whose times go
            back, a name among ``pinned`` that is no reading's.
    """
    for name, value in load.items():
        if isinstance(value, int) and name != "seed" and value > 100:
            problem = f"expected 0 to 100 percent, found {value!r}"
            raise ScenarioError(problem, key=("load", name))
    _check_curve(load.get("curve") or ())
    known = [".".join(path) for path in DRIVEN]
    for name in load.get("pinned") or ():
        if name not in known:
            problem = f"expected a reading that follows a load ({', '.join(known)}), found {name!r}"
            raise ScenarioError(problem, key=("load", "pinned"))


def _check_curve(curve: Any) -> None:
    for index, (time, share) in enumerate(curve):
        if 0 < time < _SHORTEST or share > 100:
            problem = "expected a time such as '10 s' and 0 to 100 percent"
            raise ScenarioError(f"{problem}, found {[time, share]!r}", key=("load", "curve", index))
    for index, ((time, _), (later, _)) in enumerate(pairwise(curve), 1):
        if later < time:
            problem = f"expected a time of at least {time} ns, found {later}"
            raise ScenarioError(problem, key=("load", "curve", index))
