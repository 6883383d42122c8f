"""What doctor says: the verdict first, then the processes, the time line and the calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from ..trace import Call
from .events import Event, Search, Try, line
from .evidence import Evidence
from .verdicts import Verdict

__all__ = ["CallMade", "Moment", "ProcessSeen", "Report", "report"]


class ProcessSeen(msgspec.Struct):
    """A process of the program's tree; times in nanoseconds since the run began.

    Attributes:
        ended: None unless it ended of its own accord.
        linked: whether the dynamic loader started it; else only its calls are seen.
        calls: how many calls it made.
    """

    pid: int
    parent: int | None
    argv: list[str]
    environment: dict[str, str]
    began: int
    ended: int | None
    linked: bool
    calls: int


class LibrarySeen(msgspec.Struct):
    """How far a process got with a library: a stage's name and what happened."""

    library: str
    pid: int
    stage: str
    text: str


class Moment(msgspec.Struct):
    """Something in the time line; `t` in nanoseconds since the run began.

    Attributes:
        kind: an event's name ("search", "load", ...), or "call".
        text: a line for people.
        bad: whether it failed.
    """

    t: int
    pid: int
    tid: int
    kind: str
    text: str
    bad: bool


class CallMade(msgspec.Struct):
    """A call; `t` in nanoseconds since the run began, `us` how long it took."""

    t: int
    us: int
    pid: int
    tid: int
    library: str
    function: str
    status: str | None
    code: Any
    fault: str | None
    bad: bool
    text: str


class Report(msgspec.Struct):
    """All that doctor says of a run. Texts name nvemu's own libraries "nvemu's libcuda.so.1": their
    folder is gone by then.

    Attributes:
        verdict: its name, one of `VERDICTS`.
        status: doctor's exit status.
        headline: it in one line.
        why, advice, notes: what is evidence, what to do next, and what else to know, a line each.
        program: the command line; `program_status` its exit status, negative for a signal.
        scenario: what it ran on; None is this machine as it is.
        driver: the driver version that the libraries stand for.
        began: nanoseconds of the wall clock.
        left_out: how many calls are not among `calls`, as there are very many of their kind.
        limits: what could not be seen, a line each.
    """

    verdict: str
    status: int
    headline: str
    why: list[str]
    advice: list[str]
    notes: list[str]
    program: list[str]
    program_status: int
    stopped: str | None
    scenario: str | None
    driver: str
    began: int
    libraries: list[LibrarySeen]
    processes: list[ProcessSeen]
    timeline: list[Moment]
    calls: list[CallMade]
    left_out: int
    limits: list[str]


LIMITS = [
    "programs that are linked statically, or with a C library other than glibc",
    "system calls made without the C library (Go does so), unless --strace looks at them",
    "children whose environment was cleared",
]


def report(
    evidence: Evidence, verdict: Verdict, scenario: str | None = None, driver: str = ""
) -> Report:
    """Put a run's evidence and the verdict on it together."""
    times = [event.t for event in evidence.events] + [call.record["t"] for call in evidence.calls]
    began = min(times, default=0)
    plain = _without(evidence.folder)
    calls = [_call(call, began) for call in evidence.calls]
    moments = [_moment(event, began, plain) for event in evidence.events]
    return Report(
        verdict=verdict.name,
        status=verdict.kind.status,
        headline=plain(verdict.headline),
        why=list(map(plain, verdict.why)),
        advice=verdict.advice,
        notes=list(map(plain, verdict.notes)),
        program=evidence.program,
        program_status=evidence.status,
        stopped=evidence.stopped,
        scenario=scenario,
        driver=driver,
        began=began,
        libraries=[
            LibrarySeen(each.library, each.pid, each.stage.name.lower(), plain(each.text))
            for each in verdict.outcomes
        ],
        processes=_processes(evidence, began),
        timeline=sorted([*moments, *map(_of_call, calls)], key=lambda moment: moment.t),
        calls=calls,
        left_out=sum(evidence.made.values()) - len(calls),
        limits=LIMITS,
    )


def _processes(evidence: Evidence, began: int) -> list[ProcessSeen]:
    return [
        ProcessSeen(
            pid=process.pid,
            parent=process.parent,
            argv=process.argv,
            environment=dict(process.environment),
            began=process.began - began,
            ended=None if process.ended is None else process.ended - began,
            linked=process.linked,
            calls=evidence.made.get(process.pid, 0),
        )
        for process in evidence.processes.values()
    ]


def _without(folder: str) -> Callable[[str], str]:
    """Makes a text one without the folder of nvemu's libraries, which is gone by now."""
    return lambda text: text.replace(f"{folder}{os.sep}", "nvemu's ") if folder else text


def _moment(event: Event, began: int, plain: Callable[[str], str]) -> Moment:
    kind = str(type(event).__struct_config__.tag)
    return Moment(event.t - began, event.pid, event.tid, kind, plain(line(event)), _is_bad(event))


def _is_bad(event: Event) -> bool:
    if isinstance(event, Try | Search):
        return event.file not in ("", "library", "absent", "passed-over")
    return getattr(event, "found", True) is False


def _call(call: Call, began: int) -> CallMade:
    return CallMade(
        t=call.record["t"] - began,
        us=call.record["us"],
        pid=call.pid,
        tid=call.thread,
        library=call.library,
        function=call.function,
        status=call.status,
        code=call.code,
        fault=call.fault,
        bad=not call.succeeded,
        text=repr(call),
    )


def _of_call(call: CallMade) -> Moment:
    return Moment(call.t, call.pid, call.tid, "call", call.text, call.bad)
