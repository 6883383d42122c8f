"""Scenarios in this very process: for tests of code that loads NVML or CUDA itself.

    with emulator.emulate("driver-not-loaded"):
        assert find_gpus() == []

The stubs are loaded by path, and answer to `libnvidia-ml.so.1` and `libcuda.so.1` from then on:
the dynamic linker knows loaded libraries by these names. What is loaded stays loaded, so every
scenario of a process has the first one's driver version; for another, or for libraries that are
missing or damaged, start a child process (`nvemu run`, `Testbed`).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .control import Control, Entry
from .machine import Machine
from .plans import find_scenario, plan_of
from .runtime import boot
from .runtime.session import Session
from .scenario import Scenario
from .scenario.errors import unhandled_text
from .scenario.loader import damages
from .stubfiles import SONAMES, stub

__all__ = ["Emulation", "EmulationError", "emulate", "loaded_driver"]

_loaded: dict[str, tuple[str, Any]] = {}


class EmulationError(RuntimeError):
    """This process cannot play the scenario, or (strict) the program went beyond nvemu."""


class Emulation:
    """A scenario at work in this process, from the beginning of a `with` block to its end.

    Args:
        scenario: a `Scenario`, the name of a built-in one, or a file's path; None is the
            built-in `default`.
        record: whether `calls` is kept: a record of each call, as in a trace.
        capture: whether they have the exact values in them that a capture has, see
            `emulator.runtime.exact`.

    Attributes:
        machine: the live machine; what is changed there, the next call answers.
        control: adds and clears faults, and changes the machine.
        calls: the records of the calls so far, see `emulator.runtime.trace`.

    Raises:
        ScenarioError: the scenario has a mistake.
        EmulationError: on entering, other NVIDIA libraries are loaded in this process already, or
            the scenario needs a process of its own; on leaving, in a strict scenario, functions
            that nvemu has no handler for were called.
    """

    machine: Machine
    control: Control

    def __init__(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        *,
        record: bool = False,
        capture: bool = False,
    ) -> None:
        self.scenario = find_scenario(scenario)
        self.plan = plan_of(self.scenario) | {"capture": capture}
        self.calls: list[dict[str, Any]] = []
        self._record = record
        self._session: Session
        self._before: Session | None = None
        self._environment: dict[str, str | None] = {}

    @property
    def unhandled(self) -> list[str]:
        """In a strict scenario, the functions called so far that nvemu has no handler for."""
        return list(self._session.unhandled) if self._session.strict else []

    def __enter__(self) -> Emulation:
        _check_loader(self.scenario)
        for library in SONAMES:
            _load(library, self.scenario.driver)
        self._before = boot.current()
        sink = self.calls.append if self._record else None
        self._session = boot.play(self.plan, sink)
        self._set_environment(dict(self.scenario.environment))
        self.machine = self._session.machine
        self.control = Control(self.plan["gpus"], _Direct(self._session))
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        boot.resume(self._before)
        self._session.end()
        self._set_environment(self._environment)
        if self._session.strict and self._session.unhandled and kind is None:
            raise EmulationError(unhandled_text(self._session.unhandled))

    def _set_environment(self, variables: dict[str, str | None] | dict[str, str]) -> None:
        self._environment = {name: os.environ.get(name) for name in variables}
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def emulate(scenario: Scenario | str | os.PathLike[str] | None = None) -> Iterator[Machine]:
    """Play `scenario` in this process until the block ends; gives its live machine.

    The short form of `Emulation`, which takes and raises the same.
    """
    with Emulation(scenario) as emulation:
        yield emulation.machine


def loaded_driver() -> str | None:
    """The driver version that this process has the stubs of; None when none are loaded."""
    return next((driver for driver, _ in _loaded.values()), None)


class _Direct:
    """Live control of a session in this process."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._entries: list[Entry] = []

    def send(self, make: Callable[[int], Entry]) -> Entry:
        with self._session.machine.lock:
            entry = make(sum("faults" in entry for entry in self._entries))
            self._entries.append(entry)
            self._session.control([dict(entry)])
        return entry

    def entries(self) -> list[Entry]:
        return list(self._entries)


def _check_loader(scenario: Scenario) -> None:
    damaged = [f"{library} is {copy.state}" for library, copy in damages(scenario.loader)]
    if damaged:
        problem = (
            f"{' and '.join(damaged)}: what the dynamic loader finds needs a process of its own; "
            "run the program in a Testbed, or under `nvemu run`"
        )
        if scenario.capture is not None:
            problem += (
                f"; or write a scenario with capture = {scenario.capture!r} and no loader states"
            )
        raise EmulationError(problem)


def _load(library: str, driver: str) -> None:
    if library in _loaded:
        if _loaded[library][0] != driver:
            raise EmulationError(
                f"this process plays driver {_loaded[library][0]} and cannot change to {driver}: "
                "run the test in a process of its own"
            )
        return
    loaded = ctypes.CDLL(str(stub(library, driver)))
    named = ctypes.CDLL(SONAMES[library])
    if named._handle != loaded._handle:
        raise EmulationError(
            f"this process has loaded another {SONAMES[library]} before: call `emulate` first"
        )
    _loaded[library] = (driver, loaded)
