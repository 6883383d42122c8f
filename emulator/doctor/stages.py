"""How far a process can get with a library, and what is said of where it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ..trace import Call

__all__ = ["Outcome", "Stage", "listed"]


class Stage(IntEnum):
    """Where it ended, in the order in which a program gets there."""

    NOT_FOUND = 1
    WRONG_CLASS = 2
    UNLOADABLE = 3
    OTHER_LIBRARY = 4
    SYMBOL_MISSING = 5
    NEVER_CALLED = 6
    RUNTIME_REFUSED = 7
    INIT_FAILED = 8
    NO_DEVICES = 9
    REJECTED = 10
    FINE = 11
    INSIDE_A_CALL = 12


@dataclass(frozen=True)
class Outcome:
    """What became of one library in one process.

    Attributes:
        library: "nvml" or "cuda".
        pid: the process.
        stage: where it ended.
        text: what happened, one line.
        details: the evidence, a line each.
        call: the call that it ended with, if it got so far.
        symbols: functions that the program wanted and the library does not have.
        devices: how many were counted.
        taken: whether the process took a device: made a context, say.
        mild: nothing failed for certain; it is concluded from what came after.
        advice: what to do next, where the stage alone does not tell.
        began: when the process first had to do with the library, in nanoseconds of the wall clock.
    """

    library: str
    pid: int
    stage: Stage
    text: str = ""
    details: list[str] = field(default_factory=list)
    call: Call | None = None
    symbols: list[str] = field(default_factory=list)
    devices: int = 0
    taken: bool = False
    mild: bool = False
    advice: str = ""
    began: int = 0

    @property
    def usable(self) -> bool:
        """Whether the library showed devices and nothing failed."""
        return self.stage == Stage.FINE or (self.stage == Stage.REJECTED and self.mild)

    @property
    def progress(self) -> float:
        """How far it got, to compare: cuInit answers NO_DEVICE also where there is no driver."""
        refused = self.stage == Stage.NO_DEVICES and self.call is not None and self.call.failed
        return Stage.INIT_FAILED - 0.5 if refused else self.stage

    @property
    def broken(self) -> bool:
        """Whether something went wrong for certain."""
        return not self.mild and (self.failed or self.stage == Stage.REJECTED)

    @property
    def failed(self) -> bool:
        """Whether the library showed no devices, as something was wrong with it."""
        failed = Stage.NOT_FOUND <= self.stage <= Stage.NO_DEVICES
        return failed and self.stage != Stage.NEVER_CALLED


def listed(names: list[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
