"""A trace's file as records, whatever became of the processes that wrote it.

A process that is killed while it writes may leave the beginning of a record, and the next record,
of another process, then stands on the same line. The torn part is dropped, the next record is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..runtime.trace import COMMANDS

__all__ = ["Commands", "Record", "Splitter", "records", "whole"]

START = b'{"t": '  # of every record, and of nothing inside one: see `emulator.runtime.trace`
CHUNK = 1 << 20  # bytes


class Record(NamedTuple):
    """One record: as it is written, without its line's end, and what it says."""

    text: bytes
    fields: dict[str, Any]


class Splitter:
    """Makes records of a trace's bytes as they come."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records of the lines that `data` ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for text in lines:
            yield from whole(text)

    def end(self) -> Iterator[Record]:
        """The record of the last line, when no more data comes and its end alone is missing."""
        rest, self._rest = self._rest, b""
        return whole(rest)


def whole(text: bytes) -> Iterator[Record]:
    """The whole records of one line; there are several only where a line's end is missing."""
    fields = _decoded(text)
    if fields is not None:
        yield Record(text, fields)
        return
    for part in text.split(START)[1:]:
        fields = _decoded(START + part)
        if fields is not None:
            yield Record(START + part, fields)


def records(path: Path, start: int = 0) -> Iterator[dict[str, Any]]:
    """What the records of a trace's file say, from a place in it (in bytes) on."""
    splitter = Splitter()
    with path.open("rb") as file:
        file.seek(start)
        while data := file.read(CHUNK):
            yield from (record.fields for record in splitter.feed(data))
    yield from (record.fields for record in splitter.end())


class Commands:
    """The command lines of the processes in a trace.

    Args:
        trace: the trace's file, which the processes write their command lines beside.
    """

    def __init__(self, trace: Path) -> None:
        self._file = trace.with_name(COMMANDS)
        self._known: dict[int, list[str]] = {}

    def of(self, process: int) -> list[str]:
        """The words of a process's command line; none where it could not be told."""
        if process not in self._known and self._file.exists():
            for fields in records(self._file):
                self._known[fields["pid"]] = fields["command"]
        return self._known.get(process, [])


def _decoded(text: bytes) -> dict[str, Any] | None:
    """What a record says; None where `text` is not a whole one."""
    try:
        found: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) and "t" in found else None
