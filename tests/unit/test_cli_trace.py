"""`nvemu trace`: the calls of a program as lines, JSON, Chrome's trace events, or a summary."""

from __future__ import annotations

import json
import os
import re
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

BENCHMARK = Path(__file__).parent.parent / "benchmarks/million.py"

BEGIN = """
import ctypes, os, signal, sys, threading
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
device, number = ctypes.c_void_p(), ctypes.c_uint()
def count():
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(number))
def handle(index):
    nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
"""

#: Calls of both libraries: init, count, two handles of which the second fails, a setter, cuInit.
MIXED = f"""{BEGIN}
count()
handle(0)
handle(9)
nvml.nvmlDeviceSetPersistenceMode(device, 1)
ctypes.CDLL("libcuda.so.1").cuInit(0)
"""
MIXED_CALLS = {
    "nvmlInit_v2": "SUCCESS",
    "nvmlDeviceGetCount_v2": "SUCCESS",
    "nvmlDeviceGetHandleByIndex_v2": "INVALID_ARGUMENT",
    "nvmlDeviceSetPersistenceMode": "SUCCESS",
    "cuInit": "SUCCESS",
}


@pytest.fixture
def trace(nvemu: Nvemu) -> Nvemu:
    """`trace(*options, program)`: what `nvemu trace` did with a program in Python."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        *before, program = arguments
        return nvemu("trace", *before, "--", sys.executable, "-c", program, **options)

    return run


def functions(text: str) -> list[str]:
    """The functions in a trace of JSON lines."""
    return [json.loads(line)["function"] for line in text.splitlines()]


def events(file: Path, kind: str) -> list[dict[str, Any]]:
    """The events of a kind in a trace for Chrome."""
    document = json.loads(file.read_text(encoding="utf-8"))
    return [event for event in document["traceEvents"] if event["ph"] == kind]


class TestText:
    def test_goes_to_stderr_line_by_line(self, trace: Nvemu) -> None:
        done = trace(f"{BEGIN}count(); print(number.value)")
        assert done.stdout == "1\n"
        first, second = done.stderr.splitlines()
        assert first.startswith("nvmlInit_v2() = SUCCESS <")
        assert re.fullmatch(r"nvmlDeviceGetCount_v2\(deviceCount=1\) = SUCCESS <\d+ us>", second)

    def test_goes_to_a_file(self, trace: Nvemu, tmp_path: Path) -> None:
        file = tmp_path / "trace"
        file.write_text("of the last run")
        done = trace("-o", file, f"{BEGIN}count()")
        assert (done.stdout, done.stderr) == ("", "")
        lines = file.read_text().splitlines()
        assert [line.partition("(")[0] for line in lines] == [
            "nvmlInit_v2",
            "nvmlDeviceGetCount_v2",
        ]

    def test_marks_what_other_threads_and_processes_call(self, trace: Nvemu) -> None:
        program = f"""{BEGIN}
print(os.getpid())
thread = threading.Thread(target=lambda: (print(threading.get_native_id()), count()))
thread.start(); thread.join()
sys.stdout.flush()
child = os.fork()
count()
if child:
    os.wait()
    print(child)
