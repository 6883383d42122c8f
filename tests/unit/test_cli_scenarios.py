"""`nvemu scenarios`: what comes with nvemu, and whether a file of one's own is right."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.scenario import Gpu, load, loads, names
from emulator.scenario.profiles import profile

Nvemu = Callable[..., subprocess.CompletedProcess[str]]


class TestList:
    def test_has_every_scenario_and_profile_with_its_description(self, nvemu: Nvemu) -> None:
        rows = nvemu("scenarios", "list").stdout.splitlines()
        listed = dict(row.split(maxsplit=1) for row in rows if row.startswith("  "))
        assert listed == names().scenarios | names().profiles


class TestShow:
    @pytest.mark.parametrize("name", names().scenarios)
    def test_a_scenario_is_toml_to_start_from(self, nvemu: Nvemu, name: str) -> None:
        assert loads(nvemu("scenarios", "show", name).stdout, name=name) == load(name)

    @pytest.mark.parametrize("name", names().profiles)
    def test_a_profile_is_toml_of_the_figures_that_may_change(
        self, nvemu: Nvemu, name: str
    ) -> None:
        text = nvemu("scenarios", "show", name).stdout
        heading = [f"# {names().profiles[name]}", "# What [gpu.figures] of a scenario may change."]
        assert text.splitlines()[:2] == heading
        shown = tomllib.loads(text)
        assert Gpu(name, figures=shown).figures == profile(name).figures

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
        assert plan["format"] == 1
        assert plan["gpus"][0]["name"] == "Tesla T4"
        assert plan["trace"] is None
        assert "nvmlInit_v2" in plan["handlers"]["nvml"]

    def test_may_be_for_another_driver(self, nvemu: Nvemu) -> None:
        done = nvemu("scenarios", "resolve", "--driver", "470.256.02", "default")
        assert json.loads(done.stdout)["driver"] == "470.256.02"
        assert done.stderr == ""
