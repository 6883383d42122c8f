"""Programs under drawn scenarios: which of them make one crash, hang or end otherwise than it may.

    findings = Fuzzer(["./my-program"]).run(draw(100, seed=0))

Each scenario is played in a testbed of its own, several at a time. What goes wrong the same way
counts once, and its scenario is made as small as it goes while the program still goes wrong so.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any

import hypothesis
from msgspec import Struct

from ..scenario import Scenario, ScenarioError, dumps
from ..scenario.times import parse_duration
from ..strategies import scenarios
from ..testbed import Testbed, TestbedError
from ..testbed.program import NOT_FOUND, ProgramError, signal_name
from ..trace import whole
from .shrinking import smaller, weight

__all__ = ["Finding", "Fuzzer", "Outcome", "Unplayable", "draw", "ends_programs"]

#: As much of what a program writes to stderr is looked at.
_STDERR = 1 << 16

#: As much of the end of a trace is looked at for the last call.
_TRACE = 1 << 16


class Unplayable(Exception):  # noqa: N818  (not an error: this system cannot play the scenario)
    """A scenario cannot be played on this system; its text says why."""


class Outcome(Struct, frozen=True):
    """How a program ended.

    Attributes:
        kind: "ok"; "crash" (a signal ended it), "hang" (its time was up), "exit" (another status
            than it may), "stderr" (it wrote what it must not).
        status: its exit status, or the negated signal; None for a hang.
        call: the last call of any of its processes, "nvmlInit_v2 = UNKNOWN"; "" if there was none.
        stderr: the last line that it wrote to stderr.
    """

    kind: str
    status: int | None
    call: str = ""
    stderr: str = ""

    @property
    def key(self) -> tuple[str, int | None, str]:
        """What findings that are the same have in common."""
        return self.kind, self.status, self.call

    def __str__(self) -> str:
        if self.kind == "crash":
            return f"crash: {signal_name(-(self.status or 0))}"
        return f"{self.kind} {self.status}" if self.kind == "exit" else self.kind


class Finding(Struct):
    """A way in which a program goes wrong.

    Attributes:
        outcome: how it ended.
        scenario: the smallest scenario found in which it does.
        count: in how many of the scenarios it did.
    """

    outcome: Outcome
    scenario: Scenario
    count: int = 1


def draw(number: int, seed: int = 0, **options: Any) -> list[Scenario]:
    """Up to so many different scenarios, the same for the same seed; the first is the simplest.

    Args:
        number: how many; fewer where there are not as many.
        seed: another one gives other scenarios.
        options: those of `emulator.strategies.scenarios`.
    """
    drawn: dict[str, Scenario] = {}

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number * 2,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(scenarios(in_process=False, **options))
    def collect(scenario: Scenario) -> None:
        drawn.setdefault(dumps(scenario), scenario)

    collect()
    return list(drawn.values())[:number]


def ends_programs(scenario: Scenario, timeout: float) -> bool:
    """Whether a scenario itself ends programs, or blocks them for longer than `timeout`."""
    return any(
        fault.signal is not None
        or fault.exit is not None
        or fault.block
        or (fault.delay is not None and parse_duration(fault.delay) >= timeout * 1e9)
        for fault in scenario.faults
    )


class Fuzzer:
    """Plays scenarios for one program.

    Args:
        command: the program and its arguments.
        timeout: seconds after which it hangs.
        expected: the exit statuses that it may end with.
        pattern: what it must not write to stderr.
        jobs: how many are played at a time.
        patience: how long a finding's scenario is made smaller, in seconds.

    Attributes:
        played: how many scenarios were played so far, without those on the way to smaller ones.
        unplayable: why scenarios could not be played here -> how many.

    Raises:
        ProgramError: there is no such program.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        timeout: float = 10,
        expected: Iterable[int] = (0,),
        pattern: re.Pattern[str] | None = None,
        jobs: int | None = None,
        patience: float = 20,
    ) -> None:
        path = shutil.which(command[0])
        if path is None:
            problem = f"cannot run {command[0]}: there is no such program on PATH that can be run"
            raise ProgramError(problem, NOT_FOUND)
        self.command = [path, *command[1:]]
        self.timeout = timeout
        self.expected = frozenset(expected)
        self.pattern = pattern
        self.jobs = jobs or os.cpu_count() or 1
        self.patience = patience
        self.played = 0
        self.unplayable: dict[str, int] = {}
        self._stopped = threading.Event()
        self._running: set[int] = set()
        self._lock = threading.Lock()

    def run(
        self,
        played: Iterable[Scenario],
        *,
        progress: Callable[[int, list[Finding]], None] = lambda number, findings: None,
    ) -> list[Finding]:
        """Play scenarios and return what was found, each made small.

        Whatever ends this (a Ctrl-C) ends the programs that run, and removes their testbeds.

        Args:
            played: the scenarios.
            progress: told how many are done, and what was found so far.
        """
        findings: dict[tuple[str, int | None, str], Finding] = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for scenario, outcome in self._outcomes(pool, played):
                    self._note(findings, scenario, outcome)
                    progress(self.played, list(findings.values()))
                for finding in findings.values():
                    self._shrink(pool, finding)
            except BaseException:
                self._stop()
                pool.shutdown(cancel_futures=True)
                raise
        return list(findings.values())

    def _outcomes(
        self, pool: ThreadPoolExecutor, played: Iterable[Scenario]
    ) -> Iterator[tuple[Scenario, Outcome]]:
        """Yield outcomes in the scenarios' order, playing ahead of what was asked for."""
        ahead = iter(played)
        waiting: list[tuple[Scenario, Future[Outcome]]] = []
        while True:
            for scenario in islice(ahead, self.jobs * 2 - len(waiting)):
                waiting.append((scenario, pool.submit(self.play, scenario)))
            if not waiting:
                return
            scenario, future = waiting.pop(0)
            try:
                yield scenario, future.result()
            except Unplayable as reason:
                self.unplayable[str(reason)] = self.unplayable.get(str(reason), 0) + 1

    def _note(
        self,
        findings: dict[tuple[str, int | None, str], Finding],
        scenario: Scenario,
        outcome: Outcome,
    ) -> None:
        self.played += 1
        if outcome.kind == "ok":
            return
        known = findings.setdefault(outcome.key, Finding(outcome, scenario, 0))
        known.count += 1
        if weight(scenario) < weight(known.scenario):
            known.scenario = scenario

    # ---- one scenario

    def play(self, scenario: Scenario) -> Outcome:
        """Run the program in a scenario.

        Raises:
            Unplayable: this system cannot play it.
            ProgramError: the program cannot be started.
        """
        try:
            with Testbed(scenario, trace=True) as testbed:
                stderr = testbed.folder / "stderr"
                with stderr.open("wb") as file:
                    status = self._end_of(testbed.environment(), file)
                return self._outcome(status, testbed.trace_file, stderr)
        except (TestbedError, ScenarioError) as problem:
            raise Unplayable(str(problem)) from None

    def _end_of(self, environment: dict[str, str], stderr: IO[bytes]) -> int | None:
        """The program's exit status, or negated signal; None if it hangs. Nothing of its
        process group is left."""
        with self._lock:
            if self._stopped.is_set():
                raise Unplayable("stopped")
            program = self._start(environment, stderr)
            self._running.add(program.pid)
        ended = _ends_within(program.pid, self.timeout)
        with self._lock:  # before it is reaped: until then its number is nobody else's
            _kill_group(program.pid)
            self._running.discard(program.pid)
        status = program.wait()
        return status if ended else None

    def _start(self, environment: dict[str, str], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        except OSError as error:
            problem = f"cannot run {self.command[0]}: {error.strerror}"
            raise ProgramError(problem, NOT_FOUND) from None

    def _outcome(self, status: int | None, trace: Path, stderr: Path) -> Outcome:
        said = _tail(stderr, _STDERR).decode("utf-8", "replace")
        call = _last_call(trace)
        last_line = said.strip().rpartition("\n")[2].strip()
        return Outcome(self._kind(status, said), status, call, last_line)

    def _kind(self, status: int | None, said: str) -> str:
        if status is None:
            return "hang"
        if status < 0:
            return "crash"
        if status not in self.expected:
            return "exit"
        return "stderr" if self.pattern is not None and self.pattern.search(said) else "ok"

    def _stop(self) -> None:
        self._stopped.set()
        with self._lock:
            for program in self._running:
                _kill_group(program)

    # ---- smaller scenarios

    def _shrink(self, pool: ThreadPoolExecutor, finding: Finding) -> None:
        """Make the finding's scenario smaller, until nothing smaller does it or time is up."""
        until = time.monotonic() + self.patience
        others: set[str] = set()  # those in which it ends otherwise
        found = True
        while found and time.monotonic() < until:
            found = False
            for batch in _batches(smaller(finding.scenario), self.jobs):
                fresh = [candidate for candidate in batch if dumps(candidate) not in others]
                same = list(self._same(pool, fresh, finding.outcome))
                others.update(dumps(candidate) for candidate in fresh if candidate not in same)
                if same:
                    finding.scenario = min(same, key=weight)
                    found = True
                if found or time.monotonic() >= until:
                    break

    def _same(
        self, pool: ThreadPoolExecutor, candidates: list[Scenario], outcome: Outcome
    ) -> Iterator[Scenario]:
        """Yield those of the scenarios in which the program ends like that."""
        futures = [pool.submit(self.play, candidate) for candidate in candidates]
        for candidate, future in zip(candidates, futures, strict=True):
            with suppress(Unplayable):
                if future.result().key == outcome.key:
                    yield candidate


def _batches(items: Iterable[Scenario], size: int) -> Iterator[list[Scenario]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _ends_within(pid: int, seconds: float) -> bool:
    """Whether a child ends in time; it is still to be reaped."""
    file = os.pidfd_open(pid)
    try:
        return bool(select.select([file], [], [], seconds)[0])
    finally:
        os.close(file)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _tail(file: Path, size: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - size))
        return opened.read()


def _last_call(trace: Path) -> str:
    """The last call that the trace tells of."""
    for line in reversed(_tail(trace, _TRACE).splitlines()):
        for _, fields in reversed(list(whole(line))):
            return f"{fields['function']} = {fields.get('status', fields['code'])}"
    return ""
