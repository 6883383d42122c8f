"""Which scenario a test plays."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]

FOUR = '[[gpu]]\nprofile = "t4"\ncount = 4\n'


def test_a_marker_names_the_scenario(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.mkdir("machines").joinpath("four.toml").write_text(FOUR)
    suite(
        """
        TWO = Scenario(gpus=[Gpu("t4", count=2)])

        def test_default(gpu):
            assert count() == 1 and len(gpu.devices) == 1

        @pytest.mark.gpu_scenario("no-devices")
        def test_a_name(gpu):
            assert count() == 0

        @pytest.mark.gpu_scenario("machines/four.toml")
        def test_a_file_beside_the_test(gpu, monkeypatch):
            assert count() == 4

        @pytest.mark.gpu_scenario(pathlib.Path("machines", "four.toml"))
        def test_a_path(gpu):
            assert count() == 4

        @pytest.mark.gpu_scenario(TWO)
        def test_an_object(gpu):
            assert count() == 2

        @pytest.mark.gpu_scenario(scenario=TWO)
        def test_by_keyword(gpu):
            assert count() == 2

        @pytest.mark.gpu_scenario("driver-not-loaded", gpus=[])
        def test_fields_in_place_of_the_scenario_s(gpu):
            assert gpu.scenario.faults and not gpu.devices

        @pytest.mark.gpu_scenario(TWO, driver="580.126.09")
        class TestClass:
            def test_of_a_class(self, gpu):
                assert count() == 2

            @pytest.mark.gpu_scenario(strict=True)
            def test_fields_on_top_of_the_class_s(self, gpu):
                assert count() == 2 and gpu.scenario.strict

            @pytest.mark.gpu_scenario("no-devices")
            def test_the_nearest_name_wins(self, gpu):
                assert count() == 0 and not gpu.scenario.strict

        @pytest.mark.gpu_scenario(TWO)
        def test_the_marker_is_enough():
            assert count() == 2

        @pytest.mark.gpu_scenario(TWO)
        class Unittest(unittest.TestCase):
            def test_of_unittest(self):
                self.assertEqual(count(), 2)

        several = pytest.param(2, marks=pytest.mark.gpu_scenario(TWO))
        @pytest.mark.parametrize("expected", [several, None])
        def test_only_the_marked_parameter_plays(expected, request):
            assert ("gpu" in request.fixturenames) == (expected is not None)
            assert expected is None or count() == expected

        @pytest.fixture(scope="module")
        def before():
            return "CUDA_VISIBLE_DEVICES" in os.environ

        @pytest.fixture
        def found(request):
            return count()

        @pytest.mark.gpu_scenario(TWO, environment={"CUDA_VISIBLE_DEVICES": "1"})
        def test_it_plays_for_the_test_s_own_fixtures(found, before):
            assert found == 2 and not before
        """
    ).assert_outcomes(passed=15)


def test_a_module_s_marker(suite: Suite) -> None:
    suite(
        """
        pytestmark = pytest.mark.gpu_scenario("no-devices")

        def test_plays_it():
            assert count() == 0
        """
    ).assert_outcomes(passed=1)


def test_mistakes_in_markers_are_told_in_a_sentence(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    pytester.path.joinpath("wrong.toml").write_text('[[gpu]]\nprofile = "t5"\n')
    result = suite(
        """
        @pytest.mark.gpu_scenario("driver-not-loded")
        def test_a(gpu): pass

        @pytest.mark.gpu_scenario("wrong.toml", strict=True)
        def test_b(gpu): pass

        @pytest.mark.gpu_scenario("default", gpus=[Gpu("t5")])
        def test_c(gpu): pass

        @pytest.mark.gpu_scenario(gpuz=[Gpu("t4")])
        def test_d(gpu): pass

        @pytest.mark.gpu_scenario("default", "no-devices")
        def test_e(gpu): pass

        @pytest.mark.gpu_scenario(5)
        def test_f(gpu): pass

        @pytest.mark.gpu_scenario("default", scenario="no-devices", strict=True)
        def test_g(gpu): pass

        @pytest.mark.gpu_scenario(in_process="maybe")
        def test_h(gpu): pass
        """
    )
    result.assert_outcomes(errors=8)
    result.stdout.fnmatch_lines(
        [
            "*expected a built-in scenario or the path of a file, found 'driver-not-loded'; *",
            "*/wrong.toml:2: gpu?0?.profile: expected a GPU profile, found 't5'*",
            "gpu_scenario.gpu?0?.profile: expected a GPU profile, found 't5'*",
            "gpu_scenario: expected a field of Scenario, found 'gpuz'; did you mean 'gpus'?",
            "gpu_scenario: expected one scenario, found 2",
            "expected a Scenario, the name of a built-in one or the path of a file, found 5",
            "gpu_scenario: expected one scenario, found 2",
            "gpu_scenario.in_process: expected True or False, found 'maybe'",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


PLAYS = """
def test_plays(gpu):
    print(gpu.scenario.name)

@pytest.mark.gpu_scenario("default")
def test_says_otherwise(gpu):
    assert gpu.scenario.name == "default"
"""


def test_the_header_names_what_plays_by_default(suite: Suite) -> None:
    result = suite(PLAYS, "-s")
    result.stdout.fnmatch_lines(["nvemu 0.*: gpu scenario default, driver 580.126.09"])
    result.assert_outcomes(passed=2)


def test_the_ini_file_names_the_default(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.mkdir("lab").joinpath("four.toml").write_text('driver = "550.163.01"\n' + FOUR)
    pytester.makeini("[pytest]\ngpu_scenario = lab/four.toml\n")
    result = suite(PLAYS, "-s", "-k", "test_plays", f"--rootdir={pytester.path}")
    result.stdout.fnmatch_lines(["nvemu 0.*: gpu scenario four, driver 550.163.01", "*four*"])
    result.assert_outcomes(passed=1, deselected=1)


def test_the_command_line_names_it_before_the_ini_file(
    suite: Suite, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\ngpu_scenario = no-such-thing\n")
    result = suite(PLAYS, "-s", "--gpu-scenario", "no-devices")
    result.stdout.fnmatch_lines(["nvemu 0.*: gpu scenario no-devices, driver *", "*no-devices*"])
    result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("options", "ini", "expected"),
    [
        (
            ("--gpu-scenario=no-device",),
            "",
            "--gpu-scenario: expected a built-in scenario or the path of a file, found*",
        ),
        (
            (),
            "[pytest]\ngpu_scenario = wrong.toml\n",
            "gpu_scenario: */wrong.toml:2: gpu?0?.profile: expected a GPU profile, found 't5'*",
        ),
    ],
)
def test_a_wrong_default_is_an_error_of_usage(
    suite: Suite, pytester: pytest.Pytester, options: tuple[str, ...], ini: str, expected: str
) -> None:
    pytester.path.joinpath("wrong.toml").write_text('[[gpu]]\nprofile = "t5"\n')
    pytester.makeini(ini or "[pytest]\n")
    result = suite(PLAYS, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {expected}"])
    result.stderr.no_fnmatch_line("*Traceback*")
