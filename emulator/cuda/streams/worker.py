"""A thread of the driver's own, which sleeps until there is something for it to do."""

from __future__ import annotations

from _signal import SIG_BLOCK, pthread_sigmask, valid_signals  # type: ignore[import-not-found]
from _thread import allocate_lock, get_ident, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

__all__ = ["FOREVER", "Worker"]

FOREVER = -1.0


class Worker:
    """A thread, made when it is first woken; `is_missing`: that failed.

    From Python 3.12 on it does so while the interpreter ends, with `atexit` functions to come.

    `turn` is what it does each time; it returns for how many seconds to sleep then, at most, or
    FOREVER. What goes wrong there is said by `say`, and the thread goes on.
    """

    def __init__(self, turn: Callable[[], float], say: Callable[[str], None]) -> None:
        self._turn = turn
        self._say = say
        self._gate = allocate_lock()  # released when it is to wake
        self._gate.acquire()
        self._ident = 0
        self._is_started = False
        self.is_missing = False
        self._ended = False

    def is_current(self) -> bool:
        """Whether the calling thread is this one."""
        return self._ident == get_ident()

    def wake(self) -> None:
        """Have it take a turn; by one thread at a time."""
        if self._is_started:
            if self._gate.locked():
                self._gate.release()
        elif not self._ended:
            self._is_started = True
            try:
                start_new_thread(self._live, ())
            except RuntimeError:  # the next one who wakes it tries again
                self._is_started = False
            self.is_missing = not self._is_started

    def end(self) -> None:
        """Let it end after this turn; by one thread at a time."""
        self._ended = True
        self.wake()

    def _live(self) -> None:
        """Its life. Signals are for the program's own threads."""
        self._ident = get_ident()
        pthread_sigmask(SIG_BLOCK, valid_signals())
        while not self._ended:
            seconds = FOREVER
            try:
                seconds = self._turn()
            except Exception as error:  # else all that comes later waits for ever
                self._say(f"internal error in pending work: {error!r}")
            self._gate.acquire(True, seconds)
