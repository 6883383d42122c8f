"""The trace: one JSON line a call, appended to the file that the plan names.

A record has: `t` (nanoseconds of the wall clock at the call), `us` (microseconds it took), `pid`,
`tid`, `library`, `function`, `arguments`, `code`, `status`, and, where they apply, `fault` (its
name), `handler: false` and `error` (the traceback of an exception inside nvemu). Before a fault
blocks a call, sends a signal in it or ends the process, the call has a record with `code` null and
the `status` "BLOCKED", "SIGNAL n" or "EXIT n".
"""

from __future__ import annotations

import os

from .escape import say_once
from .flatjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Trace"]


class Trace:
    """Appends to one file, with one write a record: processes and threads do not mix lines.

    The file is opened for each record: a number kept open would be the host's own file after it
    closed all that it did not open (a daemon does). What cannot be written is said once; the call
    it was about is answered all the same.
    """

    FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        try:
            file = os.open(self.path, self.FLAGS, 0o600)
            try:
                os.write(file, dumps(record).encode("ascii") + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            say_once(f"the trace {self.path} is not complete: {error.strerror}")
