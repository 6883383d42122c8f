"""What happens to a machine in the course of time, and at a word from outside.

A change is a table of the plan: `devices` (indices), `set` and `add` (figures in tables shaped like
a device), `xid` (a number that whoever listens is told), and for those of a schedule `at`, `every`,
`until` (nanoseconds since the start).
"""

from __future__ import annotations

from _heapq import heapify, heappop, heapreplace

from .device import Device
from .figures import Figures
from .groups import GROUPS, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .machine import Machine
    from .processes import Process

    Change = Mapping[str, Any]

__all__ = ["Schedule", "apply", "elements"]


#: The groups of figures with readings that follow a load.
READINGS = {"clocks", "fans", "pci", "performance_state", "power", "temperature", "utilization"}

#: So many steps one look at the clock takes: what is later still is made at once, and no function
#: is run more often.
MOST = 10_000


class Schedule:
    """The changes of a scenario that are still to come."""

    __slots__ = ("_alone", "_hook", "_pending", "_steps", "taking")

    def __init__(self, changes: list[Change], hook: Callable[[Any], Callable[..., Any]]) -> None:
        """`hook` makes a function of what a change has under `run`."""
        self._hook = hook
        self.taking = False  # else a signal handler of the host calls in the middle of it
        self._steps = 0
        # A heap of (when next, position, change): a change of one time leaves when it has happened.
        self._pending = [(change["at"], place, change) for place, change in enumerate(changes)]
        heapify(self._pending)
        # The changes whose figures no other touches: for these, nobody else's times matter.
        marks = [_footprint(change) for change in changes]
        self._alone = [
            place
            for place, mark in enumerate(marks)
            if mark and all(other is mark or (other and not mark & other) for other in marks)
        ]

    @property
    def due(self) -> int | None:
        """When the next change is due; None when none is to come."""
        return self._pending[0][0] if self._pending else None

    def run(self, machine: Machine, now: int) -> None:
        """Do what is due at `now`, in the order of time; at the same time, as it is written.

        The machine's lock is held until a change is made, so that a later one of another thread
        does not come first.
        """
        self._steps = 0
        while not self.taking and (due := self._take(machine, now)) is not None:
            change, times, when = due
            apply(machine, change, times, self._hook, when)

    def _take(self, machine: Machine, now: int) -> tuple[Change, int, int] | None:
        """The next change that is due, how often, and when first."""
        self.taking = True
        try:
            if not self._pending or self._pending[0][0] > now:
                return None
            when, place, change = self._pending[0]
            self._steps += 1
            if self._steps < MOST and _is_timed(machine, change):
                now = when
            elif self._steps < MOST and place not in self._alone:
                now = min([now, *(entry[0] for entry in self._pending[1:3])])
            again, times = self._repeat(when, change, now)
            if again is None:
                heappop(self._pending)
            else:
                heapreplace(self._pending, (again, place, change))
            return change, times, when
        finally:
            self.taking = False

    @staticmethod
    def _repeat(when: int, change: Change, now: int) -> tuple[int | None, int]:
        """When a change is due again, and how often it is due by now."""
        every = change.get("every")
        if every is None:
            return None, 1
        until = change.get("until")
        last = now if until is None else min(now, until)
        times = max(last - when, 0) // every + 1
        when += times * every
        return (None if until is not None and when > until else when), times


def _footprint(change: Change) -> frozenset[tuple[int, str]]:
    """The devices and groups of figures that a change touches; none if it may touch anything."""
    if change.get("run"):
        return frozenset()
    groups = {*change.get("set", ()), *change.get("add", ()), *({"xid"} & change.keys())}
    return frozenset((index, group) for index in change["devices"] for group in groups)


def apply(
    machine: Machine,
    change: Change,
    times: int,
    hook: Callable[[Any], Callable[..., Any]],
    now: int,
) -> None:
    """Make a change that is due so many times at once, at a time since the start."""
    devices = [machine.devices[index] for index in change["devices"]]
    _prepare(machine, change, devices, now)
    for device in devices:
        before = device.processes if "processes" in change.get("set", ()) else []
        _set(device, change.get("set", {}))
        _add(device, change.get("add", {}), times)
        _fit(device)
        _close_accounts(device, before, now)
    if "nvlinks" in change.get("set", ()):
        _join_links(machine, change)
    if change.get("run"):
        function = hook(change["run"])
        for _ in range(min(times, MOST)):
            function(machine)
    if machine.has_loads:
        machine.loads.look(machine.devices if change.get("run") else devices, now)
    machine.changed(change, times)


def _close_accounts(device: Device, before: list[Process], now: int) -> None:
    """Keep the accounts of processes that were there before a change of them."""
    if before and device.accounting.enabled:
        from .ledger.accounts import close

        close(device, before, now)


def _is_timed(machine: Machine, change: Change) -> bool:
    """Whether it matters when exactly a change happens: something grows by what it touches."""
    touched = {*change.get("set", ()), *change.get("add", ())}
    return machine.has_loads or not touched.isdisjoint(("load", "power"))


def _prepare(machine: Machine, change: Change, devices: list[Device], now: int) -> None:
    """Before a change, let grow what grows by the figures in force until then.

    A reading that is set follows no load from then on.
    """
    touched = {*change.get("set", ()), *change.get("add", ())}
    if "load" in touched:
        machine.loads.begin(devices, now)
    if machine.has_loads or "power" in touched:
        for device in devices:
            machine.settle(device, now)
    if touched & READINGS:
        from .load.load import pin

        for device in devices:
            pin(device, change.get("set", {}), change.get("add", {}))


def _join_links(machine: Machine, change: Change) -> None:
    """A link that goes down at one end is down at the other."""
    from .links.links import join_ends

    for index in change["devices"]:
        join_ends(machine.devices, machine.devices[index])


def _set(group: Any, figures: Mapping[str, Any]) -> None:
    for name, value in figures.items():
        held = getattr(group, name)
        if isinstance(value, dict) and isinstance(held, Figures):
            _set(held, value)
        elif isinstance(value, dict) and isinstance(held, dict):
            held.update(value)
        elif isinstance(value, dict) and isinstance(held, list) and _are_places(value):
            for place, row in value.items():
                for element in elements(held, place):
                    _set(element, row)
        elif isinstance(group, Device) and name in GROUPS:  # not a row's figure of such a name
            setattr(group, name, build(name, value))
        else:
            setattr(group, name, value)


def _are_places(table: Mapping[str, Any]) -> bool:
    return bool(table) and all(key == "all" or key[0].isdigit() for key in table)


def elements(held: list[Any], place: str) -> list[Any]:
    """The elements of a list at "all", "3" or "0-3": those that there are."""
    if place == "all":
        return held
    first, _, last = place.partition("-")
    return held[int(first) : int(last or first) + 1]


def _add(group: Any, figures: Mapping[str, Any], times: int) -> None:
    for name, value in figures.items():
        held = getattr(group, name)
        if isinstance(value, dict) and isinstance(held, list):
            for place, row in value.items():
                for element in elements(held, place):
                    _add(element, row, times)
        elif isinstance(value, dict):
            _add(held, value, times)
        elif held is not None:  # what the product does not have cannot grow
            setattr(group, name, max(held + value * times, 0))


def _fit(device: Device) -> None:
    """Memory in use is no more than there is."""
    memory = device.memory
    memory.used = min(memory.used, memory.usable)
