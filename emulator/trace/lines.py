"""A trace's records as lines that a person can read.

    nvmlDeviceGetMemoryInfo_v2(device=GPU-0, memory={total=80 GiB, ...}) = SUCCESS <12 us>

What the program passed is shown such that a terminal takes none of it for a command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["line", "printable"]

BYTES = frozenset(("total", "free", "used", "reserved"))  # fields that hold byte counts
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def line(record: Mapping[str, Any]) -> str:
    """One record as one line."""
    arguments = ", ".join(f"{k}={_text(v)}" for k, v in record["arguments"].items())
    marks = ""
    if record.get("fault"):
        marks += " [fault]"
    if record.get("handler") is False:
        marks += " [no handler]"
    if record.get("unseen"):
        marks += " [not in the capture]"
    if record.get("error"):
        marks += " [internal error: " + record["error"].strip().splitlines()[-1] + "]"
    status = record.get("status", record["code"])
    return f"{record['function']}({arguments}) = {status} <{record['us']} us>{marks}"


def _text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}={_field(k, v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return printable(str(value))


def printable(text: str) -> str:
    """A text such that a terminal takes none of it for a command."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _field(name: str, value: Any) -> str:
    return _size(value) if name in BYTES and isinstance(value, int) else _text(value)


def _size(count: int) -> str:
    """A byte count in the largest unit that divides it."""
    power = 0
    while count and count % 1024 == 0 and power < len(UNITS) - 1:
        count //= 1024
        power += 1
    return f"{count} {UNITS[power]}"
