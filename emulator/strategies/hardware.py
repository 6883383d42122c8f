"""Drawn GPUs, and machines with nothing wrong but what is out of the ordinary about those."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import NoneType
from typing import Any, get_args

from hypothesis import strategies as st
from msgspec.structs import replace

from ..machine import NEWEST, Device, Figures
from ..machine.drivers import branch
from ..machine.words import WORDS
from ..scenario import Gpu, Scenario
from ..scenario.figures import SHORTCUTS, has_figure
from ..scenario.profiles import profile, profiles
from ..scenario.tree import names
from .drawing import or_unusual, some

__all__ = ["distinct", "gpus", "machines"]

#: NVML's and CUDA's buffers for names have 64 or 96 bytes.
_NAMES = (
    *("x", "GPU", "Tesla T4", "x" * 63, "x" * 64, "x" * 95, "x" * 96, "x" * 1000),
    *(" ", "%s%n", 'NVIDIA, "H100"; 80GB', "GPU é 名"),
)


def _used(memory: Mapping[str, int]) -> Sequence[int]:
    room = memory["total"] - memory["reserved"]
    return (0, 1, room // 2, room - 1, room)


def _total(memory: Mapping[str, int]) -> Sequence[int]:
    least = memory["reserved"] + max(memory["used"], 1)
    return (least, memory["total"] // 2 + least, memory["total"] + 1, 1 << 40, (1 << 63) - 1)


#: Field of a Gpu -> the values it is drawn from, the simplest first, given the memory that its
#: profile has. Telling ones only: a number from a wide range takes hundreds of steps to shrink.
_FIELDS: dict[str, Callable[[Mapping[str, int]], Sequence[Any]]] = {
    "failure": lambda memory: WORDS["Failure"],
    "memory_used": _used,
    "memory_total": _total,
    "figures": lambda memory: list(_absences(Device)),
    "name": lambda memory: _NAMES,
    "utilization": lambda memory: (0, 1, 50, 99, 100),
    "temperature": lambda memory: (0, 45, 95, 127, 128, 255, 256, 1000, -1, -40, -273),
    "power_usage": lambda memory: (0, 1, 100_000, 1_000_000, (1 << 31) - 1, 1 << 31, (1 << 32) - 1),
    "uuid": lambda memory: [f"GPU-{digit * 8}-0000-0000-0000-{digit * 12}" for digit in "01f"],
    "serial": lambda memory: ("0", "1", "0" * 15, "9" * 29),
    "pci_bus_id": lambda memory: ("00000000:00:00.0", "00000000:FF:1F.0", "0000FFFF:01:00.0"),
}

#: Fields that must not be alike on two GPUs.
_OWN = ("uuid", "serial", "pci_bus_id")


def gpus(
    profiles: Iterable[str] | None = None, *, driver: str = NEWEST, most_fields: int = 2
) -> st.SearchStrategy[Gpu]:
    """One GPU: a profile, and up to `most_fields` figures that are out of the ordinary.

    Values go to the bounds of what the machine holds: names longer than clients' buffers, full
    memory, -273 °C, figures that the product does not have ("N/A").

    Args:
        profiles: names of the catalogue, the simplest first; all that the driver supports if not
            given.
        driver: the driver version that must support the product.
        most_fields: 0 for GPUs just as the catalogue has them.

    Raises:
        ScenarioError: no profile of a name, or one that the driver is too old for.
    """
    chosen = supported(driver) if profiles is None else tuple(profiles)
    for name in chosen:
        Scenario(driver=driver, gpus=[Gpu(name)])
        profile(name)
    choices = or_unusual(chosen) if most_fields else st.sampled_from([(n, False) for n in chosen])
    return _gpus(choices, driver, some(tuple(_FIELDS), max(most_fields, 1)))


@st.composite
def _gpus(
    draw: st.DrawFn,
    choices: st.SearchStrategy[tuple[str, bool]],
    driver: str,
    fields: st.SearchStrategy[tuple[str, ...]],
) -> Gpu:
    name, unusual = draw(choices)
    if not unusual:
        return _plain(name)
    memory = _memory(name, driver)
    drawn = {field: draw(_values(field, name, driver)) for field in draw(fields)}
    if "memory_used" in drawn and "memory_total" in drawn:
        drawn["memory_used"] = min(drawn["memory_used"], drawn["memory_total"] - memory["reserved"])
    if "figures" in drawn and _is_twice(drawn):
        del drawn["figures"]
    return Gpu(name, **drawn)


def machines(
    *,
    driver: str = NEWEST,
    gpus: st.SearchStrategy[Gpu] | None = None,
    min_gpus: int = 0,
    max_gpus: int = 4,
) -> st.SearchStrategy[Scenario]:
    """A scenario without faults: GPUs that may be out of the ordinary, on a driver that works.

    Args:
        driver: the driver version.
        gpus: what the GPUs are drawn from, see `gpus`.
        min_gpus: the least number of GPUs.
        max_gpus: the greatest.
    """
    rows = st.lists(
        _default_gpus(driver) if gpus is None else gpus, min_size=min_gpus, max_size=max_gpus
    )
    return rows.map(lambda drawn: Scenario(driver=driver, gpus=distinct(drawn)))


def distinct(rows: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The same GPUs, without an identity that an earlier one has."""
    seen: set[tuple[str, object]] = set()
    made = []
    for row in rows:
        own = {(name, value) for name in _OWN if (value := getattr(row, name)) is not None}
        repeated: dict[str, Any] = {name: None for name, _ in own & seen}
        seen |= own
        made.append(replace(row, **repeated) if repeated else row)
    return tuple(made)


@cache
def supported(driver: str) -> tuple[str, ...]:
    """The profiles of the catalogue that a driver version supports, the plainest product first."""
    number = branch(driver)
    known = [name for name in profiles() if profile(name).placement.first_driver <= number]
    return tuple(sorted(known, key=lambda name: (profile(name).placement.links is not None, name)))


@cache
def _default_gpus(driver: str) -> st.SearchStrategy[Gpu]:
    return gpus(driver=driver)


@cache
def _plain(name: str) -> Gpu:
    return Gpu(name)


@cache
def _memory(name: str, driver: str) -> dict[str, int]:
    memory: dict[str, int] = profile(name).under(driver)["memory"]
    return memory


@cache
def _values(field: str, name: str, driver: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(_FIELDS[field](_memory(name, driver)))


def _is_twice(fields: Mapping[str, Any]) -> bool:
    """Whether a field names the same figure as the figures do."""
    return any(
        field in fields and has_figure(fields["figures"], path) for field, path in SHORTCUTS.items()
    )


def _absences(group: type[Figures]) -> Iterator[dict[str, Any]]:
    """Yield tables that each say of one figure that the product does not have it."""
    for name, hint in names(group).items():
        if NoneType in get_args(hint):
            yield {name: "N/A"}
        elif isinstance(hint, type) and issubclass(hint, Figures):
            yield from ({name: inner} for inner in _absences(hint))
