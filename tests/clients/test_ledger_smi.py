"""NVIDIA's own nvidia-smi sees what programs hold, for as long as they live.

As in test_nvidia_smi, NVEMU_REAL_DRIVERS names a folder with NVIDIA's programs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Gpu, Machine, Scenario, Testbed
from emulator.plans import plan_of

FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
DRIVERS = sorted(path.parent.name for path in Path(FOLDER).glob("*/nvidia-smi")) if FOLDER else []
MIB = 1 << 20

pytestmark = pytest.mark.skipif(
    not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
)

#: Takes memory of device 0, says so, and waits.
HOLDER = f"""
import ctypes, signal
cuda = ctypes.CDLL("libcuda.so.1")
assert not cuda.cuInit(0)
context, memory = ctypes.c_void_p(), ctypes.c_size_t()
assert not cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0)
assert not cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t({300 * MIB}))
print("holding", flush=True)
signal.pause()
"""


class Session:
    """A testbed with two T4s, of which a program holds the first one's memory."""

    def __init__(self, testbed: Testbed, driver: str) -> None:
        self.testbed = testbed
        self.smi = Path(FOLDER) / driver / "nvidia-smi"
        self.program = subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            env=testbed.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.program.stdout is not None
        assert self.program.stdout.readline() == "holding\n"

    def view(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.smi, *arguments],
            env=self.testbed.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def used(self) -> list[str]:
        return self.view("--query-gpu=memory.used", "--format=csv,noheader").splitlines()

    def apps(self) -> list[str]:
        query = "--query-compute-apps=gpu_uuid,pid,process_name,used_memory"
        return self.view(query, "--format=csv,noheader").splitlines()

    def kill(self) -> None:
        self.program.send_signal(signal.SIGKILL)
        self.program.wait()


@pytest.fixture(params=DRIVERS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return Scenario(driver=request.param, gpus=[Gpu("t4", count=2, utilization=80)], user="root")


@pytest.fixture
def session(scenario: Scenario) -> Iterator[Session]:
    with Testbed(scenario) as testbed:
        session = Session(testbed, scenario.driver)
        yield session
        session.kill()
        assert session.program.stdout is not None
        session.program.stdout.close()


def held(scenario: Scenario) -> int:
    """MiB that the program holds: a context's, and its own."""
    device = Machine(plan_of(scenario)).devices[0]
    return device.context_memory // MIB + 300


def test_the_memory_is_used_while_the_program_lives(scenario: Scenario, session: Session) -> None:
    assert session.used() == [f"{held(scenario)} MiB", "0 MiB"]
    session.kill()
    assert session.used() == ["0 MiB", "0 MiB"]


def test_the_program_is_listed_while_it_lives(scenario: Scenario, session: Session) -> None:
    uuid = Machine(plan_of(scenario)).devices[0].uuid
    program = f"{session.program.pid}, {sys.executable}, {held(scenario)} MiB"
    assert session.apps() == [f"{uuid}, {program}"]
    session.kill()
    assert session.apps() == []


def test_the_plain_view_has_it(scenario: Scenario, session: Session) -> None:
    row = rf"^\|\s+0\s+N/A\s+N/A\s+{session.program.pid}\s+C\s+(\S+)\s+{held(scenario)}MiB \|$"
    [name] = re.findall(row, session.view(), re.MULTILINE)
    assert sys.executable.endswith(name.lstrip("."))
    session.kill()
    assert "No running processes found" in session.view()


def test_its_shares_are_monitored_while_it_lives(scenario: Scenario, session: Session) -> None:
    busy, idle = session.view("pmon", "-c", "1").splitlines()[2:]
    assert busy.split()[:4] == ["0", str(session.program.pid), "C", "80"]
    assert idle.split()[:4] == ["1", "-", "-", "-"]
    session.kill()
    assert str(session.program.pid) not in session.view("pmon", "-c", "1")


def accounted(session: Session) -> list[list[str]]:
    """Process id, GPU utilisation and most memory of the accounts, on whatever GPU they are."""
    query = "--query-accounted-apps=pid,gpu_utilization,max_memory_usage"
    view = session.view(query, "--format=csv,noheader,nounits")
    return [line.split(", ") for line in view.splitlines()]


def test_its_account_is_kept_when_it_is_killed(scenario: Scenario, session: Session) -> None:
    pid, most = str(session.program.pid), str(held(scenario))
    session.view("-am", "1")
    assert accounted(session) == [[pid, "80", most]]
    session.kill()
    assert accounted(session) == [[pid, "80", most]]
    view = session.view("-q", "-d", "ACCOUNTING")
    assert re.findall(r"Is Running\s+: (\d)", view) == ["0"]
    assert re.findall(r"Accounting Mode\s+: (\w+)", view) == ["Enabled", "Enabled"]
    session.view("-caa")
    assert accounted(session) == []
