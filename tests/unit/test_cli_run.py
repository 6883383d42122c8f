"""`nvemu run`: the program runs as it would without it, but for the GPUs that it finds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]
Nvemu = Callable[..., Done]

COUNT = """
import ctypes
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
count = ctypes.c_uint()
nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
print(count.value)
"""


def signal_sets(status: str) -> dict[str, int]:
    """The sets of signals in /proc/self/status, less the two that glibc keeps to itself."""
    rows = [row.split(":") for row in status.splitlines()]
    return {name: int(digits, 16) & ~(0b11 << 31) for name, digits in rows}


class TestExitStatus:
    def test_is_the_programs(self, nvemu: Nvemu) -> None:
        assert nvemu("run", "sh", "-c", "exit 7").returncode == 7

    @pytest.mark.parametrize("name", ["SEGV", "KILL", "ABRT", "TERM", "INT", "USR1"])
    def test_a_signal_that_ends_the_program_ends_nvemu(self, nvemu: Nvemu, name: str) -> None:
        done = nvemu("run", "sh", "-c", f"kill -{name} $$")
        assert done.returncode == -signal.Signals[f"SIG{name}"]
        assert done.stderr == ""

    def test_is_known_where_the_parent_ignores_its_children(self, nvemu_command: list[str]) -> None:
        ignores = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
        script = f"{ignores}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
        nvemu = [*nvemu_command, "run", "sh", "-c", "exit 3"]
        command = [sys.executable, "-c", script, *nvemu]
        assert subprocess.run(command, timeout=60, check=False).returncode == 3


class TestPassingThrough:
    def test_standard_streams_are_the_programs(self, nvemu: Nvemu) -> None:
        done = nvemu("run", "sh", "-c", "cat; echo problem >&2", input="text\n")
        assert (done.stdout, done.stderr) == ("text\n", "problem\n")

    def test_open_files_are_inherited(self, nvemu: Nvemu, tmp_path: Path) -> None:
        with (tmp_path / "file").open("w") as file:
            number = file.fileno()
            done = nvemu("run", "readlink", f"/proc/self/fd/{number}", pass_fds=[number])
        assert done.stdout == f"{tmp_path}/file\n"

    def test_signals_are_set_as_without_nvemu(self, nvemu: Nvemu) -> None:
        show = ["grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"]
        plain = subprocess.run(show, capture_output=True, text=True, check=True).stdout
        assert signal_sets(nvemu("run", *show).stdout) == signal_sets(plain)

    def test_arguments_that_look_like_options_are_the_programs(self, nvemu: Nvemu) -> None:
        assert nvemu("run", "echo", "--gpus", "x", "--help", "--").stdout == "--gpus x --help --\n"
        assert nvemu("run", "--", "echo", "-n", "text").stdout == "text"

    def test_environment_leads_to_the_testbed_and_is_else_unchanged(self, nvemu: Nvemu) -> None:
        before = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": "/mine", "A": "1\n2"}
        done = nvemu("run", "env", "-0", env=before)
        after = dict(entry.split("=", 1) for entry in done.stdout.split("\0")[:-1])
        testbed = after["NVEMU_TESTBED"]
        assert after.pop("LC_CTYPE", "") in ("", "C.UTF-8")  # Python's own doing
        assert after == before | {
            "LD_LIBRARY_PATH": f"{testbed}/lib:/mine",
            "NVEMU_TESTBED": testbed,
        }


class TestProgramThatCannotRun:
    @pytest.mark.parametrize("name", ["no-such-program", "./no-such-program", ""])
    def test_not_found(self, nvemu: Nvemu, name: str) -> None:
        done = nvemu("run", name)
        assert done.returncode == 127
        assert done.stderr.startswith(f"nvemu: cannot run {name}: there is no such ")
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        ("content", "mode", "reason"),
        [
            ("text", 0o644, "it is not executable"),
            ("#!/no/interpreter", 0o755, "the interpreter or loader that it names does not exist"),
            ("echo text", 0o755, "it is neither a program for this machine nor a script with #!"),
        ],
    )
    def test_found_but_not_executable(
        self, nvemu: Nvemu, tmp_path: Path, content: str, mode: int, reason: str
    ) -> None:
        program = tmp_path / "program"
        program.write_text(content)
        program.chmod(mode)
        done = nvemu("run", program)
        assert (done.returncode, done.stderr) == (126, f"nvemu: cannot run {program}: {reason}\n")

    def test_found_on_path_but_not_executable(self, nvemu: Nvemu, tmp_path: Path) -> None:
        (tmp_path / "program").touch(0o644)
        done = nvemu("run", "program", env={"PATH": str(tmp_path)})
        assert done.returncode == 126
        assert done.stderr == "nvemu: cannot run program: it is not executable\n"

    def test_a_folder(self, nvemu: Nvemu, tmp_path: Path) -> None:
        done = nvemu("run", tmp_path)
        assert done.returncode == 126
        assert done.stderr == f"nvemu: cannot run {tmp_path}: it is a folder\n"


def test_nvemu_finds_itself_where_path_does_not_lead(
    nvemu_command: list[str], tmp_path: Path
) -> None:
    python, _, program = nvemu_command
    (tmp_path / "nvemu").write_text(f"#!{python}\n{program}\n")
    (tmp_path / "nvemu").chmod(0o755)
    command = [tmp_path / "nvemu", "run", "nvemu", "run", "echo", "found"]
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("found\n", "")


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "count"),
        [
            ((), 1),
            (("--gpus", "h100-sxm5-80gb:8"), 8),
            (("--gpus", "t4,rtx-4090:2"), 3),
            (("--gpus=t4:2", "--driver=470.256.02"), 2),
            (("--scenario", "no-devices"), 0),
            (("--scenario", "default", "--gpus", "t4:3", "--driver", "550.163.01"), 3),
        ],
    )
    def test_make_the_machine(self, nvemu: Nvemu, options: tuple[str, ...], count: int) -> None:
        done = nvemu("run", *options, sys.executable, "-c", COUNT)
        assert (done.stdout, done.stderr) == (f"{count}\n", "")

    def test_a_scenario_may_be_a_file(self, nvemu: Nvemu, tmp_path: Path) -> None:
        (tmp_path / "mine.toml").write_text('[[gpu]]\nprofile = "t4"\ncount = 5\n')
        done = nvemu("run", "--scenario", tmp_path / "mine.toml", sys.executable, "-c", COUNT)
        assert done.stdout == "5\n"

    def test_a_scenario_s_file_may_have_any_name(self, nvemu: Nvemu, tmp_path: Path) -> None:
        for name in ("mine.txt", "t4", "default"):
            (tmp_path / name).write_text('[[gpu]]\nprofile = "t4"\ncount = 5\n')
        program = (sys.executable, "-c", COUNT)
        counts = {"mine.txt": "5\n", "t4": "5\n", "default": "1\n", "./default": "5\n"}
        for name, count in counts.items():
            done = nvemu("run", "--scenario", name, *program, cwd=tmp_path)
            assert (done.stdout, done.stderr) == (count, "")

    def test_a_scenario_s_file_is_found_without_its_suffix(
        self, nvemu: Nvemu, tmp_path: Path
    ) -> None:
        (tmp_path / "lab.toml").touch()
        done = nvemu("run", "--scenario", "lab", "true", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "nvemu: expected a built-in scenario or the path of a file, found 'lab'; "
            "did you mean 'lab.toml'?\n"
        )

    def test_gpus_that_a_fault_s_device_is_not_among(self, nvemu: Nvemu, tmp_path: Path) -> None:
        fault = '[[fault]]\nfunction = "nvmlDeviceGetName"\nreturns = 1\ndevice = 1\n'
        (tmp_path / "lab.toml").write_text(f'[[gpu]]\nprofile = "t4"\ncount = 2\n{fault}')
        options = ("--scenario", "lab.toml", "--gpus")
        done = nvemu("run", *options, "t4", "true", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "nvemu: lab.toml:7: fault[0].device: expected the index of one of 1 GPUs, found 1; "
            "--gpus replaced the scenario's GPUs\n"
        )
        assert nvemu("run", *options, "t4:2", "true", cwd=tmp_path).returncode == 0

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (["--scenario", "no-device"], "did you mean 'no-devices'?"),
            (["--scenario", "no/such.toml"], "no/such.toml: cannot be read: No such file"),
            (["--scenario", "/"], "/: cannot be read: Is a directory"),
            (["--gpus", "h100-sxm5"], "did you mean 'h100-sxm5-80gb'?"),
            (["--gpus", "t4:x"], "expected GPUs as PROFILE or PROFILE:COUNT"),
            (["--gpus", "h100-sxm5-80gb", "--driver", "470.256.02"], "needs driver 525 or newer"),
            (["--gpus", "t4:0"], "invalid value for '--gpus': 't4:0': expected a number"),
            (["--gpus", ""], "'--gpus': expected GPUs, found none; for a machine without GPUs:"),
            (["--gpus", " "], "--scenario no-devices"),
            (["--gpus", "h100"], "or 'h100-pcie-80gb' or 'h100-sxm5-80gb'?"),
            (["--scenario", "t4"], "found 't4' (t4 is a GPU profile: use --gpus t4)"),
            (["--scenario", "x" * 300], "expected a built-in scenario or the path of a file"),
            (["--driver", "550"], "nvemu knows, found '550'; did you mean '550.163.01'?"),
            (["--driver", "9"], "found '9'; known: 470.256.02, "),
            (["--trace", ""], "invalid value for '--trace': expected a file or -, found ''"),
            (["--trace", "--"], "'--trace': expected a file or -, found '--'"),
            (["--trace", "--strict"], "'--trace': expected a file or -, found '--strict'"),
            (["--trace", "/no/folder/file"], "/no/folder/file: No such file or directory"),
            (["--trace", "/"], "'--trace': /: Is a directory"),
            (["--gpu", "t4"], "no such option"),
        ],
    )
    def test_a_mistake_is_one_line(self, nvemu: Nvemu, options: list[str], complaint: str) -> None:
        done = nvemu("run", *options, "echo", "ran")
        assert complaint in done.stderr
        assert done.stderr.startswith("nvemu: ")
        assert done.stderr.count("\n") == 1
        assert (done.stdout, done.returncode) == ("", 2)

    def test_a_program_must_be_named(self, nvemu: Nvemu) -> None:
        done = nvemu("run")
        assert done.returncode == 2
        assert done.stderr == "nvemu: missing argument 'PROGRAM...' (see `nvemu run --help`)\n"


class TestStart:
    def test_imports_only_what_it_needs(self, nvemu_command: list[str]) -> None:
        python, _, program = nvemu_command
        command = [python, "-X", "importtime", "-c", program, "run", "true"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        imported = {row.rpartition("|")[2].strip().partition(".")[0] for row in report.splitlines()}
        assert {"emulator", "click", "msgspec"} <= imported
        assert not imported & {"rich", "pynvml", "elftools"}
