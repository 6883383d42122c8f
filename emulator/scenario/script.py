"""Scenarios as Python: a script with a `scenario`, and functions that play a part in it.

    from emulator import Gpu, Scenario, at, fault, kernel

    scenario = Scenario(gpus=[Gpu("t4", count=2)])

    @fault("nvmlDeviceGetTemperature", device=1)
    def hot(call):
        return {"temp": 60 + call.number}

    @at("30 s")
    def lose_the_second(machine):
        machine.devices[1].failure = "lost"

    @kernel("saxpy")
    def saxpy(launch):
        n, a, x, y = launch.unpack("I", "f", "f*", "f*")
        for i in range(n):
            y[i] += a * x[i]

The script runs once where the scenario is loaded, and once in each process that needs one of its
functions, with the declarations doing nothing there: see ``emulator.runtime.hooks``.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from msgspec import Struct

from ..scriptfile import ScriptFile
from .errors import Key, ScenarioError, ScenarioFileError
from .hooks import check_portable
from .schema import Change, Fault, Kernel, Scenario

__all__ = ["at", "fault", "kernel", "run_script"]

Function = TypeVar("Function", bound=Callable[..., Any])


class Part(Struct, frozen=True):
    """A decorated function of a script, what it is decorated to be, and on which line."""

    function: Callable[..., Any]
    made: Fault | Change | Kernel
    line: int


class ScriptSource(Struct, frozen=True):
    """The script that a scenario is of, for messages; see ``Source`` for that of a TOML file.

    `lines` has the line of a fault, change or kernel (its key path) that a decorator has made.
    """

    file: str
    lines: Mapping[Key, int]
    replaced: frozenset[str] = frozenset()

    def locate(self, error: ScenarioError) -> ScenarioError:
        """Give an error its file and, where a decorated function has it, the line."""
        if error.file in (None, os.path.abspath(self.file)):
            error.file = self.file
            error.line = self.lines.get(error.key[:2], error.line)
        return error


#: Of the script that is being run.
_parts: ContextVar[list[Part] | None] = ContextVar("_parts", default=None)


def fault(function: str | list[str], **fields: Any) -> Callable[[Function], Function]:
    """Have the decorated function answer calls: ``Fault(function, run=..., **fields)``."""
    _check_arguments(function, '@fault("nvmlInit*")')
    return _part(lambda run: Fault(function, run=run, **fields))


def at(time: float | str, **fields: Any) -> Callable[[Function], Function]:
    """Have the decorated function change the machine: ``Change(at=time, run=..., **fields)``."""
    _check_arguments(time, '@at("30 s")')
    return _part(lambda run: Change(at=time, run=run, **fields))


def kernel(name: str) -> Callable[[Function], Function]:
    """Have the decorated function do the work of CUDA kernels: ``Kernel(name, run=...)``."""
    _check_arguments(name, '@kernel("saxpy*")')
    return _part(lambda run: Kernel(name, run))


def _check_arguments(first: object, example: str) -> None:
    if callable(first) or isinstance(first, (staticmethod, classmethod)):
        problem = f"expected arguments, such as {example}, found the function itself"
        raise ScenarioError(problem)


def _part(make: Callable[[Any], Fault | Change | Kernel]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        made = make(function)
        parts = _parts.get()
        if parts is not None:  # those of one function in the order that they are written in
            known = (place for place, part in enumerate(parts) if part.function is function)
            place = next(known, len(parts))
            parts.insert(place, Part(function, made, sys._getframe(1).f_lineno))
        return function

    return decorate


def run_script(text: str, file: str, name: str) -> Scenario:
    """Return the scenario that a Python script describes.

    Args:
        text: the script.
        file: its path, for messages and for the processes that run its functions.
        name: the scenario's name if the script does not say it.

    Raises:
        ScenarioError: the script fails, or leaves no ``Scenario`` called ``scenario``; it has a
            function that other processes cannot run.
    """
    script = ScriptFile(file)
    parts: list[Part] = []
    token = _parts.set(parts)
    try:
        made = script.run(text)
    except BaseException as error:
        if _is_the_users(error):
            raise
        raise _failure(error, file) from None
    finally:
        _parts.reset(token)
    scenario = made.get("scenario")
    if not isinstance(scenario, Scenario):
        problem = f"expected a Scenario called 'scenario', found {type(scenario).__name__}"
        raise ScenarioError(problem, file=file)
    doc = (made.get("__doc__") or "").strip().partition("\n")[0]
    faults = [part.made for part in parts if isinstance(part.made, Fault)]
    changes = [part.made for part in parts if isinstance(part.made, Change)]
    kernels = [part.made for part in parts if isinstance(part.made, Kernel)]
    whole = scenario.but(
        name=scenario.name or name,
        description=scenario.description or doc,
        faults=[*scenario.faults, *faults],
        changes=[*scenario.changes, *changes],
        kernels=[*scenario.kernels, *kernels],
    )
    if "source" not in vars(whole):  # else it was read from another file, and then changed here
        vars(whole)["source"] = ScriptSource(file, _lines(whole, parts))
    check_portable(whole)
    _check_found(parts, script, file)
    return whole


def _is_the_users(error: BaseException) -> bool:
    """Whether a Ctrl-C or a signal handler raised it, not the script.

    Where Python does not make a Ctrl-C a KeyboardInterrupt, it is the script's.
    """
    if isinstance(error, KeyboardInterrupt):
        return signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return not isinstance(error, (Exception, SystemExit))


def _lines(scenario: Scenario, parts: list[Part]) -> dict[Key, int]:
    """The lines of what decorators have made, which stands behind what the scenario has itself."""
    lines: dict[Key, int] = {}
    rows: dict[str, Sequence[Fault | Change | Kernel]] = {
        "fault": scenario.faults,
        "change": scenario.changes,
        "kernel": scenario.kernels,
    }
    for table, entries in rows.items():
        made = (
            [part for part in parts if isinstance(part.made, type(entries[-1]))] if entries else []
        )
        first = len(entries) - len(made)
        lines |= {(table, first + index): part.line for index, part in enumerate(made)}
    return lines


def _check_found(parts: list[Part], script: ScriptFile, file: str) -> None:
    """Check that processes find, by its name, what was decorated."""
    own = [vars(module) for module in script.modules.values()]
    for part in parts:
        function = part.function
        name, names = function.__name__, function.__globals__
        if not any(names is each for each in own):
            where = function.__code__.co_filename
            problem = (
                f"expected functions of the script or of files beside it, found one of {where}"
            )
        elif names.get(name) is not function:
            problem = f"expected a function of its own name, found another {name!r} later"
        else:
            continue
        raise ScenarioError(problem, file=file, line=part.line)


def _failure(error: BaseException, file: str) -> ScenarioError:
    """What a script raised, at the line of the script where it did."""
    path = os.path.abspath(file)
    if isinstance(error, SyntaxError) and error.filename == path:
        problem = f"expected Python, but: {error.msg}"
        return ScenarioFileError(problem, file=file, line=error.lineno)
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.lineno for step in steps if step.filename == path]
    said = str(error) if isinstance(error, ScenarioError) else f"{type(error).__name__}: {error}"
    return ScenarioError(said.rstrip(": "), file=file, line=lines[-1] if lines else None)