"""
        done = trace(program)
        pid, tid, child = done.stdout.split()
        shown = [line.partition("nvml")[0] for line in done.stderr.splitlines()]
        assert pid not in (tid, child)
        assert sorted(shown) == sorted(["", f"[tid {tid}] ", "", f"[pid {child}] "])

    def test_marks_do_not_depend_on_the_filter(self, trace: Nvemu) -> None:
        program = f"{BEGIN}\nt = threading.Thread(target=count); t.start(); t.join()"
        done = trace("-e", "nvmlDeviceGetCount_v2", program)
        assert done.stderr.startswith("[tid ")

    def test_says_what_a_fault_decided(self, trace: Nvemu, tmp_path: Path) -> None:
        scenario = tmp_path / "lost.toml"
        scenario.write_text(
            '[[fault]]\nfunction = "nvmlDeviceGetCount_v2"\nreturns = "GPU_IS_LOST"\n'
        )
        done = trace("--scenario", scenario, f"{BEGIN}count()")
        assert re.search(r"= GPU_IS_LOST <\d+ us> \[fault\]$", done.stderr.strip())

    def test_reaches_a_reader_who_comes_late_to_a_pipe_that_never_blocks(
        self, start_nvemu: Start
    ) -> None:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        program = f"{BEGIN}\nfor n in range(3000): count()\nprint('made', flush=True)"
        nvemu = start_nvemu("trace", "--", sys.executable, "-c", program, stderr=writing)
        os.close(writing)
        assert nvemu.stdout.readline() == "made\n"
        with os.fdopen(reading) as pipe:
            lines = pipe.read().splitlines()
        assert len(lines) == 3001
        assert all(re.search(r"\) = SUCCESS <\d+ us>$", line) for line in lines)


class TestJson:
    def test_has_the_records_as_they_are(self, trace: Nvemu, tmp_path: Path) -> None:
        file = tmp_path / "trace"
        done = trace("--format", "jsonl", "-o", file, MIXED)
        assert (done.returncode, done.stderr) == (0, "")
        records = [json.loads(line) for line in file.read_text().splitlines()]
        assert {record["function"]: record["status"] for record in records} == MIXED_CALLS
        keys = ["t", "us", "pid", "tid", "library", "function", "arguments", "code", "status"]
        assert all(list(record) == keys for record in records)
        assert records[1]["arguments"] == {"deviceCount": 1}

    def test_of_many_threads_and_a_killed_process_is_complete(self) -> None:
        done = subprocess.run(
            [sys.executable, str(BENCHMARK), "20000"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "complete, and in order" in done.stdout


class TestChrome:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "trace.json"

    def test_has_a_complete_event_for_each_call(self, trace: Nvemu, file: Path) -> None:
        trace("--format", "chrome", "-o", file, f"{MIXED}\nprint(os.getpid())")
        found = events(file, "X")
        assert {event["name"]: event["args"]["status"] for event in found} == MIXED_CALLS
        assert [event["cat"] for event in found] == ["nvml"] * 5 + ["cuda"]
        assert found[1]["args"] == {
            "arguments": {"deviceCount": 1},
            "code": 0,
            "status": "SUCCESS",
        }
        assert all(event["pid"] == event["tid"] > 0 for event in found)
        ends = [0.0]
        for event in found:  # of one thread: one after the other, as far as microseconds tell
            assert event["ts"] >= ends[-1]
            ends.append(event["ts"] + event["dur"])

    def test_names_each_process_once(self, trace: Nvemu, file: Path) -> None:
        script = f"{BEGIN}\ncount()"
        program = f"""
import subprocess, sys
for number in "12":
    subprocess.run([sys.executable, "-c", {script!r}, "ü", number])
"""
        trace("--format", "chrome", "-o", file, program)
        named = {event["pid"]: event["args"]["name"] for event in events(file, "M")}
        assert len(events(file, "M")) == len(named) == 2
        assert all(name.startswith(sys.executable) for name in named.values())
        assert {event["pid"] for event in events(file, "X")} == set(named)

    def test_says_what_a_fault_did(self, trace: Nvemu, file: Path, tmp_path: Path) -> None:
        scenario = tmp_path / "crash.toml"
        scenario.write_text('[[fault]]\nfunction = "nvmlDeviceGetCount_v2"\nsignal = "SIGABRT"\n')
        done = trace("--scenario", scenario, "--format", "chrome", "-o", file, f"{BEGIN}count()")
        assert done.returncode == -signal.SIGABRT
        (event,) = events(file, "i")
        assert event["name"] == "nvmlDeviceGetCount_v2: SIGNAL 6"
        assert event["args"]["fault"] == "fault[0]"
        assert "dur" not in event

    def test_is_whole_without_a_call(self, nvemu: Nvemu, file: Path) -> None:
        nvemu("trace", "--format", "chrome", "-o", file, "true")
        assert events(file, "X") == events(file, "M") == []

    def test_is_whole_when_all_are_filtered_out(self, trace: Nvemu, file: Path) -> None:
        trace("--format", "chrome", "-o", file, "--library", "cuda", f"{BEGIN}count()")
        assert json.loads(file.read_text())["traceEvents"] == []

    def test_is_whole_when_the_program_is_killed(self, trace: Nvemu, file: Path) -> None:
        program = f"{BEGIN}\ncount()\nos.kill(os.getpid(), signal.SIGKILL)"
        done = trace("--format", "chrome", "-o", file, program)
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert len(events(file, "X")) == 2

    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
    def test_is_whole_when_nvemu_gets_a_signal(
        self, start_nvemu: Start, file: Path, name: str
    ) -> None:
        program = f"""{BEGIN}
