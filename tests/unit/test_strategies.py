"""Drawn scenarios: what they can say, how they shrink, and what a failing test leaves behind."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pynvml
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from emulator import Emulation, Fault, Gpu, Loader, Scenario, ScenarioError, emulate
from emulator import strategies as nv
from emulator.imports.captures import format as captures
from emulator.plans import plan_of
from emulator.scenario import UnknownNameError, dumps, load, loads
from emulator.scenario.loader import STATES
from emulator.vocabulary import documented, vocabulary

QUICK = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
FEW_STEPS = settings(
    QUICK,
    stateful_step_count=5,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
)
MANY = settings(QUICK, max_examples=400, phases=[Phase.generate])


def drawn(strategy: st.SearchStrategy[Any], setting: settings = MANY) -> list[Any]:
    """Examples of a strategy, the same ones in each run."""
    seen: list[Any] = []

    @setting
    @given(strategy)
    def collect(example: Any) -> None:
        seen.append(example)

    collect()
    return seen


def smallest(strategy: st.SearchStrategy[Any], condition: Any) -> Any:
    """The example with this property that hypothesis shrinks to."""
    return find(strategy, condition, settings=settings(QUICK, max_examples=2000))


def fragile_discovery() -> list[tuple[str, float]]:
    """Looks for GPUs as many programs do: bears a missing driver, and takes the rest as given."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        found.append((pynvml.nvmlDeviceGetName(handle), memory.used / memory.total))
    pynvml.nvmlShutdown()
    return found


def robust_discovery() -> list[str]:
    """Looks for GPUs and bears whatever it is told."""
    found = []
    try:
        pynvml.nvmlInit()
        for index in range(min(pynvml.nvmlDeviceGetCount(), 64)):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                found.append(pynvml.nvmlDeviceGetUUID(handle))
            except (pynvml.NVMLError, UnicodeDecodeError):
                continue
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        pass
    return found


class TestScenarios:
    @pytest.mark.parametrize("in_process", [True, False])
    def test_each_can_be_played_and_written_down(self, in_process):
        strategy = nv.scenarios(in_process=in_process, hostile=not in_process, max_changes=2)
        for scenario in drawn(strategy):
            assert plan_of(scenario)["name"] == ""
            assert loads(dumps(scenario)) == scenario

    def test_each_can_be_played_on_each_driver(self):
        for driver in ("470.256.02", "525.147.05"):
            for scenario in drawn(nv.scenarios(driver=driver, in_process=False), QUICK):
                assert plan_of(scenario)["driver"] == driver
                assert scenario.driver == driver

    def test_the_simplest_is_an_empty_machine(self):
        assert smallest(nv.scenarios(), lambda scenario: True) == Scenario()
        assert smallest(nv.scenarios(in_process=False), lambda scenario: True) == Scenario()

    def test_shrinks_to_what_matters(self):
        lost = smallest(nv.scenarios(), lambda s: any(g.failure == "lost" for g in s.gpus))
        assert lost == Scenario(gpus=[Gpu(lost.gpus[0].profile, failure="lost")])
        timed_out = smallest(
            nv.scenarios(), lambda s: any(f.returns == "GPU_IS_LOST" for f in s.faults)
        )
        assert timed_out == Scenario(
            faults=[Fault(timed_out.faults[0].function, returns="GPU_IS_LOST")]
        )

    def test_draws_everything_that_a_test_needs(self):
        scenarios = drawn(nv.scenarios(max_changes=2))
        faults = [fault for scenario in scenarios for fault in scenario.faults]
        rows = [gpu for scenario in scenarios for gpu in scenario.gpus]
        assert {len(scenario.gpus) for scenario in scenarios} == {0, 1, 2, 3}
        assert {gpu.failure for gpu in rows} == {None, "lost", "reset_required", "unplugged"}
        assert any(fault.writes for fault in faults)
        assert any(fault.corrupt for fault in faults)
        assert any(fault.device is not None for fault in faults)
        assert any(fault.calls for fault in faults)
        assert any(gpu.figures for gpu in rows)
        assert any(scenario.changes for scenario in scenarios)
        returned = {fault.returns for fault in faults}
        assert {"UNKNOWN", "GPU_IS_LOST", "UNINITIALIZED", "INVALID_VALUE"} <= returned

    def test_in_process_nothing_ends_blocks_or_waits(self):
        for scenario in drawn(nv.scenarios(hostile=True)):
            assert not scenario.loader
            for fault in scenario.faults:
                assert (fault.signal, fault.exit, fault.block, fault.delay) == (
                    *(None, None, False, None),
                )

    def test_hostile_ones_end_and_block_programs(self):
        strategy = nv.scenarios(in_process=False, hostile=True)
        faults = [fault for scenario in drawn(strategy) for fault in scenario.faults]
        assert any(fault.signal for fault in faults)
        assert any(fault.exit is not None for fault in faults)
        assert any(fault.block for fault in faults)

    def test_takes_the_gpus_and_faults_that_it_is_given(self):
        rows = (Gpu("t4"), Gpu("t4"))
        fault = st.builds(Fault, st.just("nvmlDeviceGetName"), st.just(3), device=st.integers(0, 5))
        for scenario in drawn(nv.scenarios(gpus=rows, faults=fault), QUICK):
            assert scenario.gpus == rows
            assert {fault.function for fault in scenario.faults} <= {"nvmlDeviceGetName"}
            plan_of(scenario)  # none is about a device that is not there

    def test_identities_are_not_drawn_twice(self):
        twins = st.just(Gpu("t4", uuid="GPU-" + "0" * 8 + "-0000-0000-0000-" + "0" * 12))
        for scenario in drawn(nv.machines(gpus=twins, min_gpus=2), QUICK):
            assert [gpu.uuid is None for gpu in scenario.gpus[:2]] == [False, True]
            plan_of(scenario)


