"""What else is worth knowing of a run, whatever the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .answers import LACKING
from .evidence import Evidence
from .stages import listed

__all__ = ["notes"]

#: So many kinds of failed calls are named.
NAMED = 4


def notes(evidence: Evidence) -> Iterator[str]:
    """A line for each thing."""
    yield from _ending(evidence)
    yield from _failures(evidence)
    yield from _gaps(evidence)


def _ending(evidence: Evidence) -> Iterator[str]:
    """How the program ended, and what did not end with it."""
    if evidence.stopped:
        yield f"doctor ended the program ({evidence.stopped})"
    elif evidence.status < 0:
        yield f"signal {-evidence.status} ended the program"
    elif evidence.status:
        yield f"the program's exit status was {evidence.status}"
    left = [evidence.processes[pid].name for pid in sorted(evidence.left)]
    if left:
        yield f"still running, and no longer watched: {listed(left)}"


def _failures(evidence: Evidence) -> Iterator[str]:
    failed = Counter(
        f"{call.function} {call.status}"
        for call in evidence.calls
        if call.failed and call.status not in LACKING
    )
    if failed:
        counted = [f"{call} ({count} x)" for call, count in failed.most_common(NAMED)]
        more = ["..."] * (len(failed) > NAMED)
        yield f"calls that failed: {', '.join(counted + more)}"


def _gaps(evidence: Evidence) -> Iterator[str]:
    """Where nvemu fell short."""
    errors = {call.function for call in evidence.calls if call.record.get("error")}
    for function in sorted(errors):
        yield f"{function} met an error inside nvemu: see the trace"
    unhandled = {call.function for call in evidence.calls if not call.handled}
    if unhandled:
        yield f"nvemu has no handler for {listed(sorted(unhandled))}"
