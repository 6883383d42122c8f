"""How far a process got with one of the two libraries, and what stopped it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ..stubfiles import SONAMES
from ..testing.calls import Call
from .events import Load, SymbolBound
from .evidence import Attempt, Evidence, attempts
from .linked import missing_symbols

__all__ = ["LACKING", "Outcome", "Stage", "outcomes"]


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
        mild: no call failed; the rejection is concluded from what came after.
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


INIT = {"nvml": ("nvmlInit",), "cuda": ("cuInit",)}
COUNT = {"nvml": ("nvmlDeviceGetCount",), "cuda": ("cuDeviceGetCount",)}
#: Calls that tell nothing of how it went: they close, explain, or look functions up.
AROUND = (
    *("nvmlShutdown", "nvmlErrorString", "nvmlSystemGet", "nvmlInternalGetExportTable"),
    *("cuGetErrorName", "cuGetErrorString", "cuGetProcAddress", "cuDriverGetVersion"),
    *("cuGetExportTable", "cuCtxDestroy", "cuDevicePrimaryCtxRelease"),
)
#: Calls with which a program takes a device.
TAKING = ("cuCtxCreate", "cuDevicePrimaryCtxRetain", "cuMemAlloc", "cuLaunchKernel")
#: Errors with which a library says that it lacks something that few programs insist on.
LACKING = ("NOT_SUPPORTED", "NOT_FOUND", "FUNCTION_NOT_FOUND", "INSUFFICIENT_SIZE", "NO_PERMISSION")

#: What programs turn away though no call fails: function, parameters of it, whether their values
#: are such, and what they are. The least that Ollama takes are compute capability 5.0 and 457 MiB.
TURNED_AWAY: tuple[tuple[str, Callable[[dict[str, Any]], bool], str], ...] = (
    (
        "nvmlDeviceGetCudaComputeCapability",
        lambda a: a["major"] < 5,
        "a compute capability that current CUDA libraries have no code for",
    ),
    (
        "cuDeviceComputeCapability",
        lambda a: a["major"] < 5,
        "a compute capability that current CUDA libraries have no code for",
    ),
    (
        "cuDeviceGetAttribute",
        lambda a: str(a["attrib"]).endswith("COMPUTE_CAPABILITY_MAJOR") and a["pi"] < 5,
        "a compute capability that current CUDA libraries have no code for",
    ),
    (
        "cuDeviceGetAttribute",
        lambda a: str(a["attrib"]).endswith("COMPUTE_MODE") and a["pi"] == 2,
        "a compute mode that allows no contexts",
    ),
    (
        "nvmlDeviceGetComputeMode",
        lambda a: str(a["mode"]).endswith("PROHIBITED"),
        "a compute mode that allows no contexts",
    ),
    ("cuDeviceTotalMem", lambda a: a["bytes"] < 457 << 20, "less memory than programs ask for"),
    ("cuMemGetInfo", lambda a: a["free"] < 457 << 20, "less free memory than programs ask for"),
    (
        "nvmlDeviceGetMemoryInfo",
        lambda a: a["memory"]["free"] < 457 << 20,
        "less free memory than programs ask for",
    ),
)


def _is(call: Call, names: Sequence[str]) -> bool:
    return call.function.startswith(tuple(names))


class _Library:
    """One library in one process."""

    def __init__(self, evidence: Evidence, pid: int, library: str) -> None:
        self.evidence = evidence
        self.pid = pid
        self.library = library
        self.soname = SONAMES[library]
        self.base = self.soname.removesuffix(".1")
        self.events = evidence.of(pid)
        self.calls = evidence.calls_of(pid, library)

    def outcome(self) -> Outcome:
        return next(filter(None, (step(self) for step in _STEPS)), self._at(Stage.UNASKED))

    def _at(self, stage: Stage, text: str = "", **more: Any) -> Outcome:
        return Outcome(self.library, self.pid, stage, text, **more)

    # ---- calls were made

    def inside(self) -> Outcome | None:
        """A call that did not return."""
        call = next((call for call in reversed(self.calls) if call.code is None), None)
        if call is None or (call.status == "CALLED" and self._went_on(call)):
            return None
        how = self._ending(call)
        return self._at(Stage.INSIDE_A_CALL, f"{how} inside {call.function}", call=call)

    def _went_on(self, call: Call) -> bool:
        """Whether the process ended of its own accord: that thread was only left behind."""
        process = self.evidence.processes[self.pid]
        return process.ended is not None and self.evidence.stopped is None

    def _ending(self, call: Call) -> str:
        word, _, number = str(call.status).partition(" ")
        name = self.evidence.processes[self.pid].name
        if word == "SIGNAL":
            return f"{name} was ended by signal {number}"
        if word == "EXIT":
            return f"{name} exited with {number}"
        if word == "BLOCKED" or self.evidence.stopped:
            return f"{name} hung"
        return f"{name} ended"

    def runtime(self) -> Outcome | None:
        """NVIDIA's runtime library asked the driver, and left it at that."""
        ours = [call for call in self.calls if not _is(call, ("cuGetProcAddress",))]
        if self.library != "cuda" or not ours:
            return None
        last = ours[-1]
        if last.function == "cuGetExportTable" and last.failed:
            text = (
                "the CUDA runtime asked the driver to prove that it is genuine, which nvemu does "
                "not imitate"
            )
            return self._at(Stage.RUNTIME_REFUSED, text, call=last)
        runtime = self._loaded("libcudart")
        if last.function == "cuDriverGetVersion" and last.succeeded and runtime:
            version = _cuda(last.arguments.get("driverVersion"))
            text = (
                f"the CUDA runtime {os.path.basename(runtime.path)} turned the driver away, which "
                f"supports CUDA {version}"
            )
            return self._at(Stage.RUNTIME_REFUSED, text, call=last, details=[runtime.path])
        return None

    def init(self) -> Outcome | None:
        """The library was not initialised, or could not count its devices."""
        for names in (INIT, COUNT):
            calls = [call for call in self.calls if _is(call, names[self.library])]
            if not calls or any(call.succeeded for call in calls):
                continue
            last = calls[-1]
            stage = Stage.NO_DEVICES if last.status == "NO_DEVICE" else Stage.INIT_FAILED
            return self._at(stage, f"{last.function} answered {_said(last)}", call=last)
        return None

    def count(self) -> Outcome | None:
        """There are no devices."""
        counts = [call for call in self.calls if _is(call, COUNT[self.library]) and call.succeeded]
        if not counts or self._devices():
            return None
        return self._at(Stage.NO_DEVICES, f"{counts[-1].function} counted 0", call=counts[-1])

    def _devices(self) -> int:
        """How many devices were seen."""
        counts = [
            value
            for call in self.calls
            if call.succeeded and _is(call, COUNT[self.library])
            for value in call.arguments.values()
            if isinstance(value, int)
        ]
        return max(counts, default=0)

    def wanted_more(self) -> Outcome | None:
        """The last that the process did with the library was to miss a function of it."""
        missed, own = self._missed(), self._own
        gave_up = own if self.evidence.status else self.calls  # an orderly end tells of no trouble
        if not missed or (gave_up and gave_up[-1].record["t"] > missed[-1].t) or self._taken:
            return None
        names = [event.name for event in missed[-1:]] if own else [e.name for e in missed]
        return self._missing(list(dict.fromkeys(names)), missed[-1].library)

    def _missed(self) -> list[SymbolBound]:
        return [
            event
            for event in self.events
            if isinstance(event, SymbolBound) and not event.found and self._is_ours(event.library)
        ]

    def _missing(self, names: list[str], path: str) -> Outcome:
        text = f"{os.path.basename(path)} does not have {_listed(names)}"
        return self._at(Stage.SYMBOL_MISSING, text, symbols=names, details=[path])

    def rejected(self) -> Outcome | None:
        """Devices were seen, and turned away."""
        own = self._own
        failed = [call for call in own if call.failed and call.status not in LACKING]
        gave_up = self.evidence.status != 0 and self.evidence.stopped is None
        if failed and (failed[-1] is own[-1] or (gave_up and not self._taken)):
            text = f"{failed[-1].function} answered {_said(failed[-1])}"
            return self._at(Stage.REJECTED, text, call=failed[-1])
        if not own or self._taken:
            return None
        for call, text in _turned_away(own):
            return self._at(Stage.REJECTED, text, call=call, mild=True)
        if gave_up:
            text = f"the last that it asked was {own[-1].function}"
            return self._at(Stage.REJECTED, text, call=own[-1], mild=True)
        return None

    @property
    def _own(self) -> list[Call]:
        """The calls that are about devices."""
        return [call for call in self.calls if not _is(call, AROUND)]

    @property
    def _taken(self) -> bool:
        return any(call.succeeded and _is(call, TAKING) for call in self.calls)

    def fine(self) -> Outcome | None:
        """Devices were seen, or nothing was asked about them and nothing failed."""
        if not self.calls:
            return None
        devices = self._devices()
        text = f"{devices} device{'' if devices == 1 else 's'} seen"
        if self._taken:
            text += ", and taken"
        return self._at(Stage.FINE, text, devices=devices, taken=self._taken)

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
        for attempt in attempts(self.events):
            if attempt.load is not None and attempt.load.path == last.path:
                names = missing_symbols(self._asker(attempt), last.path)
                if names:
                    return self._missing(names, last.path)
        return self._at(Stage.NEVER_CALLED, f"{last.path} was loaded and never called")

    def _asker(self, attempt: Attempt) -> str:
        """The file that asked for a library: a library, or the program."""
        return attempt.search.by or self.evidence.processes[self.pid].exe

    def _failed_dependency(self, load: Load) -> Attempt | None:
        wanted = (each for each in attempts(self.events) if each.search.by == load.path)
        return next((each for each in wanted if each.load is None), None)

    def searched(self) -> Outcome | None:
        """The library was asked for and nothing could be loaded."""
        asked = [each for each in attempts(self.events) if self._is_ours(each.search.name)]
        if not asked:
            return None
        found: dict[str, str] = {}
        for each in asked:
            found |= each.paths
        askers = dict.fromkeys(each.search.by for each in asked if each.search.by)
        details = [*(f"asked for by {by}" for by in askers), *_lines(found)]
        states = set(found.values())
        names = _listed(list(dict.fromkeys(each.search.name for each in asked)))
        bad = [path for path, state in found.items() if state in ("empty", "not-elf", "library")]
        if bad:
            return self._at(Stage.UNLOADABLE, f"{bad[-1]} is no library", details=details)
        if "wrong-class" in states:
            text = f"{names} was found for another kind of machine only"
            return self._at(Stage.WRONG_CLASS, text, details=details)
        return self._at(Stage.NOT_FOUND, f"{names} is not there", details=details)

    def _is_ours(self, name: str) -> bool:
        base = os.path.basename(name)
        return base == self.base or base.startswith(f"{self.base}.")

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
    _Library.rejected,
    _Library.fine,
    _Library.loaded,
    _Library.searched,
)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _turned_away(own: list[Call]) -> Iterator[tuple[Call, str]]:
    """Answers that programs turn away, among the last: one that asks on was content with it."""
    for call in reversed(own[-3:]):
        for function, such, what in TURNED_AWAY:
            if call.succeeded and call.function.startswith(function) and such(dict(call.arguments)):
                yield call, f"{call.function} answered {what}"


def _said(call: Call) -> str:
    return f"{call.status} ({call.code})"


def _cuda(version: object) -> str:
    return f"{version // 1000}.{version % 1000 // 10}" if isinstance(version, int) else "?"


def _paths(attempt: Attempt) -> list[str]:
    return _lines(attempt.paths)


def _lines(paths: dict[str, str]) -> list[str]:
    return [f"{path}: {state}" for path, state in paths.items()]
