"""A testbed: the private folder that the processes of one run share.

    lib/         the libraries, under each name that programs ask for, in the states that the
                 scenario has them in; lib.0/ and so on too where one has several copies
    real/        links to the libraries of a real driver, where these answer in place of a scenario
    boot         what the stubs' C side needs to start Python: lines of key=value
    plan.json    the scenario, resolved
    journal      what live control has said since
    ledger       what its processes hold of the devices
    launcher     locked for as long as the testbed is kept: see `launcher`
    unhandled    functions called that nvemu has no handler for, if the scenario is strict
    trace.jsonl  the calls, one a line, when they are traced
    commands.jsonl
                 the command lines of the processes that made them
    evidence.jsonl, audit.so, redirect
                 what the dynamic loader does for the programs, when it is watched: see `audit`
    devices.json, stage/
                 what programs see of the GPUs in /dev, /proc and /sys: see `devices`

One that `nvemu stubs path` makes stays, and has `default.json` in place of a plan: see
`emulator.runtime.planfile`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import time_ns

from ..control import Control, Journal
from ..machine import NEWEST
from ..plans import find_scenario, plan_of
from ..scenario import Scenario
from ..scenario.hooks import check_portable
from . import audit, launcher, libraries
from .devices import Devices
from .furnishing import TestbedError, furnish, write_plan
from .loading import verify
from .program import Relay
from .real import NoRealDriverError, RealLibrary, find_real, links

__all__ = ["Testbed"]


class Testbed:
    """A scenario set up for programs to run in; removed at the end of the `with` block.

    Args:
        scenario: as for `emulator.emulate`.
        trace: whether the calls of all processes are recorded in `trace_file`.
        begun: whether a traced call has a record before it is made, too.
        capture: whether a traced call has its exact values in its record, where a capture can hold
            them: see `emulator.runtime.exact`.
        watch: whether what the dynamic loader does for them is recorded in `evidence_file`.
        redirect: whether a library is the testbed's also where it is asked for by a path, or a
            program has changed LD_LIBRARY_PATH; and one that lies elsewhere is passed over: along
            an RPATH, or in the system's folders.
        devices: whether programs see device nodes, /proc/driver/nvidia and PCI entries of the GPUs;
            those that `invocation` starts, or `run`.
        real: whether the libraries of this machine's driver, which programs would find along this
            process's LD_LIBRARY_PATH, answer the calls. No scenario is played then. With `watch`,
            there need be none.

    Attributes:
        control: changes what the programs find, while they run.
        real: the libraries that answer in place of a scenario, each with a remark for the user;
            None where a scenario is played.

    Raises:
        ScenarioError: the scenario has a mistake.
        TestbedError: there is no real driver. On entering, libraries could not be loaded from the
            temporary folder, one that is to be unreadable could be read, or the kernel lets
            nobody see device nodes.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    control: Control

    def __init__(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        *,
        trace: bool = False,
        begun: bool = False,
        capture: bool = False,
        watch: bool = False,
        redirect: bool = False,
        devices: bool = False,
        real: bool = False,
    ) -> None:
        self.real = _real(scenario, needed=not watch) if real else None
        if self.real is not None:
            scenario = Scenario(name="real", driver=self.real[0].driver if self.real else NEWEST)
        self.scenario = find_scenario(scenario)
        self.plan = plan_of(self.scenario)
        check_portable(self.scenario)
        self.traced = trace
        self._told = {"begun": begun, "capture": capture}
        self.watched = watch
        self.redirects = redirect
        self._shows_devices = devices
        self._devices: Devices | None = None
        self.folder = Path()
        self._verified: set[str] = set()

    @property
    def libraries(self) -> Path:
        """The folder with the libraries; where one has several copies, with the last of them."""
        return self.folder / "lib"

    @property
    def search_path(self) -> list[Path]:
        """The folders that go on LD_LIBRARY_PATH, in this order."""
        return libraries.search_path(self.folder, self.scenario.loader)

    @property
    def trace_file(self) -> Path:
        """One JSON object a line and a call, in the order of the calls' ends."""
        return self.folder / "trace.jsonl"

    @property
    def evidence_file(self) -> Path:
        """One JSON object a line and an event: see `emulator.doctor.events`."""
        return self.folder / audit.EVIDENCE

    @property
    def unhandled(self) -> list[str]:
        """In a strict scenario, the functions called so far that nvemu has no handler for."""
        file = self.folder / "unhandled"
        names = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return list(dict.fromkeys(names))

    def __enter__(self) -> Testbed:
        self.folder = Path(tempfile.mkdtemp(prefix=launcher.PREFIX)).absolute()  # 0700
        self._kept = launcher.hold(self.folder)
        try:
            furnish(
                self.folder,
                self.scenario.driver,
                self.scenario.loader,
                real=self.real,
                version=self.scenario.reported_driver,
            )
            self._check_unreadable()
            paths = {"trace": self.trace_file if self.traced else None}
            paths["unhandled"] = self.folder / "unhandled" if self.scenario.strict else None
            journal = Journal(self.folder / "journal")
            journal.create()
            (self.folder / "ledger").touch(mode=0o600)
            self.control = Control(self.plan["gpus"], journal)
            clock = self.plan["clock"] | {"start": time_ns()}
            real = {k: str(path) for k, path in links(self.folder, self.real or ()).items()}
            plan = self.plan | {"clock": clock, "real": real} | self._told
            write_plan(self.folder / "plan.json", plan, paths)
            if self.traced:
                self.trace_file.touch(mode=0o600)
            audit.lay_out(self.folder, self.watched, self.redirects, self.real is None)
            if self._shows_devices:
                self._devices = self._with_devices()
        except BaseException:
            shutil.rmtree(self.folder)
            launcher.let_go(self._kept)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        launcher.let_go(self._kept)

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """`base` (this process's environment) with the scenario's variables, and with what leads a
        program to the testbed.

        Raises:
            TestbedError: the scenario wants a library not to be loaded, and the program would find
                another one along this environment's path or in the system.
        """
        made = {**(os.environ if base is None else base), **self.scenario.environment}
        paths = [*map(str, self.search_path), *filter(None, [made.get("LD_LIBRARY_PATH")])]
        path = ":".join(paths)
        self._verify(path)
        made |= {"LD_LIBRARY_PATH": path, "NVEMU_TESTBED": str(self.folder)}
        return made | audit.variables(self.folder, made)

    def _verify(self, path: str) -> None:
        if path in self._verified or self.redirects:
            return
        obstacle = verify(self.scenario.loader, path)
        if obstacle is not None:
            raise TestbedError(obstacle)
        self._verified.add(path)

    def _check_unreadable(self) -> None:
        file = libraries.readable(self.folder, self.scenario.loader)
        if file is not None:
            raise TestbedError(
                f"the scenario wants {file.name} unreadable, but you read it all the same: run as "
                "another user than root, or without its capabilities CAP_DAC_OVERRIDE and "
                "CAP_DAC_READ_SEARCH"
            )

    def _with_devices(self) -> Devices:
        if self.real is not None:
            raise TestbedError("a real driver has device nodes of its own: none can be shown")
        devices = Devices(self.folder, self.plan)
        obstacle = devices.lay_out()
        if obstacle is not None:
            raise TestbedError(obstacle)
        return devices

    def invocation(
        self, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> tuple[list[str], dict[str, str]]:
        """The command and the environment that start a program in this testbed.

            relay.run(*testbed.invocation(program))

        Raises:
            ProgramError: there is no such program.
            TestbedError: as `environment`.
        """
        environment = self.environment(env)
        if self._devices is None:
            return list(command), environment
        return self._devices.invocation(command, environment)

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """Run a program and wait for it; signals sent to this process reach it.

        Returns:
            Its exit status; for a program that a signal ended, the signal's number negated.

        Raises:
            ProgramError: it cannot be started.
        """
        with Relay() as relay:
            return relay.run(*self.invocation(command, env))


def _real(scenario: object, needed: bool) -> list[RealLibrary]:
    """The real libraries; none, where that is what is to be watched, are as good."""
    if scenario is not None:
        raise TestbedError("a real driver answers for itself: it plays no scenario")
    try:
        return find_real(os.environ.get("LD_LIBRARY_PATH", ""))
    except NoRealDriverError as error:
        if needed:
            raise TestbedError(str(error)) from None
        return []
