"""From facts to a scenario: profiles, identities, and the figures that a profile has otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from ..machine.changes import elements
from ..machine.drivers import DRIVERS, cuda_version
from ..scenario import Gpu, Scenario, ScenarioError
from ..scenario.devices import devices
from ..scenario.errors import within
from ..scenario.profiles import profile
from ..scenario.tree import PLACES
from ..scenario.wiring import listed
from .choosing import Choice, choose_driver, choose_profile
from .facts import Facts, GpuFacts, Note, Told
from .figures import IDENTITY, checked, may_lack

__all__ = ["Difference", "Imported", "scenario_of"]


class Difference(Struct, frozen=True):
    """A figure that is told otherwise than nvemu's profile has it."""

    gpu: int
    told: Told
    ours: Any


class Imported(Struct, frozen=True):
    """The scenario that facts make.

    Attributes:
        scenario: which machine it is.
        notes: what is not as it is told, and why.
        told: how many figures are told in all, identities not counted.
        differences: those that the profiles have otherwise, which the scenario gives.
    """

    scenario: Scenario
    notes: tuple[Note, ...]
    told: int
    differences: tuple[Difference, ...]


def scenario_of(facts: Facts, name: str = "", *, whole: bool = False, **fields: Any) -> Imported:
    """Make the scenario of a machine.

    Args:
        facts: what is told of it.
        name: the scenario's.
        whole: whether it gives every figure that is told, also those that the profiles have so.
        fields: others of the scenario's.

    Raises:
        ScenarioError: what is told contradicts itself, or a GPU cannot be told at all.
    """
    with _placing(facts):
        return _scenario_of(facts, name, whole, fields)


def _scenario_of(facts: Facts, name: str, whole: bool, fields: dict[str, Any]) -> Imported:
    choices = [choose_profile(gpu) for gpu in facts.gpus]
    names = [choice for choice, _ in choices]
    driver, notes = _driver(facts, names)
    bare = Scenario(
        name=name,
        origin=facts.origin or (),
        driver=driver,
        driver_version=None if facts.driver in ("", driver) else facts.driver,
        cuda_version=None if facts.cuda in ("", _cuda(driver)) else facts.cuda,
        gpus=list(map(_bare, names, facts.gpus, range(len(names)))),
        faults=facts.faults,
        **fields,
    )
    told = [_figures(gpu) for gpu in facts.gpus]
    rows = [{**row, "nvlinks": listed(row["nvlinks"])} for row in devices(bare)]
    differences = [
        Difference(index, each, ours)
        for index, (row, figures) in enumerate(zip(rows, told, strict=True))
        for each in figures
        if (ours := _held(row, each)) is not AGREES
    ]
    differing: list[list[Told]] = [[] for _ in told]
    for difference in differences:
        differing[difference.gpu].append(difference.told)
    gpus = list(map(_completed, bare.gpus, rows, told if whole else differing))
    scenario = bare.but(gpus=gpus)
    devices(scenario)
    return Imported(
        scenario=scenario,
        notes=tuple(dict.fromkeys((*facts.notes, *notes, *_of(choices)))),
        told=sum(map(len, told)),
        differences=tuple(differences),
    )


@contextmanager
def _placing(facts: Facts) -> Iterator[None]:
    """Say where the source tells what a GPU cannot be or have."""
    try:
        yield
    except ScenarioError as error:
        if error.key[:1] == ("gpu",) and len(error.key) > 2:
            index, *rest = error.key[1:]
            path = tuple(rest[1:] if rest[0] == "figures" else rest)
            told = next((each for each in facts.gpus[int(index)] if _about(each.path, path)), None)
            if told is not None and told.where:
                error.problem = f"{told.where}: {error.problem}"
        raise


def _about(path: tuple[str, ...], other: tuple[str | int, ...]) -> bool:
    """Whether one path leads to a part of what the other leads to."""
    return all(one == two for one, two in zip(path, other, strict=False))


