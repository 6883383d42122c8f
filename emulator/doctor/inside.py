"""Whether a process crashed or hung inside a call."""

from __future__ import annotations

from ..trace import Call
from .library import Library
from .stages import Outcome, Stage

__all__ = ["inside"]

#: In so many nanoseconds a call returns, unless it hangs.
PATIENCE = 10**9


def inside(seen: Library) -> Outcome | None:
    """A call that did not return."""
    open_ones = (call for call in reversed(seen.calls) if call.code is None)
    call = next((call for call in open_ones if not _went_on(seen, call)), None)
    if call is None:
        return None
    how = _ending(seen, call)
    return seen.at(Stage.INSIDE_A_CALL, f"{how} inside {call.function}", call=call)


def _went_on(seen: Library, call: Call) -> bool:
    """Whether the process ended, or was ended, with a thread in a call that does not hang."""
    if call.status != "CALLED":
        return False
    ended = seen.evidence.processes[seen.pid].ended
    by_itself = ended is not None or seen.pid in seen.evidence.left
    before = any(each.function == call.function for each in seen.answered)
    lasted = (ended if ended is not None else seen.evidence.ended) - int(call.record["t"])
    soon = bool(seen.answered) and lasted < PATIENCE
    return soon and (by_itself or (before and seen.evidence.stopped is not None))


def _ending(seen: Library, call: Call) -> str:
    word, _, number = str(call.status).partition(" ")
    process = seen.evidence.processes[seen.pid]
    if word == "CALLED" and seen.pid == seen.evidence.root and _killed(seen):
        word, number = "SIGNAL", str(-seen.evidence.status)
    if word == "SIGNAL":
        return f"{process.name} was ended by signal {number}"
    if word == "EXIT":
        return f"{process.name} exited with {number}"
    running = seen.pid in seen.evidence.left
    if word == "BLOCKED" or seen.evidence.stopped or process.ended is not None:
        return f"{process.name} hung"
    return f"{process.name} was " + ("still" if running else "killed or crashed")


def _killed(seen: Library) -> bool:
    return seen.evidence.status < 0 and seen.evidence.stopped is None
