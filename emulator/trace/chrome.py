"""A trace as Chrome's trace events: a JSON object that Perfetto and chrome://tracing load."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from time import time_ns
from typing import Any

import msgspec

from .formats import Format, Wanted
from .reading import Commands, Record

__all__ = ["Chrome"]

LONGEST_NAME = 120  # letters of a process's name


class Chrome(Format):
    """Events whose times count from when this was made.

    A call is a complete event ("X"); one that a fault blocks, or that sends a signal or ends its
    process there, has an instant event ("i"), and a complete one when it goes on.

    Args:
        wanted: which records.
        commands: what names the processes.
    """

    def __init__(self, wanted: Wanted, commands: Commands) -> None:
        super().__init__(wanted)
        self._commands = commands
        self._began = time_ns()
        self._named: set[int] = set()
        self._separator = b"\n"

    def begin(self) -> bytes:
        """The object as far as its events."""
        return b'{"displayTimeUnit": "ns", "traceEvents": ['

    def shown(self, record: Record) -> bytes:
        """The record's event, and its process's name when that is new."""
        made = [self._event(record.fields)]
        pid = record.fields["pid"]
        if pid not in self._named:
            self._named.add(pid)
            made.insert(0, self._name(pid))
        return b"".join(map(self._placed, made))

    def end(self) -> bytes:
        """The object's end."""
        return b"\n]}\n"

    def _placed(self, event: dict[str, Any]) -> bytes:
        separator, self._separator = self._separator, b",\n"
        return separator + msgspec.json.encode(event)

    def _name(self, pid: int) -> dict[str, Any]:
        name = shlex.join(self._commands.of(pid))[:LONGEST_NAME] or f"process {pid}"
        return {"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}

    def _event(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        rest = dict(fields)
        began, took, function = (rest.pop(key) for key in ("t", "us", "function"))
        event = {
            "name": function,
            "cat": rest.pop("library"),
            "ts": (began - self._began) / 1000,
            "pid": rest.pop("pid"),
            "tid": rest.pop("tid"),
            "args": rest,
        }
        if fields["code"] is None:
            return event | {"ph": "i", "s": "t", "name": f"{function}: {fields['status']}"}
        return event | {"ph": "X", "dur": took}
