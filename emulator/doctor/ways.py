"""Ways to look for GPUs other than asking NVML or CUDA."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from .events import Exec, File, Load, Start
from .evidence import Attempt, Evidence, looked_at

__all__ = ["Ways", "unseen_programs", "ways"]


@dataclass
class Ways:
    """What a program looked at.

    Attributes:
        looked: a line for each thing that it looked at.
        ran: those of them that are programs.
        loaded: a line for each library that was loaded and might have asked.
        missing: libraries that would have asked for the GPU, and are not there.
        missing_paths: where they were looked for, a line each.
    """

    looked: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    missing_paths: list[str] = field(default_factory=list)

    @property
    def found_all(self) -> bool:
        """Whether all that it looked at is there."""
        return all(line.endswith(": there") for line in self.looked)


#: Programs that tell whether there is a GPU, or a library; their names begin so.
_PROGRAMS = ("nvidia-", "ldconfig", "lspci", "lshw", "lsmod", "modinfo")


def ways(evidence: Evidence) -> Ways:
    """The other ways that a run's processes went, in the order of their first steps."""
    found = Ways()
    for event in evidence.events:
        name = evidence.processes[event.pid].name
        match event:
            case Exec() if os.path.basename(event.path).startswith(_PROGRAMS):
                absent = "" if event.found else ", which is not there"
                found.ran.append(f"{name} ran {os.path.basename(event.path)}{absent}")
                found.looked.append(found.ran[-1])
            case File(found=False) if os.path.basename(event.path).startswith(_PROGRAMS):
                found.ran.append(f"{name} looked for {os.path.basename(event.path)} in vain")
                found.looked.append(found.ran[-1])
            case File():
                there = "there" if event.found else "not there"
                found.looked.append(f"{name} looked at {event.path}: {there}")
            case Load():
                found.loaded.append(f"{name} loaded {event.path}")
    found.looked = list(dict.fromkeys(found.looked))
    for attempt in _in_vain(evidence):
        found.missing.append(attempt.search.name)
        found.missing_paths += looked_at(attempt.paths)
    return found


def _in_vain(evidence: Evidence) -> Iterator[Attempt]:
    """Searches of processes that found the library in no version."""
    for pid in evidence.processes:
        attempts = evidence.attempts_of(pid)
        loaded = {_stem(each.search.name) for each in attempts if each.load}
        yield from (each for each in attempts if _stem(each.search.name) not in loaded)


def _stem(name: str) -> str:
    """A library's name without its version: whoever finds one version needs no other."""
    return os.path.basename(name).partition(".so")[0]


def unseen_programs(evidence: Evidence) -> Iterator[str]:
    """Programs that were started and never came by the dynamic loader, nor were looked at by
    strace."""
    if evidence.straced:
        return
    last: dict[int, int] = {}  # process -> when it, or a child of it, was last seen to start
    for event in evidence.events:
        if isinstance(event, Start):
            last |= {event.pid: event.t, event.parent: event.t}
    for event in evidence.events:
        if not isinstance(event, Exec) or not event.found or event.pid in evidence.left:
            continue
        if last.get(event.pid, 0) < event.t:
            yield " ".join(event.argv)
