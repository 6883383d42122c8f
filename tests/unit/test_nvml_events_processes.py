"""Events in other processes: live control and setters of one wake those that wait in another."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from emulator import Change, Gpu, Scenario, Testbed

HERE = Path(__file__).parent
TWO = Scenario(gpus=[Gpu("a100-sxm4-80gb", count=2)])
LONG = 60_000  # milliseconds

XID, MIG, UNAVAILABLE = "0x8", "0x100", "0x4000"


class Waiter:
    """A program that waits for so many events."""

    def __init__(self, testbed: Testbed, *command: object) -> None:
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=testbed.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def until_asleep(self) -> None:
        """Wait until it waits: then it has the journal watched."""
        end = time.monotonic() + 20
        while not any("inotify" in name for name in self.open_files()):
            assert time.monotonic() < end, "it does not wait"
            time.sleep(0.005)

    def open_files(self) -> list[str]:
        names = []
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):  # it is closed by now
                names.append(os.readlink(file))
        return names


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    with Testbed(TWO) as testbed:
        yield testbed


@pytest.fixture
def start() -> Iterator[Callable[..., Waiter]]:
    """`start(testbed, *times)`: a Python program that waits for so many events, so many
    milliseconds for each."""
    started: list[Waiter] = []

    def start_(testbed: Testbed, *times: int) -> Waiter:
        script = HERE / "event_waiter.py"
        started.append(Waiter(testbed, sys.executable, script, *times))
        return started[-1]

    yield start_
    for each in started:
        each.process.kill()
        each.process.communicate()


def test_an_xid_wakes_who_waits(testbed: Testbed, start: Callable[..., Waiter]) -> None:
    waiter = start(testbed, LONG, LONG)
    waiter.until_asleep()
    testbed.control.xid(1, 43)
    assert waiter.line() == f"{XID} 43"
    waiter.until_asleep()
    testbed.control.xid(0, 31)
    assert waiter.line() == f"{XID} 31"


def test_every_process_gets_it_once(testbed: Testbed, start: Callable[..., Waiter]) -> None:
    waiters = [start(testbed, LONG, 1) for _ in range(3)]
    testbed.control.xid(0, 31)
    assert [[each.line(), each.line()] for each in waiters] == [[f"{XID} 31", "Timeout"]] * 3


def test_a_process_that_starts_later_does_not(
    testbed: Testbed, start: Callable[..., Waiter]
) -> None:
    testbed.control.xid(0, 31)
    assert start(testbed, 1).line() == "Timeout"


def test_a_gpu_that_is_lost(testbed: Testbed, start: Callable[..., Waiter]) -> None:
    waiter = start(testbed, *[LONG] * 3)
    waiter.until_asleep()
    testbed.control.kill(0)
    assert [waiter.line() for _ in range(3)] == [f"{XID} 79", f"{UNAVAILABLE} 0", "GpuIsLost"]


def test_a_mode_that_another_program_sets(testbed: Testbed, start: Callable[..., Waiter]) -> None:
    waiter = start(testbed, LONG)
    waiter.until_asleep()
    setter = (
        "import pynvml as n; n.nvmlInit(); d = n.nvmlDeviceGetHandleByIndex(1);"
        "n.nvmlDeviceSetMigMode(d, 1)"
    )
    subprocess.run([sys.executable, "-c", setter], env=testbed.environment(), check=True)
    assert waiter.line() == f"{MIG} 0"


def test_the_scenario_s_own_changes(start: Callable[..., Waiter]) -> None:
    changes = [Change(at="8 min", device=0, xid=31), Change(at="9 min", device=1, xid=95)]
    with Testbed(Scenario(gpus=TWO.gpus, clock="100x", changes=changes)) as testbed:
        waiter = start(testbed, LONG, LONG)
        assert [waiter.line(), waiter.line()] == [f"{XID} 31", f"{XID} 95"]


def test_a_clock_that_is_advanced(start: Callable[..., Waiter]) -> None:
    changes = [Change(at="1 h", device=0, xid=48)]
    with Testbed(Scenario(gpus=TWO.gpus, clock="manual", changes=changes)) as testbed:
        waiter = start(testbed, LONG)
        waiter.until_asleep()
        testbed.control.advance("1 h")
        assert waiter.line() == f"{XID} 48"


def test_threads_of_a_c_program(testbed: Testbed, compile_c: Callable[..., Path]) -> None:
    program = compile_c((HERE / "event_waiter.c").read_text(), "-pthread", "-ldl")
    waiter = Waiter(testbed, program)
    waiter.until_asleep()
    testbed.control.xid(0, 31)
    assert [waiter.line() for _ in range(4)] == ["0 31"] * 4
    waiter.process.communicate()
    assert waiter.process.returncode == 0


def test_the_command_line(
    testbed: Testbed, start: Callable[..., Waiter], nvemu: Callable[..., Any]
) -> None:
    waiter = start(testbed, LONG, LONG)
    environment = {**os.environ, "NVEMU_TESTBED": str(testbed.folder)}
    done = nvemu("ctl", "xid", "1", "79", env=environment)
    assert (done.returncode, done.stdout) == (0, "GPU 1: Xid 79\n")
    assert [waiter.line(), waiter.line()] == [f"{UNAVAILABLE} 0", f"{XID} 79"]
    assert "xid 79" in nvemu("ctl", "show", env=environment).stdout


def test_an_xid_that_is_none(testbed: Testbed, nvemu: Callable[..., Any]) -> None:
    environment = {**os.environ, "NVEMU_TESTBED": str(testbed.folder)}
    done = nvemu("ctl", "xid", "0", "1000", env=environment)
    assert "expected an integer from 1 to 999, found 1000" in done.stderr
