"""A trace's sum: how often each function was called and failed, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .call import identity
from .choosing import failed
from .formats import Format, Wanted
from .reading import Record

__all__ = ["Summary", "SummaryJson"]


class Row:
    """What a summary says of one function; times in microseconds.

    `unseen` are the calls that the scenario's capture does not have.
    """

    def __init__(self, library: str, function: str) -> None:
        self.library = library
        self.function = function
        self.calls = self.failed = self.total = self.longest = self.unseen = 0

    def count(self, calls: int, failures: int, total: int, longest: int) -> None:
        """Count some calls more."""
        self.calls += calls
        self.failed += failures
        self.total += total
        self.longest = max(self.longest, longest)

    @property
    def mean(self) -> float:
        """The mean time of a call."""
        return self.total / self.calls if self.calls else 0.0


class Summary(Format):
    """A table of how often each function was called and failed, and how long it took.

    A call that did not return has failed, after the time at which it was last heard of.
    """

    def __init__(self, wanted: Wanted = lambda record: True) -> None:
        super().__init__(wanted)
        self._rows: dict[str, Row] = {}
        self._open: dict[Any, Mapping[str, Any]] = {}  # calls that have not returned

    def take(self, record: Record) -> bytes:
        """Count the call when it has returned, if it is wanted."""
        fields = record.fields
        if fields["code"] is None:
            self._open[identity(fields)] = fields
        else:
            self._open.pop(identity(fields), None)
            self._count(fields)
        return b""

    def end(self) -> bytes:
        """The table."""
        for fields in self._open.values():
            self._count(fields)
        rows = sorted(self._rows.values(), key=lambda row: (-row.total, -row.calls, row.function))
        return self.table(rows)

    def table(self, rows: list[Row]) -> bytes:
        """The rows and their total, laid out as `strace -c` does."""
        total = Row("", "total")
        for row in rows:
            total.count(row.calls, row.failed, row.total, row.longest)
        lines = [_HEADS, _RULE]
        lines += [_line(row, total.total) for row in rows]
        lines += [_RULE, _line(total, total.total)]
        return "".join(f"{text}\n" for text in lines).encode()

    def _count(self, fields: Mapping[str, Any]) -> None:
        if self.wanted(fields):
            name, took = fields["function"], fields["us"]
            row = self._rows.setdefault(name, Row(fields["library"], name))
            row.count(1, failed(fields), took, took)
            row.unseen += fields.get("unseen", False)


_LINE = "{:>6} {:>11} {:>11} {:>11} {:>9} {:>9} {}"
_HEADS = _LINE.format("% time", "seconds", "usecs/call", "usecs max", "calls", "errors", "function")
_RULE = _LINE.format(*("-" * width for width in (6, 11, 11, 11, 9, 9, 32)))


def _line(row: Row, total: int) -> str:
    share = 100 * row.total / total if total else 0.0
    times = (f"{share:.2f}", f"{row.total / 1e6:.6f}", f"{row.mean:.0f}", row.longest)
    name = row.function + (f" [{row.unseen} not in the capture]" if row.unseen else "")
    return _LINE.format(*times, row.calls, row.failed or "", name)


class SummaryJson(Summary):
    """The same as a JSON object a line and a function; times in microseconds."""

    def table(self, rows: list[Row]) -> bytes:
        """The rows alone: totals are for readers."""
        return b"".join(
            msgspec.json.encode(
                {
                    "library": row.library,
                    "function": row.function,
                    "calls": row.calls,
                    "failed": row.failed,
                    "total_us": row.total,
                    "mean_us": row.mean,
                    "max_us": row.longest,
                    **({"unseen": row.unseen} if row.unseen else {}),
                }
            )
            + b"\n"
            for row in rows
        )
