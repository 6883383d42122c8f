"""What nvidia-smi prints for a value, read back: each reader returns it and how exact it is.

A reader takes text that is a value: what stands in one's place (`answers.py`) was looked at before.
It raises ScenarioError for other text than it knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ...scenario import ScenarioError
from ...scenario.errors import UnknownNameError, nearest

__all__ = [
    "atomics",
    "banks",
    "celsius",
    "count",
    "expiry",
    "hexadecimal",
    "kilobytes",
    "lanes",
    "megahertz",
    "mebibytes",
    "microseconds",
    "milliseconds",
    "millivolts",
    "moment",
    "nanoseconds",
    "percent",
    "seconds",
    "performance_state",
    "switched",
    "uuid",
    "plain",
    "watts",
    "Reader",
    "word",
]

#: Returns a value in the machine's unit, and the step that it is rounded to (0: it is exact).
Reader = Callable[[str], tuple[Any, int]]

#: More digits than any figure has; a number of thousands of them would take long to read.
_LONGEST = 40


def _quantity(pattern: str, factor: int, step: int, example: str) -> Reader:
    """Return a reader of numbers with a unit; the pattern's first group is the number."""
    form = re.compile(pattern, re.ASCII)

    def read(text: str) -> tuple[int, int]:
        found = form.fullmatch(text) if len(text) <= _LONGEST else None
        if not found:
            raise ScenarioError(f"expected a value such as {example!r}, found {_short(text)!r}")
        whole, _, part = found[1].partition(".")
        digits = len(part)
        return int(whole + part) * factor // 10**digits, step

    return read


def word(words: Mapping[str, Any], error: type[ScenarioError] = UnknownNameError) -> Reader:
    """Return a reader of certain words, in capitals or not.

    Other words are an UnknownNameError: newer drivers may have more.
    """
    folded = {known.casefold(): value for known, value in words.items()}

    def read(text: str) -> tuple[Any, int]:
        if text.casefold() not in folded:
            problem = f"expected a word that nvidia-smi prints, found {_short(text)!r}"
            raise error(problem + nearest(text, words))
        return folded[text.casefold()], 0

    return read


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


mebibytes = _quantity(r"(\d+) MiB", 1 << 20, 1 << 20, "81559 MiB")
kilobytes = _quantity(r"(\d+) KB/s", 1, 0, "528 KB/s")
#: Milliwatts; two digits are printed behind the point.
watts = _quantity(r"(\d+\.\d+) W", 1000, 10, "67.74 W")
megahertz = _quantity(r"(\d+) MHz", 1, 0, "1980 MHz")
_degrees = _quantity(r"(-?\d+) C", 1, 0, "36 C")
percent = _quantity(r"(\d+) %", 1, 0, "30 %")
#: Microvolts.
millivolts = _quantity(r"(\d+\.\d+) mV", 1000, 1, "880.000 mV")
lanes = _quantity(r"(\d+)x", 1, 0, "16x")
banks = _quantity(r"(\d+) bank\(s\)", 1, 0, "640 bank(s)")
count = _quantity(r"(\d+)", 1, 0, "0")
microseconds = _quantity(r"(\d+) us", 1, 0, "91568 us")
#: Nanoseconds, of which whole microseconds are printed.
nanoseconds = _quantity(r"(\d+) us", 1000, 1000, "91568 us")
#: Nanoseconds, of which whole milliseconds are printed.
milliseconds = _quantity(r"(\d+) ms", 1_000_000, 1_000_000, "5000 ms")
seconds = _quantity(r"(\d+) seconds", 1, 0, "6337329 seconds")
performance_state = _quantity(r"P(\d+)", 1, 0, "P0")

#: What is on or off; nvidia-smi has several words for it.
switched = word(
    {
        **dict.fromkeys(("Enabled", "Yes", "On", "Active", "True", "Supported", "Connected"), True),
        **dict.fromkeys(("Disabled", "No", "Off", "Not Active", "False"), False),
        **dict.fromkeys(("Not Connected", "Disconnected"), False),
    },
    error=ScenarioError,
)


def celsius(text: str) -> tuple[int, int]:
    """Degrees; of the GPU's temperature below zero nvidia-smi prints the unsigned number."""
    degrees, step = _degrees(text)
    return degrees - (1 << 32) if degrees >= 1 << 31 else degrees, step


def plain(text: str) -> tuple[str, int]:
    """Any text."""
    return text, 0


def uuid(text: str) -> tuple[str, int]:
    """A GPU's UUID; that of a Jetson has no "GPU-" before it."""
    bare = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
    return (f"GPU-{text}" if bare else text), 0


def hexadecimal(text: str) -> tuple[int, int]:
    """A hexadecimal number, such as a PCI device id: "1EB810DE", "0x1EB810DE"."""
    if not re.fullmatch(r"(0[xX])?[0-9a-fA-F]{1,16}", text):
        raise ScenarioError(f"expected a value such as '1EB810DE', found {_short(text)!r}")
    return int(text, 16), 0


def atomics(text: str) -> tuple[list[str], int]:
    """Names with spaces between: "FETCHADD_32 SWAP_32 "."""
    return text.split(), 0


def moment(text: str) -> tuple[int, int]:
    """A date, as microseconds since the epoch: "2024/07/31 05:52:57.891".

    It is read as UTC: the time zone of the machine that printed it is not told.
    """
    try:
        moment = datetime.strptime(text, "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
    except ValueError:
        problem = f"expected a date such as '2024/07/31 05:52:57.891', found {_short(text)!r}"
        raise ScenarioError(problem) from None
    return round(moment.timestamp() * 1000) * 1000, 1000


_EXPIRY = re.compile(r".*\(Expiry: (?:(\d{1,4}(?:[-:T ]\d{1,2}){5}) (?:GMT|UTC)|(Permanent|N/A))\)")


def expiry(text: str) -> tuple[int | None, int]:
    """When a licence ends, in seconds since the epoch: "Licensed (Expiry: 2027-1-31 12:0:0 GMT)".

    None: "Permanent".
    """
    found = _EXPIRY.fullmatch(text)
    try:
        if found and found[2]:
            return None, 0
        numbers = [int(number) for number in re.split("[-:T ]", found[1])] if found else []
        year, month, day, hour, minute, second = numbers
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return int(moment.timestamp()), 0
    except (TypeError, ValueError):
        problem = f"expected 'Expiry: 2027-1-31 12:0:0 GMT' or 'Permanent', found {_short(text)!r}"
        raise ScenarioError(problem) from None
