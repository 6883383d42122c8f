"""A testbed: the private folder that the processes of one run share.

    lib/         the libraries, under each name that programs ask for
    boot         what the stubs' C side needs to start Python: lines of key=value
    plan.json    the scenario, resolved
    trace.jsonl  the calls, one a line, when they are traced
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from .libpython import find_libpython
from .plans import find_scenario, plan_of
from .scenario import Scenario
from .stubfiles import SONAMES, stub

__all__ = ["ProgramError", "Testbed", "furnish"]

# Sent to the launcher, they are meant for the program.
FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class ProgramError(OSError):
    """The program cannot be started."""


class Testbed:
    """A scenario set up for programs to run in; removed at the end of the `with` block.

    Args:
        scenario: as for `emulator.emulate`.
        trace: whether the calls of all processes are recorded in `trace_file`.
    """

    __test__ = False  # not a test class, whatever pytest makes of its name

    def __init__(
        self, scenario: Scenario | str | os.PathLike[str] | None = None, *, trace: bool = False
    ) -> None:
        self.scenario = find_scenario(scenario)
        self.plan = plan_of(self.scenario)
        self.traced = trace
        self.folder = Path()

    @property
    def libraries(self) -> Path:
        """The folder that goes on LD_LIBRARY_PATH."""
        return self.folder / "lib"

    @property
    def trace_file(self) -> Path:
        """One JSON object a line and a call, in the order of the calls' ends."""
        return self.folder / "trace.jsonl"

    def __enter__(self) -> Testbed:
        self.folder = Path(tempfile.mkdtemp(prefix="nvemu-"))  # 0700: nobody else's business
        try:
            furnish(self.folder, self.scenario.driver)
            plan = self.plan | {"trace": str(self.trace_file) if self.traced else None}
            (self.folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
            if self.traced:
                self.trace_file.touch(mode=0o600)
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """`base` (this process's environment) with what leads a program to the testbed."""
        made = dict(os.environ if base is None else base)
        paths = [str(self.libraries), *filter(None, [made.get("LD_LIBRARY_PATH")])]
        return made | {"LD_LIBRARY_PATH": ":".join(paths), "NVEMU_TESTBED": str(self.folder)}

    def run(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """Run a program and wait for it; signals sent to this process reach it.

        Returns:
            Its exit status; for a program that a signal ended, the signal's number negated.

        Raises:
            ProgramError: it cannot be started.
        """
        # Blocked, then waited for: a signal that comes before the program runs is not lost.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, signal.SIGCHLD))
        try:
            program = self._start(list(command), self.environment(env), before)
            return _wait(program)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @staticmethod
    def _start(command: list[str], environment: dict[str, str], mask: set[signal.Signals]) -> int:
        try:
            return os.posix_spawnp(command[0], command, environment, setsigmask=mask)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ProgramError(error.errno, f"cannot run {command[0]}: {reason}") from None


def _wait(program: int) -> int:
    """Wait for the program, handing on what is sent to us meanwhile.

    What the terminal sends (a Ctrl-C) comes from the kernel, and the program, in the same process
    group, has got it already.
    """
    while True:
        received = signal.sigwaitinfo((*FORWARDED, signal.SIGCHLD))
        if received.si_signo != signal.SIGCHLD:
            if received.si_code <= 0:
                os.kill(program, received.si_signo)
            continue
        pid, status = os.waitpid(program, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)


def furnish(folder: Path, driver: str) -> None:
    """Put the libraries of a driver version and the boot file into a testbed's folder."""
    libraries = folder / "lib"
    libraries.mkdir(exist_ok=True)
    for library, soname in SONAMES.items():
        base = soname.removesuffix(".1")
        # A copy, as real as a driver's: some programs resolve the links and open what is behind.
        shutil.copy(stub(library, driver), libraries / f"{base}.{driver}")
        for link, target in ((soname, f"{base}.{driver}"), (base, soname)):
            (libraries / link).unlink(missing_ok=True)
            (libraries / link).symlink_to(target)
    (folder / "boot").write_text(_boot(), encoding="utf-8")


def _boot() -> str:
    found = find_libpython()
    lines = {"root": Path(__file__).resolve().parent.parent, "python": sys.executable}
    if found is not None:
        lines |= {"libpython": found.path, "home": found.home}
    return "".join(f"{key}={value}\n" for key, value in lines.items())