def _of(choices: list[Choice]) -> list[Note]:
    """The notes of choices; GPUs of one unknown product have one."""
    found = {note.text: note for _, notes in choices for note in notes}
    return list(found.values())


def _cuda(driver: str) -> str:
    return cuda_version(DRIVERS[driver])


def _driver(facts: Facts, names: list[str]) -> tuple[str, tuple[Note, ...]]:
    needed = max((profile(name).placement.first_driver for name in names), default=0)
    return choose_driver(facts.driver, needed)


def _bare(name: str, facts: GpuFacts, index: int) -> Gpu:
    """A GPU of the profile with the identity that is told."""
    known = profile(name)
    told = {part: facts.value(part) for part in IDENTITY}
    if told["name"] == known.figures["name"]:
        told["name"] = None
    has_none = facts.find("serial") is not None and told["serial"] is None
    if has_none and known.placement.serial_prefix is not None:
        told["serial"] = "N/A"
    with within("gpu", index):
        return Gpu(name, **told)


def _figures(facts: GpuFacts) -> list[Told]:
    return [told for told in facts if told.path[0] not in IDENTITY]


# ---- what is told otherwise

#: What `_held` returns for a figure that the profile has as it is told.
AGREES = object()


def _held(row: Mapping[str, Any], told: Told) -> Any:
    """What nvemu's own device has for a figure; AGREES where that is what is told.

    Raises:
        ScenarioError: there is no such figure, or it cannot be what is told.
    """
    wanted = _checked(told)
    held = _values(row, told.path)
    if wanted == [] and not may_lack(told.path):  # a list that every product has: none is empty
        held = [each or [] for each in held]
    if held and all(_agree(each, wanted, told.step) for each in held):
        return AGREES
    return held[0] if held else None


def _checked(told: Told) -> Any:
    """The value that is told, as the machine takes it."""
    try:
        return checked(told.path, told.value)
    except ScenarioError as error:
        problem = f"{told.where}: {error.problem}" if told.where else error.problem
        raise ScenarioError(problem, key=error.key) from None


def _values(table: Any, path: tuple[str, ...]) -> list[Any]:
    """What a device's table has at a path; several where that goes through a list's places."""
    if not path:
        return [table]
    first, *rest = path
    if isinstance(table, list) and PLACES.fullmatch(first):
        return [found for each in elements(table, first) for found in _values(each, tuple(rest))]
    return _values(table.get(first), tuple(rest)) if isinstance(table, Mapping) else [None]


def _agree(ours: Any, told: Any, step: int) -> bool:
    if isinstance(ours, Mapping) and isinstance(told, Mapping):
        names = ours.keys() | told.keys()
        return all(_agree(ours.get(name), told.get(name), step) for name in names)
    if isinstance(ours, (list, tuple)) and isinstance(told, (list, tuple)):
        return len(ours) == len(told) and all(map(_agree, ours, told, [step] * len(ours)))
    if step and ours is not None and told is not None:
        return bool(abs(ours - told) < step)
    return bool(ours == told)


def _completed(gpu: Gpu, row: Mapping[str, Any], given: list[Told]) -> Gpu:
    """A GPU with figures of its own."""
    figures: dict[str, Any] = {}
    for told in given:
        _put(figures, told, row)
    fields = {name: getattr(gpu, name) for name in IDENTITY}
    return Gpu(gpu.profile, **fields, figures=figures)


def _put(figures: dict[str, Any], told: Told, row: Mapping[str, Any]) -> None:
    *parts, last = told.path
    if "all" in parts and not _values(row, tuple(parts[: parts.index("all")]))[0]:
        # The product has no such list: one row makes it.
        before = parts[: parts.index("all")]
        rows = _table(figures, before[:-1]).setdefault(before[-1], [{}])
        rows[0][last] = told.value
    else:
        _table(figures, parts)[last] = told.value


def _table(figures: dict[str, Any], path: list[str]) -> dict[str, Any]:
    for part in path:
        figures = figures.setdefault(part, {})
    return figures
