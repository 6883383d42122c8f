"""Which calls of a function a fault answers: "3", "2-4", "3-", "every 3"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .errors import ScenarioError

__all__ = ["EVERY", "RANGE", "parse_calls"]

RANGE = re.compile(r"\s*(\d+)\s*(?:(-)\s*(\d+)?\s*)?", re.ASCII)
EVERY = re.compile(r"\s*every\s+(\d+)\s*", re.ASCII)

_EXPECTED = (
    "expected a call number from 1 on, a range such as '2-4' or '3-', 'every 3', or a list of them"
)

#: Longer numbers than this are a slip of the keyboard, and slow to convert.
_MOST_DIGITS = 18


def parse_calls(calls: int | str | Sequence[int | str] | None) -> list[list[int | None]]:
    """Return the ranges of call numbers as ``[first, last, step]``; last is None if open.

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
    return [_range(entry) for entry in entries]


def _range(entry: object) -> list[int | None]:
    text = str(entry) if isinstance(entry, int) and not isinstance(entry, bool) else entry
    if isinstance(text, str):
        every, match = EVERY.fullmatch(text), RANGE.fullmatch(text)
        numbers = [int(part) for part in re.findall(r"\d+", text) if len(part) <= _MOST_DIGITS]
        if every and numbers and numbers[0] > 0:
            return [numbers[0], None, numbers[0]]
        if match and len(numbers) == 1 + bool(match[3]) and 0 < numbers[0] <= numbers[-1]:
            return [numbers[0], None if match[2] and not match[3] else numbers[-1], 1]
    raise ScenarioError(f"{_EXPECTED}, found {entry!r}")
