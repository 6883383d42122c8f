"""Which verdict it is: of all that was seen, the one thing that kept the program from its GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..causes import causes
from ..checkup.kinds import kind
from ..machine import DRIVERS
from ..stubfiles import SONAMES
from ..symbols import exported
from .evidence import Evidence
from .notes import notes
from .outcomes import outcomes
from .stages import Outcome, Stage
from .verdicts import VERDICTS, Verdict
from .ways import unseen_programs, ways

__all__ = ["judge"]

_WITH_CAUSES = (Stage.INIT_FAILED, Stage.NO_DEVICES)
_HALVES = {"nvml": "nvml-failed", "cuda": "cuda-failed"}

_ALL_THERE = (
    "All that it looked at is there: its own log, as detailed as it gets, says what it missed."
)


def judge(evidence: Evidence) -> Verdict:
    """The one verdict on a run."""
    return _Judge(evidence).verdict()


def _name(stage: Stage) -> str:
    """The verdict on a program that got so far and no further."""
    never_asked = stage == Stage.NEVER_CALLED
    return "never-asked" if never_asked else stage.name.lower().replace("_", "-")


def _decisive(found: list[Outcome]) -> Outcome:
    """Of a library's outcomes that of the process that got furthest; but where none took a device,
    what then went wrong in a process that came later."""
    furthest = max(found, key=lambda each: (each.progress, each.devices, each.began))
    if not furthest.usable or any(each.taken for each in found):
        return furthest
    later = [each for each in found if each.broken and each.began > furthest.began]
    return max(later, key=lambda each: each.progress, default=furthest)


class _Judge:
    """Weighs the outcomes of both libraries."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.outcomes = outcomes(evidence)
        self.best = [
            _decisive(each)
            for library in SONAMES
            if (each := [every for every in self.outcomes if every.library == library])
        ]

    def verdict(self) -> Verdict:
        """The first that applies."""
        inside = [each for each in self.best if each.stage == Stage.INSIDE_A_CALL]
        failed = [each for each in self.best if each.failed]
        usable = [each for each in self.best if each.usable]
        turned = [each for each in self.best if each.stage == Stage.REJECTED]
        if any(each.taken for each in self.best):
            turned = [each for each in turned if not each.usable]
        if inside:
            return self._on(inside[0])
        if failed and usable:
            return self._half(failed[0])
        if turned:
            return self._on(min(turned, key=lambda each: each.usable))
        if not self.best:
            return self._unasked()
        return self._on(max(self.best, key=lambda each: each.progress))

    def _on(self, outcome: Outcome) -> Verdict:
        hidden = f"{self._variable(outcome)} hides them; " if self._hidden(outcome) else ""
        return Verdict(
            _name(outcome.stage),
            hidden + outcome.text,
            why=self._why(outcome),
            advice=list(self._advice(outcome)),
            notes=[*self._others(outcome), *notes(self.evidence)],
            outcomes=self.outcomes,
            pid=outcome.pid,
        )

    def _half(self, failed: Outcome) -> Verdict:
        """The other library is fine."""
        decided = self._on(failed)
        if failed.stage == Stage.RUNTIME_REFUSED or self._hidden(failed):
            return decided
        return replace(decided, name=_HALVES[failed.library])

    def _unasked(self) -> Verdict:
        seen = ways(self.evidence)
        if seen.missing:
            name, text, why = "not-found", f"{seen.missing[0]} is not there", seen.missing_paths
        elif seen.looked:
            name, text, why = "other-way", [*seen.ran, *seen.looked][0], seen.looked
        elif hidden := self._hidden_programs():
            name, text, why = "unseen", f"{hidden[0]} did not come by the dynamic loader", hidden
        else:
            name, text = "never-asked", "no search for libnvidia-ml or libcuda at all"
            why = seen.loaded
        return Verdict(
            name,
            text,
            why=why,
            advice=[_ALL_THERE if seen.looked and seen.found_all else VERDICTS[name].advice],
            notes=list(notes(self.evidence)),
            outcomes=self.outcomes,
            pid=self.evidence.root,
        )

    def _hidden_programs(self) -> list[str]:
        if not self.evidence.seen:
            return [" ".join(self.evidence.program)]
        return list(unseen_programs(self.evidence))

    # ---- the evidence and the advice

    def _why(self, outcome: Outcome) -> list[str]:
        process = self.evidence.processes[outcome.pid]
        lines = [f"in process {outcome.pid}: {' '.join(process.argv) or process.name}"]
        if outcome.call is not None:
            lines.append(repr(outcome.call))
            if fault := outcome.call.fault:
                named = fault if fault.startswith("fault[") else f"fault {fault}"
                lines.append(f"the scenario's {named} made it so")
        path = process.environment.get("LD_LIBRARY_PATH", "").split(":")
        if outcome.stage == Stage.NOT_FOUND and process.linked and self._lost(path):
            lines.append(f"it has changed LD_LIBRARY_PATH to {':'.join(path)!r}")
        return lines + outcome.details

    def _lost(self, path: list[str]) -> bool:
        """Whether nvemu's libraries are no longer on a process's path."""
        return bool(self.evidence.folder) and self.evidence.folder not in path

    def _variable(self, outcome: Outcome) -> str:
        value = self.evidence.processes[outcome.pid].environment["CUDA_VISIBLE_DEVICES"]
        return f"CUDA_VISIBLE_DEVICES={value}"

    def _hidden(self, outcome: Outcome) -> bool:
        """Whether CUDA shows no devices as a variable hides them: not where NVML shows none, nor
        where the variable names the first, which every machine with a GPU has."""
        if outcome.stage != Stage.NO_DEVICES or outcome.library != "cuda":
            return False
        none = any(each.stage == Stage.NO_DEVICES for each in self.best if each.library == "nvml")
        value = self.evidence.processes[outcome.pid].environment.get("CUDA_VISIBLE_DEVICES")
        return not none and value is not None and value.partition(",")[0].strip() != "0"

    def _advice(self, outcome: Outcome) -> Iterator[str]:
        call, general = outcome.call, outcome.advice or VERDICTS[_name(outcome.stage)].advice
        if self._hidden(outcome):
            yield "Unset CUDA_VISIBLE_DEVICES, or name devices that exist: it hides all others."
        elif call is not None and call.code and outcome.stage in _WITH_CAUSES:
            known = causes(outcome.library, call.code)
            yield from filter(None, (f"usual causes: {known.text}" * bool(known.text), known.next))
        elif general:
            yield general
        for name in outcome.symbols[:3]:
            having = [driver for driver in DRIVERS if name in exported(outcome.library, driver)]
            yield (
                f"{name}: driver {having[0]} and newer have it"
                if having
                else f"{name}: no driver that nvemu knows has it"
            )
        if outcome.stage == Stage.OTHER_LIBRARY:
            path = outcome.details[0]
            yield f"{path} is {kind(outcome.library, Path(path)).text}."

    def _others(self, outcome: Outcome) -> Iterator[str]:
        """What became of the other library, and what went otherwise in other processes."""
        lines = [
            f"{other.library.upper()}: {other.text}"
            for other in self.best
            if other.library != outcome.library and other.text
        ]
        told = {each.text for each in [outcome, *self.best]}
        others = {
            other.text: f"{other.library.upper()} in process {other.pid} "
            f"({self.evidence.processes[other.pid].name}): {other.text}"
            for other in reversed(self.outcomes)
            if other.text not in told
        }
        yield from [*lines, *reversed(others.values())][:4]