class TestGpus:
    def test_of_the_catalogue_as_it_is(self):
        plain = drawn(nv.gpus(["t4", "h100-sxm5-80gb"], most_fields=0), QUICK)
        assert all(gpu == Gpu(gpu.profile) for gpu in plain)
        assert {gpu.profile for gpu in plain} == {"t4", "h100-sxm5-80gb"}

    def test_only_those_that_the_driver_knows(self):
        profiles = {gpu.profile for gpu in drawn(nv.gpus(driver="470.256.02"))}
        assert "t4" in profiles
        assert "h100-sxm5-80gb" not in profiles

    def test_an_unknown_profile_is_refused_at_once(self):
        with pytest.raises(ScenarioError, match="expected a GPU profile, found 't5'"):
            nv.gpus(["t5"])


class TestFaults:
    def test_codes_are_those_that_the_header_documents(self):
        for function in ("nvmlDeviceGetMemoryInfo", "cuDeviceGetCount", "nvmlInit_v2"):
            library = "nvml" if function.startswith("nvml") else "cuda"
            codes = set(drawn(nv.return_codes(function)))
            faults = [Fault(function, returns=code) for code in codes]
            resolved = {rule["code"] for rule in plan_of(Scenario(faults=faults))["faults"]}
            assert resolved == set(documented(library, function))

    def test_or_any_of_the_api(self):
        codes = set(drawn(nv.return_codes("nvmlInit_v2", documented=False)))
        assert len(codes) == len(set(vocabulary().codes["nvml"].values()))

    def test_the_simplest_code_is_success(self):
        assert smallest(nv.return_codes("cuInit"), lambda code: True) == "SUCCESS"

    def test_only_the_functions_that_are_asked_for(self):
        functions = ["nvmlDeviceGet*", "cuInit"]
        assert {f.function for f in drawn(nv.faults(functions), QUICK)} == set(functions)

    def test_an_unknown_function_is_refused_at_once(self):
        with pytest.raises(UnknownNameError, match="did you mean 'nvmlInit'"):
            nv.faults(["nvmlInits"])

    def test_a_count_is_not_made_so_large_that_a_loop_over_it_has_no_end(self):
        spoilt = drawn(nv.faults(["nvmlDeviceGetCount_v2"]))
        assert {how for fault in spoilt for how in fault.corrupt.values()} == {
            *("zero", "larger", "min"),
        }
        outside = drawn(nv.faults(["nvmlDeviceGetCount_v2"], in_process=False))
        assert "max" in {how for fault in outside for how in fault.corrupt.values()}


