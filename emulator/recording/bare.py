"""A scenario with nothing but what nvemu knows of its products: what a machine is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from ..imports.figures import IDENTITY
from ..scenario import Gpu, Scenario
from ..scenario.devices import devices
from .comparing import Tally
from .moving import PLAIN, READING, kind_of_figure

__all__ = ["FigureDifference", "FigureComparison", "bare", "compare_figures"]

#: What is not the product's but was chosen for this machine by who runs it.
CHOSEN: tuple[tuple[str, ...], ...] = (
    ("mig",),
    ("ecc", "current"),
    ("ecc", "pending"),
    ("persistence_mode",),
    ("compute_mode",),
    ("virtualization_mode",),
    ("vgpu",),
    ("accounting", "enabled"),
    ("power", "limit"),
    ("topology",),
)


class FigureDifference(Struct, frozen=True):
    """A figure of a scenario's GPU that its profile has otherwise."""

    gpu: int
    figure: str
    told: Any
    ours: Any


class FigureComparison(Struct, frozen=True):
    """A published machine beside its profiles.

    Attributes:
        tallies: "answer", "reading" -> how many of the figures that the scenario gives agree;
            identities and chosen modes are not counted, readings apart.
        differences: of the first kind.
    """

    tallies: dict[str, Tally]
    differences: tuple[FigureDifference, ...]

    @property
    def percent(self) -> float:
        """The fidelity figure: how many of a hundred figures agree."""
        return self.tallies[PLAIN].percent


def bare(scenario: Scenario) -> Scenario:
    """The same machine with its profiles' own figures.

    Its identities stay, the modes that were chosen for it, and what is wrong with it.
    """
    return scenario.but(gpus=[_bare(gpu) for gpu in scenario.gpus], capture=None)


def compare_figures(scenario: Scenario) -> FigureComparison:
    """Each figure that a scenario gives, beside what its GPU's profile has."""
    tallies = {kind: Tally() for kind in (PLAIN, READING)}
    differences = []
    whole, own = devices(scenario), devices(bare(scenario))
    counted = (gpu for gpu in scenario.gpus for _ in range(gpu.count))
    for index, (gpu, row, profile) in enumerate(zip(counted, whole, own, strict=True)):
        for path in _leaves(_given(gpu), row):
            name, ours, told = ".".join(path), _at(profile, path), _at(row, path)
            kind = kind_of_figure(name)
            if path[0] in IDENTITY or kind not in tallies or _is_chosen(path):
                continue
            tallies[kind].count(ours == told)
            if ours != told and kind == PLAIN:
                differences.append(FigureDifference(index, name, told, ours))
    return FigureComparison(tallies, tuple(differences))


def _bare(gpu: Gpu) -> Gpu:
    figures: dict[str, Any] = {}
    for path in CHOSEN:
        value = _at(gpu.figures, path)
        if value is not None:
            table = figures
            for part in path[:-1]:
                table = table.setdefault(part, {})
            table[path[-1]] = value
    kept = {name: getattr(gpu, name) for name in (*IDENTITY, "count", "failure")}
    return Gpu(gpu.profile, **kept, figures=figures)


def _given(gpu: Gpu) -> dict[str, Any]:
    """The figures of a scenario's GPU as the machine has them."""
    short = {
        "memory": {"total": gpu.memory_total, "used": gpu.memory_used},
        "temperature": {"gpu": gpu.temperature},
        "power": {"usage": gpu.power_usage},
    }
    made = {name: dict(table) for name, table in gpu.figures.items() if isinstance(table, Mapping)}
    for name, table in short.items():
        made.setdefault(name, {}).update({k: v for k, v in table.items() if v is not None})
    return {**gpu.figures, **{name: table for name, table in made.items() if table}}


def _leaves(given: Mapping[str, Any], row: Any, *above: str) -> Iterator[tuple[str, ...]]:
    """The paths of figures; a list is one."""
    for name, value in given.items():
        inside = row.get(name) if isinstance(row, Mapping) else None
        if isinstance(value, Mapping) and isinstance(inside, Mapping):
            yield from _leaves(value, inside, *above, name)
        else:
            yield (*above, name)


def _at(table: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        table = table.get(part) if isinstance(table, Mapping) else None
    return table


def _is_chosen(path: tuple[str, ...]) -> bool:
    return any(path[: len(chosen)] == chosen for chosen in CHOSEN)
