"""Drawn scenarios."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from ..machine import NEWEST
from ..scenario import Change, Fault, Gpu, Scenario
from .course import changes as drawn_changes
from .failing import faults as drawn_faults
from .hardware import distinct
from .hardware import gpus as drawn_gpus
from .loading import environments, loader_states

__all__ = ["scenarios"]


def scenarios(
    *,
    driver: str = NEWEST,
    gpus: st.SearchStrategy[Gpu] | Iterable[Gpu] | None = None,
    max_gpus: int = 3,
    faults: st.SearchStrategy[Fault] | None = None,
    max_faults: int = 3,
    max_changes: int = 0,
    in_process: bool = True,
    hostile: bool = False,
) -> st.SearchStrategy[Scenario]:
    """A whole scenario: GPUs, what is wrong with them, and calls that fail.

    The simplest is an empty machine on which nothing fails. What is drawn does the same in each
    run.

    Args:
        driver: the driver version; a process that emulates has one, the same for all.
        gpus: what GPUs are drawn from, see `gpus`; or just these GPUs, in each scenario.
        max_gpus: the greatest number of GPUs.
        faults: what faults are drawn from, see `faults`. One about a device that the drawn machine
            lacks is left out.
        max_faults: the greatest number of faults; 0 for none.
        max_changes: the greatest number of changes over time. If above 0, the clock stands until
            the test advances it (in a program's scenario: it is the wall's).
        in_process: whether to draw only what can be played in this very process and comes back;
            else variables, states of the libraries and delays too.
        hostile: whether faults may end or block the program; never with `in_process`.
    """
    if gpus is None:
        gpus = drawn_gpus(driver=driver)
    rows = (
        st.lists(gpus, max_size=max_gpus).map(distinct)
        if isinstance(gpus, st.SearchStrategy)
        else st.just(tuple(gpus))
    )
    parts = _Parts(driver, rows, faults, max_faults, max_changes, in_process, hostile)
    return _scenarios(parts)


class _Parts:
    """What scenarios are drawn from, each strategy made once for each number of devices."""

    def __init__(  # noqa: PLR0917  (one for each argument of `scenarios`)
        self,
        driver: str,
        rows: st.SearchStrategy[tuple[Gpu, ...]],
        faults: st.SearchStrategy[Fault] | None,
        max_faults: int,
        max_changes: int,
        in_process: bool,
        hostile: bool,
    ) -> None:
        self.driver = driver
        self.rows = rows
        self.clock = "manual" if max_changes and in_process else "wall"
        self.outside: dict[str, st.SearchStrategy[Any]] = {}
        if not in_process:
            self.outside = {"loader": _rarely(loader_states(driver)), "environment": environments()}
        self._faults = faults
        self._most = (max_faults, max_changes)
        self._in_process = in_process
        self._hostile = hostile
        self._made: dict[int, dict[str, st.SearchStrategy[Any]]] = {}

    def happening(self, devices: int) -> dict[str, st.SearchStrategy[Any]]:
        """The faults and changes of a machine with so many devices."""
        if devices not in self._made:
            fault = self._faults
            if fault is None:
                fault = drawn_faults(
                    devices=devices, in_process=self._in_process, hostile=self._hostile
                )
            most_faults, most_changes = self._most
            made: dict[str, st.SearchStrategy[Any]] = {}
            if most_faults:
                made["faults"] = st.lists(fault, max_size=most_faults)
            if most_changes:
                change: st.SearchStrategy[Change] = drawn_changes(devices)
                made["changes"] = st.lists(change, max_size=most_changes)
            self._made[devices] = made
        return self._made[devices]


def _rarely(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly nothing: of a library that is not there, nothing else can be found out."""
    return st.one_of(st.just({}), st.just({}), st.just({}), strategy)


@st.composite
def _scenarios(draw: st.DrawFn, parts: _Parts) -> Scenario:
    rows = draw(parts.rows)
    devices = sum(row.count for row in rows)
    drawn = {name: draw(strategy) for name, strategy in parts.happening(devices).items()}
    drawn |= {name: draw(strategy) for name, strategy in parts.outside.items()}
    if parts.clock != "wall":
        drawn["clock"] = parts.clock
    if "faults" in drawn:
        drawn["faults"] = [fault for fault in drawn["faults"] if _about(fault, devices)]
    return Scenario(driver=parts.driver, gpus=rows, **drawn)


def _about(fault: Fault, devices: int) -> bool:
    """Whether the devices that a fault is about exist, as far as indices tell."""
    written = fault.device if isinstance(fault.device, tuple) else (fault.device,)
    return all(not isinstance(device, int) or device < devices for device in written)