signal.signal(signal.{name}, signal.SIG_DFL)
count()
print('made', flush=True)
signal.pause()
"""
        options = ("--format", "chrome", "-o", file)
        nvemu = start_nvemu("trace", *options, "--", sys.executable, "-c", program)
        assert nvemu.stdout.readline() == "made\n"
        nvemu.send_signal(signal.Signals[name])
        assert nvemu.wait(60) == -signal.Signals[name]
        assert len(events(file, "X")) == 2


class TestFilter:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["-e", "nvmlInit_v2"], ["nvmlInit_v2"]),
            (["--filter", "nvmlInit_v2,cuInit"], ["nvmlInit_v2", "cuInit"]),
            (["-e", "nvmlInit_v2", "-e", " cuInit "], ["nvmlInit_v2", "cuInit"]),
            (["-e", "*Init*"], ["nvmlInit_v2", "cuInit"]),
            (["-e", "setters"], ["nvmlDeviceSetPersistenceMode"]),
            (["-e", "getters,!*Handle*"], ["nvmlDeviceGetCount_v2"]),
            (["-e", "!getters", "-e", "!cu*"], ["nvmlInit_v2", "nvmlDeviceSetPersistenceMode"]),
            (["--library", "cuda"], ["cuInit"]),
            (["--library", "cuda", "-e", "*Init*"], ["cuInit"]),
            (["--failed"], ["nvmlDeviceGetHandleByIndex_v2"]),
            (["--failed", "-e", "!nvmlDeviceGetHandle*"], []),
        ],
        ids=" ".join,
    )
    def test_leaves(self, trace: Nvemu, options: list[str], expected: list[str]) -> None:
        done = trace("--format", "jsonl", *options, MIXED)
        assert functions(done.stderr) == expected

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            (
                ["-e", "nvmlDeviceGetCout_v2"],
                "expected a function of NVML or CUDA, found 'nvmlDeviceGetCout_v2'; "
                "did you mean 'nvmlDeviceGetCount_v2'?",
            ),
            (
                ["-e", "getters,!cuInt"],
                "expected a function of NVML or CUDA, found 'cuInt'; did you mean 'cuInit'?",
            ),
            (
                ["-e", "cuInit", "--library", "nvml"],
                "expected a function of NVML, found 'cuInit'",
            ),
            (["-e", ""], "expected a function of NVML or CUDA, found ''"),
            (["-e", "xyz*"], "expected a function of NVML or CUDA, found 'xyz*'"),
        ],
    )
    def test_refuses_what_means_no_function(
        self, nvemu: Nvemu, options: list[str], problem: str, tmp_path: Path
    ) -> None:
        done = nvemu("trace", *options, "touch", tmp_path / "started")
        assert done.returncode == 2
        assert done.stderr == (
            f"nvemu: invalid value for '-e': {problem} (see `nvemu trace --help`)\n"
        )
        assert not (tmp_path / "started").exists()


#: Launches of two kernels.
LAUNCHES = """
import ctypes
from ctypes import byref, c_void_p
cuda = ctypes.CDLL("libcuda.so.1")
context, module, function = c_void_p(), c_void_p(), c_void_p()
cuda.cuInit(0)
cuda.cuCtxCreate_v2(byref(context), 0, 0)
text = ".version 7.0\\n.target sm_50\\n.address_size 64\\n"
names = ("plain", "_ZN3lab5scaleIfEEvv")
text += "".join(".visible .entry " + name + "() { ret; }" for name in names)
cuda.cuModuleLoadData(byref(module), text.encode())
for name in names:
    cuda.cuModuleGetFunction(byref(function), module, name.encode())
    cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, None, None)
