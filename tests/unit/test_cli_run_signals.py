"""`nvemu run` and signals: the program gets each once, and the testbed goes with the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nvemu = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Any]

# Prints the name of every signal that it gets, until SIGUSR2.
WITNESS = """
import os, signal
every = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1,
         signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, every)
signal.alarm(60)
print("ready, child of", os.getppid(), flush=True)
got = None
while got != signal.SIGUSR2:
    got = signal.sigwait(every)
    print(signal.Signals(got).name, flush=True)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where testbeds are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def stop(process: int) -> None:
    """Stop a process, and wait until it stands still."""
    os.kill(process, signal.SIGSTOP)
    while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        pass


def line(stream: Any) -> str:
    return str(stream.readline()).rstrip("\n")


class TestSignals:
    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1"])
    @pytest.mark.parametrize("options", [(), ("--trace", "/dev/null")], ids=["plain", "traced"])
    def test_sent_to_nvemu_reach_the_program_once(
        self, start_nvemu: Start, name: str, options: tuple[str, ...]
    ) -> None:
        nvemu = start_nvemu("run", *options, sys.executable, "-c", WITNESS)
        assert line(nvemu.stdout) == f"ready, child of {nvemu.pid}"
        nvemu.send_signal(signal.Signals[name])
        assert line(nvemu.stdout) == name
        nvemu.send_signal(signal.SIGUSR2)
        assert nvemu.stdout.read() == "SIGUSR2\n"
        assert nvemu.wait(60) == 0

    @pytest.mark.parametrize(
        "shell",
        [(), ("sh", "-c", 'trap : INT QUIT; "$@"; exit $?', "sh")],
        ids=["session leader", "child of a shell"],
    )
    def test_typed_on_the_terminal_reach_the_program_once(
        self, start_nvemu: Start, shell: tuple[str, ...]
    ) -> None:
        keyboard, terminal = os.openpty()
        before = ("setsid", "--ctty", *shell)
        started = start_nvemu("run", sys.executable, "-c", WITNESS, before=before, stdin=terminal)
        nvemu = int(line(started.stdout).removeprefix("ready, child of "))
        for key, name in ((b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")):
            stop(nvemu)  # lest what it hands on falls together with what the program gets itself
            os.write(keyboard, key)
            assert line(started.stdout) == name
            os.kill(nvemu, signal.SIGCONT)
        os.kill(nvemu, signal.SIGUSR2)  # what nvemu handed on, it handed on before this
        assert started.stdout.read() == "SIGUSR2\n"
        assert started.wait(60) == 0

    def test_a_terminal_that_hangs_up_is_told_once(self, start_nvemu: Start) -> None:
        keyboard, terminal = os.openpty()
        before = ("setsid", "--ctty")
        nvemu = start_nvemu("run", sys.executable, "-c", WITNESS, before=before, stdin=terminal)
        os.close(terminal)
        assert line(nvemu.stdout).startswith("ready")
        os.close(keyboard)
        assert line(nvemu.stdout) == "SIGHUP"
        nvemu.send_signal(signal.SIGUSR2)
        assert nvemu.stdout.read() == "SIGUSR2\n"

    def test_reach_a_program_that_left_for_a_process_group_of_its_own(
        self, start_nvemu: Start
    ) -> None:
        keyboard, terminal = os.openpty()
        program = f"import os; os.setpgid(0, 0); {WITNESS}"
        before = ("setsid", "--ctty")
        nvemu = start_nvemu("run", sys.executable, "-c", program, before=before, stdin=terminal)
        os.close(terminal)
        assert line(nvemu.stdout).startswith("ready")
        os.write(keyboard, b"\x03")
        assert line(nvemu.stdout) == "SIGINT"
        nvemu.send_signal(signal.SIGUSR2)
        assert nvemu.stdout.read() == "SIGUSR2\n"
        os.close(keyboard)


class TestTestbed:
    def test_is_private(self, nvemu: Nvemu) -> None:
        assert nvemu("run", "sh", "-c", "stat -c %a $NVEMU_TESTBED").stdout == "700\n"

    def test_is_removed_after_the_program(self, nvemu: Nvemu, temporary: Path) -> None:
        done = nvemu("run", "sh", "-c", "ls -d $NVEMU_TESTBED; kill -SEGV $$")
        assert Path(done.stdout.strip()).parent == temporary
        assert list(temporary.iterdir()) == []

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_is_removed_when_a_signal_ends_the_run(
        self, start_nvemu: Start, temporary: Path, number: signal.Signals
    ) -> None:
        nvemu = start_nvemu("run", "--trace", "-", "sh", "-c", "echo ready; exec cat")
        assert line(nvemu.stdout) == "ready"
        nvemu.send_signal(number)
        assert nvemu.wait(60) == -number
        assert list(temporary.iterdir()) == []

    def test_is_removed_after_a_mistake(self, nvemu: Nvemu, temporary: Path) -> None:
        nvemu("run", "no-such-program")
        nvemu("run", "--trace", temporary / "no" / "folder", "true")
        assert list(temporary.iterdir()) == []
