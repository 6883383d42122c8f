"""From whatever names a scenario to the plan that is played."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from . import scenario as scenarios
from .imports.captures.naming import is_capture
from .scenario import Scenario, ScenarioError, resolve
from .vocabulary import handlers, vocabulary

__all__ = ["find_scenario", "placed", "plan_of"]


def find_scenario(scenario: Scenario | str | os.PathLike[str] | None) -> Scenario:
    """A scenario as it is, or loaded by built-in name or path; None is the default.

    Of a capture's file it is the scenario that replays it.

    Raises:
        ScenarioError: there is none of that name, or its file has a mistake.
    """
    if isinstance(scenario, Scenario):
        return scenario
    if scenario is None:
        return scenarios.load("default")
    if not isinstance(scenario, (str, os.PathLike)):
        expected = "a Scenario, the name of a built-in one or the path of a file"
        raise ScenarioError(f"expected {expected}, found {scenario!r}")
    path = os.fspath(scenario)
    if is_capture(path):
        from .imports.captures.playing import scenario_of_file  # noqa: PLC0415  (few scenarios are one)

        return scenario_of_file(path).scenario
    return scenarios.load(path)


def plan_of(scenario: Scenario) -> dict[str, Any]:
    """The plan of `scenario`; ScenarioError when it cannot be played."""
    plan = resolve(scenario, vocabulary()) | {"handlers": placed()}
    if scenario.capture is not None:
        from .imports.captures.playing import answers_of  # noqa: PLC0415  (few scenarios have one)

        plan |= answers_of(scenario)
    return plan


@cache
def placed() -> dict[str, dict[str, str]]:
    """API -> module -> the functions that it has handlers for: a plan is read in each process."""
    placed: dict[str, dict[str, str]] = {}
    for api, modules in handlers().items():
        found = placed.setdefault(api, {})
        for function, module in modules.items():
            found[module] = f"{found[module]} {function}" if module in found else function
    return placed