"""
PLAIN, MANGLED = "kernel plain", "kernel _ZN3lab5scaleIfEEvv"


class TestLaunches:
    @pytest.mark.parametrize(
        ("patterns", "expected"),
        [
            ("kernel*", [PLAIN, MANGLED]),
            ("kernel", [PLAIN, MANGLED]),
            ("kernel plain", [PLAIN]),
            ("kernel lab::scale", [MANGLED]),
            ("kernel lab::*", [MANGLED]),
            ("kernel _Z*", [MANGLED]),
            ("kernel nothing", []),
            ("cuInit,kernel p*", ["cuInit", PLAIN]),
            ("!cu*", [PLAIN, MANGLED]),
            ("!kernel*,!cuM*,!cuL*", ["cuInit", "cuCtxCreate_v2"]),
            ("*,!cu*", [PLAIN, MANGLED]),
        ],
    )
    def test_are_chosen_as_they_are_shown(
        self, trace: Nvemu, patterns: str, expected: list[str]
    ) -> None:
        done = trace("--gpus", "t4", "--format", "jsonl", "-e", patterns, LAUNCHES)
        lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
        assert functions("\n".join(lines)) == expected

    @pytest.mark.parametrize("options", [["-e", "kernels"], ["-e", "kernel*", "--library", "nvml"]])
    def test_are_no_other_word(self, nvemu: Nvemu, options: list[str]) -> None:
        done = nvemu("trace", *options, "true")
        assert done.returncode == 2
        assert "expected a function of NVML" in done.stderr

    def test_are_counted(self, trace: Nvemu) -> None:
        done = trace("--gpus", "t4", "-c", "--format", "jsonl", "-e", "kernel*", LAUNCHES)
        rows = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        assert {(row["function"], row["calls"]) for row in rows} == {(PLAIN, 1), (MANGLED, 1)}


class TestSummary:
    @staticmethod
    def rows(text: str) -> dict[str, tuple[float, float, int, int]]:
        """Function -> percent, seconds, calls, errors."""
        found = {}
        for line in text.splitlines():
            share, seconds, _mean, _most, calls, *errors, name = line.split()
            if share[0].isdigit():
                found[name] = (float(share), float(seconds), int(calls), int(*errors or [0]))
        return found

    def test_counts_calls_and_errors_and_adds_up(self, trace: Nvemu) -> None:
        program = f"{BEGIN}\nfor n in range(40): handle(n)\ncount()"
        done = trace("-c", "--gpus", "t4:3", program)
        rows = self.rows(done.stderr)
        assert {name: row[2:] for name, row in rows.items()} == {
            "nvmlDeviceGetHandleByIndex_v2": (40, 37),
            "nvmlInit_v2": (1, 0),
            "nvmlDeviceGetCount_v2": (1, 0),
            "total": (42, 37),
        }
        total = rows.pop("total")
        assert sum(row[1] for row in rows.values()) == pytest.approx(total[1])
        assert sum(row[0] for row in rows.values()) == pytest.approx(100, abs=0.05)
        seconds = [row[1] for row in rows.values()]
        assert seconds == sorted(seconds, reverse=True)

    def test_is_all_that_is_written(self, trace: Nvemu, tmp_path: Path) -> None:
        done = trace("-c", "-o", tmp_path / "sum", MIXED)
        assert done.stderr == ""
        assert self.rows((tmp_path / "sum").read_text())["total"][2:] == (6, 1)

    def test_is_json_for_programs(self, trace: Nvemu) -> None:
        done = trace("-c", "--format", "jsonl", f"{BEGIN}\nhandle(0)\nhandle(7)")
        rows = {row["function"]: row for row in map(json.loads, done.stderr.splitlines())}
        assert rows.keys() == {"nvmlInit_v2", "nvmlDeviceGetHandleByIndex_v2"}
        row = rows["nvmlDeviceGetHandleByIndex_v2"]
        assert (row["library"], row["calls"], row["failed"]) == ("nvml", 2, 1)
        assert row["mean_us"] * 2 == row["total_us"]
        assert row["mean_us"] <= row["max_us"] <= row["total_us"]

    def test_is_of_the_calls_that_are_wanted(self, trace: Nvemu) -> None:
        done = trace("-c", "--failed", MIXED)
        assert {name: row[2:] for name, row in self.rows(done.stderr).items()} == {
            "nvmlDeviceGetHandleByIndex_v2": (1, 1),
            "total": (1, 1),
        }

    def test_of_no_call_is_empty(self, nvemu: Nvemu) -> None:
        done = nvemu("trace", "-c", "true")
        assert self.rows(done.stderr) == {"total": (0.0, 0.0, 0, 0)}

    def test_has_a_call_that_did_not_return_once_as_an_error(
        self, trace: Nvemu, tmp_path: Path
    ) -> None:
        scenario = tmp_path / "exit.toml"
        scenario.write_text('[[fault]]\nfunction = "nvmlDeviceGetCount_v2"\ncalls = 2\nexit = 3\n')
        done = trace("-c", "--scenario", scenario, f"{BEGIN}\ncount()\ncount()")
        assert done.returncode == 3
        assert self.rows(done.stderr)["nvmlDeviceGetCount_v2"][2:] == (2, 1)

    def test_is_not_for_chrome(self, nvemu: Nvemu) -> None:
        done = nvemu("trace", "-c", "--format", "chrome", "true")
        assert done.returncode == 2
        assert done.stderr == (
            "nvemu: expected --format text or jsonl with a summary, found chrome "
            "(see `nvemu trace --help`)\n"
        )


class TestWhatTheProgramPasses:
    ODD = (
        BEGIN
        + r"""
