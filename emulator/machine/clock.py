"""The machine's time."""

from __future__ import annotations

from time import time_ns

__all__ = ["Clock"]


class Clock:
    """The time that everything on a machine is stamped with; wall time."""

    __slots__ = ()

    def now(self) -> int:
        """Return the time in nanoseconds since the epoch."""
        return time_ns()
