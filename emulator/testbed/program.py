"""A program under way: starting it, handing signals on to it, waiting for its end."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "NOT_EXECUTABLE",
    "NOT_FOUND",
    "ProgramError",
    "Relay",
    "explained",
    "find",
    "signal_name",
]

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # a shell's exit statuses

# Sent to the launcher, they are meant for the program.
FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
# Python ignores these for itself, and a program would inherit that.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
STOPPING = 5.0  # seconds that a program to be ended, and all below it, have to stop
STOPPED = frozenset("TtZX")
REASONS = {
    errno.EACCES: "it is not executable",
    errno.ENOENT: "the interpreter or loader that it names does not exist",
    errno.ENOEXEC: "it is neither a program for this machine nor a script with #!",
}


class ProgramError(Exception):
    """The program cannot be started; `status` is what a shell would exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Relay:
    """Holds back the signals that are meant for a program, to hand them on while it runs.

    Within the `with` block they neither end this process nor get lost, so that what it has set up
    for the program can be removed afterwards. In a thread that is not the main one nothing is
    held back, since Python handles signals in the main thread alone.

    Attributes:
        pid: the program that was started; None before.
        received: the signals that came for it.
        timed_out: whether it was ended as it took too long.
    """

    def __init__(self) -> None:
        self.pid: int | None = None
        self.received: set[int] = set()
        self.timed_out = False

    def __enter__(self) -> Relay:
        self._in_main = threading.current_thread() is threading.main_thread()
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        if self._in_main:
            signal.pthread_sigmask(signal.SIG_BLOCK, (*FORWARDED, signal.SIGCHLD))
            # Ignored (as some daemons' children inherit it), it would take exit statuses along.
            self._sigchld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return self

    def __exit__(self, *_: object) -> None:
        if not self._in_main:
            return
        while self._take():  # what came for a program that had ended
            pass
        if self._sigchld is not None:
            signal.signal(signal.SIGCHLD, self._sigchld)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout: float | None = None,
    ) -> int:
        """Run a program and wait for it.

        Args:
            command: its name and arguments.
            environment: its variables.
            timeout: seconds after which it is ended, with all that it started; None is never.

        Returns:
            Its exit status; for a program that a signal ended, the signal's number negated.

        Raises:
            ProgramError: it cannot be started.
        """
        early = self._take()
        if early:
            return -early
        program = self.pid = _start(command, environment, self._mask)
        with self._limited(program, timeout):
            if self._in_main:
                self._hand_on_until_end(program)
            else:
                _wait(program)
        return os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])

    @contextmanager
    def _limited(self, program: int, timeout: float | None) -> Iterator[None]:
        """Within the block, the program is ended after `timeout` seconds."""
        if timeout is None:
            yield
            return
        timer = threading.Timer(min(threading.TIMEOUT_MAX, timeout), self._end, [program])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _end(self, program: int) -> None:
        self.timed_out = True
        end_tree(program)

    def _hand_on_until_end(self, program: int) -> None:
        """Return when the program has ended; it is still to be reaped."""
        # SIGCHLD goes to any thread of the process, also one that throws it away, and with it the
        # only notice. A thread that waits for the program sends its own, to this thread alone.
        ended = threading.Event()
        arguments = (program, ended, threading.get_ident())
        watcher = threading.Thread(target=_announce_end, args=arguments, daemon=True)
        watcher.start()
        while not ended.is_set():
            received = signal.sigwaitinfo((*FORWARDED, signal.SIGCHLD))
            if received.si_signo == signal.SIGCHLD:
                continue
            self.received.add(received.si_signo)
            if not _has_it(program, received):
                _kill(program, received.si_signo)
        watcher.join()

    def _take(self) -> int:
        """A signal that is held back and would have ended this process; 0 when there is none."""
        while self._in_main and (pending := signal.sigtimedwait(FORWARDED, 0)):
            if signal.getsignal(pending.si_signo) is not signal.SIG_IGN:
                return pending.si_signo
        return 0


