"""nvemu: scripted NVIDIA GPUs on machines that have none."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .emulation import Emulation, EmulationError, emulate
    from .machine import Device, Machine
    from .scenario import (
        Change,
        Fault,
        Gpu,
        Kernel,
        Loader,
        Scenario,
        ScenarioError,
        at,
        fault,
        kernel,
    )
    from .testbed import Testbed
    from .testing import EmulatedGpus
    from .version import __version__

__all__ = [
    "Change",
    "Device",
    "EmulatedGpus",
    "Emulation",
    "EmulationError",
    "Fault",
    "Gpu",
    "Kernel",
    "Loader",
    "Machine",
    "Scenario",
    "ScenarioError",
    "Testbed",
    "__version__",
    "at",
    "emulate",
    "fault",
    "kernel",
]

_HOMES = {
    "Change": "scenario",
    "Device": "machine",
    "EmulatedGpus": "testing",
    "Emulation": "emulation",
    "EmulationError": "emulation",
    "Fault": "scenario",
    "Gpu": "scenario",
    "Kernel": "scenario",
    "Loader": "scenario",
    "Machine": "machine",
    "Scenario": "scenario",
    "ScenarioError": "scenario",
    "Testbed": "testbed",
    "__version__": "version",
    "at": "scenario",
    "emulate": "emulation",
    "fault": "scenario",
    "kernel": "scenario",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import emulator` alone costs next to nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
