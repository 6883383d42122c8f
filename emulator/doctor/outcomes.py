"""How far a process got with one of the two libraries, and what stopped it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from ..stubfiles import SONAMES
from ..testing.calls import Call
from .answers import AROUND, COUNT, INIT, LACKING, TAKING, decides, is_one_of, said, turned_away
from .events import File, Load, Search, SymbolBound
from .evidence import Attempt, Evidence
from .linked import missing_symbols, needs

__all__ = ["Outcome", "Stage", "listed", "outcomes"]


class Stage(IntEnum):
    """Where it ended, in the order in which a program gets there."""

    UNASKED = 0
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


def outcomes(evidence: Evidence) -> list[Outcome]:
    """One for each process and library, where there is anything to say."""
    found = []
    for pid in evidence.processes:
        for library in SONAMES:
            outcome = _Library(evidence, pid, library).outcome()
            if outcome.stage != Stage.UNASKED:
                found.append(outcome)
    return found


#: Exit statuses of programs that another ended, `timeout` or a signal, and those signals.
ENDED_BY_OTHERS = (124, 129, 130, 131, 137, 141, 143, -1, -2, -3, -9, -13, -15)
#: In so many nanoseconds a call returns, unless it hangs.
PATIENCE = 10**9


class _Library:
    """One library in one process."""

    def __init__(self, evidence: Evidence, pid: int, library: str) -> None:
        self.evidence = evidence
        self.pid = pid
        self.library = library
        self.soname = SONAMES[library]
        self.base = self.soname.removesuffix(".1")
        self.events = evidence.of(pid)
        self.attempts = evidence.attempts_of(pid)
        self.calls = evidence.calls_of(pid, library)
        self.answered = [call for call in self.calls if call.code is not None]
        self.own = [call for call in self.answered if not is_one_of(call, AROUND)]
        self.taken = any(call.succeeded and is_one_of(call, TAKING) for call in self.calls)

    def outcome(self) -> Outcome:
        return next(filter(None, (step(self) for step in _STEPS)), self._at(Stage.UNASKED))

    def _at(self, stage: Stage, text: str = "", **more: Any) -> Outcome:
        return Outcome(self.library, self.pid, stage, text, began=self._began(), **more)

    def _began(self) -> int:
        times = [call.record["t"] for call in self.calls[:1]]
        times += [each.search.t for each in self.attempts if self._is_ours(each.search.name)][:1]
        return min(times, default=self.evidence.processes[self.pid].began)

    # ---- calls were made

    def inside(self) -> Outcome | None:
        """A call that did not return."""
        call = next((call for call in reversed(self.calls) if call.code is None), None)
        if call is None or (call.status == "CALLED" and self._went_on(call)):
            return None
        how = self._ending(call)
        return self._at(Stage.INSIDE_A_CALL, f"{how} inside {call.function}", call=call)

    def _went_on(self, call: Call) -> bool:
        """Whether the process ended, or was ended, with a thread in a call that does not hang."""
        ended = self.evidence.processes[self.pid].ended
        by_itself = ended is not None or self.pid in self.evidence.left
        before = any(each.function == call.function for each in self.answered)
        lasted = (ended if ended is not None else self.evidence.ended) - int(call.record["t"])
        soon = bool(self.answered) and lasted < PATIENCE
        return soon and (by_itself or (before and self.evidence.stopped is not None))

    def _ending(self, call: Call) -> str:
        word, _, number = str(call.status).partition(" ")
        process = self.evidence.processes[self.pid]
        if word == "CALLED" and self.pid == self.evidence.root and self._killed:
            word, number = "SIGNAL", str(-self.evidence.status)
        if word == "SIGNAL":
            return f"{process.name} was ended by signal {number}"
        if word == "EXIT":
            return f"{process.name} exited with {number}"
        running = self.pid in self.evidence.left
        if word == "BLOCKED" or self.evidence.stopped or process.ended is not None:
            return f"{process.name} hung"
        return f"{process.name} was " + ("still" if running else "killed or crashed")

    @property
    def _killed(self) -> bool:
        return self.evidence.status < 0 and self.evidence.stopped is None

    def runtime(self) -> Outcome | None:
        """NVIDIA's runtime library asked the driver, and left it at that."""
        ours = [call for call in self.answered if not is_one_of(call, ("cuGetProcAddress",))]
        if self.library != "cuda" or not ours:
            return None
        last = ours[-1]
        runtime = self._loaded("libcudart")
        details = [runtime.path] if runtime else []
        name = os.path.basename(runtime.path) if runtime else "it"
        if last.function == "cuGetExportTable" and last.failed:
            text = f"{name} wants proof that the driver is genuine, which nvemu does not imitate"
            advice = "See how far the program gets on a machine with a driver, with --real."
            return self._at(Stage.RUNTIME_REFUSED, text, call=last, details=details, advice=advice)
        asked = runtime or any(is_one_of(call, ("cuGetExportTable",)) for call in ours)
        if last.function == "cuDriverGetVersion" and last.succeeded and asked:
            version = _cuda(last.arguments.get("driverVersion"))
            text = f"{name} asked for its version (CUDA {version}) and no more"
            return self._at(Stage.RUNTIME_REFUSED, text, call=last, details=details)
        return None

    def init(self) -> Outcome | None:
        """The library was not initialised, or could not count its devices."""
        for names in (INIT, COUNT):
            calls = [call for call in self.answered if is_one_of(call, names[self.library])]
            if not calls or any(call.succeeded for call in calls):
                continue
            last = calls[-1]
            stage = Stage.NO_DEVICES if last.status == "NO_DEVICE" else Stage.INIT_FAILED
            return self._at(stage, f"{last.function} answered {said(last)}", call=last)
        return None

    def count(self) -> Outcome | None:
        """There are no devices."""
        counts = [
            call for call in self.calls if is_one_of(call, COUNT[self.library]) and call.succeeded
        ]
        if not counts or self._devices():
            return None
        return self._at(Stage.NO_DEVICES, f"{counts[-1].function} counted 0", call=counts[-1])

    def _devices(self) -> int:
        """How many devices were seen: counted, or got at without counting them."""
        succeeded = [call for call in self.calls if call.succeeded]
        counts = [
            value
            for call in succeeded
            if is_one_of(call, COUNT[self.library])
            for value in call.arguments.values()
            if isinstance(value, int)
        ]
        got = {call.arguments.get("device", call.arguments.get("dev")) for call in succeeded}
        return max([*counts, len(got - {None})])

    def wanted_more(self) -> Outcome | None:
        """The last that the process did with the library was to miss a function of it, or it missed
        one that nothing stands in for."""
        missed = self._missed()
        for family in (INIT[self.library], COUNT[self.library]):
            names = [name for _, name, _ in missed if name.startswith(family)]
            if names and not any(is_one_of(call, family) for call in self.calls):
                return self._missing(list(dict.fromkeys(names)), missed[-1][2])
        gave_up = self.own if self.evidence.status else self.calls  # an orderly end: no trouble
        if not missed or (gave_up and gave_up[-1].record["t"] > missed[-1][0]) or self.taken:
            return None
        names = [name for _, name, _ in (missed[-1:] if self.own else missed)]
        return self._missing(list(dict.fromkeys(names)), missed[-1][2])

    def _missed(self) -> list[tuple[int, str, str]]:
        """Functions that were asked for in vain: when, their names, and of which file."""
        bound = [
            (event.t, event.name, event.library)
            for event in self.events
            if isinstance(event, SymbolBound) and not event.found and self._is_ours(event.library)
        ]
        asked = [
            (int(call.record["t"]), str(call.arguments.get("symbol")), self.soname)
            for call in self.answered
            if call.failed and is_one_of(call, ("cuGetProcAddress",))
        ]
        return sorted(bound + asked)

    def _missing(self, names: list[str], path: str) -> Outcome:
        text = f"{os.path.basename(path)} does not have {listed(names)}"
        return self._at(Stage.SYMBOL_MISSING, text, symbols=names, details=[path])

    def unlinked(self) -> Outcome | None:
        """The loader ended the program at the call of a function that is not there."""
        ended = self.evidence.processes[self.pid].ended is not None
        return None if ended or self.evidence.status != 127 else self._unlinked()

    def rejected(self) -> Outcome | None:
        """Devices were seen, and turned away."""
        own, status = self.own, self.evidence.status
        gave_up = not self.evidence.stopped and status not in (0, *ENDED_BY_OTHERS)
        last = own[-1:] if own and decides(own[-1]) else []
        failed = last or [call for call in own if call.failed and call.status not in LACKING]
        if failed and (last or (gave_up and not self.taken)):
            text = f"{failed[-1].function} answered {said(failed[-1])}"
            return self._at(Stage.REJECTED, text, call=failed[-1])
        if not own or self.taken:
            return None
        for call, text in turned_away(own):
            return self._at(Stage.REJECTED, text, call=call, mild=True)
        if gave_up:
            ended = f"signal {-status} ended it" if status < 0 else f"the exit status was {status}"
            text = f"the last that it asked was {own[-1].function}, and {ended}"
            return self._at(Stage.REJECTED, text, call=own[-1], mild=True)
        return None

    def fine(self) -> Outcome | None:
        """Devices were seen, or nothing was asked about them and nothing failed."""
        if not self.calls:
            return None
        devices = self._devices()
        text = f"{devices} device{'' if devices == 1 else 's'} seen" + ", and taken" * self.taken
        if not devices and not self.taken:
            text = f"it asked {self.soname} for no devices"
        return self._at(Stage.FINE, text, devices=devices, taken=self.taken)

    # ---- no call was made

    def loaded(self) -> Outcome | None:
        """The library was loaded, maybe the wrong one, and not called."""
        loads = [load for load in self._loads() if self._is_ours(load.soname or load.path)]
        if not loads:
            return None
        last = loads[-1]
        dependency = self._failed_dependency(last)
        if dependency is not None:
            text = f"{last.path} needs {dependency.search.name}, which is not there"
            return self._at(Stage.UNLOADABLE, text, details=_paths(dependency))
        if not any(self.evidence.ours(load.path) for load in loads):
            return self._at(Stage.OTHER_LIBRARY, f"it opened {last.path}", details=[last.path])
        name = os.path.basename(last.path)
        return self._unlinked() or self._at(
            Stage.NEVER_CALLED, f"{name} was loaded and never called", details=[last.path]
        )

    def _unlinked(self) -> Outcome | None:
        """Who asked for the library is linked to functions that it does not have."""
        for attempt in self.attempts:
            if attempt.load is not None and self._is_ours(attempt.search.name):
                names = missing_symbols(self._asker(attempt), attempt.load.path)
                if names:
                    return self._missing(names, attempt.load.path)
        return None

    def _asker(self, attempt: Attempt) -> str:
        """The file that asked for a library: a library, or the program."""
        return attempt.search.by or self.evidence.processes[self.pid].exe

    def _failed_dependency(self, load: Load) -> Attempt | None:
        wanted = (each for each in self.attempts if each.search.by == load.path)
        return next((each for each in wanted if each.load is None), None)

    def searched(self) -> Outcome | None:
        """The library was asked for and nothing could be loaded."""
        asked = [each for each in self.attempts if self._is_ours(each.search.name)]
        return self._unloaded(asked) if asked else None

    def consumer(self) -> Outcome | None:
        """A library that would have called CUDA was not loaded, as one that it needs is not."""
        if self.library != "cuda":
            return None
        loaded = {each.search.name for each in self.attempts if each.load}
        lost = [each for each in self.attempts if each.search.name not in loaded]
        asked = [each for each in lost if self._is_consumer(each) and self._is_linked(each)]
        return self._unloaded(asked) if asked else None

    def _is_consumer(self, attempt: Attempt) -> bool:
        names = [os.path.basename(name) for name in (attempt.search.name, self._asker(attempt))]
        apis = tuple(soname.removesuffix(".1") for soname in SONAMES.values())
        return not any(name.startswith(apis) for name in names)

    def _is_linked(self, attempt: Attempt) -> bool:
        return needs(self._asker(attempt), attempt.search.name)

    def _unloaded(self, asked: list[Attempt]) -> Outcome:
        """What became of searches that led to nothing."""
        found: dict[str, str] = {}
        for each in asked:
            found |= each.paths
        askers = dict.fromkeys(each.search.by for each in asked if each.search.by)
        details = [*(f"asked for by {by}" for by in askers), *_lines(found)]
        states = set(found.values())
        names = [os.path.basename(each.search.name) for each in asked]
        if len({each.search.name for each in asked}) == 1:
            names = [asked[0].search.name]
        name, are = listed(list(dict.fromkeys(names))), "are" if len(set(names)) > 1 else "is"
        for path, state in found.items():
            if state in _BAD:
                return self._at(Stage.UNLOADABLE, f"{path} {_BAD[state]}", details=details)
        if "wrong-class" in states:
            text = f"{name} {are} there for another kind of machine only"
            return self._at(Stage.WRONG_CLASS, text, details=details)
        if "unreadable" in states:
            return self._at(Stage.NOT_FOUND, f"{name} may not be read", details=details)
        return self._at(Stage.NOT_FOUND, f"{name} {are} not there", details=details)

    def looked(self) -> Outcome | None:
        """The library's file was looked for, and not by the loader."""
        looks = [
            each for each in self.events if isinstance(each, File) and self._is_ours(each.path)
        ]
        if not looks or any(each.found for each in looks):
            return None
        searches = [Search(e.t, e.pid, e.tid, e.path, None, "absent") for e in looks]
        return replace(self._unloaded(list(map(Attempt, searches))), mild=True)

    def _is_ours(self, name: str) -> bool:
        """Whether this is a name, a path or a pattern of the library."""
        base = os.path.basename(name)
        return base == self.base or base.startswith((f"{self.base}.", f"{self.base}*"))

    def _loaded(self, prefix: str) -> Load | None:
        paths = ((os.path.basename(load.path), load) for load in self._loads())
        return next((load for name, load in paths if name.startswith(prefix)), None)

    def _loads(self) -> list[Load]:
        return [event for event in self.events if isinstance(event, Load)]


_STEPS: tuple[Callable[[_Library], Outcome | None], ...] = (
    _Library.inside,
    _Library.runtime,
    _Library.wanted_more,
    _Library.init,
    _Library.count,
    _Library.unlinked,
    _Library.rejected,
    _Library.fine,
    _Library.consumer,
    _Library.loaded,
    _Library.searched,
    _Library.looked,
)

#: What was at a path, in other words than the audit module's.
_STATES = {"library": "there, and not loaded"}
#: What is wrong with a file that is not loaded.
_BAD = {
    "empty": "is no library",
    "not-elf": "is no library",
    "library": "could not be loaded",
}


def listed(names: list[str]) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _cuda(version: object) -> str:
    return f"{version // 1000}.{version % 1000 // 10}" if isinstance(version, int) else "?"


def _paths(attempt: Attempt) -> list[str]:
    return _lines(attempt.paths)


def _lines(paths: dict[str, str]) -> list[str]:
    return [f"{path}: {_STATES.get(state, state)}" for path, state in paths.items()]
