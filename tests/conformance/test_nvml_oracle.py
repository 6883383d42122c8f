"""Our NVML beside the real one, on a machine without a driver: every function, every driver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from emulator import Testbed
from emulator.plans import find_scenario

CLIENT = Path(__file__).parent.parent / "abi" / "call_every.py"
REAL = os.environ.get("NVEMU_REAL_DRIVERS")
REASON = "NVEMU_REAL_DRIVERS names no folder of real libraries (nox -s real)"
DRIVERS = sorted(path.name for path in Path(REAL).iterdir()) if REAL else ["none"]

# What our library answers otherwise, and why.
KNOWN = {
    "nvmlRetry_NvRmControl": "internal, of drivers up to 525; answers a code of the kernel driver",
}

pytestmark = pytest.mark.skipif(not REAL, reason=REASON)


@pytest.mark.parametrize("arguments", ["null", "valid"])
@pytest.mark.parametrize("phase", ["before", "failed"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_every_function(driver: str, phase: str, arguments: str) -> None:
    expected = answers(os.environ | {"LD_LIBRARY_PATH": f"{REAL}/{driver}"}, phase, arguments)
    scenario = msgspec.structs.replace(find_scenario("driver-not-loaded"), driver=driver)
    with Testbed(scenario) as testbed:
        actual = answers(testbed.environment(), phase, arguments)
    assert len(expected) > 250
    assert differing(expected, actual) == {}


def answers(environment: Mapping[str, str], phase: str, arguments: str) -> dict[str, str]:
    """Function -> what it returned."""
    done = subprocess.run(
        [sys.executable, CLIENT, "nvml", phase, arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    pairs = (line.split(" ") for line in done.stdout.splitlines()[:-1])
    return {name: status for name, status in pairs if name != "nvmlErrorString"}


def differing(expected: Mapping[str, str], actual: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Function -> what the real library and ours return, where they differ."""
    both = {name: (expected[name], actual.get(name, "absent")) for name in expected}
    return {n: pair for n, pair in both.items() if pair[0] != pair[1] and n not in KNOWN}
