"""Running a program while everything about its way to the GPU is recorded."""

from __future__ import annotations

import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..testbed import Testbed
from ..testbed.program import Relay, explained, find
from ..trace import records
from . import syscalls
from .events import Event, Exec, Fork, Try, parse
from .evidence import Evidence
from .foreign import is_foreign
from .gathering import Gathering

__all__ = ["examine"]

#: With these a user, or a system, ends a program that goes on for ever.
_INTERRUPTS = {signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}


def examine(
    testbed: Testbed,
    relay: Relay,
    program: Sequence[str],
    *,
    timeout: float | None = None,
    with_strace: bool = False,
) -> Evidence:
    """Run a program and wait for it.

    Args:
        testbed: entered, traced with `begun`, and watched.
        relay: entered.
        program: the command line.
        timeout: seconds after which it is ended with all that it started; None is never.
        with_strace: whether strace looks at its system calls, too.

    Raises:
        ProgramError: it cannot be started.
        StraceMissingError: strace is not installed.
    """
    output = testbed.folder / "strace" if with_strace else None
    if output is not None:
        command = syscalls.strace(program, output)
        _refuse_missing(program[0])
    else:
        command = list(program)
    status = relay.run(*testbed.invocation(command), timeout=timeout)
    ended = time.time_ns()
    root, events = _seen(testbed, relay.pid, output)
    gathered = Gathering(records(testbed.trace_file))
    return Evidence(
        program=list(program),
        root=root,
        status=status,
        stopped=_stopped(relay, status),
        events=events,
        calls=gathered.calls,
        made=gathered.made,
        ours=lambda path: not is_foreign(testbed, path),
        straced=with_strace,
        ended=ended,
        folder=str(testbed.libraries),
        left=frozenset(pid for pid in {each.pid for each in events} if _is_running(pid)),
    )


def _stopped(relay: Relay, status: int) -> str | None:
    """Why the program was ended, if it was."""
    if relay.timed_out:
        return "timeout"
    interrupted = _INTERRUPTS & relay.received or (status < 0 and -status in relay.received)
    return "interrupt" if interrupted else None


def _seen(testbed: Testbed, pid: int | None, output: Path | None) -> tuple[int | None, list[Event]]:
    """The program's process, and the audit module's events; with strace's file, those of what was
    started under it, and strace's of processes that the audit module does not see."""
    seen = parse(records(testbed.evidence_file))
    events = [event for event in seen if not _is_forwarding(testbed, event)]
    if output is None:
        return pid, events
    system_calls = list(syscalls.events(output))
    root = system_calls[0].pid if system_calls else pid
    own = {each.pid for each in events if isinstance(each, Fork) and each.parent == pid} | {pid}
    events = [each for each in events if each.pid == root or each.pid not in own]
    return root, [*events, *_unheard(system_calls, events)]


def _unheard(system_calls: list[Event], heard: list[Event]) -> Iterator[Event]:
    """Of system calls those of programs that the audit module is not in, also where a process that
    it was in has become one by an exec."""
    times: dict[int, list[int]] = defaultdict(list)
    execs: dict[int, list[int]] = defaultdict(list)
    for event in heard:
        times[event.pid].append(event.t)
    for event in system_calls:
        if isinstance(event, Exec) and event.found:
            execs[event.pid].append(event.t)
    for event in system_calls:
        began = max((t for t in execs[event.pid] if t < event.t), default=0)
        ended = min((t for t in execs[event.pid] if t >= event.t), default=sys.maxsize)
        if not any(began <= t < ended for t in times[event.pid]):
            yield event


def _refuse_missing(program: str) -> None:
    """strace has an exit status of its own for a program that is not there."""
    path = find(program)
    try:
        Path(path).stat()
    except OSError as error:
        raise explained(path, error) from None


def _is_running(pid: int) -> bool:
    """Whether a process has outlived the program."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


def _is_forwarding(testbed: Testbed, event: Event) -> bool:
    """Whether this is not the program's doing, but comes of nvemu's standing in front of a real
    driver: it loads that driver's libraries, and has no stub of one that is not there."""
    if testbed.real is None:
        return False
    paths = [getattr(event, key, "") for key in ("name", "path", "library")]
    loaded = any(path.startswith(f"{testbed.folder}/real/") for path in paths)
    return loaded or (isinstance(event, Try) and not is_foreign(testbed, event.path))