class TestLoaderStates:
    def test_each_can_be_played(self):
        states = drawn(nv.loader_states())
        assert {} in states
        for state in states:
            assert Scenario(loader=state).loader == {k: (v,) for k, v in state.items()}
        seen = {copy.state for state in states for copy in state.values()}
        assert seen == set(STATES) - {"present", "unreadable"}

    def test_the_oldest_driver_has_no_older_table(self):
        for state in drawn(nv.loader_states("470.256.02"), QUICK):
            assert "older-table" not in {copy.state for copy in state.values()}

    def test_shrinks_to_a_library_that_is_not_there(self):
        assert smallest(nv.loader_states(), bool) == {"nvml": Loader("absent")}


class TestEnvironments:
    def test_are_variables_of_the_libraries(self):
        for variables in drawn(nv.environments(), QUICK):
            assert Scenario(environment=variables).environment == variables
        assert {"CUDA_VISIBLE_DEVICES": "-1"} in drawn(nv.environments())


class TestCallSequences:
    @pytest.mark.parametrize("library", ["nvml", "cuda"])
    def test_no_call_crashes_and_most_get_somewhere(self, library):
        returned: list[int | None] = []

        @QUICK
        @given(nv.call_sequences(library))
        def play(calls: list[nv.ApiCall]) -> None:
            with emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb", count=2)])):
                returned.extend(nv.Player(library).play(calls))

        play()
        assert returned.count(0) > len(returned) / 4
        assert len(set(returned)) > 5

    def test_only_the_functions_that_are_asked_for(self):
        opening = {"cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent"}
        sequences = drawn(nv.call_sequences("cuda", ["cuDeviceGetName"]), QUICK)
        names = {call.function for calls in sequences for call in calls}
        assert names == {"cuDeviceGetName", *opening}

    def test_a_function_that_is_not_declared_is_refused(self):
        with pytest.raises(KeyError, match="nvmlNothing"):
            nv.call_sequences("nvml", ["nvmlNothing"])

    def test_handles_are_those_that_earlier_calls_gave(self):
        by_index = "nvmlDeviceGetHandleByIndex_v2"
        calls = [
            nv.ApiCall("nvml", "nvmlInit_v2", {}),
            *(
                nv.ApiCall("nvml", by_index, {"index": index, "device": nv.Memory(8)})
                for index in (1, 0)
            ),
            nv.ApiCall(
                "nvml",
                "nvmlDeviceGetIndex",
                {"device": nv.Handle("nvmlDevice_t", 0), "index": nv.Memory(4)},
            ),
        ]
        with Emulation(Scenario(gpus=[Gpu("t4", count=2)]), record=True) as emulation:
            assert nv.Player("nvml").play(calls) == [0, 0, 0, 0]
        assert emulation.calls[-1]["arguments"] == {"device": "GPU-1", "index": 1}


#: A test under a deadline of a second, where loading a library takes longer.
SLOW_LOADER = """
import time
from hypothesis import HealthCheck, settings
from emulator import emulation
from emulator.strategies import given_scenarios

load = emulation._load

def load_slowly(library, driver):
    if library not in emulation._loaded:
        time.sleep(1.1)
    load(library, driver)

emulation._load = load_slowly

@settings(
    deadline=1000,
    max_examples=3,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given_scenarios()
def test_nothing(machine):
    print(len(machine.devices))

test_nothing()
"""


