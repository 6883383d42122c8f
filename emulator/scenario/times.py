"""Times as people write them ("200 ms", "1.5 min"), to the nanoseconds that the clock counts in."""

from __future__ import annotations

import re
from fractions import Fraction

from .errors import ScenarioError

__all__ = ["UNITS", "parse_duration", "parse_rate", "parse_span"]

UNITS = {
    "ns": 1,
    "us": 1000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_NUMBER = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([a-z]*)\s*", re.ASCII)
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)x", re.ASCII)

#: A century: more is a slip of the keyboard, and would not fit 64 bits of nanoseconds for long.
_LONGEST = 100 * 366 * 24 * UNITS["h"]

_DURATION = "expected a number of seconds or a time such as '200 ms' or '1.5 min'"
_SPAN = "expected times such as '10 s-20 s' or '30 s-'"
_CLOCK = "expected 'wall', 'manual' or a rate such as '60x'"


def parse_duration(value: object) -> int:
    """Return a time in nanoseconds; a bare number is in seconds.

    Raises:
        ScenarioError: it is neither, below zero, or longer than a century.
    """
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        unit = UNITS.get(match[2] or "s") if match else None
        amount = Fraction(match[1]) * unit if match and unit else None
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _LONGEST:
        amount = Fraction(value) * UNITS["s"]
    else:
        amount = None
    if amount is None or amount > _LONGEST:
        raise ScenarioError(f"{_DURATION}, found {value!r}")
    return round(amount)


def parse_span(value: object) -> tuple[int, int | None]:
    """Return the first and the last nanosecond of a span of time; the last is None if open.

    Raises:
        ScenarioError: it is no span, or ends before it begins.
    """
    first, dash, last = value.partition("-") if isinstance(value, str) else ("", "", "")
    try:
        if not dash:
            raise ScenarioError(_SPAN)
        begin = parse_duration(first)
        end = parse_duration(last) if last.strip() else None
    except ScenarioError:
        raise ScenarioError(f"{_SPAN}, found {value!r}") from None
    if end is not None and end < begin:
        raise ScenarioError(f"{_SPAN}, found {value!r}, which ends before it begins")
    return begin, end


def parse_rate(value: object) -> float:
    """Return how many seconds pass on a scenario's clock in one of the wall's; 0: none by itself.

    Raises:
        ScenarioError: it is neither a name of a clock nor a rate above zero.
    """
    named = {"wall": 1.0, "manual": 0.0}.get(value) if isinstance(value, str) else None
    if named is not None:
        return named
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not float(match[1]):
        raise ScenarioError(f"{_CLOCK}, found {value!r}")
    return float(match[1])
