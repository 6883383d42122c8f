"""The scenario that is played in this process."""

from __future__ import annotations

import os
import sys
from _thread import get_ident, get_native_id

from ..machine import Machine
from . import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable, Optional, Union

    from .journal import Journal, Writer
    from .observation import Observer
    from .replaying import Replay

    Sink = Callable[[dict[str, Any]], object]

__all__ = ["Session"]


class Session:
    """A plan at work: its machine, which calls are watched, and what live control says.

    Args:
        plan: the scenario, resolved.
        folder: the testbed's; empty for one in a test's own process.
        sink: what is given each call's record, in place of the trace's file.
        entries: what live control has said already.

    Attributes:
        rewatch: called when other functions are watched than before.
        replay: the answers of the scenario's capture; None where it has none.
    """

    def __init__(
        self,
        plan: dict[str, Any],
        folder: str = "",
        sink: Optional[Sink] = None,
        entries: Iterable[dict[str, Any]] = (),
    ) -> None:
        self.plan = plan
        self.sink = sink
        self.strict: bool = plan["strict"]
        self.pid = os.getpid()
        self.rewatch: Callable[[], None] = lambda: None
        self.unhandled: dict[str, None] = {}  # functions called that have no handler, in order
        self.error: Optional[BaseException] = None  # in the call under way, for its record
        self._folder = folder
        self._journal: Optional[Journal] = None
        self._hearing = False
        self._writer: Optional[Writer] = None
        self._number = 0
        self._names: list[str] = []
        self._observer: Optional[Observer] = None
        self._watched: set[str] = set()
        self.replay: Optional[Replay] = _replay(plan["answers"]) if "answers" in plan else None
        self.machine = Machine(plan, _hook, behind=True)
        self.machine.folder, self.machine.say_once = folder, escape.say_once
        self.machine.tell, self.machine.exclusive = self.tell, lambda: Exclusive(self)
        self.machine.hear = self.refresh
        if self.traced or self.strict or plan["faults"] or plan["changes"]:
            self._watch()
        if any(isinstance(rule.get("process"), int) for rule in plan["faults"]):
            self._number = self._enlist()
        if self.machine.varies or self.machine.has_loads:
            self.refresh()  # the scenario's changes and live control's in the order of time
        self.control(entries)
        self.machine.catch_up()

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
                try:
                    with open(self.plan["unhandled"], "a", encoding="utf-8") as file:
                        file.write(name + "\n")
                except OSError as error:  # the testbed is gone, say
                    escape.say_once(f"{name} has no handler; nobody is told: {error.strerror}")

    def watches(self, name: str, handled: bool) -> bool:
        """Whether calls of this function must be looked at one by one."""
        if self.traced or self.machine.varies or (self.strict and not handled):
            return True
        if self.replay is not None and self.replay.has(name):
            return True
        return name in self._watched or "*" in self._watched

    def _watch(self) -> None:
        self._watched = self.observer.faults.watched

    @staticmethod
    def find_function(what: Any) -> Callable[..., Any]:
        """The Python function of what a part of the plan has under `run`."""
        from .hooks import find

        return find(what)

    def blames(self, text: str, what: Any, error: BaseException) -> bool:
        """Say once that a scenario's function, `run` in the plan, failed with `error`; False if
        not it is to blame but a signal handler of the host."""
        from .hooks import is_ours

        if is_ours(error, what):
            escape.report(text, error)
            self.failed(error)
            return True
        return False

    def failed(self, error: BaseException) -> None:
        """Remember what went wrong inside the call under way, if that is to be recorded."""
        if self.traced:
            self.error = error

    # ---- live control

    def refresh(self, written: int = 0) -> int:
        """Do what live control has said since the last look.

        Args:
            written: how much the journal holds.

        Returns:
            How much of it is done; `written` where there is none to read.
        """
        if not self._folder:
            return written
        with self.machine.lock:
            if self._journal is None:
                try:
                    from .journal import Journal
                except Exception:  # no file descriptor is left, say: it is tried on the next call
                    return 0
                self._journal = Journal(os.path.join(self._folder, "journal"))
            if not self._hearing:  # else a signal handler of the host calls in the middle of it
                self._hearing = True
                try:
                    self.control(self._journal.news())
                finally:
                    self._hearing = False
            return self._journal.read

    def control(self, entries: Iterable[dict[str, Any]]) -> None:
        """Do what live control says.

        An entry has one key of these: `change` (a change of the plan's form, without times),
        `faults` (rules to add), `clear` or `release` (a fault's name, None for all), `advance`
        (seconds). In a journal it also has `t`, when it was said (nanoseconds since the epoch):
        what the scenario itself changes before comes before. One that fails is reported.
        """
        with self.machine.lock:
            before = self._watched, self.machine.varies
            try:
                for entry in entries:
                    self._do(**entry)
            finally:
                if self._observer is not None:
                    self._watch()
                if before != (self._watched, self.machine.varies):
                    self.rewatch()

    def tell(self, entry: dict[str, Any]) -> None:
        """Have an entry of `control` done on every process's machine, and here at once."""
        with Exclusive(self):
            if self._writer is not None and self._write(self._writer, entry):
                self.refresh()
            else:
                self.control([entry])

    def _write(self, writer: Writer, entry: dict[str, Any]) -> bool:
        """Whether an entry could be put into the journal."""
        try:
            writer.append(entry)
        except (OSError, ValueError) as error:  # the disk is full, say
            escape.say_once(f"what is set stays in this process: {writer.path}: {error}")
            return False
        return True

    def end(self) -> None:
        """Let the calls go on that faults block or that wait for events: nobody will end them."""
        self.machine.hang_up()
        if self._observer is not None:
            self._observer.faults.clear(None)

    def _do(self, t: Optional[int] = None, **entry: Any) -> None:
        try:
            self.machine.catch_up(t)
            for key, value in entry.items():
                ENTRIES[key](self, value, t)
        except Exception as error:
            if escape.is_foreign(error):
                raise  # a signal handler's of the host
            escape.report("live control cannot be followed", error)

    def _change(self, change: dict[str, Any], t: Optional[int]) -> None:
        from ..machine.changes import apply

        apply(self.machine, change, 1, _hook, self.machine.clock.elapsed(t))

    def _faults(self, rules: list[dict[str, Any]], t: Optional[int]) -> None:
        self.observer.faults.add(rules)

    def _clear(self, name: Optional[str], t: Optional[int]) -> None:
        self.observer.faults.clear(name)

    def _release(self, name: Optional[str], t: Optional[int]) -> None:
        self.observer.faults.release(name)

    def _advance(self, seconds: float, t: Optional[int]) -> None:
        self.machine.clock.skip(seconds)
        self.machine.leap(t)

    # ---- who calls

    def forked(self) -> None:
        """This process is the child of a fork: another process of the testbed."""
        self.pid = os.getpid()
        self._names = []
        if self._observer is not None:
            self._observer.faults.forked()
        self._number = self._enlist() if self._number else 0

    def renew_locks(self) -> None:
        """In a fork's child, forget locks that other threads of the parent hold."""
        self._hearing = False
        if self._writer is not None:
            self._writer.close()  # else the parent's lock would outlive it, were it killed now
            self._writer = None
        self.machine.renew_lock()
        if self._observer is not None:
            self._observer.faults.renew_lock()

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
        if who == "main":
            return get_native_id() == self.pid
        return _matches(_thread_names(get_native_id()), who)

    def _enlist(self) -> int:
        """The number of this process among those of the testbed, by their first calls."""
        if not self._folder:
            return 1
        path = os.path.join(self._folder, "processes")
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:  # in an image that another user has installed, say
            escape.say_once(f"processes cannot be counted, {path}: {error.strerror}")
            return 1
        try:
            os.write(file, b"%d\n" % self.pid)
            end = os.lseek(file, 0, os.SEEK_CUR)
            return os.pread(file, end, 0).count(b"\n")
        finally:
            os.close(file)


