"""The scenario that is played in this process."""

from __future__ import annotations

import os
from _thread import RLock

from ..machine import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable, Optional, Union

    from .journal import Journal
    from .observation import Observer

    Sink = Callable[[dict[str, Any]], object]

__all__ = ["Session"]


class Session:
    """A plan at work: its machine, which calls are watched, and what live control says.

    Args:
        plan: the scenario, resolved.
        folder: the testbed's; empty for one in a test's own process.
        sink: what is given each call's record, in place of the trace's file.

    Attributes:
        rewatch: called when other functions are watched than before.
    """

    def __init__(self, plan: dict[str, Any], folder: str = "", sink: Optional[Sink] = None) -> None:
        self.plan = plan
        self.sink = sink
        self.strict: bool = plan["strict"]
        self.pid = os.getpid()
        self.rewatch: Callable[[], None] = lambda: None
        self.unhandled: dict[str, None] = {}  # functions called that have no handler, in order
        self.error: Optional[str] = None  # traceback of the exception in the call under way
        self._folder = folder
        self._journal: Optional[Journal] = None
        self._number = 0
        self._names: list[str] = []
        self._lock = RLock()
        self._observer: Optional[Observer] = None
        self._watched: set[str] = set()
        self.machine = Machine(plan, _hook)
        if self.traced or self.strict or plan["faults"] or plan["changes"]:
            self._watch()
        if any(isinstance(rule.get("process"), int) for rule in plan["faults"]):
            self._number = self._enlist()

    @property
    def traced(self) -> bool:
        """Whether every call is recorded."""
        return bool(self.plan.get("trace") or self.sink)

    @property
    def observer(self) -> Observer:
        """What makes the watched calls; imported now, as most programs have none."""
        if self._observer is None:
            from .observation import Observer

            self._observer = Observer(self)
        return self._observer

    def miss(self, name: str) -> None:
        """Remember that a function without a handler was called; a testbed remembers it too."""
        if name not in self.unhandled:
            self.unhandled[name] = None
            if self.plan.get("unhandled"):
                with open(self.plan["unhandled"], "a", encoding="utf-8") as file:
                    file.write(name + "\n")

    def watches(self, name: str, handled: bool) -> bool:
        """Whether calls of this function must be looked at one by one."""
        if self.traced or self.plan["changes"] or (self.strict and not handled):
            return True
        return name in self._watched or "*" in self._watched

    def _watch(self) -> None:
        self._watched = self.observer.faults.watched

    # ---- live control

    def refresh(self) -> None:
        """Do what live control has said since the last look."""
        if self._folder:
            with self._lock:
                if self._journal is None:
                    from .journal import Journal

                    self._journal = Journal(os.path.join(self._folder, "journal"))
                self.control(self._journal.news())

    def control(self, entries: Iterable[dict[str, Any]]) -> None:
        """Do what live control says.

        An entry has one key: `change` (a change of the plan's form, without times), `faults`
        (rules to add), `clear` or `release` (a fault's name, None for all), `advance` (seconds).
        """
        with self._lock:
            before = self._watched
            for entry in entries:
                for key, value in entry.items():
                    getattr(self, "_" + key)(value)
            if self._observer is not None:
                self._watch()
        if before != self._watched:
            self.rewatch()

    def _change(self, change: dict[str, Any]) -> None:
        from ..machine.changes import apply

        apply(self.machine, change, 1, _hook)

    def _faults(self, rules: list[dict[str, Any]]) -> None:
        self.observer.faults.add(rules)

    def _clear(self, name: Optional[str]) -> None:
        self.observer.faults.clear(name)

    def _release(self, name: Optional[str]) -> None:
        self.observer.faults.release(name)

    def _advance(self, seconds: float) -> None:
        self.machine.clock.advance(seconds)

    # ---- who calls

    def forked(self) -> None:
        """This process is the child of a fork: another process of the testbed."""
        self.pid = os.getpid()
        self._names = []
        self._number = self._enlist() if self._number else 0

    def is_process(self, who: Union[int, str]) -> bool:
        """Whether this is the nth process of the testbed, or a program of such a name."""
        if isinstance(who, int):
            return who == self._number
        if not self._names:
            self._names = _program_names()
        return _matches(self._names, who)

    def is_thread(self, who: Union[int, str]) -> bool:
        """Whether this is the nth thread that calls, the main one, or one of such a name."""
        if isinstance(who, int):
            return self.observer.faults.thread_number() == who
        from _thread import get_native_id

        if who == "main":
            return get_native_id() == self.pid
        with open(f"/proc/self/task/{get_native_id()}/comm", encoding="utf-8") as file:
            return _matches([file.read().rstrip("\n")], who)

    def _enlist(self) -> int:
        """The number of this process among those of the testbed, by their first calls."""
        if not self._folder:
            return 1
        path = os.path.join(self._folder, "processes")
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, b"%d\n" % self.pid)
            end = os.lseek(file, 0, os.SEEK_CUR)
            return os.pread(file, end, 0).count(b"\n")
        finally:
            os.close(file)


def _hook(what: Any) -> Callable[..., Any]:
    from .hooks import find

    return find(what)


def _program_names() -> list[str]:
    """What this program may be called: its file, its name for itself, an interpreter's script."""
    with open("/proc/self/comm", encoding="utf-8", errors="replace") as file:
        names = [file.read().rstrip("\n"), os.readlink("/proc/self/exe")]
    with open("/proc/self/cmdline", encoding="utf-8", errors="replace") as file:
        names += file.read().split("\0")[:2]
    return [os.path.basename(name) for name in names]


def _matches(names: list[str], pattern: str) -> bool:
    from fnmatch import fnmatchcase  # here, as it brings re

    return any(fnmatchcase(name, pattern) for name in names)