def _start(
    command: Sequence[str], environment: Mapping[str, str], mask: set[int | signal.Signals]
) -> int:
    path = find(command[0])
    try:
        return os.posix_spawn(
            path, list(command), environment, setsigmask=mask, setsigdef=IGNORED_BY_PYTHON
        )
    except OSError as error:
        raise explained(path, error) from None


def find(name: str) -> str:
    """The path of a program; one of nvemu's own environment is found when PATH leads nowhere.

    Raises:
        ProgramError: there is none.
    """
    if os.sep in name:
        return name
    own = [str(Path(sys.argv[0]).parent.absolute()), sysconfig.get_path("scripts")]
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *own))
    found = shutil.which(name, path=path)
    if found is not None:
        return found
    if shutil.which(name, mode=os.F_OK, path=path) is not None:
        raise ProgramError(f"cannot run {name}: it is not executable", NOT_EXECUTABLE)
    raise ProgramError(f"cannot run {name}: there is no such program on PATH", NOT_FOUND)


def explained(path: str, error: OSError) -> ProgramError:
    """The error for a program that the kernel did not start."""
    missing = isinstance(error, FileNotFoundError) and not os.path.exists(path)
    if missing or error.errno is None:
        reason = "there is no such file"
    elif os.path.isdir(path):
        reason = "it is a folder"
    else:
        reason = REASONS.get(error.errno, os.strerror(error.errno))
    return ProgramError(f"cannot run {path}: {reason}", NOT_FOUND if missing else NOT_EXECUTABLE)


def signal_name(number: int) -> str:
    """What a signal is called: SIGSEGV."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_tree(root: int) -> None:
    """Kill a process and all that it has started, as far as their parents are still there."""
    tree: list[int] = []
    # That is stopped neither reacts nor starts another. One that is starting another stops behind
    # that; one that waits inside the kernel may never stop.
    until = time.monotonic() + STOPPING
    moving = True
    while time.monotonic() < until:
        states = _tree(root)
        fresh = [pid for pid in states if pid not in tree]
        if not (fresh or moving):  # all had stopped before this look
            break
        for pid in fresh:
            _kill(pid, signal.SIGSTOP)
        tree += fresh
        moving = not STOPPED.issuperset(states.values())
    for pid in reversed(tree):
        _kill(pid, signal.SIGKILL)


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it has become another user
        os.kill(pid, number)


def _tree(root: int) -> dict[int, str]:
    """A process and all below it, each behind its parent -> its state, as proc(5) has it."""
    processes = _processes()
    tree = [root]
    for pid in tree:  # it grows on the way
        tree += [child for child, (_, parent) in processes.items() if parent == pid]
    return {pid: processes[pid][0] for pid in tree if pid in processes}


def _processes() -> dict[int, tuple[str, int]]:
    """Process -> its state and its parent, for all processes."""
    found = {}
    for entry in os.scandir("/proc"):
        with suppress(OSError, ValueError):  # it has ended
            fields = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
            state, parent = fields.rpartition(")")[2].split()[:2]
            found[int(entry.name)] = (state, int(parent))
    return found


def _wait(program: int) -> None:
    """Return when the program has ended; it is still to be reaped."""
    with suppress(ChildProcessError):  # somebody else in this process reaped it
        os.waitid(os.P_PID, program, os.WEXITED | os.WNOWAIT)


def _announce_end(program: int, ended: threading.Event, waiting: int) -> None:
    _wait(program)
    ended.set()
    signal.pthread_kill(waiting, signal.SIGCHLD)


def _has_it(program: int, received: signal.struct_siginfo) -> bool:
    """Whether the program has got a signal like this one already.

    What the terminal sends (a Ctrl-C) comes from the kernel, and goes to a whole process group;
    but a hang-up goes to the session's first process alone.
    """
    if received.si_code <= 0:
        return False
    if received.si_signo == signal.SIGHUP and os.getsid(0) == os.getpid():
        return False
    return os.getpgid(program) == os.getpgrp()
