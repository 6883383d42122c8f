"""`nvemu scenarios`: what comes with nvemu, and whether a file of one's own is right."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import termios
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest
from click.testing import CliRunner

from emulator.cli.scenarios import command
from emulator.imports.captures.format import Call, Capture, Header, dumps
from emulator.machine import FORMAT
from emulator.plans import find_scenario
from emulator.scenario import Gpu, load, loads, names
from emulator.scenario.profiles import profile

Nvemu = Callable[..., subprocess.CompletedProcess[str]]


def line(terminal: TextIO) -> str:
    """A line of a terminal; nothing when the program behind it has ended (EIO)."""
    try:
        return terminal.readline()
    except OSError:
        return ""


class TestList:
    def test_has_every_scenario_and_profile_with_its_description(self, nvemu: Nvemu) -> None:
        rows = nvemu("scenarios", "list").stdout.splitlines()
        listed = dict(row.split(maxsplit=1) for row in rows if row.startswith("  "))
        assert listed == names().scenarios | names().systems | names().profiles

    @pytest.mark.parametrize(
        ("name", "heading"),
        [
            ("default", "What the machine is like:"),
            ("driver-not-loaded", "What calls answer:"),
            ("library-empty", "What the dynamic loader finds:"),
            ("hot-unplug", "What happens after a while:"),
        ],
    )
    def test_groups_scenarios_by_what_they_are_made_of(
        self, nvemu: Nvemu, name: str, heading: str
    ) -> None:
        sections = nvemu("scenarios", "list").stdout.split("\n\n")
        (found,) = (s for s in sections if any(r.startswith(f"  {name} ") for r in s.split("\n")))
        assert found.splitlines()[0] == heading

    @pytest.mark.parametrize(
        ("name", "heading"),
        [("dgx-a100", "Systems, whole machines"), ("t4", "GPU profiles")],
    )
    def test_systems_and_profiles_have_their_own_lists(
        self, nvemu: Nvemu, name: str, heading: str
    ) -> None:
        sections = nvemu("scenarios", "list").stdout.split("\n\n")
        (found,) = (s for s in sections if any(r.startswith(f"  {name} ") for r in s.split("\n")))
        assert found.startswith(heading)

    @pytest.mark.parametrize(
        ("texts", "expected"),
        [
            (["MIG"], {"mig-enabled-no-instances", "mig-insufficient-permissions"}),
            (["cuInit*803"], {"library-version-mismatch"}),
            (["nvmlInit", "Mismatch"], {"library-version-mismatch"}),
            (["RTX A5000"], {"rtx-a5000"}),
            (["laptop", "no fans"], {"laptop-rtx-4070"}),
        ],
    )
    def test_finds_texts_in_names_and_descriptions(
        self, nvemu: Nvemu, texts: list[str], expected: set[str]
    ) -> None:
        rows = nvemu("scenarios", "list", *texts).stdout.splitlines()
        assert {row.split()[0] for row in rows if row.startswith("  ")} == expected

    def test_a_text_that_nothing_has_is_a_mistake(self, nvemu: Nvemu) -> None:
        done = nvemu("scenarios", "list", "no such", "thing")
        assert "found 'no such thing'" in done.stderr
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)

    def test_folds_descriptions_to_a_terminal(self, nvemu_command: list[str]) -> None:
        leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 80))
        command = [*nvemu_command, "scenarios", "list", "lost"]
        subprocess.run(command, stdout=follower, check=True)
        os.close(follower)
        with open(leader, closefd=True) as terminal:
            rows = list(iter(lambda: line(terminal), ""))
        assert max(len(row.rstrip()) for row in rows) <= 80
        text = " ".join(" ".join(rows).split())
        assert all(said in text for name, said in names().scenarios.items() if "lost" in name)


class TestShow:
    @pytest.mark.parametrize("name", names().scenarios | names().systems)
    def test_a_scenario_is_toml_to_start_from(self, name: str) -> None:
        text = CliRunner().invoke(command, ["show", name]).stdout
        assert loads(text, name=name) == load(name)
        assert all(address in text for address in load(name).origin)

    @pytest.mark.parametrize("name", names().profiles)
    def test_a_profile_is_toml_of_the_figures_that_may_change(
        self, nvemu: Nvemu, name: str
    ) -> None:
        text = nvemu("scenarios", "show", name).stdout
        heading = [f"# {names().profiles[name]}", "# What [gpu.figures] of a scenario may change."]
        assert text.splitlines()[:2] == heading
        shown = tomllib.loads(text)
        assert Gpu(name, figures=shown).figures == profile(name).figures

    def test_a_capture_is_toml_of_the_scenario_that_replays_it(
        self, nvemu: Nvemu, tmp_path: Path
    ) -> None:
        file = tmp_path / "box.capture"
        call = Call("nvml", "nvmlDeviceGetTemperature", {"device": "GPU-0"}, 0, {"temp": 41})
        file.write_bytes(dumps(Capture(Header(driver="550.163.01"), (call,))))
        done = nvemu("scenarios", "show", file)
        assert loads(done.stdout) == find_scenario(file)
        assert "GPU-0: its product is not told" in done.stderr

    def test_a_profile_has_what_it_inherits_with_units(self, nvemu: Nvemu) -> None:
        shown = tomllib.loads(nvemu("scenarios", "show", "t4").stdout)
        assert shown["name"] == "Tesla T4"
        assert shown["architecture"] == "TURING"
        assert shown["memory"] == {
            "used": 0,
            "total": "15360 MiB",
            "reserved": "388 MiB",
            "bus_width": 256,
        }
        assert not {"inherits", "placement", "driver", "description"} & shown.keys()

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [("defualt", "did you mean 'default'?"), ("../gpus/t4", "found '../gpus/t4'")],
    )
    def test_an_unknown_name_is_one_line(self, nvemu: Nvemu, name: str, complaint: str) -> None:
        done = nvemu("scenarios", "show", name)
        assert complaint in done.stderr
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


class TestValidate:
    def test_a_right_file_is_ok(self, nvemu: Nvemu, tmp_path: Path) -> None:
        (tmp_path / "right.toml").write_text('[[gpu]]\nprofile = "t4"\n')
        done = nvemu("scenarios", "validate", tmp_path / "right.toml")
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}/right.toml: ok\n")

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("gpu = [", "expected TOML"),
            ("drivr = 1", ":1: drivr: no such key; did you mean 'driver'?"),
            ('[[gpu]]\nprofile = "t5"', ":2: gpu[0].profile: expected a GPU profile, found 't5'"),
            ('[[fault]]\nfunction = "nvmlNo"\nreturns = 1', ":2: fault[0].function: "),
        ],
    )
    def test_a_mistake_is_told_with_its_place(
        self, nvemu: Nvemu, tmp_path: Path, text: str, complaint: str
    ) -> None:
        (tmp_path / "wrong.toml").write_text(text)
        done = nvemu("scenarios", "validate", tmp_path / "wrong.toml")
        assert done.returncode == 1
        assert done.stdout.startswith(f"{tmp_path}/wrong.toml:")
        assert complaint in done.stdout
        assert done.stderr == ""

    def test_all_files_are_checked(self, nvemu: Nvemu, tmp_path: Path) -> None:
        (tmp_path / "wrong.toml").write_text("x = 1")
        (tmp_path / "right.toml").touch()
        done = nvemu("scenarios", "validate", "wrong.toml", "right.toml", cwd=tmp_path)
        assert done.returncode == 1
        assert [row.split(":")[0] for row in done.stdout.splitlines()] == [
            "wrong.toml",
            "right.toml",
        ]

    def test_what_cannot_be_read_does_not_stop_the_others(
        self, nvemu: Nvemu, tmp_path: Path
    ) -> None:
        (tmp_path / "right.toml").touch()
        (tmp_path / "folder").mkdir()
        asked = ("nope.toml", "folder", "right.toml", "nope")
        done = nvemu("scenarios", "validate", *asked, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (1, "")
        *rows, last = done.stdout.splitlines()
        assert rows == [
            "nope.toml: cannot be read: No such file or directory",
            "folder: cannot be read: Is a directory",
            "right.toml: ok",
        ]
        assert last.startswith("nope: expected a built-in scenario or the path of a file")

    def test_takes_what_run_takes(self, nvemu: Nvemu, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        done = nvemu("scenarios", "validate", "default", "mine.txt", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "default: ok\nmine.txt: ok\n")


class TestResolve:
    def test_is_the_plan_as_json(self, nvemu: Nvemu) -> None:
        plan = json.loads(nvemu("scenarios", "resolve", "default").stdout)
        assert plan["format"] == FORMAT
        assert plan["gpus"][0]["name"] == "Tesla T4"
        assert plan["trace"] is None
        assert "nvmlInit_v2" in plan["handlers"]["nvml"]["system"].split()

    def test_may_be_for_another_driver(self, nvemu: Nvemu) -> None:
        done = nvemu("scenarios", "resolve", "--driver", "470.256.02", "default")
        assert json.loads(done.stdout)["driver"] == "470.256.02"
        assert done.stderr == ""
