"""Which calls of a function a fault answers: "3", "2-4", "3-"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import ScenarioError

__all__ = ["parse_calls"]

_RANGE = re.compile(r"\s*(\d+)\s*(?:(-)\s*(\d+)?\s*)?", re.ASCII)

_EXPECTED = "expected a call number from 1 on, a range such as '2-4' or '3-', or a list of them"

#: Longer numbers than this are a slip of the keyboard, and slow to convert.
_MOST_DIGITS = 18


def parse_calls(calls: int | str | Sequence[int | str] | None) -> list[list[int | None]]:
    """Return the ranges of call numbers as ``[first, last]`` pairs; last is None if open.

    No ranges at all mean every call.

    Raises:
        ScenarioError: not a number, a range or a list of them; a number below 1; a range that
            ends before it begins; an empty list.
    """
    if calls is None:
        return []
    entries = list(calls) if isinstance(calls, (list, tuple)) else [calls]
    if not entries:
        raise ScenarioError(f"{_EXPECTED}, found an empty list")
    return [_pair(entry) for entry in entries]


def _pair(entry: object) -> list[int | None]:
    text = str(entry) if isinstance(entry, int) and not isinstance(entry, bool) else entry
    match = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if match is None or max(len(match[1]), len(match[3] or "")) > _MOST_DIGITS:
        raise ScenarioError(f"{_EXPECTED}, found {entry!r}")
    first = int(match[1])
    last = int(match[3]) if match[3] else None if match[2] else first
    if first < 1 or (last is not None and last < first):
        raise ScenarioError(f"{_EXPECTED}, found {entry!r}")
    return [first, last]
