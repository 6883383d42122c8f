"""Programs in C on the driver's functions: many threads, and forks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator import Gpu, Scenario

HERE = Path(__file__).parent
DRIVERS = ("470.256.02", "550.163.01", "580.126.09")


@pytest.fixture
def program(compile_c: Callable[..., Path]) -> Callable[[str], Path]:
    """`program(name)`: the client in C of that name, compiled."""
    return lambda name: compile_c((HERE / name).read_text(), f"-I{HERE}", "-ldl", "-pthread")


@pytest.mark.parametrize("driver", DRIVERS)
def test_threads_share_a_device_and_lose_nothing(
    program: Callable[[str], Path], run_in: Callable[..., Any], driver: str
):
    done = run_in(Scenario(driver=driver, gpus=[Gpu("t4")]), [program("cuda_threads.c")])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "320 rounds in 8 threads, 0 bytes lost\n"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_child_has_nothing_of_its_parent_s_driver(
    program: Callable[[str], Path], run_in: Callable[..., Any], driver: str
):
    done = run_in(Scenario(driver=driver, gpus=[Gpu("t4")]), [program("cuda_fork.c")])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "child before: of the child",
        "child after: 3 3 3 3",
        "parent: of the parent",
    ]