class Exclusive:
    """From `with` to its end no other process says anything, and all that they said is done here.

    May be nested. Where there is no journal that can be written to, this process is alone.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opened: Optional[Writer] = None

    def __enter__(self) -> None:
        session = self._session
        session.machine.lock.acquire()
        try:
            if session._folder and session._writer is None:
                self._opened = session._writer = _writer(session._folder)
                session.refresh()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        try:
            if self._opened is not None:
                self._session._writer = None
                self._opened.__exit__()
        finally:
            self._session.machine.lock.release()


def _replay(answers: dict[str, Any]) -> Replay:
    from .replaying import Replay  # here, as few scenarios have a capture

    return Replay(answers)


def _writer(folder: str) -> Optional[Writer]:
    """The testbed's journal, locked; None where programs do not share one."""
    from .journal import Writer

    path = os.path.join(folder, "journal")
    try:
        return Writer(path).__enter__()
    except FileNotFoundError:
        return None  # a folder of stubs, put in the search path by hand
    except OSError as error:
        escape.say_once(f"what is set stays in this process: {path}: {error.strerror}")
        return None


#: Key of an entry of live control -> what does it.
ENTRIES: dict[str, Callable[[Session, Any, Optional[int]], None]] = {
    "advance": Session._advance,
    "change": Session._change,
    "clear": Session._clear,
    "faults": Session._faults,
    "release": Session._release,
}


def _hook(what: Any) -> Callable[[Machine], None]:
    """A change's Python function, such that its failure is said and harms nobody."""

    def run(machine: Machine) -> None:
        from .hooks import find, is_ours

        try:
            find(what)(machine)
        except (Exception, SystemExit) as error:
            if not is_ours(error, what):
                raise
            escape.report("a change of the machine: the scenario's function failed", error)

    return run


def _program_names() -> list[str]:
    """What this program may be called: its file, its name for itself, an interpreter's script."""
    with open("/proc/self/comm", encoding="utf-8", errors="replace") as file:
        names = [file.read().rstrip("\n"), os.readlink("/proc/self/exe")]
    with open("/proc/self/cmdline", encoding="utf-8", errors="replace") as file:
        names += file.read().split("\0")[:2]
    return [os.path.basename(name) for name in names]


def _thread_names(number: int) -> list[str]:
    """The kernel's name of this thread, and the one that a Python program has given it."""
    path = f"/proc/self/task/{number}/comm"
    with open(path, encoding="utf-8", errors="replace") as file:  # names are cut off anywhere
        names = [file.read().rstrip("\n")]
    # Not current_thread(), which makes up a Thread for one that Python has not begun.
    known = getattr(sys.modules.get("threading"), "_active", {}).get(get_ident())
    return names if known is None else [*names, known.name]


def _matches(names: list[str], pattern: str) -> bool:
    from fnmatch import fnmatchcase  # here, as it brings re

    return any(fnmatchcase(name, pattern) for name in names)
