"""The testbeds that are at work on this machine: those of `nvemu run` and of tests, this user's.

    for testbed in running.every():
        testbed.control.kill(0)

A testbed at work is one whose launcher lives: see `launcher`. They are looked for among
the temporary files, and in what this user's processes have loaded or name in NVEMU_TESTBED.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..control import Control, Entry, Journal
from ..machine import FORMAT
from ..runtime.session import Session
from . import launcher

__all__ = ["NotRunningError", "Process", "RunningTestbed", "clean", "every", "find", "replay"]

_LOADED = re.compile(rb"(/[^\n]*)/lib(?:\.\d+)?/lib(?:nvidia-ml|cuda)\.so[^/\n]*$", re.M)
_NAMED = re.compile(rb"(?:^|\0)NVEMU_TESTBED=([^\0]+)")


class NotRunningError(RuntimeError):
    """No testbed is at work that would be the one meant, or several are."""


class Process(NamedTuple):
    """A program that has loaded a testbed's libraries."""

    pid: int
    name: str


class RunningTestbed:
    """A testbed that another process, or this one, keeps.

    Attributes:
        folder: where it is.
        launcher: the id of the process that keeps it.
        plan: the scenario, resolved.
        processes: the programs that had loaded its libraries when this was made.
        control: changes what the programs find, while they run.

    Raises:
        OSError, ValueError: it is not to be believed, or not whole.
    """

    def __init__(self, folder: Path, pid: int, processes: list[Process]) -> None:
        self.folder = folder
        self.launcher = pid
        self.processes = processes
        self.plan: dict[str, Any] = json.loads(launcher.read(folder / "plan.json"))
        if self.plan["format"] != FORMAT:
            raise ValueError(f"{folder} is of another version of nvemu")
        launcher.read(folder / "journal")
        self.control = Control(self.plan["gpus"], Journal(folder / "journal"))

    @property
    def id(self) -> str:
        """What is special about the folder's name: short, to type."""
        return self.folder.name.removeprefix(launcher.PREFIX)

    @property
    def scenario(self) -> str:
        """The scenario's name, which one written in Python need not have."""
        return str(self.plan["name"])

    @property
    def started(self) -> int:
        """When, in nanoseconds since the epoch."""
        return int(self.plan["clock"]["start"])

    @cached_property
    def session(self) -> Session:
        """What a program that starts now plays, see `replay`; what programs hold is in its ledger.

        Raises:
            JournalError: the journal is damaged.
        """
        session = replay(self.plan, self.control.entries())
        session.machine.folder = str(self.folder)
        return session

    def __repr__(self) -> str:
        return f"RunningTestbed({str(self.folder)!r}, scenario={self.scenario!r})"


def every() -> list[RunningTestbed]:
    """The testbeds of this user whose launchers live, the oldest first."""
    return sorted(_running(), key=lambda testbed: testbed.started)


def find(which: str | os.PathLike[str] | None = None) -> RunningTestbed:
    """The testbed of this id, folder, or process in it; None is the only one there is.

    Raises:
        NotRunningError: there is no such testbed, or None could mean several.
    """
    found = every()
    if which is not None:
        meant = [testbed for testbed in found if _is_meant(testbed, os.fspath(which))]
        if meant:
            return meant[0]
        expected = f"expected the id, folder or a process of a running testbed, found {which!s}"
        raise NotRunningError(f"{expected}; {_listed(found)}")
    if len(found) == 1:
        return found[0]
    raise NotRunningError(f"expected one running testbed; {_listed(found)}")


def clean() -> tuple[list[Path], list[Path]]:
    """Remove the testbeds whose launchers could not, as SIGKILL ended them.

    Returns:
        The folders that are removed, and those that stay since programs still use them: have loaded
        their libraries, or name them in NVEMU_TESTBED and may load them yet.
    """
    inhabited = _processes()
    removed, used = [], []
    for folder in _candidates(inhabited):
        lock = launcher.take(folder) if _is_whole(folder) else None
        if lock is None:
            continue
        if folder in inhabited:
            used.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
        launcher.let_go(lock)
    return removed, used


def replay(plan: dict[str, Any], entries: list[Entry]) -> Session:
    """What a program that starts now plays, to look at: none of the scenario's Python is run."""
    quiet = plan | {"trace": None, "unhandled": None, "changes": [*map(_quiet, plan["changes"])]}
    said = ({key: _quiet(value) for key, value in entry.items()} for entry in entries)
    return Session(quiet, entries=said)


def _quiet(value: Any) -> Any:
    """A change without the function that it runs."""
    return {k: v for k, v in value.items() if k != "run"} if isinstance(value, dict) else value


def _running() -> Iterator[RunningTestbed]:
    inhabited = _processes()
    for folder in _candidates(inhabited):
        # Else it has just gone, is damaged, or another version of nvemu made it.
        with suppress(OSError, ValueError, KeyError, TypeError):
            pid = launcher.keeper(folder) if _is_whole(folder) else None
            if pid is not None:
                yield RunningTestbed(folder, pid, inhabited.get(folder, []))


def _is_meant(testbed: RunningTestbed, which: str) -> bool:
    if which in (testbed.id, testbed.folder.name):
        return True
    if which.isdigit():
        return int(which) in (testbed.launcher, *(process.pid for process in testbed.processes))
    return os.path.realpath(which) == os.path.realpath(testbed.folder)


def _listed(found: list[RunningTestbed]) -> str:
    if not found:
        return "none is running"
    names = (f"{each.id} ({each.scenario or 'no name'}, {each.launcher})" for each in found)
    return "running (scenario, launcher): " + ", ".join(names)


def _candidates(inhabited: dict[Path, list[Process]]) -> list[Path]:
    # By their real paths, as those of processes are: one folder must not be taken for two.
    temporary = Path(os.path.realpath(tempfile.gettempdir())).glob(f"{launcher.PREFIX}*")
    return sorted({*temporary, *inhabited})


def _is_whole(folder: Path) -> bool:
    """Whether this is a testbed's folder, and this user's alone."""
    with suppress(OSError):
        status = os.lstat(folder)
        if stat.S_ISDIR(status.st_mode) and launcher.is_ours(status):
            return all(
                stat.S_ISREG((found := os.lstat(folder / name)).st_mode) and launcher.is_ours(found)
                for name in ("boot", "journal", launcher.FILE, "plan.json")
            )
    return False


def _processes() -> dict[Path, list[Process]]:
    """The folders that this user's processes have loaded libraries from, or name as a testbed."""
    found: dict[Path, list[Process]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended, or is not ours to look into
                _look_into(Path(entry.path), found)
    return found


def _look_into(process: Path, found: dict[Path, list[Process]]) -> None:
    if process.stat().st_uid != os.geteuid():
        return
    for named in _NAMED.findall((process / "environ").read_bytes()):
        if named.startswith(b"/"):
            found.setdefault(Path(os.path.realpath(os.fsdecode(named))), [])
    name = (process / "comm").read_text(encoding="utf-8", errors="replace").rstrip("\n")
    for loaded in set(_LOADED.findall((process / "maps").read_bytes())):
        member = Process(int(process.name), name)
        found.setdefault(Path(os.fsdecode(loaded)), []).append(member)
