"""How `nvemu` ends: with a line for the user, as another program ended, or of a signal."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

__all__ = ["Ended", "end_like", "leave_no_core", "refuse", "signals_raise", "tidied"]

#: Signals that end a run, its programs first.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal is to end nvemu; its number is the argument."""


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


@contextmanager
def signals_raise() -> Iterator[None]:
    """Have the first signal that ends nvemu end its programs and remove their testbeds first."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        for name in before:
            signal.signal(name, signal.SIG_IGN)
        raise Ended(number)

    ignored = [name for name in ENDING if signal.getsignal(name) is signal.SIG_IGN]
    before = {name: signal.getsignal(name) for name in ENDING if name not in ignored}
    for name in before:
        signal.signal(name, end)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def tidied() -> Iterator[None]:
    """Within the block, a signal that ends nvemu does so when what was set up has been removed."""
    try:
        with signals_raise():
            yield
    except Ended as error:
        end_like(-error.args[0])
