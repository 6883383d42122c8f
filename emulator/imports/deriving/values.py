"""C values as the machine's figures: words for numbers, true for 1, degrees below zero."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from ...machine import Device, Figures
from ...nvml._constants import POWER_SMOOTHING_ADMIN_OVERRIDE_NOT_SET
from ...scenario.tree import names
from .words import BITS, WORDS_OF

__all__ = ["UNTOLD", "figure_of", "number_of", "uuid_of", "value_of"]

Path = tuple[str, ...]

#: What a figure is told as that cannot be made out.
UNTOLD: Any = object()

_UUID = re.compile(r"(GPU-)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)

BUS_ID = len("00000000:00:00.0")
INT_MAX = (1 << 31) - 1


@cache
def figure_of(path: Path) -> Any:
    """The declared type of a figure that a scenario may set; None where there is none."""
    group: Any = Device
    for name in path[:-1]:
        group = names(group).get(name)
        if not isinstance(group, type) or not issubclass(group, Figures):
            return dict if path[:-1] == ("cuda",) else None
    return names(group).get(path[-1])


def value_of(path: Path, value: Any) -> Any:
    """An output of a function as the machine has the figure; UNTOLD where it says nothing of it."""
    if value is None or value is UNTOLD:
        return UNTOLD
    name = ".".join(path)
    if name in WORDS_OF:
        return WORDS_OF[name].get(value, UNTOLD)
    if name in BITS:
        return [word for bit, word in BITS[name].items() if value & bit]
    read = _READ.get(name) or _READ.get(name.rpartition(".")[0])
    known = read(value) if read else value
    return known if known is None or known is UNTOLD else _typed(figure_of(path), known)


def _typed(hint: Any, value: Any) -> Any:
    """A value as a declared type has it; UNTOLD where it is none of that type."""
    kind = next((each for each in get_args(hint) if each is not NoneType), hint)
    kind = hint if get_origin(hint) in (Annotated, list) else kind
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if kind is bool:
        return bool(value) if value in (0, 1) else UNTOLD
    if kind is int:
        return value if isinstance(value, int) else UNTOLD
    return value


def _uuid(value: Any) -> Any:
    """With "GPU-", which Tegra's NVML leaves out, and CUDA."""
    found = _UUID.fullmatch(uuid_of(value) if isinstance(value, list) else value)
    return f"GPU-{found[2].lower()}" if found else UNTOLD


def _bus_id(value: str) -> Any:
    """With the whole domain, of which CUDA writes half."""
    return value.rjust(BUS_ID, "0") if value else UNTOLD


def _degrees(value: Any) -> Any:
    """Less than none as an unsigned int."""
    return value - (1 << 32) if isinstance(value, int) and value > INT_MAX else value


def _times(value: list[int]) -> Any:
    """When pages were retired, as far as it is known of any."""
    return value if any(value) else UNTOLD


def _override(value: int) -> int | None:
    """A parameter of power smoothing that the administrator may not have set."""
    return None if value == POWER_SMOOTHING_ADMIN_OVERRIDE_NOT_SET else value


#: Figure, or group of figures -> how its value is told.
_READ: dict[str, Callable[[Any], Any]] = {
    "uuid": _uuid,
    "serial": lambda value: value or UNTOLD,
    "memory.total": lambda value: value or UNTOLD,  # a fault's
    "pci_bus_id": _bus_id,
    "temperature": _degrees,
    "retired_pages.single_bit_times": _times,
    "retired_pages.double_bit_times": _times,
    "power_smoothing.override": _override,
}


def uuid_of(value: Any) -> str:
    """The text of a UUID that is told as bytes: a list of them, or hexadecimal digits."""
    digits = bytes(value).hex() if isinstance(value, list) else str(value or "").replace("-", "")
    if len(digits) != 32 or not digits.strip("0"):
        return ""
    return "-".join(digits[a:b] for a, b in pairwise((0, 8, 12, 16, 20, 32)))


#: nvmlValueType_t -> how the union's bytes hold such a number.
_KINDS = ("d", "I", "Q", "Q", "q", "i", "H")


def number_of(row: dict[str, Any]) -> Any:
    """The number that an nvmlFieldValue_t holds, its union being told by the widest member."""
    (name, value), *_ = row["value"].items()
    kind = row.get("valueType", 0)
    if kind >= len(_KINDS):
        return UNTOLD
    held = struct.pack("<d" if name == "dVal" else "<Q", value)
    return struct.unpack_from("<" + _KINDS[kind], held)[0]
