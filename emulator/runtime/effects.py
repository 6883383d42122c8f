"""What a fault does to a call that it fires on, in this order: wait, block, end the process, run a
Python function, answer, write, corrupt. Loaded for the first that does more than return a code.
"""

from __future__ import annotations

import os
import time

from ..machine.clock import SECOND
from . import hooks
from .outputs import corrupt, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from .call import Call
    from .faults import Rule
    from .session import Session

__all__ = ["perform"]

PAUSE = 0.002  # seconds between two looks at whether a blocked call may go on
OUTPUTS = {"writes", "corrupt"}


def perform(
    rule: Rule,
    call: Call,
    session: Session,
    answer: Callable[[], Any],
    announce: Callable[[str], None],
) -> Any:
    """Do what `rule` says and return what the call returns.

    Args:
        rule: the fault that fires.
        call: the call it fires on.
        session: the session that both belong to.
        answer: makes the call as it is without the fault, and returns its status.
        announce: tells the trace of a call that may have no end, and why.
    """
    effects, released = rule.effects, rule.released
    rooms = call.rooms() if effects.keys() & OUTPUTS else {}
    if "delay" in effects:
        time.sleep(effects["delay"] / SECOND)
    if "block" in effects:
        announce("BLOCKED")
        _wait(rule, released, session)
    if "signal" in effects:
        announce(f"SIGNAL {effects['signal']}")
        _raise(effects["signal"])
    if "exit" in effects:
        announce(f"EXIT {effects['exit']}")
        os._exit(effects["exit"])
    if "run" in effects:
        status = hooks.run(effects["run"], rule, call, session, answer)
    else:
        status = answer() if rule.code is None else rule.code
    for name, value in effects.get("writes", {}).items():
        write(call, name, value, rooms)
    for path, kind in effects.get("corrupt", {}).items():
        corrupt(call, path, kind, rule, rooms)
    return status


def _wait(rule: Rule, released: int, session: Session) -> None:
    while rule.released == released and not rule.cleared:
        time.sleep(PAUSE)
        session.refresh()


def _raise(number: int) -> None:
    """Send this thread a signal, as the kernel does to one that goes wrong."""
    # The C side of `signal`, which imports enum.
    from _signal import raise_signal  # type: ignore[import-not-found]

    raise_signal(number)
