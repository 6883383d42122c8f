"""Which scenario a test plays: what its markers, the command line and the ini file say.

Imported by the plugin when the first test, or an option, asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from os import PathLike, fspath, sep
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ..plans import find_scenario, plan_of
from ..scenario import Scenario, ScenarioError, UnknownNameError, load, names
from ..scenario.errors import nearest, within
from .gpus import reason_to_part

__all__ = ["Chosen", "checked", "choose", "gallery"]


class Chosen(NamedTuple):
    """What `EmulatedGpus` is made of."""

    scenario: Scenario
    apart: str | None
    decoy: str | None


def choose(item: pytest.Item, default: Scenario) -> Chosen:
    """The scenario of a test: the gallery's, or what its markers say, on top of the default.

    Raises:
        ScenarioError: a marker has a mistake.
    """
    callspec = getattr(item, "callspec", None)
    of_gallery = callspec.params.get("gpu_gallery") if callspec else None
    if of_gallery is None and item.get_closest_marker("gpu_gallery"):
        problem = "expected a test that pytest can run once under each scenario"
        found = "found a method of a unittest.TestCase, or a mark on a parameter"
        raise ScenarioError(f"{problem}, {found}", key=("gpu_gallery",))
    scenario, in_process = _marked(item, of_gallery, default)
    apart = None
    if in_process is False:
        apart = "the marker says in_process=False"
    elif in_process is None:
        apart = reason_to_part(scenario)
        if apart is None and of_gallery and scenario.driver != default.driver:
            apart = f"its driver is {scenario.driver}, and other tests' is {default.driver}"
    # The stubs that a decoy loads must not decide the driver for tests that are still to come.
    same = of_gallery or scenario.driver == default.driver
    return Chosen(scenario, apart, default.driver if same else None)


def _marked(
    item: pytest.Item, of_gallery: str | None, default: Scenario
) -> tuple[Scenario, bool | None]:
    """The scenario, and whether it is to be played in this process; None leaves that open.

    From the nearest marker outwards, up to the first that names a scenario.
    """
    changes: dict[str, Any] = {}
    in_process: bool | None = None
    base = load(of_gallery) if of_gallery else default
    for marker in item.iter_markers("gpu_scenario"):
        named, asked, fields = _arguments(*marker.args, **marker.kwargs)
        if of_gallery and named is not None:
            break
        in_process = asked if in_process is None else in_process
        changes = fields | changes
        if named is not None:
            base = _found(named, item.path.parent)
            break
    return _changed(base, changes), in_process


def _arguments(
    *named: Any, scenario: Any = None, in_process: Any = None, **fields: Any
) -> tuple[Any, bool | None, dict[str, Any]]:
    """What a marker `gpu_scenario` says: the scenario, `in_process`, fields of the scenario."""
    given = [*named, *([] if scenario is None else [scenario])]
    if len(given) > 1:
        problem = f"expected one scenario, found {len(given)}"
        raise ScenarioError(problem, key=("gpu_scenario",))
    return (given[0] if given else None), _switch(in_process, "gpu_scenario"), fields


def _switch(in_process: Any, marker: str) -> bool | None:
    if in_process is not None and not isinstance(in_process, bool):
        problem = f"expected True or False, found {in_process!r}"
        raise ScenarioError(problem, key=(marker, "in_process"))
    return in_process


def _changed(scenario: Scenario, changes: dict[str, Any]) -> Scenario:
    """The scenario with fields replaced, by their Python names; it is still of its file."""
    if not changes:
        return scenario
    plan_of(scenario)  # what is wrong with its file is told with its place there
    with within("gpu_scenario"):
        _check(changes, type(scenario).__struct_fields__, "expected a field of Scenario")
        try:
            made = scenario.but(**changes)
            plan_of(made)
        except ScenarioError as error:
            error.file = error.line = None
            raise
    return made


def _found(named: Any, folder: Path) -> Scenario:
    """The scenario itself, or that of a name or of a file in a folder.

    Whatever ends in .toml or .py or has a slash is a file.
    """
    is_path = isinstance(named, PathLike) or (
        isinstance(named, str) and (named.endswith((".toml", ".py")) or sep in named)
    )
    return find_scenario(Path(folder, fspath(named)) if is_path else named)


def checked(named: str, folder: Path) -> Scenario:
    """The scenario of a name or of a file in a folder, known to be playable.

    Raises:
        ScenarioError: there is none, or it has a mistake.
    """
    scenario = _found(named, folder)
    plan_of(scenario)
    return scenario


def gallery(marker: pytest.Mark | None, driver: str) -> list[str]:
    """The names of the built-in scenarios that a marker selects; without one, all.

    Args:
        marker: the test's `gpu_gallery`.
        driver: the driver version of this process.

    Raises:
        ScenarioError: a pattern matches no scenario, or an argument is unknown.
    """
    known = list(names().scenarios)
    patterns, options = (marker.args, marker.kwargs) if marker else ((), {})
    excluded = options.get("exclude", ())
    excluded = (excluded,) if isinstance(excluded, str) else tuple(excluded)
    with within("gpu_gallery"):
        _check(options, ("exclude", "in_process"), "expected an argument")
        for pattern in (*patterns, *excluded):
            if not _matches(pattern, known):
                _check((pattern,), known, "expected a built-in scenario or a glob")
    chosen = set().union(*(_matches(pattern, known) for pattern in patterns or ("*",)))
    chosen -= set().union(*(_matches(pattern, known) for pattern in excluded))
    if _switch(options.get("in_process"), "gpu_gallery"):
        chosen = {name for name in chosen if _plays_here(load(name), driver)}
    return sorted(chosen)


def _plays_here(scenario: Scenario, driver: str) -> bool:
    return scenario.driver == driver and reason_to_part(scenario) is None


def _matches(pattern: object, known: Sequence[str]) -> set[str]:
    return {name for name in known if isinstance(pattern, str) and fnmatchcase(name, pattern)}


def _check(found: Iterable[object], known: Sequence[str], expected: str) -> None:
    """Refuse a name that is not known."""
    for name in found:
        if name not in known:
            raise UnknownNameError(f"{expected}, found {name!r}{nearest(name, known)}")
