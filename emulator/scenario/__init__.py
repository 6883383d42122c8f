"""Scenarios: what users write, checked and resolved into the plan that a machine is built from.

Not loaded in foreign processes: Python 3.11 and later, and msgspec.
"""

from __future__ import annotations

from .catalogue import Names, load, names, parse_gpus
from .changes import changes
from .errors import ScenarioError, ScenarioFileError, UnknownNameError
from .faults import rules
from .kernels import kernels
from .loader import Loader
from .resolve import resolve
from .schema import Change, Fault, Gpu, Kernel, Scenario
from .script import at, fault, kernel
from .toml import dumps, loads
from .vocabulary import Signature, Vocabulary

__all__ = [
    "Change",
    "Fault",
    "Gpu",
    "Kernel",
    "Loader",
    "Names",
    "Scenario",
    "ScenarioError",
    "ScenarioFileError",
    "Signature",
    "UnknownNameError",
    "Vocabulary",
    "at",
    "changes",
    "dumps",
    "fault",
    "kernel",
    "kernels",
    "load",
    "loads",
    "names",
    "parse_gpus",
    "resolve",
    "rules",
]
