"""What happens to a machine in the course of time, and at a word from outside.

A change is a table of the plan: `devices` (indices), `set` and `add` (figures in tables shaped like
a device), and for those of a schedule `at`, `every`, `until` (nanoseconds since the start).
"""

from __future__ import annotations

from _thread import RLock

from .figures import Figures
from .groups import GROUPS, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .device import Device
    from .machine import Machine

    Change = Mapping[str, Any]

__all__ = ["Schedule", "apply"]


class Schedule:
    """The changes of a scenario that are still to come."""

    __slots__ = ("_hook", "_lock", "_pending", "_taking")

    def __init__(self, changes: list[Change], hook: Callable[[Any], Callable[..., Any]]) -> None:
        """`hook` makes a function of what a change has under `run`."""
        self._hook = hook
        # Held until a change is made, so that a later one of another thread does not come first.
        # Reentrant: a change's function may call, and so may a signal handler of the host.
        self._lock = RLock()
        self._taking = False
        # (when next, change): a change of one time leaves when it has happened.
        self._pending: list[tuple[int, Change]] = [(change["at"], change) for change in changes]

    def run(self, machine: Machine, now: int) -> None:
        """Do what is due at `now`, in the order of time; at the same time, as it is written."""
        with self._lock:
            while not self._taking and (due := self._take(now)) is not None:
                apply(machine, *due, self._hook)

    def renew_lock(self) -> None:
        """Forget a lock that a thread of a fork's parent holds."""
        self._lock, self._taking = RLock(), False

    def _take(self, now: int) -> tuple[Change, int] | None:
        """The next change that is due, and how often."""
        self._taking = True
        try:
            due = min(self._pending, key=lambda entry: entry[0], default=None)
            if due is None or due[0] > now:
                return None
            position = self._pending.index(due)
            others = [when for when, _ in self._pending if _ is not due[1]]
            when, times = self._repeat(*due, now=min([now, *others]))
            if when is None:
                del self._pending[position]
            else:
                self._pending[position] = (when, due[1])
            return due[1], times
        finally:
            self._taking = False

    @staticmethod
    def _repeat(when: int, change: Change, now: int) -> tuple[int | None, int]:
        """How often a change is due until another one is, and when it is due again."""
        every = change.get("every")
        if every is None:
            return None, 1
        until = change.get("until")
        last = now if until is None else min(now, until)
        times = max(last - when, 0) // every + 1
        when += times * every
        return (None if until is not None and when > until else when), times


def apply(
    machine: Machine, change: Change, times: int, hook: Callable[[Any], Callable[..., Any]]
) -> None:
    """Make a change that is due so many times at once."""
    for index in change["devices"]:
        device = machine.devices[index]
        _set(device, change.get("set", {}))
        _add(device, change.get("add", {}), times)
        _fit(device)
    if change.get("run"):
        function = hook(change["run"])
        for _ in range(times):
            function(machine)


def _set(group: Any, figures: Mapping[str, Any]) -> None:
    for name, value in figures.items():
        held = getattr(group, name)
        if isinstance(value, dict) and isinstance(held, Figures):
            _set(held, value)
        elif isinstance(value, dict) and isinstance(held, dict):
            held.update(value)
        elif name in GROUPS and not isinstance(held, str):
            setattr(group, name, build(name, value))
        else:
            setattr(group, name, value)


def _add(group: Any, figures: Mapping[str, Any], times: int) -> None:
    for name, value in figures.items():
        held = getattr(group, name)
        if isinstance(value, dict):
            _add(held, value, times)
        elif held is not None:  # what the product does not have cannot grow
            setattr(group, name, max(held + value * times, 0))


def _fit(device: Device) -> None:
    """Memory in use is no more than there is."""
    memory = device.memory
    memory.used = min(memory.used, memory.usable)
