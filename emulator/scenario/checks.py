"""The checks of single values that users write.

A check takes the written value and returns the value to keep, or raises ScenarioError.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any, TypeGuard

from ..machine import DRIVERS
from .calls import parse_calls
from .errors import ScenarioError, UnknownNameError, nearest, within
from .quantities import parse_quantity
from .times import parse_duration

__all__ = [
    "BUS_ID",
    "MOST_GPUS",
    "RESERVED",
    "UUID",
    "boolean",
    "bus_address",
    "bus_id",
    "calls",
    "Check",
    "code",
    "count",
    "description",
    "device",
    "driver",
    "environment",
    "functions",
    "hook",
    "integer",
    "library",
    "optional",
    "origin",
    "parsed",
    "period",
    "plain",
    "probability",
    "quantity",
    "short",
    "signal_name",
    "table",
    "text",
    "utilization",
    "uuid",
    "who",
    "word",
]

Check = Callable[[Any], Any]

_HEX = "[0-9a-fA-F]"
UUID = re.compile(f"GPU-{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}")
BUS_ID = re.compile(f"(?:({_HEX}{{4}}|{_HEX}{{8}}):)?({_HEX}{{2}}):({_HEX}{{2}})(?:\\.0)?")

#: A branch and what comes behind it; NVML has room for 80 characters, a release has 10 or so.
VERSION = re.compile(r"\d{3}(\.\d{1,4}){1,3}", re.ASCII)

CUDA_VERSION = re.compile(r"[1-9]\d?\.\d", re.ASCII)

#: A machine is built for each process; this many devices still start at once.
MOST_GPUS = 256


def bus_address(text: str) -> tuple[int, int, int]:
    """Return domain, bus and device of a PCI bus id: "00000000:19:00.0", "0000:19:00", "19:00.0".

    Raises:
        ScenarioError: it is not one.
    """
    match = BUS_ID.fullmatch(text)
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
    if not _is_integer(value) or not 1 <= value <= MOST_GPUS:
        problem = f"expected a number of GPUs from 1 to {MOST_GPUS}, found {value!r}"
        raise ScenarioError(problem)
    return value


def uuid(value: object) -> str:
    """Check the UUID of a GPU, which becomes lower case, as NVML has it."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
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


def version(value: object) -> str:
    """Check what a driver says its version is."""
    if not isinstance(value, str) or not VERSION.fullmatch(value):
        raise ScenarioError(f"expected a driver version such as '550.54.15', found {value!r}")
    return value


def cuda_version(value: object) -> str:
    """Check the CUDA version that a driver is for."""
    if not isinstance(value, str) or not CUDA_VERSION.fullmatch(value):
        raise ScenarioError(f"expected a CUDA version such as '12.4', found {value!r}")
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


def code(value: object) -> str | int | None:
    """Check the form of a status code: a name or a number; None is none."""
    if value is None:
        return None
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


def device(value: object) -> int | str | tuple[int | str, ...]:
    """Check the form of what picks devices: an index, a UUID, a profile, or a list of them."""
    if isinstance(value, (list, tuple)) and value:
        return tuple(_one_device(entry) for entry in value)
    return _one_device(value)


def _one_device(value: object) -> int | str:
    if _is_integer(value) and value >= 0:
        return value
    if isinstance(value, str) and value:
        return uuid(value) if UUID.fullmatch(value) else value
    problem = "expected the index, the UUID or the profile of a GPU, or a list of them"
    raise ScenarioError(f"{problem}, found {value!r}")


def calls(value: Any) -> Any:
    """Check call numbers, see ``parse_calls``."""
    parse_calls(value)
    return tuple(value) if isinstance(value, list) else value


def who(what: str) -> Check:
    """Return the check of what picks a process or thread: a number from 1 on, a name or a glob."""

    def check(value: object) -> int | str:
        if (_is_integer(value) and 0 < value < 1 << 31) or (isinstance(value, str) and value):
            return value
        problem = f"expected the name of a {what}, a glob, or its number from 1 on"
        raise ScenarioError(f"{problem}, found {value!r}")

    return check


