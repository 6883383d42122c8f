"""What a trace is written as. A format makes bytes of records one by one, so that a trace of any
length needs no room; what it says at the beginning and at the end makes them a whole document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .lines import line
from .reading import Record

__all__ = ["Format", "Json", "Text", "Wanted"]

Wanted = Callable[[Mapping[str, Any]], bool]


class Format:
    """Makes bytes of records.

    Args:
        wanted: which records.
    """

    def __init__(self, wanted: Wanted = lambda record: True) -> None:
        self.wanted = wanted

    def begin(self) -> bytes:
        """What comes before all records."""
        return b""

    def take(self, record: Record) -> bytes:
        """What is written for one record."""
        return self.shown(record) if self.wanted(record.fields) else b""

    def shown(self, record: Record) -> bytes:
        """What is written for one that is wanted."""
        raise NotImplementedError

    def end(self) -> bytes:
        """What comes after all records."""
        return b""


class Json(Format):
    """The records as they are, one JSON object a line."""

    def shown(self, record: Record) -> bytes:
        """The record's line."""
        return record.text + b"\n"


class Text(Format):
    """A readable line for each record.

    Before it stands "[pid N]" for a process other than the first one that called and, with
    `threads`, "[tid N]" for a thread other than its process's first.
    """

    def __init__(self, wanted: Wanted = lambda record: True, *, threads: bool = False) -> None:
        super().__init__(wanted)
        self._threads = threads
        self._first: dict[int, int] = {}  # process -> its first thread; in the order of processes

    def take(self, record: Record) -> bytes:
        """As `Format.take`; who is first does not depend on what is wanted."""
        self._first.setdefault(record.fields["pid"], record.fields["tid"])
        return super().take(record)

    def shown(self, record: Record) -> bytes:
        """The record's line."""
        marked = f"{self._mark(record.fields)}{line(record.fields)}\n"
        return marked.encode("utf-8", "backslashreplace")

    def _mark(self, fields: Mapping[str, Any]) -> str:
        pid, tid = fields["pid"], fields["tid"]
        marks = []
        if pid != next(iter(self._first)):
            marks.append(f"pid {pid}")
        if self._threads and tid != self._first[pid]:
            marks.append(f"tid {tid}")
        return f"[{' '.join(marks)}] " if marks else ""
