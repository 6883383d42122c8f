"""A trace that has calls before they are made: what a hang or a crash inside one leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import Fault, Scenario, Testbed
from emulator.testing import Calls
from emulator.trace import line, records

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
import ctypes, sys
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
device, number = ctypes.c_void_p(), ctypes.c_uint()
nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device))
nvml.nvmlDeviceGetTemperature(device, 0, ctypes.byref(number))
"""

#: A uuid at an address where nothing is.
CRASH = f"""{PROGRAM}
nvml.nvmlDeviceGetHandleByUUID(ctypes.c_void_p(8192), ctypes.byref(device))
"""


def trace(
    program: str, scenario: Scenario | None = None, begun: bool = True
) -> tuple[int, list[dict[str, Any]]]:
    """How a program ended, and its records."""
    with Testbed(scenario, trace=True, begun=begun) as testbed:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=testbed.environment(), check=False, timeout=60)
        return done.returncode, list(records(testbed.trace_file))


def steps(found: list[dict[str, Any]]) -> list[str]:
    """The records' functions and statuses."""
    return [f"{record['function']} {record['status']}" for record in found]


def test_each_call_has_a_record_before_and_one_after() -> None:
    _, found = trace(PROGRAM)
    assert steps(found) == [
        "nvmlInit_v2 CALLED",
        "nvmlInit_v2 SUCCESS",
        "nvmlDeviceGetHandleByIndex_v2 CALLED",
        "nvmlDeviceGetHandleByIndex_v2 SUCCESS",
        "nvmlDeviceGetTemperature CALLED",
        "nvmlDeviceGetTemperature SUCCESS",
    ]
    called, answered = found[4:]
    assert called["code"] is None
    assert all(called[key] == answered[key] for key in ("t", "pid", "tid", "library"))
    before = called["arguments"]
    assert {**before, "temp": None} == {**answered["arguments"], "temp": None}
    assert before["temp"].startswith("0x")
    assert line(called).startswith("nvmlDeviceGetTemperature(device=GPU-0, ")


def test_the_two_are_one_call() -> None:
    _, found = trace(PROGRAM)
    calls = Calls.of(found)
    assert [call.status for call in calls] == ["SUCCESS"] * 3


def test_only_where_it_is_asked_for() -> None:
    _, found = trace(PROGRAM, begun=False)
    assert [record["status"] for record in found] == ["SUCCESS"] * 3


def test_a_crash_inside_a_call_leaves_the_call() -> None:
    status, found = trace(CRASH)
    assert status == -signal.SIGSEGV
    assert steps(found)[-1] == "nvmlDeviceGetHandleByUUID CALLED"
    assert found[-1]["arguments"]["uuid"] == "0x2000"
    assert Calls.of(found)[-1].code is None


@pytest.mark.parametrize(
    ("effects", "status", "last"),
    [
        ({"exit": 3}, 3, "EXIT 3"),
        ({"signal": "SIGABRT"}, -signal.SIGABRT, "SIGNAL 6"),
    ],
)
def test_a_fault_that_ends_the_program_says_so_of_the_same_call(
    effects: dict[str, Any], status: int, last: str
) -> None:
    scenario = Scenario(faults=[Fault("nvmlDeviceGetTemperature", name="end", **effects)])
    ended, found = trace(PROGRAM, scenario)
    assert ended == status
    called, ending = found[-2:]
    assert (called["status"], "fault" in called) == ("CALLED", False)
    assert (ending["status"], ending["fault"]) == (last, "end")
    assert len(Calls.of(found)) == 3


#: Plays in a process of its own, so that no other test's library is loaded there.
UNSHOWABLE = """
import ctypes, json, sys
from emulator import Gpu, Scenario
from emulator.plans import plan_of
from emulator.runtime.boot import play
from emulator.runtime.call import Call
from emulator.stubfiles import stub
def fail(*_, **__):
    raise ValueError("nothing to see")
setattr(Call, sys.argv[1], fail)
found = []
play(plan_of(Scenario(gpus=[Gpu("t4")])) | {"begun": True}, found.append)
print(json.dumps([ctypes.CDLL(str(stub("nvml", Scenario().driver))).nvmlInit_v2(), found]))
"""


@pytest.mark.parametrize("shown", ["words_shown", "arguments"])
def test_what_cannot_be_shown_changes_no_answer(shown: str) -> None:
    command = [sys.executable, "-c", UNSHOWABLE, shown]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    code, found = json.loads(done.stdout)
    assert (code, steps(found)) == (0, ["nvmlInit_v2 CALLED", "nvmlInit_v2 SUCCESS"])
    errors = [record["error"] for record in found if "error" in record]
    assert errors == ["arguments: ValueError: nothing to see"]
