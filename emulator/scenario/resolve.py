"""From a scenario to its plan: the flat JSON that code inside a foreign process reads.

    {"format": 3, "name": ..., "driver": "580.126.09", "driver_version": "580.126.09",
     "cuda": 13000, "strict": false, "user": null,
     "clock": {"rate": 1.0},
     "gpus": [{"index": 0, "name": ..., "memory": {"total": ...}, ...}],
     "faults": [{"name": "fault[0]", "library": "nvml", "functions": [...],
                 "devices": null, "calls": [[2, 4, 1], [6, null, 1]], "code": 15}],
     "changes": [{"at": 30000000000, "devices": [1], "set": {"failure": "lost"}}],
     "kernels": [{"name": "saxpy*", "run": ["/home/me/lab.py", "saxpy"]}]}

A GPU's table has the shape of ``emulator.machine.Device``. Tables may be shared between GPUs: a
plan is read, never changed.
"""

from __future__ import annotations

import os
from typing import Any

from ..machine import DRIVERS, FORMAT
from .changes import changes
from .devices import devices
from .errors import ScenarioError
from .faults import rules
from .kernels import kernels
from .loader import check_driver
from .schema import Scenario
from .times import parse_rate
from .vocabulary import Vocabulary

__all__ = ["resolve"]


def resolve(scenario: Scenario, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the plan of a scenario: every default filled in, every name checked.

    Equal scenarios have equal plans.

    Raises:
        UnknownNameError: a profile, function or code that nothing is known by.
        ScenarioError: figures that contradict each other, GPUs that share an identity, a product
            that the driver does not support.
    """
    source = scenario.__dict__.get("source")
    folder = os.path.dirname(source.file) if source else ""
    try:
        gpus = devices(scenario)
        faults = rules(scenario.faults, gpus, vocabulary, folder)
        check_driver(scenario.loader, scenario.driver, vocabulary)
        scheduled = changes(scenario.changes, gpus, folder)
        functions = kernels(scenario.kernels, folder)
    except ScenarioError as error:
        raise scenario.locate(error) from None
    return {
        "format": FORMAT,
        "name": scenario.name,
        "driver": scenario.driver,
        "driver_version": scenario.reported_driver,
        "cuda": _cuda(scenario),
        "strict": scenario.strict,
        "user": scenario.user,
        "clock": {"rate": parse_rate(scenario.clock)},
        "gpus": gpus,
        "faults": faults,
        "changes": scheduled,
        "kernels": functions,
    }


def _cuda(scenario: Scenario) -> int:
    """The CUDA version as libcuda reports it."""
    if scenario.cuda_version is None:
        return DRIVERS[scenario.driver]
    major, minor = scenario.cuda_version.split(".")
    return int(major) * 1000 + int(minor) * 10
