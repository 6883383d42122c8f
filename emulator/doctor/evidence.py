"""What a program and its children did, put together: processes, searches for libraries, calls."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ..trace import Call
from .events import Event, Exec, Fork, Load, Search, Start, Stop, Try, Unload

__all__ = ["Attempt", "Evidence", "Process", "attempts", "looked_at"]


@dataclass
class Process:
    """A process of the program's tree.

    Attributes:
        parent: its parent's id; None where nothing was seen but its calls.
        argv: the command line of the last program that was started in it; its parent's for a copy.
        exe: that program's file.
        environment: those of its variables that decide about GPUs.
        began, ended: nanoseconds of the wall clock; `ended` is None unless it ended of its own
            accord.
        linked: whether the dynamic loader started it; what is linked statically is not seen.
    """

    pid: int
    parent: int | None = None
    argv: list[str] = field(default_factory=list)
    exe: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    began: int = 0
    ended: int | None = None
    linked: bool = False

    @property
    def name(self) -> str:
        """The program's name, for people."""
        return os.path.basename(self.argv[0]) if self.argv else f"process {self.pid}"


@dataclass
class Attempt:
    """A search for a library and what came of it.

    Attributes:
        search: what was asked for.
        tries: the paths that were looked at, in their order.
        load: what was loaded, now or before; None for nothing.
    """

    search: Search
    tries: list[Try] = field(default_factory=list)
    load: Load | None = None

    @property
    def paths(self) -> dict[str, str]:
        """Path -> what was there, for all that were looked at."""
        if self.search.redirected:
            return {self.search.redirected: "library" if self.load else "absent"}
        named = {self.search.name: self.search.file} if self.search.file else {}
        return named | {each.path: each.file for each in self.tries}


def looked_at(paths: Mapping[str, str]) -> list[str]:
    """What was at each path, a line each."""
    words = {"library": "there, and not loaded", "passed-over": "passed over, by --redirect"}
    return [f"{path}: {words.get(state, state)}" for path, state in paths.items()]


@dataclass
class Evidence:
    """All that was seen of one run.

    Attributes:
        program: the command line.
        root: its process id; None where it was not started.
        status: its exit status, or a signal's number negated.
        stopped: why doctor ended it, if it did: "timeout" or "interrupt".
        events: what the audit module saw, in the order of time.
        calls: the calls of both APIs, in the order of their ends; of very many, those that tell.
        made: process -> how many calls it made.
        ours: whether a file is one of the libraries that the program was to find.
        straced: whether strace looked at what the dynamic loader did not start.
        ended: when the program had ended; nanoseconds of the wall clock.
        folder: where nvemu's libraries were.
        left: processes that were still running then.
    """

    program: list[str]
    root: int | None
    status: int
    stopped: str | None
    events: list[Event]
    calls: list[Call]
    made: Mapping[int, int]
    ours: Callable[[str], bool]
    straced: bool = False
    ended: int = 0
    folder: str = ""
    left: frozenset[int] = frozenset()
    processes: dict[int, Process] = field(init=False)

    def __post_init__(self) -> None:
        self.events = sorted(self.events, key=lambda event: event.t)
        self.processes = _processes(self.events, self.calls)
        self._events: defaultdict[int, list[Event]] = defaultdict(list)
        self._calls: defaultdict[tuple[int, str], list[Call]] = defaultdict(list)
        for event in self.events:
            self._events[event.pid].append(event)
        for call in self.calls:
            self._calls[call.pid, call.library].append(call)
        self._attempts = {pid: attempts(events) for pid, events in self._events.items()}

    @property
    def seen(self) -> bool:
        """Whether anything of the program itself was seen."""
        return self.root in self.processes

    def of(self, pid: int) -> list[Event]:
        """The events of one process."""
        return self._events.get(pid, [])

    def attempts_of(self, pid: int) -> list[Attempt]:
        """One process's searches for libraries, each with what came of it."""
        return self._attempts.get(pid, [])

    def calls_of(self, pid: int, library: str) -> list[Call]:
        """The calls of one process to "nvml" or "cuda"."""
        return self._calls.get((pid, library), [])


def _processes(events: Iterable[Event], calls: Iterable[Call]) -> dict[int, Process]:
    found: dict[int, Process] = {}
    for event in events:
        process = found.setdefault(event.pid, Process(event.pid, began=event.t))
        match event:
            case Start():
                process.parent, process.argv, process.exe = event.parent, event.argv, event.exe
                process.environment, process.linked = event.environment, True
                process.ended = None
            case Fork():
                parent = found.get(event.parent, Process(event.parent))
                process.parent, process.argv, process.exe = event.parent, parent.argv, parent.exe
                process.environment, process.linked = parent.environment, parent.linked
            case Exec(found=True):
                process.argv = process.argv or event.argv  # maybe of one that is not seen later
            case Stop():
                process.ended = event.t
    for call in calls:
        found.setdefault(call.pid, Process(call.pid, began=call.record["t"]))
    return found


def attempts(events: Iterable[Event]) -> list[Attempt]:
    """The searches among one process's events, each with what came of it.

    A thread is at one search at a time: the loader maps a library before it looks for those that
    this one needs.
    """
    found: list[Attempt] = []
    at: dict[int, Attempt] = {}  # thread -> its search
    loaded: dict[str, Load] = {}  # by the file that a path leads to
    for event in events:
        attempt = at.get(event.tid)
        match event:
            case Search():
                at[event.tid] = Attempt(event, load=_there(loaded, event.name, event.file))
                found.append(at[event.tid])
            case Try() if attempt and _is_of(event, attempt):
                attempt.tries.append(event)
                attempt.load = attempt.load or _there(loaded, event.path, event.file)
            case Load():
                loaded[os.path.realpath(event.path)] = event
                if attempt and _is_of(event, attempt):
                    attempt.load = event
            case Unload():
                loaded.pop(os.path.realpath(event.path), None)
    return found


def _there(loaded: Mapping[str, Load], path: str, file: str) -> Load | None:
    """What has been loaded of a file under another name: the loader does not load it again."""
    return loaded.get(os.path.realpath(path)) if file == "library" else None


def _is_of(event: Try | Load, attempt: Attempt) -> bool:
    """Whether this belongs to a search that has not come to its end."""
    search = attempt.search
    if attempt.load is not None:
        return False
    same_name = os.path.basename(event.path) == os.path.basename(search.name)
    tried = isinstance(event, Load) and event.path in attempt.paths
    return same_name or tried or event.path == search.redirected
