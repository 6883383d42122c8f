"""The calls of a trace that doctor keeps: of a program that makes millions, those that tell."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from ..trace import Call, identity

__all__ = ["Gathering"]

#: What is no whole record without these was not written by the runtime.
_KEYS = frozenset(("t", "us", "pid", "tid", "library", "function", "arguments", "code"))

#: So many calls of each process are kept from its first ones, and so many from its last.
KEPT = 2000


class Gathering:
    """Calls in the order of their ends: the first and last of each process, those between that are
    the first of their function or result, and those that did not return.

    Attributes:
        calls: what is kept.
        made: process -> how many calls it made.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]], kept: int = KEPT) -> None:
        self.made: Counter[int] = Counter()
        self._number = 0
        self._kept = kept
        self._calls: list[tuple[int, Mapping[str, Any]]] = []
        self._last: dict[int, deque[tuple[int, Mapping[str, Any]]]] = {}
        self._known: set[tuple[int, str, Any]] = set()
        under_way: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for record in records:
            if not record.keys() >= _KEYS:
                continue
            if record["code"] is None:
                under_way[identity(record)] = record
            else:
                under_way.pop(identity(record), None)
                self._keep(record)
        for record in under_way.values():
            self._keep(record)
        rest = [each for last in self._last.values() for each in last]
        in_order = sorted([*self._calls, *rest], key=lambda each: each[0])
        self.calls = [Call(record) for _, record in in_order]

    def _keep(self, record: Mapping[str, Any]) -> None:
        pid = record["pid"]
        self.made[pid] += 1
        self._number += 1
        numbered = (self._number, record)
        kind = (pid, record["function"], record.get("status"))
        if self.made[pid] <= self._kept or kind not in self._known:
            self._known.add(kind)
            self._calls.append(numbered)
        else:
            self._last.setdefault(pid, deque(maxlen=self._kept)).append(numbered)
