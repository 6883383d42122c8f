"""The trace: one JSON line a call, appended to the file that the plan names.

A record has: `t` (nanoseconds of the wall clock at the call), `us` (microseconds it took), `pid`,
`tid`, `library`, `function`, `arguments`, `code`, `status`, and, where they apply, `fault: true`,
`handler: false` and `error` (the traceback of an exception inside nvemu).
"""

from __future__ import annotations

import os

from .flatjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Trace"]


class Trace:
    """Appends to one file, with one write a record: processes and threads do not mix lines."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = -1

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        if self._file < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o600)
        os.write(self._file, dumps(record).encode("ascii") + b"\n")
