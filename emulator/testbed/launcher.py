"""Who keeps a testbed: the process that made it holds a lock on a file in it for as long.

The kernel lets go of the lock however a process ends, so that a testbed whose launcher was killed
can be told from one at work. What a testbed says is believed only if it is this user's, and nobody
else may write it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

__all__ = ["FILE", "PREFIX", "hold", "is_ours", "keeper", "let_go", "read", "take"]

#: What the name of a testbed's folder begins with; its id comes after it.
PREFIX = "nvemu-"

#: The file that is locked; it holds the launcher's process id.
FILE = "launcher"

_held: set[int] = set()


def _forked() -> None:
    while _held:  # the lock is the parent's: else it would live on in this process
        os.close(_held.pop())


os.register_at_fork(after_in_child=_forked)


def hold(folder: Path) -> int:
    """Keep a new testbed from here on; gives what `let_go` takes."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = os.open(folder / FILE, flags, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.write(file, b"%d\n" % os.getpid())
    _held.add(file)
    return file


def let_go(file: int) -> None:
    """Keep a testbed no longer."""
    if file in _held:  # not in the child of a fork
        _held.discard(file)
        os.close(file)


def keeper(folder: Path) -> int | None:
    """The id of the process that keeps a testbed; None when nobody does any more.

    Raises:
        ValueError: the launcher's file does not say it.
    """
    file = _opened(folder)
    if file is None:
        return None
    try:
        return None if _locked(file, fcntl.LOCK_SH) else int(os.read(file, 20) or 0)
    finally:
        os.close(file)


def take(folder: Path) -> int | None:
    """Keep a testbed that was left behind, to remove it; None when it was not."""
    file = _opened(folder)
    if file is None or _locked(file, fcntl.LOCK_EX):
        if file is not None:
            _held.add(file)
        return file
    os.close(file)
    return None


def _opened(folder: Path) -> int | None:
    try:
        return os.open(folder / FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None


def _locked(file: int, kind: int) -> bool:
    """Whether a lock can be had now."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_ours(status: os.stat_result) -> bool:
    """Whether a file or folder is this user's and nobody else may write it."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def read(path: Path) -> bytes:
    """The content of a file of a testbed.

    Raises:
        OSError: it cannot be read, or is not to be believed.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or not is_ours(status):
            raise PermissionError(f"{path} is not a file of yours alone")
        return file.read()
