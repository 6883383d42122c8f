"""A testbed: the private folder that the processes of one run share.

    lib/         the libraries, under each name that programs ask for
    boot         what the stubs' C side needs to start Python: lines of key=value
    plan.json    the scenario, resolved
    unhandled    functions called that nvemu has no handler for, if the scenario is strict
    trace.jsonl  the calls, one a line, when they are traced

One that `nvemu stubs path` makes stays, and has `default.json` in place of a plan: see
`emulator.runtime.planfile`.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .libpython import find_libpython
from .plans import find_scenario, plan_of
from .program import ProgramError, Relay
from .scenario import Scenario
from .stubfiles import SONAMES, stub

__all__ = ["ProgramError", "Testbed", "TestbedError", "furnish", "write_plan"]


class TestbedError(RuntimeError):
    """No testbed can be made in the folder that is to hold it."""

    __test__ = False


class Testbed:
    """A scenario set up for programs to run in; removed at the end of the `with` block.

    Args:
        scenario: as for `emulator.emulate`.
        trace: whether the calls of all processes are recorded in `trace_file`.

    Raises:
        ScenarioError: the scenario has a mistake.
        TestbedError: on entering, libraries could not be loaded from the temporary folder.
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

    @property
    def unhandled(self) -> list[str]:
        """In a strict scenario, the functions called so far that nvemu has no handler for."""
        file = self.folder / "unhandled"
        names = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return list(dict.fromkeys(names))

    def __enter__(self) -> Testbed:
        self.folder = Path(tempfile.mkdtemp(prefix="nvemu-")).absolute()  # 0700: nobody else's
        try:
            furnish(self.folder, self.scenario.driver)
            paths = {"trace": self.trace_file if self.traced else None}
            paths["unhandled"] = self.folder / "unhandled" if self.scenario.strict else None
            write_plan(self.folder / "plan.json", self.plan, paths)
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
        with Relay() as relay:
            return relay.run(command, self.environment(env))


def furnish(folder: Path, driver: str) -> None:
    """Put the libraries of a driver version and the boot file into a testbed's folder.

    What is there already is replaced piece by piece, each in one step: programs may be using it,
    and another process may be doing the same.

    Raises:
        TestbedError: programs could not load libraries from this folder.
    """
    _check(folder)
    libraries = folder / "lib"
    libraries.mkdir(mode=0o700, exist_ok=True)
    for library, soname in SONAMES.items():
        base = soname.removesuffix(".1")
        # A copy, as real as a driver's: some programs resolve the links and open what is behind.
        _copy(stub(library, driver), libraries / f"{base}.{driver}")
        _link(libraries / soname, f"{base}.{driver}")
        _link(libraries / base, soname)
    _write(folder / "boot", _boot(driver))


def write_plan(path: Path, plan: dict[str, Any], paths: Mapping[str, Path | None]) -> None:
    """Write a plan, and the files that its processes write to, in one step."""
    _write(path, json.dumps(plan | {k: v and str(v) for k, v in paths.items()}))


def _check(folder: Path) -> None:
    if {":", ";"} & set(str(folder)):
        raise TestbedError(f"{folder} cannot go on LD_LIBRARY_PATH: its name has a ':' or ';'")
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise TestbedError(
            f"no library can be loaded from {folder}, which is mounted noexec: "
            "set TMPDIR (for `nvemu stubs path`: XDG_CACHE_HOME) to another folder"
        )


def _boot(driver: str) -> str:
    found = find_libpython()
    root = Path(__file__).resolve().parent.parent
    lines = {"root": root, "python": sys.executable, "driver": driver}
    if found is not None:
        lines |= {"libpython": found.path, "home": found.home}
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _beside(path: Path) -> Path:
    """A name next to `path` that only this process uses."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def _copy(source: Path, target: Path) -> None:
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return
    shutil.copy(source, _beside(target))
    _beside(target).replace(target)


def _link(path: Path, target: str) -> None:
    _beside(path).unlink(missing_ok=True)  # left by a process of the same id that was killed
    _beside(path).symlink_to(target)
    _beside(path).replace(path)


def _write(path: Path, text: str) -> None:
    _beside(path).write_text(text, encoding="utf-8")
    _beside(path).replace(path)
