"""A test run under each built-in scenario."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator.scenario import load, names
from emulator.testing.gpus import reason_to_part

Suite = Callable[..., pytest.RunResult]

DRIVER = load("default").driver

SELECTION = """
@pytest.mark.gpu_gallery("driver-*", "no-*", exclude="*-devices")
def test_patterns(gpu): pass

@pytest.mark.gpu_gallery("init-*", in_process=True)
def test_in_process(gpu): pass

@pytest.mark.gpu_gallery(exclude=["[!d]*", "default"])
@pytest.mark.parametrize("more", [1, 2])
def test_several(gpu, more): pass

def test_everything(gpu_gallery): pass
"""


def test_what_a_marker_selects(suite: Suite) -> None:
    result = suite(SELECTION, "--collect-only", "-q")
    ids = [line.partition("::")[2] for line in result.outlines if "::" in line]
    known = sorted(names().scenarios)
    ds = [name for name in known if name.startswith("d") and name != "default"]
    assert [one for one in ids if "patterns" in one] == ["test_patterns[driver-not-loaded]"]
    assert [one for one in ids if "in_process" in one] == [
        f"test_in_process[{name}]"
        for name in known
        if name.startswith("init-") and not reason_to_part(load(name))
    ]
    assert sorted(one for one in ids if "several" in one) == sorted(
        f"test_several[{name}-{more}]" for more in (1, 2) for name in ds
    )
    assert [one for one in ids if "everything" in one] == [f"test_everything[{n}]" for n in known]
    assert len(known) > 40


def test_the_whole_gallery_ends_no_test_process(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.gpu_gallery
        def test_discovery(gpu, gpu_gallery):
            assert gpu.scenario.name == gpu_gallery.name
            if gpu.apart is None:
                try:
                    count()
                except pynvml.NVMLError:
                    pass
                assert gpu.calls

        @pytest.mark.gpu_gallery(in_process=True)
        def test_plays_here(gpu):
            assert gpu.machine
        """,
        "-q",
    )
    known = names().scenarios
    here = [n for n in known if load(n).driver == DRIVER and not reason_to_part(load(n))]
    assert 0 < len(here) < len(known)
    result.assert_outcomes(passed=len(known) + len(here))


def test_a_scenario_with_fields_of_the_test_s_own(suite: Suite) -> None:
    suite(
        """
        @pytest.mark.gpu_scenario("no-devices", gpus=[])
        class TestMachines:
            @pytest.mark.gpu_gallery("default")
            @pytest.mark.gpu_scenario(gpus=[Gpu("t4", count=3)])
            def test_fields(self, gpu):
                assert gpu.scenario.name == "default" and count() == 3

            @pytest.mark.gpu_gallery("default")
            def test_the_gallery_comes_before_a_named_scenario(self):
                assert count() == 1
        """
    ).assert_outcomes(passed=2)


def test_another_driver_s_scenario_is_for_programs_only(suite: Suite) -> None:
    name = next(
        name
        for name in names().scenarios
        if load(name).driver != DRIVER and not reason_to_part(load(name))
    )
    suite(
        f"""
        @pytest.mark.gpu_gallery("{name}")
        def test_driver(gpu):
            assert gpu.apart == "its driver is {load(name).driver}, and other tests' is {DRIVER}"
            assert gpu.run(COUNT).calls

        def test_after_it(gpu):
            assert count() == 1
        """
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            "'driver-not-loded'",
            "expected a built-in scenario or a glob, found 'driver-not-loded'; *",
        ),
        ("exclude=['gpu-*', 5]", "expected a built-in scenario or a glob, found 5*"),
        ("excludes='gpu-*'", "expected an argument, found 'excludes'; did you mean 'exclude'[?]"),
        ("in_process='maybe'", "expected True or False, found 'maybe'"),
    ],
)
def test_mistakes_are_errors_of_collection(suite: Suite, arguments: str, expected: str) -> None:
    result = suite(f"@pytest.mark.gpu_gallery({arguments})\ndef test_it(gpu): pass\n")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"gpu_gallery*: {expected}"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_what_pytest_cannot_run_several_times_fails(suite: Suite) -> None:
    result = suite(
        """
        class Unittest(unittest.TestCase):
            @pytest.mark.gpu_gallery("no-devices")
            def test_of_unittest(self): pass

        @pytest.mark.gpu_gallery("no-devices")
        class Whole(unittest.TestCase):
            def test_of_unittest(self): pass

        marked = pytest.param(1, marks=pytest.mark.gpu_gallery("no-devices"))
        @pytest.mark.parametrize("number", [marked])
        def test_parameter(number): pass
        """
    )
    result.assert_outcomes(errors=3)
    line = "gpu_gallery: expected a test that pytest can run once under each scenario, found *"
    result.stdout.fnmatch_lines([line] * 3)
    result.stdout.no_fnmatch_line("*Traceback*")
