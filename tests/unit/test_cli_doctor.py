"""`nvemu doctor`: what it prints, how it ends, how it ends programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nvemu = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Any]

DISCOVERY = """
import ctypes
print("looking", flush=True)
cuda = ctypes.CDLL("libcuda.so.1")
count = ctypes.c_int()
code = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
print("GPU" if count.value else f"CPU, {code}", end="")
"""
LOOK = (sys.executable, "-c", DISCOVERY)
FAILING = ("--scenario", "uvm-module-missing")


def parts(text: str) -> list[str]:
    """What stands between empty lines."""
    return text.split("\n\n")


class TestReport:
    def test_comes_after_what_the_program_printed(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", *FAILING, "--", *LOOK)
        assert done.stdout.startswith(
            "looking\nCPU, 999\n"
            "nvemu doctor: initialisation failed: cuInit answered UNKNOWN (999)\n"
        )
        assert (done.returncode, done.stderr) == (16, "")

    def test_has_evidence_and_advice(self, nvemu: Nvemu) -> None:
        _, evidence, advice, *_ = parts(nvemu("doctor", *FAILING, "--", *LOOK).stdout)
        assert "cuInit(Flags=0) = UNKNOWN <" in evidence
        assert "[fault]" in evidence
        assert advice.startswith("Next:\n  usual causes: ")
        assert "nvidia_uvm" in advice

    def test_is_one_screen(self, nvemu: Nvemu, tmp_path: Path) -> None:
        folders = [tmp_path / str(number) for number in range(100)]
        for folder in folders:
            folder.mkdir()
        path = ":".join(map(str, folders))
        program = ("sh", "-c", f"LD_LIBRARY_PATH={path} exec '{sys.executable}' -c \"$0\"")
        program = (*program, "import ctypes; ctypes.CDLL('libcuda.so.1')")
        done = nvemu("doctor", "--", *program)
        assert done.returncode == 11
        assert len(done.stdout.splitlines()) <= 24
        assert " more (-v shows them) ..." in done.stdout
        verbose = nvemu("doctor", "-v", "--", *program)
        assert all(f"{folder}/libcuda.so.1: absent" in verbose.stdout for folder in folders)

    def test_verbose_has_processes_and_the_time_line(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "-v", "--", "sh", "-c", '"$@"; true', "sh", *LOOK)
        _, line = done.stdout.split("Processes:\n")
        processes, timeline = line.split("\n\nTime line:\n")
        first, second = processes.splitlines()
        assert first.split()[1:3] == ["sh", "-c"]
        assert second.startswith("    ")
        assert second.endswith("(2 calls)")
        steps = [row.split(maxsplit=2)[2] for row in timeline.splitlines()]
        order = ["looks for libcuda.so.1", "loads ", "asks for cuInit", "cuInit(Flags=0) = SUCCESS"]
        places = [next(n for n, step in enumerate(steps) if step.startswith(o)) for o in order]
        assert places == sorted(places)

    def test_nothing_reaches_the_terminal_as_a_command(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "-v", "--", "sh", "-c", ": \x1b[31m\x07")
        assert "\\x1b[31m" in done.stdout
        assert "\x1b" not in done.stdout

    def test_real_without_a_driver_says_where_it_was_looked_for(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "--real", "--", *LOOK, env=os.environ | {"LD_LIBRARY_PATH": "/none"})
        if done.returncode != 11:
            pytest.skip("a driver is installed here")
        assert "/libcuda.so.1: absent" in done.stdout
        assert "nvemu-" not in done.stdout  # the folder of nvemu's own is none of theirs


class TestJson:
    def test_is_all_there_is_on_stdout(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "--json", *FAILING, "--", *LOOK)
        report = json.loads(done.stdout)
        assert done.stderr == "looking\nCPU, 999"
        assert report["verdict"] == "init-failed"
        assert report["status"] == done.returncode == 16
        assert report["scenario"] == "uvm-module-missing"
        assert report["program"] == list(LOOK)

    def test_times_count_from_the_beginning(self, nvemu: Nvemu) -> None:
        report = json.loads(nvemu("doctor", "--json", "--", *LOOK).stdout)
        times = [moment["t"] for moment in report["timeline"]]
        assert times == sorted(times)
        assert times[0] == 0
        assert abs(report["began"] / 1e9 - time.time()) < 3600
        (call,) = (call for call in report["calls"] if call["function"] == "cuInit")
        assert (call["status"], call["code"], call["bad"]) == ("SUCCESS", 0, False)
        (process,) = report["processes"]
        assert (process["calls"], process["linked"]) == (2, True)


class TestEnds:
    def test_a_program_that_cannot_be_started(self, nvemu: Nvemu, tmp_path: Path) -> None:
        done = nvemu("doctor", "--", "nvemu-no-such-program")
        said = "nvemu: cannot run nvemu-no-such-program: there is no such program on PATH\n"
        assert (done.returncode, done.stdout, done.stderr) == (127, "", said)
        (tmp_path / "file").touch()
        assert nvemu("doctor", "--", tmp_path / "file").returncode == 126

    def test_a_program_that_takes_too_long(self, nvemu: Nvemu, tmp_path: Path) -> None:
        pids = tmp_path / "pids"
        say = f"echo $$ >> {pids}"
        script = f"trap '' TERM INT; sh -c '{say}; sleep 1000' & {say}; wait"
        done = nvemu("doctor", "--timeout", "1", "--", "sh", "-c", script)
        assert done.returncode == 10
        assert "doctor ended the program (timeout)" in done.stdout
        for pid in map(int, pids.read_text().split()):
            assert not Path(f"/proc/{pid}/exe").exists() or is_zombie(pid)

    def test_ctrl_c_ends_the_program_and_not_the_report(self, start_nvemu: Start) -> None:
        endless = f"{DISCOVERY}\nimport time\ntime.sleep(1000)"
        doctor = start_nvemu("doctor", "--", sys.executable, "-u", "-c", endless)
        assert doctor.stdout.readline() == "looking\n"
        time.sleep(0.3)
        doctor.send_signal(signal.SIGINT)
        said, _ = doctor.communicate(timeout=30)
        assert "nvemu doctor: all fine: 1 device seen\n" in said
        assert "doctor ended the program (interrupt)" in said
        assert doctor.returncode == 0

    @pytest.mark.parametrize("options", [("--gpus", "t4"), ("--timeout", "3"), ("--strace",)])
    def test_options_without_a_program(self, nvemu: Nvemu, options: tuple[str, ...]) -> None:
        done = nvemu("doctor", *options)
        said = "nvemu: expected a PROGRAM, found only options that are about one"
        assert (done.returncode, done.stderr.partition(" (see")[0]) == (2, said)

    def test_a_page_on_a_stream(self, nvemu: Nvemu, tmp_path: Path) -> None:
        done = nvemu("doctor", "--html", "-", "--", "true", cwd=tmp_path)
        assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
        assert "expected a file, found '-'" in done.stderr

    def test_strace_that_is_not_there(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "--strace", "--", "/bin/true", env=os.environ | {"PATH": "/none"})
        said = "nvemu: --strace needs strace: install it (Debian: apt install strace)\n"
        assert (done.returncode, done.stderr) == (2, said)

    def test_real_beside_a_scenario(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "--real", "--gpus", "t4", "--", "true")
        assert done.returncode == 2
        assert "--real is this machine as it is" in done.stderr


class TestWithoutProgram:
    def test_checks_the_machine(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor")
        assert done.returncode == ("FAILED" in done.stdout)
        assert "libcuda.so.1" in done.stdout
        assert "stubs" in done.stdout

    def test_json(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "--json")
        checks = json.loads(done.stdout)["checks"]
        assert {check["state"] for check in checks} <= {"ok", "warning", "failed"}
        assert done.returncode == any(check["state"] == "failed" for check in checks)

    def test_sees_what_is_wrong(self, nvemu: Nvemu) -> None:
        done = nvemu("run", "--scenario", "uvm-module-missing", *NVEMU_DOCTOR)
        assert done.returncode == 1
        assert "999" in done.stdout


ROOT = Path(__file__).resolve().parent.parent.parent
NVEMU_DOCTOR = (
    "--",
    sys.executable,
    "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from emulator.cli import main; main()",
    "doctor",
)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and is still to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
