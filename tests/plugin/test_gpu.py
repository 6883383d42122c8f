"""The fixture `gpu`: one machine for the test's own process and for the programs it runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Suite = Callable[..., pytest.RunResult]


def test_live_control_reaches_both(suite: Suite) -> None:
    suite(
        """
        READ = [sys.executable, "-c", '''
        import pynvml
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            print(pynvml.nvmlDeviceGetTemperature(handle, 0))
        except pynvml.NVMLError as error:
            print(type(error).__name__)
        '''.replace("\\n        ", "\\n")]

        def both(gpu):
            try:
                here = str(temperature())
            except pynvml.NVMLError as error:
                here = type(error).__name__
            there = gpu.run(READ)
            assert (there.returncode, there.stderr) == (0, "")
            assert there.stdout == here + "\\n"
            return here

        def test_before_the_first_program(gpu):
            gpu.set(0, temperature=91)
            gpu.fail("nvmlDeviceGetTemperature", calls=2, returns="TIMEOUT")
            assert both(gpu) == "91"

        def test_after_the_first_program(gpu):
            gpu.run(READ)
            gpu.set(temperature=92)
            assert both(gpu) == "92"

        def test_faults_come_and_go(gpu):
            name = gpu.fail("nvmlDeviceGetTemperature", returns="TIMEOUT")
            assert both(gpu) == "NVMLError_Timeout"
            other = gpu.fail(Fault("nvmlDeviceGetTemperature", returns="NO_PERMISSION"))
            assert other != name and both(gpu) == "NVMLError_NoPermission"
            gpu.clear(other)
            assert both(gpu) == "NVMLError_Timeout"
            gpu.clear()
            assert both(gpu).isdigit()

        def test_a_gpu_is_lost_and_restored(gpu):
            gpu.kill(0)
            assert both(gpu) == "NVMLError_GpuIsLost"
            gpu.restore(0)
            assert both(gpu).isdigit()

        HEATING = Scenario(
            clock="manual", gpus=[Gpu("t4")], changes=[Change(at="10 s", set={"temperature": 80})]
        )

        @pytest.mark.gpu_scenario(HEATING)
        def test_the_clock(gpu):
            gpu.run(READ)
            gpu.advance(11)
            assert both(gpu) == "80"

        @pytest.mark.gpu_scenario(HEATING)
        def test_what_was_said_is_said_again_in_its_order(gpu):
            gpu.set(0, temperature=60)     # at 0 s, before the scenario's 80 at 10 s
            gpu.advance(20)
            gpu.change(Change(add={"temperature": 1}))
            assert both(gpu) == "81"
            assert len(gpu.entries()) == 3

        def test_the_machine_is_live_here(gpu):
            gpu.devices[0].temperature.gpu = 77
            assert temperature() == 77 == gpu.machine.devices[0].temperature.gpu
        """
    ).assert_outcomes(passed=7)


def test_programs(suite: Suite) -> None:
    suite(
        """
        def test_calls_are_each_program_s_own(gpu):
            count()
            first, second = gpu.run(COUNT), gpu.run(COUNT)
            assert first.stdout == second.stdout == "1\\n"
            assert first.calls.functions == second.calls.functions
            assert first.calls[0].pid != second.calls[0].pid != os.getpid() == gpu.calls[0].pid
            assert gpu.calls.balanced("nvmlInit*", "nvmlShutdown")
            assert not first.calls.balanced("nvmlInit*", "nvmlShutdown")

        def test_options_are_those_of_subprocess(gpu):
            done = gpu.run("echo $A; no-such", env={"A": "hello"}, shell=True, text=False)
            assert done.stdout == b"hello\\n" and done.stderr
            assert gpu.run(["true"], stdout=subprocess.PIPE).stderr is None
            with pytest.raises(subprocess.CalledProcessError):
                gpu.run(["false"], check=True)
            with pytest.raises(subprocess.TimeoutExpired):
                gpu.run(["sleep", "10"], timeout=0.1)

        @pytest.mark.gpu_scenario(environment={"CUDA_VISIBLE_DEVICES": "-1"})
        def test_the_scenario_s_environment(gpu):
            done = gpu.run("echo $CUDA_VISIBLE_DEVICES", env={}, shell=True)
            assert done.stdout == os.environ["CUDA_VISIBLE_DEVICES"] + "\\n" == "-1\\n"

        def test_a_program_under_way(gpu):
            gpu.fail("nvmlInit*", block=True, name="wait")
            program = subprocess.Popen(
                COUNT, env=gpu.environment(), stdout=subprocess.PIPE, text=True
            )
            thread = threading.Thread(target=count)
            thread.start()
            while not gpu.calls or not gpu.testbed.trace_file.stat().st_size:
                pass
            gpu.release("wait")
            assert program.communicate(timeout=10)[0] == "1\\n"
            thread.join(10)
            assert not thread.is_alive() and gpu.calls.functions[0] == "nvmlInitWithFlags"

        def test_what_only_this_process_can_do_is_refused_for_a_program(gpu):
            gpu.fail("nvmlDeviceGetTemperature", run=lambda call: {"temp": 55})
            assert temperature() == 55
            with pytest.raises(emulator.ScenarioError, match="function at the top of a file"):
                gpu.run(COUNT)
        """
    ).assert_outcomes(passed=5)


def test_one_scenario_after_the_other(suite: Suite) -> None:
    suite(
        """
        def test_another_one_in_the_middle(gpu):
            assert count() == 1 and gpu.run(COUNT).stdout == "1\\n"
            testbed = gpu.testbed.folder
            gpu.play(Scenario(gpus=[Gpu("t4", count=3)]))
            assert not testbed.exists() and not gpu.calls
            assert count() == 3 and gpu.run(COUNT).stdout == "3\\n"
            gpu.play("init-crashes")
            assert gpu.run(COUNT).returncode < 0
            gpu.play("no-devices")
            assert count() == 0

        def test_one_that_cannot_be_played(gpu):
            with pytest.raises(emulator.ScenarioError):
                gpu.play("no-such-thing")
            assert count() == 1
            with pytest.raises(emulator.EmulationError, match="cannot change to 470"):
                gpu.play(Scenario(driver="470.256.02"))
            assert count() == 1 and gpu.run(COUNT).stdout == "1\\n"

        def test_emulate_nests(gpu):
            with emulator.emulate("no-devices"):
                assert count() == 0
            assert count() == 1
            assert gpu.calls.count("nvmlInit*") == 1

        def test_left_open(gpu):
            emulator.emulate("no-devices").__enter__()

        def test_nothing_is_left_of_it():
            assert pytest.raises(pynvml.NVMLError_DriverNotLoaded, pynvml.nvmlInit)

        def test_threads_may_go_on(gpu):
            def ask():
                while not ended.is_set():
                    try:
                        temperature()
                    except pynvml.NVMLError:
                        pass
            global ended, thread
            ended = threading.Event()
            thread = threading.Thread(target=ask)
            thread.start()
            while not gpu.calls:
                pass

        def test_threads_have_gone_on(gpu):
            while not gpu.calls:
                pass
            ended.set()
            thread.join(10)
            assert not thread.is_alive()
        """
    ).assert_outcomes(passed=7)


def test_a_failure_shows_the_last_calls(suite: Suite) -> None:
    result = suite(
        """
        @pytest.mark.gpu_scenario("driver-not-loaded")
        def test_leaks(gpu):
            gpu.clear()
            for _ in range(20):
                pynvml.nvmlInit()
                pynvml.nvmlDeviceGetCount()
            gpu.run(COUNT)
            assert gpu.calls.balanced("nvmlInit*", "nvmlShutdown")

        def test_asks_for_nothing(gpu):
            assert False

        def test_passes(gpu):
            count()

        @pytest.mark.xfail(strict=True)
        def test_expected(gpu):
            count()
            assert False
        """
    )
    result.assert_outcomes(failed=2, passed=1, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "E  *assert nvmlInit[*] succeeded 20 times, nvmlShutdown 0 times",
            "-* nvemu -*",
            "scenario driver-not-loaded, driver 580.126.09",
            "in this process, the last 30 of 40 calls:",
            "  nvmlInitWithFlags(flags=0) = SUCCESS <* us>",
            "  nvmlDeviceGetCount_v2(deviceCount=1) = SUCCESS <* us>",
            "in programs, 2 calls:",
            "  nvmlInitWithFlags(flags=0) = SUCCESS <* us>",
            "scenario default, driver 580.126.09",
            "in this process no call was made",
        ]
    )
    assert result.stdout.str().count("- nvemu -") == 2


def test_a_strict_scenario_fails_the_test(suite: Suite) -> None:
    result = suite(
        """
        from emulator import vocabulary

        del vocabulary.handlers()["nvml"]["nvmlUnitGetCount"]  # as if nobody had written it
        pytestmark = pytest.mark.gpu_scenario(strict=True)
        UNITS = (
            "import ctypes; L = ctypes.CDLL('libnvidia-ml.so.1'); L.nvmlInit_v2();"
            " L.nvmlUnitGetCount(None)"
        )

        def count_units():
            nvml = ctypes.CDLL("libnvidia-ml.so.1")
            nvml.nvmlInit_v2()
            nvml.nvmlUnitGetCount(None)

        def test_here(gpu):
            count_units()

        def test_in_a_program(gpu):
            assert gpu.run([sys.executable, "-c", UNITS]).returncode == 0

        @pytest.fixture
        def late(gpu):
            yield
            count_units()

        def test_passes(late):
            assert count() == 1

        def test_ends_with_the_scenario(gpu):
            count_units()
            with pytest.raises(emulator.EmulationError, match="no handler answers"):
                gpu.play("default")

        def test_fails_anyway(gpu):
            count_units()
            assert count() == 8
        """
    )
    result.assert_outcomes(failed=3, passed=2, errors=1)
    text = "strict scenario: no handler answers nvmlUnitGetCount"
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_passes*", text, "*test_here*", text, "*[[]no handler[]]"]
    )
    assert result.stdout.str().count(text + "\n") == 3


def test_what_would_end_the_test_process_is_for_programs_only(suite: Suite) -> None:
    result = suite(
        """
        CRASH = Scenario(faults=[Fault("nvmlInit*", signal="SIGSEGV", name="boom")])
        EXIT = Scenario(faults=[Fault("nvmlInit*", exit=3)])
        BLOCK = Scenario(gpus=[Gpu("t4")], faults=[Fault("nvmlInit*", block=True)])
        DELAY = Scenario(faults=[Fault("nvmlInit*", delay="1 h")])
        ABSENT = Scenario(loader={"nvml": "absent"})

        def test_loads_the_stubs(gpu):
            assert count() == 1

        @pytest.mark.gpu_scenario(CRASH)
        def test_of_a_program(gpu):
            gpu.set(temperature=90)
            assert gpu.run(COUNT).returncode == -11
            gpu.clear("boom")
            assert gpu.run(COUNT).stdout == "0\\n"

        @pytest.mark.parametrize("why", [
            pytest.param("boom ends the process by SIGSEGV", marks=pytest.mark.gpu_scenario(CRASH)),
            pytest.param("0. ends the process with status 3", marks=pytest.mark.gpu_scenario(EXIT)),
            pytest.param("0. blocks the call", marks=pytest.mark.gpu_scenario(BLOCK)),
            pytest.param("0. delays the call by 3600 s", marks=pytest.mark.gpu_scenario(DELAY)),
            pytest.param("nvml is absent", marks=pytest.mark.gpu_scenario(ABSENT)),
            pytest.param("says in_process=False", marks=pytest.mark.gpu_scenario(in_process=False)),
        ])
        def test_the_reason(gpu, why):
            for name in ("machine", "devices", "calls"):
                with pytest.raises(emulator.EmulationError, match=why):
                    getattr(gpu, name)

        @pytest.mark.gpu_scenario(CRASH)
        def test_asks_here_and_fails(gpu):
            count()

        @pytest.mark.gpu_scenario(CRASH)
        def test_asks_here_unnoticed(gpu):
            with pytest.raises(pynvml.NVMLError):
                count()

        @pytest.mark.gpu_scenario(BLOCK, in_process=True)
        def test_at_the_test_s_own_risk(gpu):
            thread = threading.Thread(target=count)
            thread.start()
            while not gpu.calls:
                pass
            gpu.release()
            thread.join(10)
            assert gpu.calls.functions[-1] == "nvmlShutdown"

        @pytest.mark.gpu_scenario(ABSENT, in_process=True)
        def test_impossible(gpu):
            pass
        """
    )
    result.assert_outcomes(passed=9, failed=2, errors=1)
    told = (
        "nvmlInitWithFlags was called in this process, but the scenario is not played here (boom "
        "ends the process by SIGSEGV): call NVML and CUDA in a program that gpu.run runs"
    )
    result.stdout.fnmatch_lines(
        [
            "nvml is absent: what the dynamic loader finds needs a process of its own*",
            "*test_asks_here_and_fails*",
            told,
            "*test_asks_here_unnoticed*",
            told,
        ]
    )
