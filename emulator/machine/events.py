"""What happens to devices, told to those who listen: Xids, and figures that change.

Nothing is looked at while nobody listens. From the first listener on, each change of the machine
ends with a look at the figures that events are made of, and every listener is told once of what
differs from the look before.
"""

from __future__ import annotations

from time import monotonic

from .drivers import branch
from .xids import KINDS, RECOVERY_ACTIONS_SINCE, XIDS, differences, look_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, TypeVar

    from .device import Device
    from .machine import Machine
    from .waiting import Bell

    Found = TypeVar("Found")

__all__ = ["XID", "Event", "Events", "Listener"]

#: So many Xids are told of when a change that repeats is late.
MOST_XIDS = 4096

#: Seconds of the machine's clock in which a change of a busy device's readings is noticed.
NOTICED = 1.0

XID = "xid"


class Event:
    """Something that happened to a device.

    Attributes:
        device: the one that it happened to.
        kind: "xid", or a word of `xids.py`.
        xid: the number of an Xid; 0 for any other kind.
        when: nanoseconds since the epoch, of the machine's clock.
        number: which of the machine's events it is, from 1.
    """

    __slots__ = ("device", "kind", "number", "when", "xid")

    def __init__(self, device: Device, kind: str, xid: int, when: int, number: int) -> None:
        self.device = device
        self.kind = kind
        self.xid = xid
        self.when = when
        self.number = number

    def __repr__(self) -> str:
        what = f"Xid {self.xid}" if self.kind == XID else self.kind
        return f"Event({self.number}: {what} of GPU {self.device.index})"


class Listener:
    """One who listens.

    Attributes:
        closed: it hears of nothing any more.
        follows_loads: it is to hear of readings that follow a load.
    """

    closed = False
    follows_loads = False

    def hear(self, event: Event) -> None:
        """Take what has happened, under the machine's lock."""
        raise NotImplementedError


class Events:
    """The events of a machine, from its first listener on."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._listeners: list[Listener] = []
        self._bells: list[Bell] = []  # of the threads that wait
        self._seen: dict[int, list[Any]] = {}  # device index -> what `look_at` found
        self._count = 0

    def listen(self, listener: Listener) -> None:
        """Give a listener what happens from here on; once more is once."""
        with self._machine.lock:
            self.look()  # what was before is not for it
            if not self._listeners:
                self._seen = {device.index: look_at(device) for device in self._machine.devices}
            if listener not in self._listeners:
                self._listeners.append(listener)

    def close(self, listener: Listener) -> None:
        """Give a listener nothing any more; a thread that waits for it goes on."""
        with self._machine.lock:
            listener.closed = True
            if listener in self._listeners:
                self._listeners.remove(listener)
            self._ring()

    def hang_up(self) -> None:
        """Close all who listen."""
        with self._machine.lock:
            for listener in self._listeners:
                listener.closed = True
            self._listeners = []
            self._ring()

    def look(self, change: Mapping[str, Any] | None = None, times: int = 1) -> None:
        """Tell of what is different from the last look, and of the Xid of a change.

        Under the machine's lock. An Xid that a change gives stands for those that would follow from
        its figures.
        """
        if not self._listeners:
            return
        for device in self._machine.devices:
            said: int = 0
            if change is not None and device.index in change["devices"]:
                said = change.get("xid", 0)
            companions = KINDS.get(said, ())
            for kind in dict.fromkeys((*companions, *self._differences(device))):
                self._tell(device, kind)
                number = XIDS.get(kind, said)
                if kind not in companions and number != said and self._has(number):
                    self._tell(device, XID, number)
            for _ in range(min(times, MOST_XIDS) if said else 0):
                self._tell(device, XID, said)

    def _has(self, xid: int) -> bool:
        """Whether the machine's driver has an Xid."""
        return xid != XIDS["recovery_action"] or (
            branch(self._machine.driver) >= RECOVERY_ACTIONS_SINCE
        )

    def _differences(self, device: Device) -> list[str]:
        """The kinds of events that a device's figures tell of since the last look."""
        before = self._seen[device.index]
        after = self._seen[device.index] = look_at(device)
        return differences(before, after)

    def _tell(self, device: Device, kind: str, xid: int = 0) -> None:
        self._count += 1
        event = Event(device, kind, xid, self._machine.clock.now(), self._count)
        for listener in self._listeners:
            listener.hear(event)
        self._ring()

    def _ring(self) -> None:
        for bell in self._bells:
            bell.ring()

    # ---- waiting

    def wait(self, look: Callable[[], Found | None], seconds: float) -> Found | None:
        """Wait until `look` finds something, `seconds` at most; returns that, or None.

        It is called under the machine's lock, whenever something has happened. In between the
        thread sleeps until another one changes the machine, another process says something, the
        machine is to change by itself, or a signal comes, which ends the wait.
        """
        end = monotonic() + seconds
        found = self._found(look)
        if found is not None or seconds <= 0:
            return found
        from .waiting import Bell  # here, as many only ask what has happened

        bell = Bell(self._machine.folder)
        with self._machine.lock:
            self._bells.append(bell)
        try:
            while True:
                # After the bell is hung up, or what is said in between would be missed.
                found = self._found(look)
                left = end - monotonic()
                if found is not None or left <= 0:
                    return found
                due = self._until_change()
                if not bell.wait(left if due is None else min(left, due)):
                    return self._found(look)
        finally:
            with self._machine.lock:
                if bell in self._bells:
                    self._bells.remove(bell)
                bell.close()

    def _until_change(self) -> float | None:
        """Seconds until the machine changes by itself; None if it does not."""
        machine = self._machine
        due = machine.until_change()
        following = any(listener.follows_loads for listener in self._listeners)
        if following and machine.has_loads and machine.loads.lasting and machine.clock.rate:
            noticed = NOTICED / machine.clock.rate
            return noticed if due is None else min(due, noticed)
        return due

    def _found(self, look: Callable[[], Found | None]) -> Found | None:
        """What there is to find when all has happened here that has happened on the machine."""
        machine = self._machine
        machine.hear()
        machine.catch_up()
        with machine.lock:
            self.look()
            return look()

    def renew(self) -> None:
        """In a fork's child, forget the threads of the parent that wait."""
        bells, self._bells = self._bells, []
        for bell in bells:
            bell.close()
