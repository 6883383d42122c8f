"""The machine's time."""

from __future__ import annotations

from time import time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

__all__ = ["SAMPLE", "SECOND", "Clock"]

SECOND = 1_000_000_000  # nanoseconds
SAMPLE = SECOND // 50  # from one sample that the driver takes of readings to the next


class Clock:
    """The time that everything on a machine is stamped with, and that changes go by.

    It runs `rate` times as fast as the wall's; at a rate of 0 it stands until it is advanced.

    Attributes:
        start: nanoseconds since the epoch at which the scenario began.
        rate: seconds of this clock in one of the wall's.
        advanced: called after each `advance`.
    """

    __slots__ = ("_ahead", "advanced", "rate", "start")

    def __init__(self, start: int | None = None, rate: float = 1) -> None:
        self.start = time_ns() if start is None else start
        self.rate = rate
        self.advanced: Callable[[], object] = int
        self._ahead = 0

    def now(self) -> int:
        """Return the time in nanoseconds since the epoch."""
        if self.rate == 1:
            return time_ns() + self._ahead
        return self.start + int((time_ns() - self.start) * self.rate) + self._ahead

    def elapsed(self, when: int | None = None) -> int:
        """Return the nanoseconds since the scenario began, now or at a time of the wall's."""
        if when is None:
            return self.now() - self.start
        return int((when - self.start) * self.rate) + self._ahead

    def advance(self, seconds: float) -> None:
        """Put the clock forward; what was to change meanwhile changes now.

        Raises:
            ValueError: the time is below zero: no clock here goes back.
        """
        self.skip(seconds)
        self.advanced()

    def skip(self, seconds: float) -> None:
        """Put the clock forward, and let whoever does it see to the changes."""
        if seconds < 0:
            raise ValueError(f"expected a time of at least 0 s, found {seconds!r}")
        self._ahead += round(seconds * SECOND)
