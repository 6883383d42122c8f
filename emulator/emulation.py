"""Scenarios in this very process: for tests of code that loads NVML or CUDA itself.

    with emulator.emulate("driver-not-loaded"):
        assert find_gpus() == []

The stubs are loaded by path, and answer to `libnvidia-ml.so.1` and `libcuda.so.1` from then on:
the dynamic linker knows loaded libraries by these names. What is loaded stays loaded, so every
scenario of a process has the first one's driver version; for another, start a child process
(`nvemu run`).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .machine import Machine
from .plans import find_scenario, plan_of
from .runtime import boot
from .scenario import Scenario
from .stubfiles import SONAMES, stub

__all__ = ["EmulationError", "emulate"]

_loaded: dict[str, tuple[str, Any]] = {}


class EmulationError(RuntimeError):
    """This process cannot play the scenario, or (strict) the program went beyond nvemu."""


@contextmanager
def emulate(scenario: Scenario | str | os.PathLike[str] | None = None) -> Iterator[Machine]:
    """Play `scenario` in this process until the block ends; gives its live machine.

    Args:
        scenario: a `Scenario`, the name of a built-in one, or a TOML file's path; None is the
            built-in `default`.

    Raises:
        ScenarioError: the scenario has a mistake.
        EmulationError: other NVIDIA libraries are loaded in this process already; or, in a strict
            scenario, functions that nvemu has no handler for were called.
    """
    found = find_scenario(scenario)
    plan = plan_of(found)
    for library in SONAMES:
        _load(library, found.driver)
    before = boot.current()
    session = boot.play(plan)
    try:
        yield session.machine
    finally:
        boot.resume(before)
    if session.strict and session.unhandled:
        raise EmulationError(f"strict scenario: no handler answers {', '.join(session.unhandled)}")


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
