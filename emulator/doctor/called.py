"""What stopped a process that had called a library, in the order in which it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from signal import SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM
from typing import NamedTuple

from ..machine.drivers import cuda_version
from .answers import COUNT, INIT, LACKING, decides, is_one_of, said, turned_away
from .events import SymbolBound
from .inside import inside
from .library import Library
from .stages import Outcome, Stage

__all__ = ["CALLED"]

#: Signals that others send, and the statuses of programs that they or `timeout` ended.
_SENT = (SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGPIPE, SIGTERM)
ENDED_BY_OTHERS = (124, *(128 + number for number in _SENT), *(-number for number in _SENT))


def runtime(seen: Library) -> Outcome | None:
    """NVIDIA's runtime library asked the driver, and left it at that."""
    ours = [call for call in seen.answered if not is_one_of(call, ("cuGetProcAddress",))]
    if seen.library != "cuda" or not ours:
        return None
    last = ours[-1]
    cudart = seen.loaded("libcudart")
    details = [cudart.path] if cudart else []
    name = os.path.basename(cudart.path) if cudart else "it"
    if last.function == "cuGetExportTable" and last.failed:
        text = f"{name} wants proof that the driver is genuine, which nvemu does not imitate"
        advice = "See how far the program gets on a machine with a driver, with --real."
        return seen.at(Stage.RUNTIME_REFUSED, text, call=last, details=details, advice=advice)
    asked = cudart or any(is_one_of(call, ("cuGetExportTable",)) for call in ours)
    if last.function == "cuDriverGetVersion" and last.succeeded and asked:
        version = _cuda(last.arguments.get("driverVersion"))
        text = f"{name} asked for its version (CUDA {version}) and no more"
        return seen.at(Stage.RUNTIME_REFUSED, text, call=last, details=details)
    return None


def indispensable(seen: Library) -> Outcome | None:
    """A function was missed that nothing stands in for."""
    missed = _missed(seen)
    for family in (INIT[seen.library], COUNT[seen.library]):
        names = [each.name for each in missed if each.name.startswith(family)]
        if names and not any(is_one_of(call, family) for call in seen.calls):
            return seen.missing(names, missed[-1].file)
    return None


def wanted_more(seen: Library) -> Outcome | None:
    """The last that the process did with the library was to miss a function of it."""
    missed = _missed(seen)
    gave_up = seen.own if seen.evidence.status else seen.calls  # an orderly end: no trouble
    if not missed or (gave_up and gave_up[-1].record["t"] > missed[-1].t) or seen.taken:
        return None
    names = [each.name for each in (missed[-1:] if seen.own else missed)]
    return seen.missing(names, missed[-1].file)


class _Missed(NamedTuple):
    """A function that was asked for in vain: when, its name, and of which file."""

    t: int
    name: str
    file: str


def _missed(seen: Library) -> list[_Missed]:
    bound = [
        _Missed(event.t, event.name, event.library)
        for event in seen.events
        if isinstance(event, SymbolBound) and not event.found and seen.is_ours(event.library)
    ]
    asked = [
        _Missed(int(call.record["t"]), str(call.arguments.get("symbol")), seen.soname)
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


def failed(seen: Library) -> Outcome | None:
    """The last call about devices failed, or one did in a process that ended badly."""
    failures = [call for call in seen.own if call.failed and call.status not in LACKING]
    if seen.own and decides(seen.own[-1]):
        call = seen.own[-1]
    elif failures and _gave_up(seen):
        call = failures[-1]
    else:
        return None
    return seen.at(Stage.REJECTED, f"{call.function} answered {said(call)}", call=call)


def disliked(seen: Library) -> Outcome | None:
    """Devices were seen, with an answer that programs turn away."""
    found = None if seen.taken else turned_away(seen.own)
    return found and seen.at(Stage.REJECTED, found[1], call=found[0], mild=True)


def given_up(seen: Library) -> Outcome | None:
    """Devices were seen, nothing failed, and the program ended badly."""
    if not seen.own or not _gave_up(seen):
        return None
    status = seen.evidence.status
    ended = f"signal {-status} ended it" if status < 0 else f"the exit status was {status}"
    text = f"the last that it asked was {seen.own[-1].function}, and {ended}"
    return seen.at(Stage.REJECTED, text, call=seen.own[-1], mild=True)


def _gave_up(seen: Library) -> bool:
    """Whether the program ended badly, no other ended it, and the process had taken no device."""
    ended = seen.evidence.status not in (0, *ENDED_BY_OTHERS) and not seen.evidence.stopped
    return ended and not seen.taken


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
    indispensable,
    wanted_more,
    init,
    count,
    unlinked,
    failed,
    disliked,
    given_up,
    fine,
)


def _cuda(version: object) -> str:
    return cuda_version(version) if isinstance(version, int) else "?"
