"""No exported function of any driver's table crashes its host, whatever it is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emulator import Fault, Gpu, Scenario, Testbed
from emulator.machine import DRIVERS
from emulator.symbols import recorded_tables

CLIENT = Path(__file__).parent / "call_every.py"
FAULTS = {
    "failed": [
        Fault("nvmlInit*", returns="DRIVER_NOT_LOADED"),
        Fault("cuInit", returns="CUDA_ERROR_NO_DEVICE"),
    ]
}


@pytest.mark.parametrize("arguments", ["null", "valid"])
@pytest.mark.parametrize("phase", ["before", "failed", "ready"])
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("library", ["nvml", "cuda"])
def test_every_function(library: str, driver: str, phase: str, arguments: str) -> None:
    scenario = Scenario(
        driver=driver, gpus=[Gpu("a100-sxm4-80gb", count=2)], faults=FAULTS.get(phase, ())
    )
    with Testbed(scenario) as testbed:
        done = subprocess.run(
            [sys.executable, CLIENT, library, phase, arguments],
            env=testbed.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    called = done.stdout.splitlines()
    assert done.returncode == 0, f"died in {called[-1]}: {done.stderr}"
    assert done.stderr == ""
    functions = set(recorded_tables(library)[driver].of_type("FUNC")) - {"cudbgMain"}
    assert {line.partition(" ")[0] for line in called[:-1]} == functions
    assert int(called[-1]) == len(functions)
