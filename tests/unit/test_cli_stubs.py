"""`nvemu stubs path`: a testbed that stays, to put on LD_LIBRARY_PATH by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.cli.stubs import private
from emulator.machine import NEWEST
from emulator.testbed import TestbedError

Done = subprocess.CompletedProcess[str]
Nvemu = Callable[..., Done]

DEFAULT = "nvemu: NVEMU_SCENARIO is not set: playing the built-in scenario `default`\n"
COUNT = """
import ctypes
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
count, version = ctypes.c_uint(), ctypes.create_string_buffer(80)
nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
nvml.nvmlSystemGetDriverVersion(version, 80)
print(count.value, version.value.decode())
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def count(cache: Path, nvemu: Nvemu) -> Callable[..., Done]:
    """What a program started by hand finds: how many GPUs, and the driver."""

    def count(driver: str = NEWEST, **variables: str) -> Done:
        folder = nvemu("stubs", "path", "--driver", driver).stdout.strip()
        environment = {"LD_LIBRARY_PATH": folder} | variables
        command = [sys.executable, "-c", COUNT]
        return subprocess.run(
            command, env=environment, cwd=cache, capture_output=True, text=True, check=False
        )

    return count


class TestFolder:
    def test_is_in_the_users_cache(self, nvemu: Nvemu, cache: Path) -> None:
        done = nvemu("stubs", "path", "--driver", "550.163.01")
        assert done.stdout == f"{cache}/nvemu/550.163.01/lib\n"
        assert done.stderr == ""
        assert nvemu("stubs", "path").stdout == f"{cache}/nvemu/{NEWEST}/lib\n"

    @pytest.mark.parametrize("named", ["", "relative/folder"])
    def test_is_below_home_without_a_valid_xdg_cache_home(
        self, nvemu: Nvemu, tmp_path: Path, named: str
    ) -> None:
        environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": named, "PATH": os.environ["PATH"]}
        done = nvemu("stubs", "path", env=environment)
        assert done.stdout == f"{tmp_path}/.cache/nvemu/{NEWEST}/lib\n"

    def test_is_refused_without_a_home(self, nvemu: Nvemu) -> None:
        done = nvemu("stubs", "path", env={"HOME": "", "PATH": os.environ["PATH"]})
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "nvemu: you have no home folder: set HOME or XDG_CACHE_HOME to a folder\n"
        )

    def test_has_the_libraries_and_a_plan_but_no_scenario_of_its_own(
        self, nvemu: Nvemu, cache: Path
    ) -> None:
        nvemu("stubs", "path", "--driver", "550.163.01")
        folder = cache / "nvemu" / "550.163.01"
        assert sorted(path.name for path in folder.iterdir()) == ["boot", "default.json", "lib"]
        plan = json.loads((folder / "default.json").read_text())
        assert (plan["name"], plan["driver"], plan.get("trace")) == ("default", "550.163.01", None)
        assert "driver=550.163.01\n" in (folder / "boot").read_text()
        assert sorted(path.name for path in (folder / "lib").iterdir()) == [
            "libcuda.so",
            "libcuda.so.1",
            "libcuda.so.550.163.01",
            "libnvidia-ml.so",
            "libnvidia-ml.so.1",
            "libnvidia-ml.so.550.163.01",
        ]

    def test_is_private(self, nvemu: Nvemu, cache: Path) -> None:
        cache.mkdir()
        (cache / "nvemu").mkdir(mode=0o777)
        nvemu("stubs", "path")
        folders = [cache / "nvemu", cache / "nvemu" / NEWEST]
        assert [oct(folder.stat().st_mode & 0o777) for folder in folders] == ["0o700", "0o700"]

    def test_making_it_again_leaves_libraries_that_are_in_use_alone(
        self, nvemu: Nvemu, cache: Path
    ) -> None:
        def libraries() -> dict[str, tuple[int, int]]:
            found = (cache / "nvemu" / NEWEST / "lib").glob("*.so.*.*")
            return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}

        nvemu("stubs", "path")
        before = libraries()
        assert nvemu("stubs", "path").returncode == 0
        assert libraries() == before

    def test_many_may_make_it_at_once(self, nvemu_command: list[str], cache: Path) -> None:
        command = [*nvemu_command, "stubs", "path"]
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        makers = [subprocess.Popen(command, **options) for _ in range(4)]
        said = {maker.communicate(timeout=60)[0] for maker in makers}
        assert said == {f"{cache}/nvemu/{NEWEST}/lib\n".encode()}
        assert list(cache.rglob(".*")) == []  # what was being written

    def test_of_another_user_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
        with pytest.raises(TestbedError, match="belongs to another user"):
            private(tmp_path / "folder")

    @pytest.mark.parametrize(
        ("cache", "complaint"),
        [("/proc/nvemu", "/proc/nvemu: "), ("{}/a:b", "cannot go on LD_LIBRARY_PATH")],
    )
    def test_that_cannot_serve_is_refused_in_one_line(
        self, nvemu: Nvemu, tmp_path: Path, cache: str, complaint: str
    ) -> None:
        done = nvemu("stubs", "path", env={"XDG_CACHE_HOME": cache.format(tmp_path)})
        assert done.returncode == 2
        assert complaint in done.stderr
        assert (done.stdout, done.stderr.count("\n")) == ("", 1)