text = b"GPU-\xff\xc3\xa9\xf0\x9f\x98\x80 \x1b[2J\n\r\x00"
nvml.nvmlDeviceGetHandleByUUID(text, ctypes.byref(device))
"""
    )
    SHOWN = "GPU-\ufffdé😀 \x1b[2J\n\r"

    def test_commands_no_terminal(self, trace: Nvemu) -> None:
        done = trace("-e", "*UUID", self.ODD)
        (line,) = done.stderr.splitlines()
        assert line.isprintable()
        assert r"\x1b[2J\n\r" in line

    @pytest.mark.parametrize("variables", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {}])
    def test_is_json_in_any_locale(
        self, trace: Nvemu, tmp_path: Path, variables: dict[str, str]
    ) -> None:
        environment = os.environ | variables
        for form in ("jsonl", "chrome"):
            options = ("--format", form, "-o", tmp_path / form, "-e", "*UUID")
            trace(*options, self.ODD, env=environment)
        (row,) = (tmp_path / "jsonl").read_text(encoding="utf-8").splitlines()
        assert json.loads(row)["arguments"]["uuid"] == self.SHOWN
        (event,) = events(tmp_path / "chrome", "X")
        assert event["args"]["arguments"]["uuid"] == self.SHOWN


class TestOutput:
    def test_nobody_reading_it_does_not_disturb_the_program(self, start_nvemu: Start) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        program = f"{BEGIN}\nfor n in range(1000): count()\nprint(number.value)"
        nvemu = start_nvemu("trace", sys.executable, "-c", program, stderr=writing)
        os.close(writing)
        assert nvemu.stdout.read() == "1\n"
        assert nvemu.wait(60) == 0

    @pytest.mark.parametrize("name", ["", "--", "-e"])
    def test_does_not_take_an_option_for_a_file(
        self, nvemu: Nvemu, tmp_path: Path, name: str
    ) -> None:
        done = nvemu("trace", "-o", name, "true", cwd=tmp_path)
        assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
        assert done.stderr == (
            f"nvemu: invalid value for '-o': expected a file or -, found {name!r} "
            "(see `nvemu trace --help`)\n"
        )

    def test_that_cannot_be_written_is_said_before_the_program_starts(
        self, nvemu: Nvemu, tmp_path: Path
    ) -> None:
        file = tmp_path / "missing/trace"
        done = nvemu("trace", "-o", file, "touch", tmp_path / "started")
        assert done.returncode == 2
        problem = f"invalid value for '-o': {file}: No such file or directory"
        assert done.stderr == f"nvemu: {problem} (see `nvemu trace --help`)\n"
        assert not (tmp_path / "started").exists()

    def test_may_be_a_pipe_that_waits_for_its_reader(
        self, start_nvemu: Start, tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "pipe")
        nvemu = start_nvemu("trace", "-o", tmp_path / "pipe", sys.executable, "-c", MIXED)
        with (tmp_path / "pipe").open() as pipe:
            assert len(pipe.read().splitlines()) == 6
        assert nvemu.wait(60) == 0

    def test_that_is_a_pipe_nobody_reads_can_be_interrupted(
        self, start_nvemu: Start, tmp_path: Path
    ) -> None:
        os.mkfifo(tmp_path / "pipe")
        nvemu = start_nvemu("trace", "-o", tmp_path / "pipe", "true")
        time.sleep(1)  # by then it waits, most likely; it must end of the signal earlier, too
        nvemu.send_signal(signal.SIGINT)
        assert nvemu.wait(60) == -signal.SIGINT

    def test_that_is_full_is_said_and_the_program_goes_on(self, trace: Nvemu) -> None:
        done = trace("-o", "/dev/full", f"{BEGIN}\ncount()\nprint(number.value)\nsys.exit(7)")
        assert (done.returncode, done.stdout) == (7, "1\n")
        assert done.stderr == "nvemu: -o /dev/full: No space left on device\n"


class TestProgram:
    @pytest.mark.parametrize("marked", [["--"], []])
    def test_gets_its_own_options(self, nvemu: Nvemu, marked: list[str]) -> None:
        done = nvemu("trace", *marked, "echo", "-c", "--", "-o", "x", "--failed")
        assert (done.returncode, done.stdout) == (0, "-c -- -o x --failed\n")

    @pytest.mark.parametrize(
        ("script", "status"), [("exit 3", 3), ("kill -TERM $$", -signal.SIGTERM)]
    )
    def test_ends_nvemu_as_under_run(self, nvemu: Nvemu, script: str, status: int) -> None:
        assert nvemu("trace", "sh", "-c", script).returncode == status

    def test_that_is_not_there_is_said(self, nvemu: Nvemu) -> None:
        done = nvemu("trace", "no-such-program")
        assert done.returncode == 127
        assert done.stderr.startswith("nvemu: cannot run no-such-program: ")

    def test_runs_in_the_scenario(self, trace: Nvemu) -> None:
        program = f"{BEGIN}\ncount()\nprint(number.value)"
        assert trace("--gpus", "t4:3", program).stdout == "3\n"
        assert "DRIVER_NOT_LOADED" in trace("--scenario", "driver-not-loaded", program).stderr

    def test_is_needed(self, nvemu: Nvemu) -> None:
        done = nvemu("trace", "-c")
        assert done.returncode == 2
        assert "missing argument 'PROGRAM...'" in done.stderr
