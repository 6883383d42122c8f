"""Faults at work: which calls they hit, and what happens to them."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml
import pytest

from emulator import Emulation, Fault, Gpu, Scenario, ScenarioError, Testbed
from emulator.machine.chance import chance
from emulator.plans import plan_of

Done = subprocess.CompletedProcess[str]
RunIn = Callable[..., Done]

TWO = [Gpu("t4", count=2)]
OTHER = Gpu("rtx-4090")


def emulated(*faults: Fault, gpus: list[Gpu] | None = None, **fields: Any) -> Emulation:
    return Emulation(Scenario(gpus=gpus or TWO, faults=faults, **fields), record=True)


def ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a pynvml function returns; the code of what it raises."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        return error.value


def temperatures(count: int, device: int = 0) -> list[Any]:
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(device)
    return [ask(pynvml.nvmlDeviceGetTemperature, handle, 0) for _ in range(count)]


TEMPERATURE = "nvmlDeviceGetTemperature"
COOL = 36  # an idle T4


class TestWhichCalls:
    @pytest.mark.parametrize(
        ("calls", "hit"),
        [
            (2, {2}),
            ("2-4", {2, 3, 4}),
            ("5-", {5, 6, 7}),
            ("every 3", {3, 6}),
            ([1, "every 4"], {1, 4}),
        ],
    )
    def test_by_number(self, calls: Any, hit: set[int]) -> None:
        with emulated(Fault(TEMPERATURE, 15, calls=calls)):
            found = temperatures(7)
        assert found == [15 if number in hit else COOL for number in range(1, 8)]

    def test_numbers_count_what_all_else_matches(self) -> None:
        with emulated(Fault(TEMPERATURE, 15, device=1, calls=2)):
            assert temperatures(3, device=0) == [COOL] * 3
            assert temperatures(3, device=1) == [COOL, 15, COOL]

    @pytest.mark.parametrize(("device", "hit"), [(1, {1}), ("rtx-4090", {2}), ([0, 2], {0, 2})])
    def test_by_device(self, device: Any, hit: set[int]) -> None:
        with emulated(Fault("nvmlDeviceGetName", 15, device=device), gpus=[*TWO, OTHER]):
            pynvml.nvmlInit()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(3)]
            found = [ask(pynvml.nvmlDeviceGetName, handle) for handle in handles]
        assert {index for index, answer in enumerate(found) if answer == 15} == hit

    def test_by_the_device_that_a_handle_is_asked_for(self) -> None:
        with emulated(Fault("nvmlDeviceGetHandleBy*", 15, device=1)) as gpu:
            pynvml.nvmlInit()
            first, second = gpu.machine.devices
            lookups = {
                pynvml.nvmlDeviceGetHandleByIndex: (0, 1),
                pynvml.nvmlDeviceGetHandleByUUID: (first.uuid, second.uuid),
                pynvml.nvmlDeviceGetHandleBySerial: (first.serial, second.serial),
                pynvml.nvmlDeviceGetHandleByPciBusId: ("3b:00", "0000:5E:00.0"),
            }
            for lookup, (one, other) in lookups.items():
                assert ask(lookup, other) == 15
                assert ask(lookup, one) not in range(1000)

    def test_all_getters_and_nothing_else(self) -> None:
        with emulated(Fault("getters", "TIMEOUT", library="nvml")):
            pynvml.nvmlInit()
            assert ask(pynvml.nvmlDeviceGetCount) == ask(pynvml.nvmlSystemGetDriverVersion) == 10
            pynvml.nvmlShutdown()

    def test_setters(self) -> None:
        (rule,) = plan_of(Scenario(faults=[Fault("setters", 4, library="nvml")]))["faults"]
        assert "nvmlDeviceSetPowerManagementLimit" in rule["functions"]
        assert not [name for name in rule["functions"] if "Get" in name or "EventSet" in name]

    def test_by_time(self) -> None:
        fault = Fault(TEMPERATURE, 15, time="10 s-20 s", calls="2-")
        with emulated(fault, clock="manual") as gpu:
            assert temperatures(3) == [COOL] * 3
            gpu.machine.clock.advance(10)
            assert temperatures(3) == [COOL, 15, 15]
            gpu.machine.clock.advance(10.001)
            assert temperatures(3) == [COOL] * 3

    def test_after_another_call(self) -> None:
        with emulated(Fault(TEMPERATURE, 15, after="nvmlDeviceGetName", calls="2-")):
            assert temperatures(3) == [COOL] * 3
            pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))
            assert temperatures(3) == [COOL, 15, 15]

    def test_by_chance_the_same_in_each_run(self) -> None:
        def hits(seed: int) -> list[Any]:
            with emulated(Fault(TEMPERATURE, 15, probability=0.3, seed=seed)):
                return temperatures(200)

        assert hits(1) == hits(1) != hits(2)
        assert 30 < hits(1).count(15) < 90

    def test_chance_is_even(self) -> None:
        drawn = [chance(seed, count) for seed in range(20) for count in range(500)]
        assert all(0 <= number < 1 for number in drawn)
        assert abs(sum(drawn) / len(drawn) - 0.5) < 0.01

    def test_by_thread_number(self) -> None:
        found: dict[int, list[Any]] = {}
        with emulated(Fault(TEMPERATURE, 15, thread=2)):
            found[1] = temperatures(2)
            for number in (2, 3):
                done = threading.Thread(
                    target=lambda number=number: found.update({number: temperatures(2)})
                )
                done.start()
                done.join()
            found[4] = temperatures(1)
        assert found[2] == [15, 15]
        assert found[1] + found[4] == [COOL] * 3

    def test_threads_one_after_the_other_are_not_the_same_thread(self) -> None:
        found = []
        with emulated(Fault(TEMPERATURE, 15, thread=3)):
            for _ in range(4):
                thread = threading.Thread(target=lambda: found.extend(temperatures(1)))
                thread.start()
                thread.join()
        assert found == [COOL, COOL, 15, COOL]

    def test_by_thread_name(self) -> None:
        found = []
        faults = [Fault(TEMPERATURE, 15, thread="main"), Fault(TEMPERATURE, 3, thread="pool-*")]
        with emulated(*faults):
            found += temperatures(1)
            thread = threading.Thread(target=lambda: found.extend(temperatures(1)), name="pool-3")
            thread.start()
            thread.join()
        assert found == [15, 3]

    def test_by_process_name_and_number(self) -> None:
        client = (
            "import pynvml, sys\n"
            "try:\n    pynvml.nvmlInit()\n"
            "except pynvml.NVMLError as error:\n    print(error.value)\n"
        )
        faults = [Fault("nvmlInit*", 4, process=2), Fault("nvmlInit*", 9, process="sh*")]
        with Testbed(Scenario(gpus=TWO, faults=faults)) as testbed:
            found = [
                subprocess.run(
                    [sys.executable, "-c", client],
                    env=testbed.environment(),
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
                for _ in range(3)
            ]
        assert found == ["", "4\n", ""]

    def test_a_program_is_known_by_its_script_too(self, run_in: RunIn, tmp_path: Path) -> None:
        script = tmp_path / "train.py"
        script.write_text("import pynvml\npynvml.nvmlInit()\n")
        fault = Fault("nvmlInit*", 4, process="train.py")
        done = run_in(Scenario(faults=[fault]), [sys.executable, script])
        assert "NVMLError_NoPermission" in done.stderr
        fault = Fault("nvmlInit*", 4, process="serve.py")
        assert run_in(Scenario(faults=[fault]), [sys.executable, script]).returncode == 0

    def test_the_first_that_fires_decides_and_all_that_match_count(self) -> None:
        faults = [Fault(TEMPERATURE, 15, calls=2), Fault(TEMPERATURE, 4, calls="2-3")]
        with emulated(*faults):
            assert temperatures(4) == [COOL, 15, 4, COOL]


def memory(gpu: Emulation) -> Any:
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0))


class TestWhatHappens:
    def test_values_are_written_with_an_error(self) -> None:
        fault = Fault(TEMPERATURE, "TIMEOUT", writes={"temp": 99})
        with emulated(fault):
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            written = ctypes.c_uint(5)
            library = ctypes.CDLL("libnvidia-ml.so.1")
            assert library.nvmlDeviceGetTemperature(handle, 0, ctypes.byref(written)) == 10
            assert written.value == 99

    def test_values_are_written_over_the_answer(self) -> None:
        fault = Fault("nvmlDeviceGetMemoryInfo*", writes={"memory": {"used": 7}})
        with emulated(fault) as gpu:
            assert (memory(gpu).used, memory(gpu).total) == (7, 15360 << 20)

    def test_values_are_written_instead_of_the_answer(self) -> None:
        fault = Fault("nvmlDeviceGetMemoryInfo", "SUCCESS", writes={"memory": {"total": 7}})
        with emulated(fault) as gpu:
            assert (memory(gpu).used, memory(gpu).total) == (0, 7)

    def test_texts_and_lists_are_written_as_far_as_there_is_room(self) -> None:
        with emulated(
            Fault("nvmlDeviceGetName", "SUCCESS", writes={"name": "x" * 200}),
            Fault("nvmlDeviceGetSupportedMemoryClocks", writes={"clocksMHz": [1, 2]}),
        ):
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            assert pynvml.nvmlDeviceGetName(handle) == "x" * 95
            assert pynvml.nvmlDeviceGetSupportedMemoryClocks(handle) == [1, 2]

    def test_cuda_too(self) -> None:
        cuda = ctypes.CDLL  # loaded when the scenario is
        with emulated(Fault("cuDeviceGetCount", writes={"count": 3})):
            library = cuda("libcuda.so.1")
            count = ctypes.c_int()
            assert library.cuInit(0) == library.cuDeviceGetCount(ctypes.byref(count)) == 0
            assert count.value == 3

    @pytest.mark.parametrize(
        ("how", "value"),
        [("max", 2**64 - 1), ("min", 0), ("zero", 0), ("larger", (15360 << 20) + 1)],
    )
    def test_numbers_are_spoilt(self, how: str, value: int) -> None:
        with emulated(Fault("nvmlDeviceGetMemoryInfo", corrupt={"memory.total": how})) as gpu:
            assert (memory(gpu).total, memory(gpu).used) == (value, 388 << 20)

    def test_signed_numbers_are_spoilt_at_their_own_ends(self) -> None:
        for how, value in (("max", 2**31 - 1), ("min", -(2**31))):
            with emulated(Fault("cuDeviceGetCount", corrupt={"count": how})):
                library, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
                assert library.cuInit(0) == library.cuDeviceGetCount(ctypes.byref(count)) == 0
                assert count.value == value

    def test_random_is_the_same_in_each_run(self) -> None:
        def totals() -> list[int]:
            with emulated(
                Fault("nvmlDeviceGetMemoryInfo", corrupt={"memory.total": "random"})
            ) as g:
                return [memory(g).total for _ in range(3)]

        assert totals() == totals()
        assert len(set(totals())) == 3

    @pytest.mark.parametrize(
        ("how", "name"), [("truncated", b"Tesl"), ("unterminated", b"Tesla T4" + b"X" * 88)]
    )
    def test_texts_are_spoilt(self, how: str, name: bytes) -> None:
        with emulated(Fault("nvmlDeviceGetName", corrupt={"name": how})):
            pynvml.nvmlInit()
            buffer = ctypes.create_string_buffer(200)
            library = ctypes.CDLL("libnvidia-ml.so.1")
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            assert library.nvmlDeviceGetName(handle, buffer, 96) == 0
        assert buffer.value == name

    def test_a_count_larger_than_the_list(self) -> None:
        fault = Fault("nvmlDeviceGetSupportedMemoryClocks", corrupt={"count": "larger"})
        with emulated(fault):
            pynvml.nvmlInit()
            count, clocks = ctypes.c_uint(9), (ctypes.c_uint * 9)()
            library = ctypes.CDLL("libnvidia-ml.so.1")
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            call = library.nvmlDeviceGetSupportedMemoryClocks
            assert call(handle, ctypes.byref(count), clocks) == 0
        assert (count.value, list(clocks)[:3]) == (3, [5001, 405, 0])

    def test_a_count_that_is_written_does_not_lead_past_the_client_s_array(self) -> None:
        fault = Fault(
            "nvmlDeviceGetSupportedMemoryClocks",
            "INSUFFICIENT_SIZE",
            writes={"count": 50_000_000, "clocksMHz": [7] * 9},
            corrupt={"clocksMHz": "max"},
        )
        with emulated(fault):
            pynvml.nvmlInit()
            count, clocks = ctypes.c_uint(2), (ctypes.c_uint * 4)(1, 1, 1, 1)
            library = ctypes.CDLL("libnvidia-ml.so.1")
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            call = library.nvmlDeviceGetSupportedMemoryClocks
            assert call(handle, ctypes.byref(count), clocks) == 7
        assert (count.value, list(clocks)) == (50_000_000, [2**32 - 1] * 2 + [1] * 2)

    def test_null_pointers_are_passed_over(self) -> None:
        fault = Fault(TEMPERATURE, "SUCCESS", writes={"temp": 1}, corrupt={"temp": "max"})
        with emulated(fault):
            pynvml.nvmlInit()
            library = ctypes.CDLL("libnvidia-ml.so.1")
            assert library.nvmlDeviceGetTemperature(None, 0, None) == 0

    def test_delays(self) -> None:
        with emulated(Fault(TEMPERATURE, delay="50 ms", calls=1)):
            began = time.monotonic()
            assert temperatures(1) == [COOL]
            assert time.monotonic() - began >= 0.05

    def test_blocks_until_it_is_released_and_again_until_it_is_cleared(self) -> None:
        found: list[Any] = []

        def wait_for_blocked(gpu: Emulation, count: int) -> None:
            while [call["status"] for call in gpu.calls].count("BLOCKED") < count:
                time.sleep(0.001)

        with emulated(Fault(TEMPERATURE, 15, block=True, name="gate")) as gpu:
            thread = threading.Thread(target=lambda: found.extend(temperatures(2)))
            thread.start()
            wait_for_blocked(gpu, 1)
            thread.join(0.02)
            assert thread.is_alive()
            gpu.control.release("gate")
            wait_for_blocked(gpu, 2)
            gpu.control.clear("gate")
            thread.join(10)
            assert temperatures(1) == [COOL]
        assert found == [15, 15]

    @pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
    def test_a_signal_ends_the_process(self, run_in: RunIn, number: int) -> None:
        fault = Fault("nvmlInit*", signal=number)
        code = "import pynvml; pynvml.nvmlInit()"
        assert run_in(Scenario(faults=[fault]), [sys.executable, "-c", code]).returncode == -number

    def test_a_c_program_dies_of_it_too(
        self, run_in: RunIn, compile_c: Callable[..., Path]
    ) -> None:
        program = compile_c(
            '#include <dlfcn.h>\nint main(void) { void *l = dlopen("libcuda.so.1", RTLD_NOW);'
            'return ((int (*)(int))dlsym(l, "cuInit"))(0); }'
        )
        assert (
            run_in(Scenario(faults=[Fault("cuInit", signal="SEGV")]), [program]).returncode == -11
        )
        assert run_in(Scenario(faults=[Fault("cuInit", exit=42)]), [program]).returncode == 42

    def test_the_trace_has_a_call_that_never_ended(self) -> None:
        with Testbed(Scenario(faults=[Fault("nvmlInit*", exit=3)]), trace=True) as testbed:
            code = "import pynvml; pynvml.nvmlInit()"
            done = subprocess.run(
                [sys.executable, "-c", code], env=testbed.environment(), check=False
            )
            assert done.returncode == 3
            assert '"status": "EXIT 3"' in testbed.trace_file.read_text()

    def test_ctrl_c_ends_a_blocked_call_of_a_python_program(self) -> None:
        code = (
            "import pynvml\ntry: pynvml.nvmlInit()\nexcept KeyboardInterrupt: print('interrupted')"
        )
        with Testbed(Scenario(faults=[Fault("nvmlInit*", block=True)]), trace=True) as testbed:
            program = subprocess.Popen(
                [sys.executable, "-c", code],
                env=testbed.environment(),
                stdout=subprocess.PIPE,
                text=True,
            )
            while "BLOCKED" not in testbed.trace_file.read_text():
                time.sleep(0.01)
            program.send_signal(signal.SIGINT)
            assert program.communicate(timeout=20)[0] == "interrupted\n"


def unlucky(call: Any) -> Any:
    """For other processes to find in this file."""
    return {"name": f"GPU {call.device} of {len(call.machine.devices)}"} if call.number > 1 else 15


class TestPythonFunctions:
    def test_return_codes_values_or_nothing(self) -> None:
        answers = iter(["GPU_IS_LOST", "NVML_ERROR_TIMEOUT", 3, None, {"temp": 99}])
        with emulated(Fault(TEMPERATURE, run=lambda call: next(answers))):
            assert temperatures(5) == [15, 10, 3, COOL, 99]

    def test_see_the_call_and_may_call_through(self) -> None:
        seen = []

        def look(call: Any) -> int:
            before = call.arguments["sensorType"]
            status = call.through()
            seen.append((call.function, call.library, call.number, call.device, before, status))
            seen.append(call.arguments["temp"])
            call.write(temp=50)
            return int(status)

        with emulated(Fault(TEMPERATURE, device=1, run=look)):
            assert temperatures(1, device=1) == [50]
        assert seen == [(TEMPERATURE, "nvml", 1, 1, "NVML_TEMPERATURE_GPU", 0), COOL]

    def test_that_fail_are_reported_and_answer_unknown(self, capfd: pytest.CaptureFixture) -> None:
        def wrong(call: Any) -> Any:
            return call.nonsense

        with emulated(Fault(TEMPERATURE, run=wrong)) as gpu:
            assert temperatures(1) == [999]
            assert "AttributeError" in gpu.calls[-1]["error"]
        message = capfd.readouterr().err
        assert "fault[0]: the scenario's function failed, the call answers UNKNOWN" in message
        assert "(test_faults.py:" in message

    def test_that_return_nonsense_are_reported(self, capfd: pytest.CaptureFixture) -> None:
        with emulated(Fault(TEMPERATURE, run=lambda call: "GPU_LOST")):
            assert temperatures(1) == [999]
        assert "expected a code of nvml, None or a dict, found 'GPU_LOST'" in capfd.readouterr().err

    def test_run_in_other_processes(self, run_in: RunIn) -> None:
        scenario = Scenario(gpus=TWO, faults=[Fault("nvmlDeviceGetName", run=unlucky)])
        code = (
            "import pynvml as n\nn.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(1)\n"
            "try: n.nvmlDeviceGetName(h)\nexcept n.NVMLError as error: print(error.value)\n"
            "print(n.nvmlDeviceGetName(h))"
        )
        done = run_in(scenario, [sys.executable, "-c", code])
        assert (done.stdout, done.stderr) == ("15\nGPU 1 of 2\n", "")

    def test_that_no_other_process_can_find_are_refused(self) -> None:
        scenario = Scenario(faults=[Fault("cuInit", run=lambda call: 1)])
        with pytest.raises(ScenarioError, match="expected a function at the top of a file"):
            Testbed(scenario).__enter__()


class TestMistakes:
    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            (
                Fault("nvmlErrorString", "UNKNOWN"),
                "fault[0].returns: expected a function that returns a status code, found "
                "nvmlErrorString",
            ),
            (
                Fault("nvmlInit_v2", 1, device=0),
                "fault[0].device: expected a function that is called for a device, found "
                "nvmlInit_v2",
            ),
            (
                Fault("nvmlDeviceGetName", writes={"nane": "x"}),
                "fault[0].writes.nane: expected a parameter that nvmlDeviceGetName writes to, "
                "found 'nane'; did you mean 'name'?",
            ),
            (
                Fault("nvmlDeviceGetName", writes={"name": 1}),
                "fault[0].writes.name: expected text, found 1",
            ),
            (
                Fault("nvmlDeviceGetMemoryInfo", writes={"memory": {"totl": 1}}),
                "fault[0].writes.memory.totl: no field 'totl'; did you mean 'total'?",
            ),
            (
                Fault("nvmlDeviceGetMemoryInfo", corrupt={"memory": "max"}),
                "fault[0].corrupt.memory: expected one of its fields, such as memory.total; "
                "found the whole of memory",
            ),
            (
                Fault("nvmlDeviceGetName", corrupt={"name": "larger"}),
                "fault[0].corrupt.name: text cannot become 'larger'",
            ),
            (
                Fault("cuInit", 1, after="cuInot"),
                "fault[0].after: expected an exported function, found 'cuInot'; "
                "did you mean 'cuInit'?",
            ),
        ],
    )
    def test_are_told_before_anything_runs(self, fault: Fault, message: str) -> None:
        with pytest.raises(ScenarioError) as caught:
            plan_of(Scenario(gpus=TWO, faults=[fault]))
        assert str(caught.value) == message

    def test_a_library_without_the_parameter_is_passed_over(self) -> None:
        scenario = Scenario(gpus=TWO, faults=[Fault("getters", corrupt={"temp": "max"})])
        (rule,) = plan_of(scenario)["faults"]
        assert rule["library"] == "nvml"

    def test_a_list_too_long_for_its_array_is_refused(self) -> None:
        writes = {"prop": {"maxThreadsDim": [1, 2, 3, 4]}}
        with pytest.raises(ScenarioError, match="expected at most 3 entries, found 4"):
            plan_of(Scenario(gpus=TWO, faults=[Fault("cuDeviceGetProperties", writes=writes)]))

    def test_a_glob_passes_over_functions_that_it_cannot_be_about(self) -> None:
        scenario = Scenario(gpus=TWO, faults=[Fault("nvml*", "UNKNOWN", device=1)])
        (rule,) = plan_of(scenario)["faults"]
        assert "nvmlDeviceGetName" in rule["functions"]
        assert not {"nvmlInit_v2", "nvmlErrorString"} & set(rule["functions"])
