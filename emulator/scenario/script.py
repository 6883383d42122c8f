"""Scenarios as Python: a script with a `scenario`, and functions that play a part in it.

    from emulator import Gpu, Scenario, at, fault

    scenario = Scenario(gpus=[Gpu("t4", count=2)])

    @fault("nvmlDeviceGetTemperature", device=1)
    def hot(call):
        return {"temp": 60 + call.number}

    @at("30 s")
    def lose_the_second(machine):
        machine.devices[1].failure = "lost"

The script runs once where the scenario is loaded, and once in each process that needs one of its
functions, with the declarations doing nothing there: see ``emulator.runtime.hooks``.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, TypeVar

from .errors import ScenarioError, ScenarioFileError
from .schema import Change, Fault, Scenario

__all__ = ["at", "fault", "run_script"]

Function = TypeVar("Function", bound=Callable[..., Any])

_PARTS = "__nvemu_parts__"


def fault(function: str | list[str], **fields: Any) -> Callable[[Function], Function]:
    """Have the decorated function answer calls: ``Fault(function, run=..., **fields)``."""
    return _part(lambda run: Fault(function, run=run, **fields))


def at(time: float | str, **fields: Any) -> Callable[[Function], Function]:
    """Have the decorated function change the machine: ``Change(at=time, run=..., **fields)``."""
    return _part(lambda run: Change(at=time, run=run, **fields))


def _part(make: Callable[[Any], Fault | Change]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        parts = vars(function).setdefault(_PARTS, [])
        parts.insert(0, make(function))  # the decorator nearest to the function comes first
        return function

    return decorate


def run_script(text: str, file: str, name: str) -> Scenario:
    """Return the scenario that a Python script describes.

    Args:
        text: the script.
        file: its path, for messages and for the processes that run its functions.
        name: the scenario's name if the script does not say it.

    Raises:
        ScenarioError: the script fails, or leaves no ``Scenario`` called ``scenario``.
    """
    made: dict[str, Any] = {"__name__": "nvemu_scenario", "__file__": os.path.abspath(file)}
    try:
        exec(compile(text, os.path.abspath(file), "exec"), made)
    except SyntaxError as error:
        raise ScenarioFileError(
            f"expected Python, but: {error.msg}", file=file, line=error.lineno
        ) from None
    except (Exception, SystemExit) as error:
        raise _failure(error, file) from None
    scenario = made.get("scenario")
    if not isinstance(scenario, Scenario):
        problem = f"expected a Scenario called 'scenario', found {type(scenario).__name__}"
        raise ScenarioError(problem, file=file)
    parts = list(_parts(made))
    return scenario.but(
        name=scenario.name or name,
        description=scenario.description or (made.get("__doc__") or "").strip().partition("\n")[0],
        faults=[*scenario.faults, *(part for part in parts if isinstance(part, Fault))],
        changes=[*scenario.changes, *(part for part in parts if isinstance(part, Change))],
    )


def _parts(made: dict[str, Any]) -> Iterator[Fault | Change]:
    for value in made.values():
        if isinstance(value, FunctionType) and value.__globals__ is made:
            yield from vars(value).get(_PARTS, ())


def _failure(error: BaseException, file: str) -> ScenarioError:
    """What a script raised, at the line of the script where it did."""
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.lineno for step in steps if step.filename == os.path.abspath(file)]
    problem = str(error) if isinstance(error, ScenarioError) else f"{type(error).__name__}: {error}"
    return ScenarioError(problem, file=file, line=lines[-1] if lines else None)
