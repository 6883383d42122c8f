"""What a process did with one of the two libraries."""

from __future__ import annotations

import os
from typing import Any

from ..stubfiles import SONAMES
from .answers import AROUND, COUNT, TAKING, is_one_of
from .events import Load
from .evidence import Attempt, Evidence
from .linked import missing_symbols
from .stages import Outcome, Stage, listed

__all__ = ["Library"]


class Library:
    """One library in one process: what the process did with it.

    Attributes:
        events, attempts: the process's, about whatever library.
        calls: those of this library; `answered` returned, `own` are about devices.
        taken: whether the process took a device: made a context, say.
    """

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

    def at(self, stage: Stage, text: str = "", **more: Any) -> Outcome:
        """The outcome that it ended at a stage."""
        return Outcome(self.library, self.pid, stage, text, began=self._began(), **more)

    def _began(self) -> int:
        times = [call.record["t"] for call in self.calls[:1]]
        times += [each.search.t for each in self.attempts if self.is_ours(each.search.name)][:1]
        return min(times, default=self.evidence.processes[self.pid].began)

    def devices(self) -> int:
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

    def missing(self, names: list[str], path: str) -> Outcome:
        """The outcome that a file lacks functions."""
        symbols = list(dict.fromkeys(names))
        text = f"{os.path.basename(path)} does not have {listed(symbols)}"
        return self.at(Stage.SYMBOL_MISSING, text, symbols=symbols, details=[path])

    def unlinked(self) -> Outcome | None:
        """Who asked for the library is linked to functions that it does not have."""
        for attempt in self.attempts:
            if attempt.load is not None and self.is_ours(attempt.search.name):
                names = missing_symbols(self.asker(attempt), attempt.load.path)
                if names:
                    return self.missing(names, attempt.load.path)
        return None

    def asker(self, attempt: Attempt) -> str:
        """The file that asked for a library: a library, or the program."""
        return attempt.search.by or self.evidence.processes[self.pid].exe

    def is_ours(self, name: str) -> bool:
        """Whether this is a name, a path or a pattern of the library."""
        base = os.path.basename(name)
        return base == self.base or base.startswith((f"{self.base}.", f"{self.base}*"))

    def loaded(self, prefix: str) -> Load | None:
        """The first library that was loaded whose file name begins so."""
        paths = ((os.path.basename(load.path), load) for load in self.loads())
        return next((load for name, load in paths if name.startswith(prefix)), None)

    def loads(self) -> list[Load]:
        """All libraries that were loaded."""
        return [event for event in self.events if isinstance(event, Load)]
