"""`nvemu import nvidia-smi` as a user calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from emulator.cli import cli
from emulator.scenario import toml

V13 = Path(__file__).with_name("smi_v13.xml")


def run(*arguments: str | Path) -> Result:
    command = ["import", "nvidia-smi", *map(str, arguments)]
    return CliRunner().invoke(cli, command, standalone_mode=False)


def printing(folder: Path, text: str) -> Path:
    """A program that prints a text."""
    (folder / "printed").write_text(text)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat '{folder / 'printed'}'\n")
    program.chmod(0o755)
    return program


def test_the_scenario_goes_to_stdout_and_the_notes_to_stderr():
    done = run(V13)
    assert done.return_value == 0
    scenario = toml.loads(done.stdout)
    assert (scenario.name, scenario.driver) == ("smi_v13", "580.126.09")
    assert scenario.gpus[0].profile == "h100-sxm5-80gb"
    assert "figures of 1 GPU" in done.stderr
    assert "something_new: field not known" in done.stderr


def test_or_to_a_file(tmp_path: Path):
    done = run(V13, "-o", tmp_path / "box.toml")
    assert (done.return_value, done.stdout) == (0, "")
    assert toml.loads((tmp_path / "box.toml").read_text()).name == "box"


def test_over_the_file_itself_is_refused(tmp_path: Path):
    source = tmp_path / "box.xml"
    source.write_text(V13.read_text())
    done = run(source, "-o", tmp_path / "." / "box.xml")
    assert "expected another file than the one that is read" in str(done.exception)
    assert source.read_text() == V13.read_text()


def test_to_what_is_no_file_it_is_written(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run(V13, "-o", pipe).return_value == 0
    assert toml.loads(os.read(reader, 1 << 16).decode()).gpus[0].profile == "h100-sxm5-80gb"
    os.close(reader)
    assert pipe.is_fifo()


def test_reads_the_standard_input():
    command = [sys.executable, "-m", "emulator", "import", "nvidia-smi", "-"]
    with V13.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=True)
    assert toml.loads(done.stdout).gpus == toml.loads(run(V13).stdout).gpus


def test_a_bad_file_writes_none(tmp_path: Path):
    (tmp_path / "cut.xml").write_text(V13.read_text()[:5000])
    done = run(tmp_path / "cut.xml", "-o", tmp_path / "box.toml")
    assert "cut.xml:" in str(done.exception)
    assert not (tmp_path / "box.toml").exists()


class TestVerify:
    def test_the_same(self, tmp_path: Path):
        done = run(V13, "--verify", printing(tmp_path, V13.read_text()))
        assert done.return_value == 0
        assert "0 fields differ" in done.stderr

    def test_another_time(self, tmp_path: Path):
        text = V13.read_text().replace("2026", "2027")
        done = run(V13, "--verify", printing(tmp_path, text))
        assert done.return_value == 0
        assert "1 field differs, 0 for no known reason" in done.stderr
        assert "moves on its own" in done.stderr

    def test_another_value(self, tmp_path: Path):
        text = V13.read_text().replace("29 C", "30 C")
        done = run(V13, "--verify", printing(tmp_path, text))
        assert done.return_value == 1
        assert "gpu[0]/temperature/gpu_temp  29 C" in done.stderr

    def test_something_else(self, tmp_path: Path):
        done = run(V13, "--verify", printing(tmp_path, "No devices were found\n"))
        assert done.return_value == 1
        assert "No devices were found" in done.stderr

    def test_a_line(self, tmp_path: Path):
        (tmp_path / "said").write_text("No devices were found\n")
        done = run(tmp_path / "said", "--verify", printing(tmp_path, "No devices were found\n"))
        assert done.return_value == 0
        assert "prints" in done.stderr


@pytest.mark.parametrize("name", ["dcgm-injection", "nvidia-smi", "nvml-mock"])
def test_the_help_names_the_sources(name: str):
    assert name in CliRunner().invoke(cli, ["import", "--help"]).stdout


class TestOptions:
    def test_whole_gives_all_that_is_told(self):
        [bare], [whole] = (toml.loads(run(V13, *more).stdout).gpus for more in ((), ("--whole",)))
        assert "temperature" not in bare.figures
        assert whole.figures["temperature"]["shutdown_margin"] == -8

    def test_redacted_nothing_says_whose_it_is(self):
        secrets = ("GPU-00000001-0002", "train.py", "CHASSIS-7")
        text, redacted = (run(V13, *more).stdout for more in ((), ("--redact",)))
        assert [secret for secret in secrets if secret not in text] == []
        assert [secret for secret in secrets if secret in redacted] == []
        assert toml.loads(redacted).gpus[0].profile == "h100-sxm5-80gb"

    def test_what_is_verified_is_not_redacted(self, tmp_path: Path):
        done = run(V13, "--redact", "--verify", printing(tmp_path, V13.read_text()))
        assert done.return_value == 0
        assert "0 fields differ" in done.stderr


def test_what_is_noted_of_many_gpus_stands_there_once(tmp_path: Path):
    head, gpu = (
        "<driver_version>550.163.01</driver_version>",
        "<product_name>Tesla T4</product_name>",
    )
    gpus = "".join(f'<gpu id="00000000:0{n}:00.0">\n{gpu}<new>1</new></gpu>' for n in range(3))
    (tmp_path / "box.xml").write_text(f"<nvidia_smi_log>{head}{gpus}</nvidia_smi_log>")
    notes = run(tmp_path / "box.xml").stderr.splitlines()[1:]
    assert notes == [
        "nvemu: line 2, gpu 00000000:00:00.0, new: field not known (and 2 more like this)"
    ]
