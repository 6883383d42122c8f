"""Quantities as people write them, to the integers that the machine counts in."""

from __future__ import annotations

import re
from fractions import Fraction

from .errors import ScenarioError
from .times import UNITS as DURATIONS

__all__ = ["BOUNDS", "EXAMPLES", "UNITS", "Hexadecimal", "parse_quantity", "write_quantity"]

_NUMBER = re.compile(r"\s*([+-]?\d{1,24}(?:\.\d{1,24})?)\s*([A-Za-z%]*)\s*", re.ASCII)

#: Kind of quantity -> unit -> how many of the machine's own units it is. The first unit of each
#: kind with factor 1 is the machine's own.
UNITS: dict[str, dict[str, int]] = {
    "bytes": {
        "B": 1,
        **{f"{prefix}iB": 1 << 10 * power for power, prefix in enumerate("KMGT", 1)},
        **{f"{prefix}B": 1000**power for power, prefix in enumerate(("k", "M", "G", "T"), 1)},
    },
    "milliwatts": {"mW": 1, "W": 1000},
    "megahertz": {"MHz": 1, "GHz": 1000},
    "celsius": {"C": 1},
    "percent": {"%": 1},
    "microseconds": {"us": 1, "ms": 1000, "s": 1_000_000},
    "nanoseconds": DURATIONS,
}

#: Kind -> the least and the most that the machine's fields and NVML's out-parameters hold. A fan
#: may be reported above 100 percent of its noise-limited speed (nvml.h).
BOUNDS = {
    "bytes": (0, (1 << 63) - 1),
    "milliwatts": (0, (1 << 32) - 1),
    "megahertz": (-(1 << 31), (1 << 31) - 1),
    "celsius": (-273, 1000),
    "percent": (0, 255),
    "microseconds": (0, (1 << 63) - 1),
    "nanoseconds": (0, (1 << 63) - 1),
}

EXAMPLES = {
    "bytes": "an integer of bytes or a size such as '80 GiB' or '512 MiB'",
    "milliwatts": "an integer of milliwatts or a power such as '66.5 W'",
    "megahertz": "an integer of MHz or a frequency such as '1980 MHz'",
    "celsius": "an integer of degrees Celsius, or '45 C'",
    "percent": "a percentage, an integer or '45 %'",
    "microseconds": "an integer of microseconds or a time such as '20 ms'",
    "nanoseconds": "an integer of nanoseconds or a time such as '10 s'",
}


class Hexadecimal(int):
    """A number that people read by its digits: an id of 32 bits."""

    def __str__(self) -> str:
        return f"0x{self:08X}"


def parse_quantity(value: object, kind: str) -> int:
    """Return a quantity in the machine's unit: "80 GiB" is 85899345920, "700 W" 700000.

    Integers pass as they are. "GB" is 10**9 bytes and "GiB" 2**30; case is not looked at.

    Raises:
        ScenarioError: it is neither, the unit is of another kind, the result is no integer, or it
            is out of bounds.
    """
    least, most = BOUNDS[kind]
    amount = value if isinstance(value, int) else _amount(value, kind)
    if amount is None or isinstance(value, bool):
        raise ScenarioError(f"expected {EXAMPLES[kind]}, found {value!r}")
    if not least <= amount <= most:
        raise ScenarioError(f"expected {least} to {most}, found {value!r}")
    return amount


def _amount(value: object, kind: str) -> int | None:
    units = {unit.casefold(): factor for unit, factor in UNITS[kind].items()}
    match = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    factor = units.get(match[2].casefold()) if match else None
    if match is None or factor is None:
        return None
    amount = Fraction(match[1]) * factor
    return int(amount) if amount.denominator == 1 else None


#: Kind -> the unit that people read it in, where that is not the machine's: how many of the
#: machine's it is, and how many digits a fraction of it may have.
_READ_IN = {"bytes": ("MiB", 1 << 20, 0), "milliwatts": ("W", 1000, 3)}


def write_quantity(amount: int, kind: str) -> int | str:
    """Return a quantity as people write it, such that it is read back as the same.

    Memory is in MiB where that leaves no fraction, power in watts; all else is as it is.
    """
    if kind not in _READ_IN or amount == 0:
        return amount
    unit, factor, digits = _READ_IN[kind]
    whole, rest = divmod(amount, factor)
    if not rest:
        return f"{whole} {unit}"
    return f"{whole}.{rest:0{digits}d}".rstrip("0") + f" {unit}" if digits else amount
