"""`nvemu run --trace`: the calls as they happen, as JSON for programs or as lines for people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Nvemu = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Any]

COUNT = """
import ctypes
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
count = ctypes.c_uint()
nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
print(count.value)
"""


def line(stream: Any) -> str:
    return str(stream.readline()).rstrip("\n")


class TestTrace:
    def test_file_has_a_json_line_for_each_call(self, nvemu: Nvemu, tmp_path: Path) -> None:
        done = nvemu("run", "--trace", tmp_path / "t.jsonl", sys.executable, "-c", COUNT)
        assert (done.stdout, done.stderr) == ("1\n", "")
        records = [json.loads(row) for row in (tmp_path / "t.jsonl").read_text().splitlines()]
        assert [r["function"] for r in records] == ["nvmlInit_v2", "nvmlDeviceGetCount_v2"]
        assert records[1]["arguments"] == {"deviceCount": 1}
        assert [r["status"] for r in records] == ["SUCCESS", "SUCCESS"]

    def test_file_is_written_anew(self, nvemu: Nvemu, tmp_path: Path) -> None:
        (tmp_path / "t.jsonl").write_text("of the last run")
        nvemu("run", "--trace", tmp_path / "t.jsonl", "true")
        assert (tmp_path / "t.jsonl").read_text() == ""

    def test_does_not_take_the_end_of_the_options_for_a_file(
        self, nvemu: Nvemu, tmp_path: Path
    ) -> None:
        done = nvemu("run", "--trace", "--", "true", cwd=tmp_path)
        assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
        assert done.stderr == (
            "nvemu: invalid value for '--trace': expected a file or -, found '--' "
            "(see `nvemu run --help`)\n"
        )

    def test_dash_is_readable_lines_on_stderr_in_order(self, nvemu: Nvemu) -> None:
        done = nvemu("run", "--trace", "-", sys.executable, "-c", COUNT)
        assert done.stdout == "1\n"
        first, second = done.stderr.splitlines()
        assert first.startswith("nvmlInit_v2() = SUCCESS <")
        assert second.startswith("nvmlDeviceGetCount_v2(deviceCount=1) = SUCCESS <")

    def test_lines_come_as_the_calls_happen(self, start_nvemu: Start) -> None:
        program = f"{COUNT}input()"
        options = ("--trace", "-")
        nvemu = start_nvemu("run", *options, sys.executable, "-c", program, stderr=subprocess.PIPE)
        assert line(nvemu.stderr).startswith("nvmlInit_v2")
        assert line(nvemu.stderr).startswith("nvmlDeviceGetCount_v2")
        assert nvemu.poll() is None
        nvemu.communicate("\n")

    def test_a_pipe_serves_as_file(self, start_nvemu: Start) -> None:
        reading, writing = os.pipe()
        arguments = ("--trace", f"/dev/fd/{writing}", sys.executable, "-c", COUNT)
        nvemu = start_nvemu("run", *arguments, pass_fds=[writing])
        os.close(writing)
        with os.fdopen(reading) as pipe:
            assert [json.loads(row)["function"] for row in pipe] == [
                "nvmlInit_v2",
                "nvmlDeviceGetCount_v2",
            ]
        assert nvemu.wait(60) == 0

    def test_lines_of_further_processes_say_which(self, nvemu: Nvemu) -> None:
        script = '"$0" -c "$1"; "$0" -c "$1"'
        done = nvemu("run", "--trace", "-", "sh", "-c", script, sys.executable, COUNT)
        marks = [row.split("nvml")[0] for row in done.stderr.splitlines()]
        assert marks[:2] == ["", ""]
        assert marks[2] == marks[3]
        assert marks[2].startswith("[pid ")

    def test_nobody_reading_it_does_not_disturb_the_program(self, start_nvemu: Start) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        nvemu = start_nvemu("run", "--trace", "-", sys.executable, "-c", COUNT, stderr=writing)
        os.close(writing)
        assert nvemu.stdout.read() == "1\n"
        assert nvemu.wait(60) == 0
