"""Scenarios: what users write, checked and resolved into the plan that a machine is built from.

Not loaded in foreign processes: Python 3.11 and later, and msgspec.
"""

from __future__ import annotations

from .catalogue import Names, load, names, parse_gpus
from .errors import ScenarioError, ScenarioFileError, UnknownNameError
from .resolve import resolve
from .schema import Fault, Gpu, Scenario
from .toml import dumps, loads
from .vocabulary import Vocabulary

__all__ = [
    "Fault",
    "Gpu",
    "Names",
    "Scenario",
    "ScenarioError",
    "ScenarioFileError",
    "UnknownNameError",
    "Vocabulary",
    "dumps",
    "load",
    "loads",
    "names",
    "parse_gpus",
    "resolve",
]
