"""The trace: one JSON line a call, appended to the file that the plan names.

A record has: `t` (nanoseconds of the wall clock at the call), `us` (microseconds it took), `pid`,
`tid`, `library`, `function`, `arguments`, `code`, `status`, and, where they apply, `fault` (its
name), `handler: false`, `unseen: true` (the scenario has a capture, and that does not have the
call) and `error` (the traceback of an exception inside nvemu). Where the plan has `capture`, those
calls that a capture can hold have `in` and `out`, see `exact`. Before a fault
blocks a call, sends a signal in it or ends the process, the call has a record with `code` null and
the `status` "BLOCKED", "SIGNAL n" or "EXIT n". Where the plan has `begun`, each call has a record
with `code` null and the status "CALLED" before anything is done about it.

`t` comes first: where a killed process has left half a record, the next one begins at `{"t": `,
which no text inside a record holds (its quotes are escaped).
"""

from __future__ import annotations

import os

from .escape import say_once
from .flatjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["COMMANDS", "Trace"]

COMMANDS = "commands.jsonl"


class Trace:
    """Appends to one file, with one write a record: processes and threads do not mix lines.

    The file is opened for each record: a number kept open would be the host's own file after it
    closed all that it did not open (a daemon does). What cannot be written is said once; the call
    it was about is answered all the same.

    A process's command line goes to `commands.jsonl` beside it, before the process's first record.
    """

    FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC

    def __init__(self, path: str) -> None:
        self.path = path
        self._pid = 0

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        if record["pid"] != self._pid:
            self._pid = record["pid"]
            self._append(os.path.join(os.path.dirname(self.path), COMMANDS), _command(record))
        self._append(self.path, record)

    def _append(self, path: str, record: dict[str, Any]) -> None:
        try:
            file = os.open(path, self.FLAGS, 0o600)
            try:
                os.write(file, dumps(record).encode("ascii") + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            say_once(f"the trace {path} is not complete: {error.strerror}")


def _command(record: dict[str, Any]) -> dict[str, Any]:
    """The process that a record is the first of."""
    try:
        with open("/proc/self/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read().rstrip("\0").split("\0")
    except OSError:
        words = []
    return {"t": record["t"], "pid": record["pid"], "command": words}
