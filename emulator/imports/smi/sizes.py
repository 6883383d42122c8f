"""The frame buffer: sizes in whole MiB that do not add up, back to bytes that do.

Each size is rounded by itself, down by nvidia-smi before 550 (and by the first ones of it: 550.54),
up from then on. Which it was shows where the parts are not the total. Bytes are sought that are
printed as all four sizes are: those that nvemu's profile of the product has, if they fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ...machine.drivers import branch
from ...scenario import ScenarioError
from ...scenario.profiles import profile
from ..choosing import choose_driver, choose_profile
from ..facts import GpuFacts
from .answers import is_value, plain
from .tellings import Telling
from .units import mebibytes

__all__ = ["settle_memory"]

MIB = 1 << 20

#: The first release branch whose nvidia-smi rounds up.
ROUNDS_UP_FROM = 550

_PARTS = ("total", "reserved", "used")


def settle_memory(telling: Telling) -> None:
    """Tell the parts of the memory in bytes that are printed as they were."""
    printed = {part: _printed(telling, part) for part in (*_PARTS, "free")}
    if None in (printed["total"], printed["used"], printed["free"]):
        return
    known = _known(telling)
    up = _rounds_up(printed, telling.driver)
    choices = [_choices(printed[part], known[part], up) for part in _PARTS]
    for total, reserved, used in product(*choices):
        sizes = {"total": total, "reserved": reserved, "used": used}
        free = total - reserved - used
        agree = all(printed[part] in (None, _rounded(size, up)) for part, size in sizes.items())
        if agree and _rounded(free, up) == printed["free"] and free >= 0 and total > reserved:
            for part, size in sizes.items():
                telling.change(f"memory.{part}", size, _step(size, known[part]))
            return


def _rounds_up(printed: dict[str, int | None], driver: str) -> bool:
    parts = sum(printed[part] or 0 for part in ("reserved", "used", "free"))
    if parts != printed["total"]:
        return parts > (printed["total"] or 0)
    return driver[:3].isdecimal() and branch(driver) >= ROUNDS_UP_FROM


def _printed(telling: Telling, part: str) -> int | None:
    node = telling.gpu.find(f"fb_memory_usage/{part}")
    text = plain(node.text) if node else ""
    if node is None or not is_value(text):
        return None
    size: int = telling.read(mebibytes, text, node)[0]
    return size // MIB


def _known(telling: Telling) -> dict[str, int]:
    """What the profile has of each part under the driver."""
    try:
        name, _ = choose_profile(GpuFacts(tuple(telling.told)))
        driver, _ = choose_driver(telling.driver, profile(name).placement.first_driver)
        memory = profile(name).under(driver)["memory"]
    except ScenarioError:
        return dict.fromkeys(_PARTS, 0)
    return {part: memory.get(part) or 0 for part in _PARTS}


def _choices(printed: int | None, known: int, up: bool) -> Iterator[int]:
    """What a part may be, in bytes: as the profile has it, as it is printed, or in between."""
    if printed is None or _rounded(known, up) == printed:
        yield known
    if printed is not None:
        near = (printed * MIB + (-eighths if up else eighths) * MIB // 8 for eighths in range(8))
        yield from (size for size in near if size >= 0)


def _rounded(size: int, up: bool) -> int:
    return -(-size // MIB) if up else size // MIB


def _step(size: int, known: int) -> int:
    """How far the profile's size may be off: less than it is, unless it is the one."""
    return min(abs(size - known), MIB) or MIB
