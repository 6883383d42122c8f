"""Live control of this process and of a testbed at once."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from ..control import Channel, Entry
from ..emulation import Emulation
from ..machine.clock import SECOND

__all__ = ["Tee"]


class Tee:
    """Live control of what is played here and, once there is one, of the programs' testbed.

    Each entry is kept with the time of the clock here (nanoseconds), so that a testbed made later
    goes through all of it in the same order: what the scenario changes in the course of time, too.
    """

    def __init__(self, played: Emulation | None) -> None:
        self._played = played
        self._said: list[tuple[int, Entry]] = []
        self._testbed: Channel | None = None
        self._lock = RLock()

    def send(self, make: Callable[[int], Entry]) -> Entry:
        """Have an entry done here and there, in step."""
        with self._lock:
            entry = make(sum("faults" in entry for _, entry in self._said))
            now = self._now()
            if self._testbed is not None:
                _send(self._testbed, entry)
            if self._played is not None:
                _send(self._played.control.channel, entry)
            self._said.append((now, entry))
            return entry

    def entries(self) -> list[Entry]:
        """What was sent so far."""
        return [entry for _, entry in self._said]

    def connect(self, testbed: Channel) -> None:
        """Tell a testbed that was just made what was said, and when; and what is said from now."""
        with self._lock:
            clock = 0
            for time, entry in self._said:
                clock = _advance(testbed, clock, time)
                _send(testbed, entry)
                clock += round(entry.get("advance", 0) * SECOND)
            _advance(testbed, clock, self._now())
            self._testbed = testbed

    def _now(self) -> int:
        return 0 if self._played is None else self._played.machine.clock.elapsed()


def _send(channel: Channel, entry: Entry) -> None:
    channel.send(lambda _: entry)


def _advance(testbed: Channel, clock: int, time: int) -> int:
    if time > clock:
        _send(testbed, {"advance": (time - clock) / SECOND})
    return max(clock, time)
