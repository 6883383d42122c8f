"""Functions that the driver of this process has not: asked in a process of their own.

As a program it evaluates expressions of Python, in which `h` are the devices' handles, and prints
their values as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import nvml_asking
import pynvml

from emulator import Gpu, Scenario

__all__ = ["NEWEST", "values"]

NEWEST = "615.71"  # has all functions that headers declare


def values(
    run_in: Callable[..., subprocess.CompletedProcess[str]],
    gpus: Sequence[Gpu],
    *expressions: str,
    **scenario: Any,
) -> list[Any]:
    """What expressions yield on a machine with `gpus`, one after the other; under that driver,
    unless the scenario has another."""
    made = Scenario(gpus=gpus, **{"driver": NEWEST, **scenario})
    done = run_in(made, [sys.executable, __file__, *expressions])
    assert done.stderr == ""
    found: list[Any] = json.loads(done.stdout)
    return found


def main(expressions: list[str]) -> None:
    pynvml.nvmlInit()
    count = pynvml.nvmlDeviceGetCount()
    names = {name: getattr(nvml_asking, name) for name in nvml_asking.__all__}
    names["h"] = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    print(json.dumps([eval(each, names) for each in expressions]))


if __name__ == "__main__":
    main(sys.argv[1:])
