"""From a scenario to its plan: the flat JSON that code inside a foreign process reads.

    {"format": 1, "name": ..., "driver": "580.126.09", "cuda": 13000, "strict": false,
     "gpus": [{"index": 0, "name": ..., "memory": {"total": ...}, ...}],
     "faults": [{"rule": 0, "library": "nvml", "functions": [...], "device": null,
                 "calls": [[2, 4], [6, null]], "code": 15}]}

A GPU's table has the shape of ``emulator.machine.Device``. Tables may be shared between GPUs: a
plan is read, never changed.
"""

from __future__ import annotations

from typing import Any

from ..machine import DRIVERS, FORMAT
from .devices import devices
from .errors import ScenarioError
from .faults import rules
from .schema import Scenario
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
    try:
        gpus = devices(scenario)
        faults = rules(scenario.faults, gpus, vocabulary)
    except ScenarioError as error:
        raise scenario.locate(error) from None
    return {
        "format": FORMAT,
        "name": scenario.name,
        "driver": scenario.driver,
        "cuda": DRIVERS[scenario.driver],
        "strict": scenario.strict,
        "gpus": gpus,
        "faults": faults,
    }