class TestProgramStartedByHand:
    def test_plays_the_default_and_says_so_once(self, count: Callable[..., Done]) -> None:
        done = count()
        assert (done.stdout, done.stderr) == (f"1 {NEWEST}\n", DEFAULT)

    def test_plays_a_scenario_by_name(self, count: Callable[..., Done]) -> None:
        done = count(NVEMU_SCENARIO="no-devices")
        assert (done.stdout, done.stderr) == (f"0 {NEWEST}\n", "")

    def test_plays_a_file_relative_to_the_program(
        self, count: Callable[..., Done], cache: Path
    ) -> None:
        cache.mkdir()
        (cache / "mine.toml").write_text('[[gpu]]\nprofile = "t4"\ncount = 3\n')
        assert count(NVEMU_SCENARIO="mine.toml").stdout == f"3 {NEWEST}\n"

    def test_has_the_folders_driver_whatever_the_scenario_wants(
        self, count: Callable[..., Done], cache: Path
    ) -> None:
        cache.mkdir()
        (cache / "old.toml").write_text('driver = "470.256.02"\n')
        done = count("550.163.01", NVEMU_SCENARIO="old.toml")
        assert done.stdout == "0 550.163.01\n"
        assert done.stderr == (
            "nvemu: the scenario old wants driver 470.256.02; these libraries are of 550.163.01\n"
        )

    def test_is_told_why_a_scenario_cannot_be_played(self, count: Callable[..., Done]) -> None:
        done = count(NVEMU_SCENARIO="no-device")
        assert "did you mean 'no-devices'?" in done.stderr
        assert "NVEMU_SCENARIO=no-device cannot be played" in done.stderr
        assert "Traceback" not in done.stderr

    def test_is_not_led_astray_by_its_own_python_settings(
        self, count: Callable[..., Done], cache: Path
    ) -> None:
        (cache / "emulator").mkdir(parents=True)
        (cache / "emulator" / "__init__.py").write_text("raise SystemExit('the wrong one')")
        settings = {"PYTHONPATH": str(cache), "PYTHONSAFEPATH": "1"}
        assert count(NVEMU_SCENARIO="no-devices", **settings).stdout == f"0 {NEWEST}\n"


def test_a_missing_libpython_is_told_with_what_to_install(
    nvemu_command: list[str], cache: Path
) -> None:
    python, _, program = nvemu_command
    without = "import emulator.testbed.libpython as l; l._candidates = lambda: iter(())"
    program = program.replace("from emulator.cli", f"{without}; from emulator.cli")
    command = [python, "-c", program, "stubs", "path"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{cache}/nvemu/{NEWEST}/lib\n"
    assert done.stderr.startswith("nvemu: only Python programs will find these GPUs")
    assert "libpython3-dev" in done.stderr
