"""Fixtures that all tests share: programs in C, and programs that run under nvemu."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from emulator import Scenario, Testbed

pytest_plugins = ["pytester"]

Done = subprocess.CompletedProcess[str]

ROOT = Path(__file__).resolve().parent
TIMEOUT = 60  # seconds after which a program hangs

# No test hangs on how busy its machine is.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

#: What Python does with signals that a shell or nohup has a job in the background ignore.
USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}

#: The command `nvemu` of this tree, without a variable that the programs it runs would inherit.
NVEMU = (
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from emulator.cli import main; main()",
)


@pytest.fixture(scope="session", autouse=True)
def _as_at_a_desk() -> Iterator[None]:
    """What a test starts behaves the same everywhere: pytest says more on a CI machine, tables are
    as wide as COLUMNS, which pytest-xdist sets, and jobs in the background ignore signals."""
    for number, handler in USUAL.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CI", "BUILD_NUMBER", "COLUMNS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def nvemu_command() -> list[str]:
    """`nvemu`, for subprocess: the arguments come after it."""
    return list(NVEMU)


@pytest.fixture
def nvemu() -> Callable[..., Done]:
    """`nvemu(*arguments, **options)`: what the command did; the options are subprocess.run's."""

    def run(*arguments: object, **options: Any) -> Done:
        command = [*NVEMU, *map(str, arguments)]
        chosen = {"capture_output": True, "text": True, "timeout": TIMEOUT} | options
        return subprocess.run(command, check=False, **chosen)

    return run


@pytest.fixture
def start_nvemu() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start_nvemu(*arguments, before=(...), **options)`: nvemu under way, with pipes.

    `before` is a command that starts it. A test that waits in vain fails after a minute.
    """
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, before: tuple[str, ...] = (), **options: Any) -> Any:
        command = [*before, *NVEMU, *map(str, arguments)]
        chosen = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True} | options
        started.append(subprocess.Popen(command, **chosen))
        return started[-1]

    handler = signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(TIMEOUT)
    yield start
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    for process in started:
        _end(process)


def _hangs(number: int, frame: object) -> None:
    raise TimeoutError("what the test awaits does not come")


def _end(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:  # its test has failed, and what it started may live on
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def run_in() -> Callable[..., Done]:
    """`run_in(scenario, command, typed=None, **variables)`: what a program did on the scenario's
    machine, with `typed` as its input."""

    def run(
        scenario: Scenario | str | os.PathLike[str] | None,
        command: Sequence[object],
        typed: str | None = None,
        **variables: str,
    ) -> Done:
        with Testbed(scenario) as testbed:
            return subprocess.run(
                list(map(str, command)),
                env=testbed.environment() | variables,
                input=typed,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )

    return run


@pytest.fixture
def compile_c(tmp_path: Path) -> Callable[..., Path]:
    """`compile_c(source, *flags)`: the program (with `-shared`, the library) made of a C source."""
    numbers = itertools.count()

    def compile_(source: str, *flags: str) -> Path:
        target = tmp_path / f"compiled-{next(numbers)}"
        compiler = shlex.split(os.environ.get("CC", "cc"))
        command = [*compiler, "-x", "c", "-", "-x", "none", "-o", str(target), *flags]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return target

    return compile_