def parsed(parse: Callable[[Any], object]) -> Check:
    """Return the check that a parser takes the value, which stays as it is written."""

    def check(value: object) -> object:
        parse(value)
        return value

    return check


def period(value: Any) -> Any:
    """Check how long it is from one time to the next: not shorter than a millisecond."""
    if parse_duration(value) < 1_000_000:
        raise ScenarioError(f"expected at least '1 ms', found {value!r}")
    return value


def probability(value: object) -> float:
    """Check how likely something is: above 0 and up to 1."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1:
        return value
    raise ScenarioError(f"expected a number above 0 and up to 1, found {value!r}")


def integer(least: int, most: int) -> Check:
    """Return the check of an integer in bounds."""

    def check(value: object) -> int:
        if not _is_integer(value) or not least <= value <= most:
            raise ScenarioError(f"expected an integer from {least} to {most}, found {value!r}")
        return value

    return check


def signal_name(value: object) -> str:
    """Check a signal by name or number; it becomes its name, "SIGSEGV"."""
    names = {entry.name: entry.name for entry in signal.Signals}
    names |= {name.removeprefix("SIG"): name for name in names}
    with suppress(ValueError):
        if _is_integer(value):
            return signal.Signals(value).name
    name = names.get(value.upper()) if isinstance(value, str) else None
    if name is None:
        problem = f"expected a signal such as 'SIGSEGV', found {value!r}"
        raise UnknownNameError(problem + nearest(value, names.values()))
    return name


def word(words: Collection[str]) -> Check:
    """Return the check of one of certain words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise UnknownNameError(
                f"expected one of its words, found {value!r}{nearest(value, words)}"
            )
        return value

    return check


def table(check: Check) -> Check:
    """Return the check of a table whose values all pass another check."""

    def check_all(value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ScenarioError(f"expected a table, found {value!r}")
        checked = {}
        for key, entry in value.items():
            with within(_key(key)):
                checked[key] = check(entry)
        return checked

    return check_all


def _key(key: object) -> str:
    if not isinstance(key, str) or not key:
        raise ScenarioError(f"expected a name, found {key!r}")
    return key


def plain(value: Any) -> Any:
    """Check a value that TOML can write: a number, text, true or false, a list or table of such."""
    if isinstance(value, Mapping):
        return table(plain)(value)
    if isinstance(value, (list, tuple)):
        return [_entry(index, entry) for index, entry in enumerate(value)]
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return value
    if isinstance(value, (str, float)):
        return value
    if isinstance(value, int):
        raise ScenarioError(f"expected an integer of 64 bits, found {value!r}")
    raise ScenarioError(f"expected a number, text, a list or a table, found {value!r}")


def _entry(index: int, value: object) -> Any:
    with within(index):
        return plain(value)


def origin(value: object) -> tuple[str, ...]:
    """Check the addresses of public documents."""
    addresses = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(_address(entry) for entry in addresses)


def _address(value: object) -> str:
    if not text(value).startswith("https://"):
        raise ScenarioError(f"expected an address such as 'https://...', found {value!r}")
    return str(value)


#: What nvemu itself sets, or what would lead a program past it.
RESERVED = ("LD_LIBRARY_PATH", "LD_PRELOAD", "NVEMU_")


def environment(value: object) -> dict[str, str]:
    """Check variables for the program."""
    variables: dict[str, str] = table(text)(value)
    for name in variables:
        if name.startswith(RESERVED) or "=" in name or not name.isprintable():
            problem = f"expected a variable that nvemu does not set itself, found {name!r}"
            raise ScenarioError(problem, key=(name,))
    return variables


def hook(value: object) -> Any:
    """Check a Python function, or the form of "file.py:function"."""
    if isinstance(value, FunctionType):
        return value
    path, colon, name = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not (colon and path.endswith(".py") and name.isidentifier()):
        raise ScenarioError(f"expected a function, or 'file.py:function', found {value!r}")
    return value


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
