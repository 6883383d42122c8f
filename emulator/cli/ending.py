"""How `nvemu` ends: with a line for the user, as another program ended, or of a signal."""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import NoReturn

import click

__all__ = ["end_like", "leave_no_core", "refuse"]


def refuse(message: str, status: int = 2) -> NoReturn:
    """End with one line on stderr."""
    click.echo("nvemu: " + " ".join(part.strip() for part in message.splitlines()), err=True)
    sys.exit(status)


def end_like(status: int) -> NoReturn:
    """End with a program's exit status or, where it is negative, of the same signal."""
    if status >= 0:
        sys.exit(status)
    leave_no_core()  # the one that matters is the program's
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (-status,))
    os.kill(os.getpid(), -status)
    sys.exit(128 - status)  # the first process of a container outlives its own signals


def leave_no_core() -> tuple[int, int]:
    """Keep this process, and those that it starts, from cores; gives the limits before."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    # One byte: a limit of none at all does not keep the kernel from starting a crash reporter.
    resource.setrlimit(resource.RLIMIT_CORE, (1 if before[1] else 0, before[1]))
    return before
