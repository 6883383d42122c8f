"""What stopped a process that had called a library, in the order in which it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable

from ..trace import Call
from .answers import COUNT, INIT, LACKING, decides, is_one_of, said, turned_away
from .events import SymbolBound
from .library import Library
from .stages import Outcome, Stage

__all__ = ["CALLED"]

#: Exit statuses of programs that another ended, `timeout` or a signal, and those signals.
ENDED_BY_OTHERS = (124, 129, 130, 131, 137, 141, 143, -1, -2, -3, -9, -13, -15)
#: In so many nanoseconds a call returns, unless it hangs.
PATIENCE = 10**9


def inside(seen: Library) -> Outcome | None:
    """A call that did not return."""
    call = next((call for call in reversed(seen.calls) if call.code is None), None)
    if call is None or (call.status == "CALLED" and _went_on(seen, call)):
        return None
    how = _ending(seen, call)
    return seen.at(Stage.INSIDE_A_CALL, f"{how} inside {call.function}", call=call)


def _went_on(seen: Library, call: Call) -> bool:
    """Whether the process ended, or was ended, with a thread in a call that does not hang."""
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


def runtime(seen: Library) -> Outcome | None:
    """NVIDIA's runtime library asked the driver, and left it at that."""
    ours = [call for call in seen.answered if not is_one_of(call, ("cuGetProcAddress",))]
    if seen.library != "cuda" or not ours:
        return None
    last = ours[-1]
    runtime = seen.loaded("libcudart")
    details = [runtime.path] if runtime else []
    name = os.path.basename(runtime.path) if runtime else "it"
    if last.function == "cuGetExportTable" and last.failed:
        text = f"{name} wants proof that the driver is genuine, which nvemu does not imitate"
        advice = "See how far the program gets on a machine with a driver, with --real."
        return seen.at(Stage.RUNTIME_REFUSED, text, call=last, details=details, advice=advice)
    asked = runtime or any(is_one_of(call, ("cuGetExportTable",)) for call in ours)
    if last.function == "cuDriverGetVersion" and last.succeeded and asked:
        version = _cuda(last.arguments.get("driverVersion"))
        text = f"{name} asked for its version (CUDA {version}) and no more"
        return seen.at(Stage.RUNTIME_REFUSED, text, call=last, details=details)
    return None


def wanted_more(seen: Library) -> Outcome | None:
    """The last that the process did with the library was to miss a function of it, or it missed
    one that nothing stands in for."""
    missed = _missed(seen)
    for family in (INIT[seen.library], COUNT[seen.library]):
        names = [name for _, name, _ in missed if name.startswith(family)]
        if names and not any(is_one_of(call, family) for call in seen.calls):
            return seen.missing(list(dict.fromkeys(names)), missed[-1][2])
    gave_up = seen.own if seen.evidence.status else seen.calls  # an orderly end: no trouble
    if not missed or (gave_up and gave_up[-1].record["t"] > missed[-1][0]) or seen.taken:
        return None
    names = [name for _, name, _ in (missed[-1:] if seen.own else missed)]
    return seen.missing(list(dict.fromkeys(names)), missed[-1][2])


def _missed(seen: Library) -> list[tuple[int, str, str]]:
    """Functions that were asked for in vain: when, their names, and of which file."""
    bound = [
        (event.t, event.name, event.library)
        for event in seen.events
        if isinstance(event, SymbolBound) and not event.found and seen.is_ours(event.library)
    ]
    asked = [
        (int(call.record["t"]), str(call.arguments.get("symbol")), seen.soname)
        for call in seen.answered
        if call.failed and is_one_of(call, ("cuGetProcAddress",))
    ]
    return sorted(bound + asked)


def init(seen: Library) -> Outcome | None:
    """The library was not initialised, or could not count its devices."""
    for names in (INIT, COUNT):
        calls = [call for call in seen.answered if is_one_of(call, names[seen.library])]
        if not calls or any(call.succeeded for call in calls):
            continue
        last = calls[-1]
        stage = Stage.NO_DEVICES if last.status == "NO_DEVICE" else Stage.INIT_FAILED
        return seen.at(stage, f"{last.function} answered {said(last)}", call=last)
    return None


def count(seen: Library) -> Outcome | None:
    """There are no devices."""
    counts = [
        call for call in seen.calls if is_one_of(call, COUNT[seen.library]) and call.succeeded
    ]
    if not counts or seen.devices():
        return None
    return seen.at(Stage.NO_DEVICES, f"{counts[-1].function} counted 0", call=counts[-1])


def unlinked(seen: Library) -> Outcome | None:
    """The loader ended the program at the call of a function that is not there."""
    ended = seen.evidence.processes[seen.pid].ended is not None
    return None if ended or seen.evidence.status != 127 else seen.unlinked()


def rejected(seen: Library) -> Outcome | None:
    """Devices were seen, and turned away."""
    own, status = seen.own, seen.evidence.status
    gave_up = not seen.evidence.stopped and status not in (0, *ENDED_BY_OTHERS)
    last = own[-1:] if own and decides(own[-1]) else []
    failed = last or [call for call in own if call.failed and call.status not in LACKING]
    if failed and (last or (gave_up and not seen.taken)):
        text = f"{failed[-1].function} answered {said(failed[-1])}"
        return seen.at(Stage.REJECTED, text, call=failed[-1])
    if not own or seen.taken:
        return None
    for call, text in turned_away(own):
        return seen.at(Stage.REJECTED, text, call=call, mild=True)
    if gave_up:
        ended = f"signal {-status} ended it" if status < 0 else f"the exit status was {status}"
        text = f"the last that it asked was {own[-1].function}, and {ended}"
        return seen.at(Stage.REJECTED, text, call=own[-1], mild=True)
    return None


def fine(seen: Library) -> Outcome | None:
    """Devices were seen, or nothing was asked about them and nothing failed."""
    if not seen.calls:
        return None
    devices = seen.devices()
    text = f"{devices} device{'' if devices == 1 else 's'} seen" + ", and taken" * seen.taken
    if not devices and not seen.taken:
        text = f"it asked {seen.soname} for no devices"
    return seen.at(Stage.FINE, text, devices=devices, taken=seen.taken)


CALLED: tuple[Callable[[Library], Outcome | None], ...] = (
    inside,
    runtime,
    wanted_more,
    init,
    count,
    unlinked,
    rejected,
    fine,
)


def _cuda(version: object) -> str:
    return f"{version // 1000}.{version % 1000 // 10}" if isinstance(version, int) else "?"
