"""Sleeping until something is said: by another thread, or in the journal by another process.

A thread sleeps in poll(2), on an eventfd that other threads write to, and on an inotify instance
that reports each time a writer has closed the journal: by then its count is there to be read. Both
are open for as long as the thread waits, and no longer.
"""

from __future__ import annotations

import ctypes
import os
from errno import EINTR
from math import ceil

__all__ = ["Bell"]

CLOSE_WRITE = 0x8  # IN_CLOSE_WRITE
FLAGS = os.O_CLOEXEC | os.O_NONBLOCK  # as EFD_* and IN_* flags have the same values
POLLIN = 1
LONGEST = 0x7FFFFFFF  # milliseconds that poll can wait

#: Seconds after which the journal is looked at where the kernel does not report on it: a user has
#: few inotify instances (fs.inotify.max_user_instances), which others may have taken.
UNREPORTED = 0.25


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class Bell:
    """What a waiting thread is woken by.

    Args:
        folder: of the testbed, whose journal is listened to; empty without one.
    """

    def __init__(self, folder: str) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._event = self._libc.eventfd(0, FLAGS)
        self._journal = -1
        self._unreported = False
        if folder:
            self._journal = self._libc.inotify_init1(FLAGS)
            path = os.fsencode(os.path.join(folder, "journal"))
            watch = self._libc.inotify_add_watch(self._journal, path, CLOSE_WRITE)
            # Where the journal is gone nobody says anything any more.
            self._unreported = watch < 0 and os.path.exists(path)

    def ring(self) -> None:
        """Wake the thread, or have its next wait return at once."""
        if self._event >= 0:
            try:
                os.write(self._event, (1).to_bytes(8, "little"))
            except OSError:  # the host has closed it
                self._event = -1

    def wait(self, seconds: float) -> bool:
        """Sleep until it rings, the journal is written to, or the time is over.

        False where the sleep was broken off: by a signal, or by the host, which closed what it
        slept on.
        """
        if self._unreported or self._event < 0:
            seconds = min(seconds, UNREPORTED)
        asked = (_PollFd * 2)(_PollFd(self._event, POLLIN, 0), _PollFd(self._journal, POLLIN, 0))
        # Up, as one who wakes too early would have to sleep again.
        milliseconds = min(ceil(seconds * 1000), LONGEST)
        if self._libc.poll(asked, 2, milliseconds) < 0:
            return ctypes.get_errno() != EINTR
        if any(each.revents & ~POLLIN for each in asked):
            return False
        for each in asked:
            if each.revents:
                os.read(each.fd, 4096)  # else the next wait would return at once
        return True

    def close(self) -> None:
        """Let go of what it slept on."""
        event, self._event = self._event, -1
        journal, self._journal = self._journal, -1
        for file in (event, journal):
            if file >= 0:
                try:
                    os.close(file)
                except OSError:  # the host has closed it
                    continue
