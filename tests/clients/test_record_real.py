"""NVIDIA's own libraries recorded, beside the captures of them in tests/captures.

The variable NVEMU_REAL_DRIVERS names a folder that has them, one folder a driver. Where no GPU is,
they answer all that a driver without one does.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator import Testbed
from emulator.imports.captures.format import read
from emulator.recording.fidelity import compared, own_machine
from emulator.recording.recorder import record

FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
CAPTURES = Path(__file__).parents[1] / "captures"
DRIVERS = sorted(path.parent.name for path in Path(FOLDER).glob("*/nvidia-smi")) if FOLDER else []

pytestmark = [
    pytest.mark.skipif(
        not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
    ),
    pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="a driver is loaded here"),
    pytest.mark.parametrize("driver", DRIVERS or ["none"]),
]


@pytest.fixture(autouse=True)
def _installed(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{FOLDER}/{driver}")


def test_the_driver_answers_what_was_recorded_of_it(driver: str) -> None:
    capture = read(CAPTURES / f"without-gpu-{driver}.capture")
    comparison, fatal = compared(capture, None)
    assert (comparison.differences, fatal) == ((), ())
    assert comparison.tallies["answer"].all + comparison.refusals >= len(capture.calls)


def test_all_that_can_be_asked_is_in_the_capture(driver: str) -> None:
    with Testbed(real=True, trace=True, capture=True) as testbed:
        made = record(testbed)
    assert made.fatal == ()
    assert made.calls == read(CAPTURES / f"without-gpu-{driver}.capture").calls


def test_nvemu_answers_the_same(driver: str) -> None:
    capture = read(CAPTURES / f"without-gpu-{driver}.capture")
    comparison, fatal = compared(capture, own_machine(capture))
    assert (comparison.differences, fatal) == ((), ())