class TestGivenScenarios:
    def test_the_deadline_is_not_for_loading_the_libraries(self):
        done = subprocess.run(
            [sys.executable, "-c", SLOW_LOADER], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) >= 3

    def test_a_fragile_discovery_is_broken_within_200_examples(self, tmp_path):
        played = 0

        @settings(MANY, max_examples=200, report_multiple_bugs=False)
        @nv.given_scenarios(folder=tmp_path)
        def test_discovery() -> None:
            nonlocal played
            played += 1
            fragile_discovery()

        with pytest.raises((pynvml.NVMLError, UnicodeDecodeError, ZeroDivisionError)):
            test_discovery()
        assert 0 < played <= 200

    def test_it_is_saved_and_breaks_the_same_way_when_it_is_loaded(self, tmp_path):
        folder = tmp_path / "failures"

        @settings(QUICK, max_examples=200)
        @nv.given_scenarios(folder=folder)
        def test_discovery() -> None:
            fragile_discovery()

        with pytest.raises(Exception) as caught:  # noqa: PT011  (one error, or a group of them)
            test_discovery()
        errors = getattr(caught.value, "exceptions", (caught.value,))
        files = sorted(folder.glob("*.toml"))
        assert len(files) == len(errors) > 0
        again = []
        for file in files:
            with emulate(file), pytest.raises(Exception) as replayed:  # noqa: PT011
                fragile_discovery()
            again.append((type(replayed.value).__name__, str(replayed.value)))
            assert len(load(file).gpus) + len(load(file).faults) <= 2, "it is the smallest"
        assert sorted(again) == sorted((type(error).__name__, str(error)) for error in errors)

    def test_the_note_is_a_command_that_replays(self, tmp_path):
        source = f"""
            import sys
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from hypothesis import HealthCheck, settings
            from test_strategies import fragile_discovery
            from emulator.strategies import given_scenarios

            @settings(
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=[HealthCheck.too_slow],
            )
            @given_scenarios()
            def test_discovery():
                fragile_discovery()
        """
        test = tmp_path / "test_mine.py"
        test.write_text(textwrap.dedent(source))
        root = str(Path(__file__).resolve().parents[2])
        environment = os.environ | {"PYTHONPATH": root}

        def pytest_(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
            return subprocess.run(
                command,
                cwd=tmp_path,
                env=environment | variables,
                capture_output=True,
                text=True,
                check=False,
            )

        first = pytest_("--rootdir", str(tmp_path), "test_mine.py")
        assert first.returncode == 1, first.stdout
        notes = [line for line in first.stdout.splitlines() if "replay it: NVEMU_REPLAY=" in line]
        variable, *command = shlex.split(notes[0].partition("replay it: ")[2])
        name, _, file = variable.partition("=")
        assert command == ["pytest", "test_mine.py::test_discovery"]
        assert (tmp_path / file).is_file()
        assert (tmp_path / file).stat().st_mode & 0o077 == 0
        again = pytest_("--rootdir", str(tmp_path), command[1], **{name: file})
        assert again.returncode == 1
        assert again.stdout.count("replay it: ") == 1

    def test_hands_in_what_the_test_asks_for(self, tmp_path):
        seen = []

        @settings(QUICK, max_examples=20)
        @nv.given_scenarios(nv.machines(min_gpus=1), record=True, folder=tmp_path, n=st.just(7))
        def test_all(machine: Any, scenario: Scenario, emulation: Emulation, n: int) -> None:
            pynvml.nvmlInit()
            seen.append(
                (len(machine.devices) - len(scenario.gpus), emulation.machine is machine, n)
            )
            assert emulation.calls[0]["function"].startswith("nvmlInit")

        test_all()
        assert set(seen) == {(0, True, 7)}

    def test_a_coroutine_would_never_run(self):
        async def test_discovery() -> None:
            raise AssertionError("never")

        with pytest.raises(TypeError, match="test_discovery is a coroutine function"):
            nv.given_scenarios()(test_discovery)  # type: ignore[arg-type]

    def test_leaves_nothing_when_the_test_passes(self, tmp_path):
        @QUICK
        @nv.given_scenarios(folder=tmp_path / "failures")
        def test_discovery() -> None:
            robust_discovery()

        test_discovery()
        assert not (tmp_path / "failures").exists()

    def test_saving_keeps_the_identities(self, tmp_path):
        """They follow from the scenario's name, and a file that names none gives it its own."""
        scenario = Scenario(gpus=[Gpu("t4")])
        nv.save(scenario, tmp_path / "a.toml", ["two\nlines", "\x1b[0m"])
        assert load(tmp_path / "a.toml") == scenario
        assert plan_of(load(tmp_path / "a.toml"))["gpus"] == plan_of(scenario)["gpus"]

    def test_saving_keeps_the_capture(self, tmp_path):
        """It stands beside the file that the scenario was read from."""
        (tmp_path / "box.capture").write_bytes(captures.dumps(captures.Capture(captures.Header())))
        (tmp_path / "box.toml").write_text('capture = "box.capture"')
        nv.save(load(tmp_path / "box.toml"), tmp_path / "failures/a.toml")
        assert plan_of(load(tmp_path / "failures/a.toml"))["answers"] == {}

    def test_a_scenario_that_cannot_be_written_is_said_to_be_so(self, tmp_path):
        hooked = Scenario(faults=[Fault("nvmlInit*", run=lambda call: 9)])

        @QUICK
        @nv.given_scenarios(st.just(hooked), folder=tmp_path)
        def test_discovery() -> None:
            raise AssertionError("always")

        with pytest.raises(AssertionError) as caught:
            test_discovery()
        note = caught.value.__notes__[0]
        assert "cannot be saved" in note
        assert "run: expected a function at the top" in note


class TestDiscoveryMachine:
    def test_a_robust_discovery_survives(self):
        class Robust(nv.DiscoveryMachine):
            def discover(self) -> list[str]:
                return robust_discovery()

            def check(self, found: list[str]) -> None:
                assert len(found) <= 64

        run_state_machine_as_test(Robust, settings=settings(QUICK, max_examples=40))

    def test_a_fragile_one_is_broken_in_few_steps(self):
        class Fragile(nv.DiscoveryMachine):
            def discover(self) -> list[Any]:
                return fragile_discovery()

        with pytest.raises((pynvml.NVMLError, ZeroDivisionError)) as caught:
            run_state_machine_as_test(Fragile, settings=settings(FEW_STEPS, max_examples=1000))
        steps = "\n".join(caught.value.__notes__)
        assert "state.begin(scenario=Scenario(" in steps
        assert steps.count("state.look()") == 1
        assert steps.count("state.") <= 4, "begin, what breaks it, look, teardown"

    def test_errors_may_be_allowed(self):
        class Allowed(nv.DiscoveryMachine):
            def discover(self) -> list[Any]:
                return fragile_discovery()

            def refused(self, error: Exception) -> None:
                pass

            def check(self, found: list[Any]) -> None:
                pass

        run_state_machine_as_test(Allowed, settings=settings(QUICK, max_examples=30))

    def test_more_gpus_than_there_are_are_refused(self):
        class Inventive(nv.DiscoveryMachine):
            def discover(self) -> list[str]:
                return ["GPU"] * (len(self.emulation.machine.devices) + 1)

        with pytest.raises(AssertionError, match=r"discover\(\) found 1 GPUs of 0"):
            run_state_machine_as_test(Inventive, settings=FEW_STEPS)

    def test_needs_a_discover(self):
        with pytest.raises(NotImplementedError, match=r"has no discover\(\)"):
            run_state_machine_as_test(nv.DiscoveryMachine, settings=FEW_STEPS)
