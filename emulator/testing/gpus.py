"""GPUs for one test: a scenario in this process and in the programs that the test runs, as one.

What live control says goes to both. A machine that is changed by hand (`gpu.machine`) is this
process's alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from threading import RLock
from typing import Any

from ..control import Control
from ..emulation import Emulation, EmulationError, loaded_driver
from ..machine import Device, Machine
from ..machine.clock import SECOND
from ..plans import find_scenario, plan_of
from ..scenario import Scenario
from ..scenario.errors import unhandled_text
from ..scenario.loader import damages
from ..testbed import Testbed
from ..trace import line, records
from .calls import Calls
from .tee import Tee

__all__ = ["EmulatedGpus", "Finished", "reason_to_part"]

TIMEOUT = 60  # seconds that `run` gives a program, if the caller does not say
SHOWN = 30  # calls that a report shows
LONGEST_DELAY = 5 * SECOND  # of a fault; what waits longer hangs, as far as a test can tell

#: Effect of a fault -> what it would do to the process that runs the tests.
_ENDINGS: dict[str, Callable[[Any], str | None]] = {
    "signal": lambda number: f"ends the process by {signal.Signals(number).name}",
    "exit": lambda status: f"ends the process with status {status}",
    "block": lambda _: "blocks the call",
    "delay": lambda time: (
        f"delays the call by {time / SECOND:g} s" if time > LONGEST_DELAY else None
    ),
}


def reason_to_part(scenario: Scenario) -> str | None:
    """Why this scenario is not for a process that has other tests to run; None if it is.

    Raises:
        ScenarioError: the scenario has a mistake.
    """
    for library, copy in damages(scenario.loader):
        return f"for the dynamic loader {library} is {copy.state}"
    for rule in plan_of(scenario)["faults"]:
        for effect, told in _ENDINGS.items():
            if effect in rule and (what := told(rule[effect])):
                return f"{rule['name']} {what}"
    return None


class Finished(subprocess.CompletedProcess[Any]):
    """A program that has ended, and its calls: those of all programs of the test in that time."""

    def __init__(self, done: subprocess.CompletedProcess[Any], calls: Calls) -> None:
        super().__init__(done.args, done.returncode, done.stdout, done.stderr)
        self.calls = calls


class EmulatedGpus(Control):
    """A test's GPUs, played from here to `close`.

    Args:
        scenario: as for `emulator.emulate`.
        apart: why the scenario is not played in this process, but only in programs that are run.
        decoy: if it is not, the driver version of the stubs that watch for calls made here all the
            same; None does without.

    Attributes:
        scenario: the scenario that is played.
        apart: as given.

    Raises:
        ScenarioError: the scenario has a mistake.
        EmulationError: this process cannot play it.
    """

    def __init__(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        *,
        apart: str | None = None,
        decoy: str | None = None,
    ) -> None:
        self._decoy = decoy
        self._lock = RLock()
        self._begin(find_scenario(scenario), apart)

    def _begin(self, scenario: Scenario, apart: str | None) -> None:
        self.scenario = scenario
        self.apart = apart
        self._told: set[str] = set()
        self._stack = ExitStack()
        self._here: Emulation | None
        self._watched: Emulation | None
        self._testbed: Testbed | None = None
        self._here = self._watched = None
        if apart is None:
            self._here = self._stack.enter_context(Emulation(scenario, record=True))
            plan = self._here.plan
        else:
            plan = plan_of(scenario)
            self._watched = self._enter_decoy()
        self._tee = Tee(self._here)
        super().__init__(plan["gpus"], self._tee)

    def _enter_decoy(self) -> Emulation | None:
        """Put a machine without a driver here, that records who asks for one.

        Calls made in this process would else find another library, or none, and go unnoticed.
        """
        driver = loaded_driver() or self._decoy
        if driver is None:
            return None
        scenario = find_scenario("driver-not-loaded").but(driver=driver)
        with suppress(EmulationError):  # NVIDIA's own libraries are loaded
            return self._stack.enter_context(Emulation(scenario, record=True))
        return None

    def __repr__(self) -> str:
        return f"<EmulatedGpus: {self.scenario.name or 'unnamed'}, {self.scenario.reported_driver}>"

    # ---- in this process

    @property
    def machine(self) -> Machine:
        """The live machine of this process; what is changed there, the next call answers.

        Raises:
            EmulationError: the scenario is played in programs only.
        """
        return self._played().machine

    @property
    def devices(self) -> Sequence[Device]:
        """The machine's GPUs; raises as `machine` does."""
        return self.machine.devices

    @property
    def calls(self) -> Calls:
        """The calls of this process so far; raises as `machine` does."""
        return Calls.of(list(self._played().calls))

    def _played(self) -> Emulation:
        if self._here is None:
            raise EmulationError(self._apart_text())
        return self._here

    # ---- in programs

    @property
    def testbed(self) -> Testbed:
        """What programs find: the scenario as it is by now, set up when it is first asked for.

        Raises:
            ScenarioError: the scenario, or what live control has said, cannot be told to another
                process.
            TestbedError: see `Testbed`.
        """
        with self._lock:
            if self._testbed is None:
                testbed = Testbed(self.scenario, trace=True)
                self._stack.enter_context(testbed)
                self._tee.connect(testbed.control.channel)
                self._testbed = testbed
            return self._testbed

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment for a program that the test starts itself; see `Testbed.environment`."""
        return self.testbed.environment(base)

    def run(
        self,
        command: Sequence[str] | str,
        env: Mapping[str, str] | None = None,
        *,
        check: bool = False,
        **options: Any,
    ) -> Finished:
        """Run a program to its end on these GPUs.

        Its output is captured as text and it has a minute, unless `options` say otherwise.

        Args:
            command: as for `subprocess.run`.
            env: its environment, in place of this process's; what leads to the GPUs is added.
            check: whether to raise for an exit status other than 0, as `subprocess.run` does.
            options: as for `subprocess.run`.
        """
        trace = self.testbed.trace_file
        before = trace.stat().st_size
        chosen = {"text": True, "timeout": TIMEOUT} | options
        if not {"stdout", "stderr", "capture_output"} & set(options):
            chosen["capture_output"] = True
        done = subprocess.run(command, check=check, env=self.environment(env), **chosen)
        return Finished(done, self._program_calls(before))

    def _program_calls(self, start: int = 0) -> Calls:
        """The calls of programs from a place in the trace's file on."""
        if self._testbed is None or not self._testbed.trace_file.exists():
            return Calls(())
        return Calls.of(records(self._testbed.trace_file, start))

    # ---- from one scenario to the next, and to the end

    def play(self, scenario: Scenario | str | os.PathLike[str] | None) -> None:
        """End the scenario and play another, with libraries as if they were just loaded.

        Raises:
            ScenarioError: the scenario has a mistake; the one before goes on.
            EmulationError: this process cannot play it, and the one before begins anew; or that
                one was strict, and functions that nvemu has no handler for were called.
        """
        found = find_scenario(scenario)
        apart = reason_to_part(found)
        before = self.scenario, self.apart
        self.close()
        try:
            self._begin(found, apart)
        except BaseException:
            self._begin(*before)
            raise

    def close(self) -> None:
        """End the scenario, here and for programs; once is enough.

        Raises:
            EmulationError: in a strict scenario, functions that nvemu has no handler for were
                called that `problem` has not told of.
        """
        late = self._unhandled()
        with suppress(EmulationError):
            self._stack.close()
        if late:
            raise EmulationError(unhandled_text(late))

    def problem(self) -> str | None:
        """What makes a test fail whatever it asserts, as a sentence; None if nothing does."""
        if self._watched is not None and self._watched.calls:
            function = self._watched.calls[0]["function"]
            return f"{function} was called in this process, but {self._apart_text()}"
        missing = self._unhandled()
        return unhandled_text(missing) if missing else None

    def report(self) -> str:
        """What a reader of a failed test wants to know: the scenario and the last calls."""
        name = self.scenario.name or "unnamed"
        lines = [f"scenario {name}, driver {self.scenario.reported_driver}"]
        if self._here is None:
            lines.append(self.problem() or f"not played in this process: {self.apart}")
        else:
            lines += _shown("in this process", self.calls)
        if self._testbed is not None:
            lines += _shown("in programs", self._program_calls())
        return "\n".join(lines)

    def _unhandled(self) -> list[str]:
        """Of a strict scenario's functions that no handler answers, those not told of yet."""
        here = self._here.unhandled if self._here is not None else []
        there = self._testbed.unhandled if self._testbed is not None else []
        missing = [name for name in dict.fromkeys([*here, *there]) if name not in self._told]
        self._told.update(missing)
        return missing

    def _apart_text(self) -> str:
        name = self.scenario.name or "the scenario"
        return (
            f"{name} is not played here ({self.apart}): call NVML and CUDA in a program that "
            "gpu.run runs"
        )


def _shown(where: str, calls: Calls) -> list[str]:
    if not calls:
        return [f"{where} no call was made"]
    last = calls[-SHOWN:]
    number = f"{len(calls)}" if len(calls) == len(last) else f"the last {SHOWN} of {len(calls)}"
    first = calls[0].pid
    return [
        f"{where}, {number} call{'s' * (len(calls) != 1)}:",
        *(_mark(call.pid, first) + line(call.record) for call in last),
    ]


def _mark(pid: int, first: int) -> str:
    return "  " if pid == first else f"  [pid {pid}] "
