"""The checks of single values that users write.

A check takes the written value and returns the value to keep, or raises ScenarioError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeGuard

from ..machine import DRIVERS
from .calls import parse_calls
from .errors import ScenarioError, UnknownNameError, nearest
from .quantities import parse_quantity

__all__ = [
    "Check",
    "boolean",
    "bus_address",
    "bus_id",
    "calls",
    "code",
    "count",
    "description",
    "device",
    "driver",
    "functions",
    "library",
    "optional",
    "quantity",
    "short",
    "text",
    "utilization",
    "uuid",
]

Check = Callable[[Any], Any]

_HEX = "[0-9a-fA-F]"
_UUID = re.compile(f"GPU-{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}")
_BUS_ID = re.compile(f"(?:({_HEX}{{4}}|{_HEX}{{8}}):)?({_HEX}{{2}}):({_HEX}{{2}})(?:\\.0)?")

#: A machine is built for each process; this many devices still start at once.
_MOST_GPUS = 256


def bus_address(text: str) -> tuple[int, int, int]:
    """Return domain, bus and device of a PCI bus id: "00000000:19:00.0", "0000:19:00", "19:00.0".

    Raises:
        ScenarioError: it is not one.
    """
    match = _BUS_ID.fullmatch(text)
    if match is None or int(match[3], 16) > 31:
        raise ScenarioError(f"expected a PCI bus id such as '00000000:19:00.0', found {text!r}")
    return int(match[1] or "0", 16), int(match[2], 16), int(match[3], 16)


def text(value: object) -> str:
    """Check a string of one line."""
    if not isinstance(value, str):
        raise ScenarioError(f"expected a string, found {value!r}")
    if not value.isprintable():
        raise ScenarioError(f"expected printable text in one line, found {value!r}")
    return value


def description(value: object) -> str:
    """Check a string that may have several lines."""
    for line in value.split("\n") if isinstance(value, str) else [value]:
        text(line)
    return str(value)


def short(longest: int) -> Check:
    """Return the check of a string that must fit a buffer: not empty, at most so many bytes."""

    def check(value: object) -> str:
        if not 0 < len(text(value).encode()) <= longest:
            raise ScenarioError(f"expected 1 to {longest} bytes of text, found {value!r}")
        return text(value)

    return check


def optional(check: Check) -> Check:
    """Return the check that lets None pass, and asks another about anything else."""
    return lambda value: None if value is None else check(value)


def quantity(kind: str) -> Check:
    """Return the check of a quantity, which becomes an integer in the machine's unit."""
    return lambda value: parse_quantity(value, kind)


def utilization(value: object) -> int:
    """Check a percentage that cannot be above 100."""
    amount = parse_quantity(value, "percent")
    if amount > 100:
        raise ScenarioError(f"expected 0 to 100 percent, found {value!r}")
    return amount


def count(value: object) -> int:
    """Check a number of GPUs."""
    if not _is_integer(value) or not 1 <= value <= _MOST_GPUS:
        problem = f"expected a number of GPUs from 1 to {_MOST_GPUS}, found {value!r}"
        raise ScenarioError(problem)
    return value


def uuid(value: object) -> str:
    """Check the UUID of a GPU, which becomes lower case, as NVML has it."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        problem = "expected 'GPU-' and a UUID, such as 'GPU-ee7954ec-da95-fd7a-ddfd-c6b32cc2f8aa'"
        raise ScenarioError(f"{problem}, found {value!r}")
    return "GPU-" + value[4:].lower()


def bus_id(value: object) -> str:
    """Check a PCI bus id, which becomes what NVML makes of it: "00000000:19:00.0"."""
    domain, bus, slot = bus_address(text(value))
    return f"{domain:08X}:{bus:02X}:{slot:02X}.0"


def driver(value: object) -> str:
    """Check a driver version."""
    if not isinstance(value, str) or value not in DRIVERS:
        hint = nearest(str(value) if isinstance(value, (int, float)) else value, DRIVERS)
        raise UnknownNameError(f"expected a driver version that nvemu knows, found {value!r}{hint}")
    return value


def boolean(value: object) -> bool:
    """Check a truth value."""
    if not isinstance(value, bool):
        raise ScenarioError(f"expected true or false, found {value!r}")
    return value


def functions(value: object) -> str | tuple[str, ...]:
    """Check the form of a function name or glob, or of a list of them."""
    names = value if isinstance(value, (list, tuple)) else (value,)
    if not names or not all(isinstance(name, str) and name for name in names):
        problem = "expected a function name, a glob such as 'nvmlInit*', or a list of them"
        raise ScenarioError(f"{problem}, found {value!r}")
    return value if isinstance(value, str) else tuple(names)


def code(value: object) -> str | int:
    """Check the form of a status code: a name or a number."""
    if isinstance(value, str) and value:
        return value
    if _is_integer(value) and 0 <= value < 1 << 31:
        return value
    problem = "expected the name or number of a code, such as 'GPU_IS_LOST' or 15"
    raise ScenarioError(f"{problem}, found {value!r}")


def library(value: object) -> str:
    """Check the name of a library."""
    if value not in ("nvml", "cuda"):
        raise UnknownNameError(f"expected 'nvml' or 'cuda', found {value!r}")
    return str(value)


def device(value: object) -> int | str:
    """Check the form of what picks a device: its index or its UUID."""
    if _is_integer(value) and value >= 0:
        return value
    if isinstance(value, str) and _UUID.fullmatch(value):
        return uuid(value)
    raise ScenarioError(f"expected the index or the UUID of a GPU, found {value!r}")


def calls(value: Any) -> Any:
    """Check call numbers, see ``parse_calls``."""
    parse_calls(value)
    return tuple(value) if isinstance(value, list) else value


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
