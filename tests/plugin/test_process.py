"""The plugin in pytest's processes: what it costs them, their driver, several of them."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

Suite = Callable[..., pytest.RunResult]

ROOT = Path(__file__).resolve().parent.parent.parent

CHECK = """
import sys

def test_nothing_of_nvemu_is_here():
    ours = {name for name in sys.modules if name.startswith("emulator.")}
    allowed = {"emulator.pytest_plugin", "emulator.version", "emulator.machine"}
    assert {name for name in ours if not name.startswith("emulator.machine.")} <= allowed
    assert "msgspec" not in sys.modules and "click" not in sys.modules
    with open("/proc/self/maps") as maps:
        assert "libnvidia-ml" not in maps.read()
"""


def test_a_suite_without_gpus_pays_nothing(
    suite: Suite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite("")  # for its environment
    pytester.path.joinpath("test_suite.py").write_text(CHECK)
    options = ("-p", "emulator.pytest_plugin", "-p", "no:cacheprovider", "-W", "error")
    result = pytester.runpytest_subprocess(*options)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["nvemu 0.*"])


def test_the_package_brings_the_plugin(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pip installs it: metadata beside the package, which pytest finds by itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"nvemu": "emulator.pytest_plugin"}
    site = pytester.mkdir("site")
    site.joinpath("emulator").symlink_to(ROOT / "emulator")
    information = site / "nvemu-0.dist-info"
    information.mkdir()
    information.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: nvemu\nVersion: 0\n")
    entries = "".join(f"{k} = {v}\n" for k, v in project["entry-points"]["pytest11"].items())
    information.joinpath("entry_points.txt").write_text(f"[pytest11]\n{entries}")
    files = (f"{path.relative_to(ROOT)},,\n" for path in ROOT.glob("emulator/**/*.py"))
    information.joinpath("RECORD").write_text("".join(files))
    monkeypatch.setenv("PYTHONPATH", str(site))
    pytester.makepyfile(test_suite="def test_it(gpu):\n    assert len(gpu.devices) == 1\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["nvemu 0.*: gpu scenario default, driver *"])


def test_the_markers_and_options_are_listed(suite: Suite) -> None:
    result = suite("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.gpu_scenario(*", "@pytest.mark.gpu_gallery(*"])
    result = suite("", "--help")
    result.stdout.fnmatch_lines(["nvemu:", "  --gpu-scenario=NAME|FILE"])


def test_a_process_has_one_driver(suite: Suite) -> None:
    result = suite(
        """
        def test_the_first(gpu):
            assert count() == 1

        @pytest.mark.gpu_scenario(driver="470.256.02")
        def test_another(gpu):
            raise AssertionError("it began")

        @pytest.mark.gpu_scenario(driver="470.256.02", in_process=False)
        def test_another_for_programs(gpu):
            assert gpu.run(COUNT).stdout == "1\\n"
        """
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "this process plays driver 580.126.09 and cannot change to 470.256.02: run*",
            "*pytest-forked's --forked*in_process=False*gpu.run*",
        ]
    )


def test_programs_first_leave_the_driver_open(suite: Suite) -> None:
    suite(
        """
        @pytest.mark.gpu_scenario(driver="550.163.01", in_process=False)
        def test_programs(gpu):
            assert gpu.run(COUNT).stdout == "1\\n"

        @pytest.mark.gpu_scenario(driver="470.256.02")
        def test_the_first_that_plays_here(gpu):
            assert gpu.machine.driver_version == "470.256.02"
            assert count() == 1
        """
    ).assert_outcomes(passed=2)


def test_a_process_with_another_library_says_so(
    suite: Suite, compile_c: Callable[..., Path]
) -> None:
    library = compile_c(
        "int nvmlInit_v2(void) { return 0; }", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"
    )
    result = suite(
        f"""
        REAL = ctypes.CDLL({str(library)!r})

        def test_here(gpu): pass

        @pytest.mark.gpu_scenario(in_process=False)
        def test_programs(gpu):
            assert gpu.run(COUNT).stdout == "1\\n"
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["this process has loaded another libnvidia-ml.so.1 before*"])


def test_xdist(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.gpu_gallery(in_process=True)
        def test_gallery(gpu):
            try:
                count()
            except pynvml.NVMLError:
                pass
            assert gpu.calls

        @pytest.mark.parametrize("number", range(4))
        def test_programs(gpu, number, worker_id):
            gpu.set(temperature=50 + number)
            assert gpu.run(COUNT).stdout == "0\\n" and worker_id in ("gw0", "gw1")

        def test_fails(gpu):
            assert count() == 5
        """,
        *("-p", "xdist", "-n", "2", "--gpu-scenario", "no-devices"),
    )
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] == 1
    assert outcomes["passed"] > 20
    assert "errors" not in outcomes
    result.stdout.fnmatch_lines(
        ["*- nvemu -*", "scenario no-devices, driver *", "  nvmlDeviceGetCount_v2(deviceCount=0)*"]
    )
