"""Ways to look for GPUs other than asking NVML or CUDA."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from .events import Exec, File, Load, Start
from .evidence import Attempt, Evidence, attempts

__all__ = ["Ways", "unseen_programs", "ways"]


@dataclass
class Ways:
    """What a program looked at.

    Attributes:
        looked: a line for each thing that it looked at.
        missing: libraries that would have asked for the GPU, and are not there.
        missing_paths: where they were looked for, a line each.
    """

    looked: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    missing_paths: list[str] = field(default_factory=list)


def ways(evidence: Evidence) -> Ways:
    """The other ways that a run's processes went, in the order of their first steps."""
    found = Ways()
    for event in evidence.events:
        name = evidence.processes[event.pid].name
        line = None
        match event:
            case Exec() if os.path.basename(event.path).startswith("nvidia-"):
                line = f"{name} ran {os.path.basename(event.path)}"
                line += "" if event.found else ", which is not there"
            case File():
                line = f"{name} looked at {event.path}" + (
                    ": there" if event.found else ": not there"
                )
            case Load():
                line = f"{name} loaded {event.path}"
        if line and line not in found.looked:
            found.looked.append(line)
    for pid in evidence.processes:
        for attempt in attempts(evidence.of(pid)):
            _add_missing(found, attempt)
    return found


def _add_missing(found: Ways, attempt: Attempt) -> None:
    if attempt.load is None:
        found.missing.append(attempt.search.name)
        found.missing_paths += [f"{path}: {state}" for path, state in attempt.paths.items()]


def unseen_programs(evidence: Evidence) -> Iterator[str]:
    """Programs that were started and never came by the dynamic loader, nor were looked at by
    strace."""
    if evidence.straced:
        return
    starts = [event for event in evidence.events if isinstance(event, Start)]
    runs = [event for event in evidence.events if isinstance(event, Exec) and event.found]
    for event in runs:
        if not any(_is_start_of(event, start) for start in starts):
            yield " ".join(event.argv)


def _is_start_of(event: Exec, start: Start) -> bool:
    return start.t >= event.t and event.pid in (start.pid, start.parent)
