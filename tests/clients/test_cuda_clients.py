"""Real, unmodified CUDA clients: numba-cuda, cuda-bindings, cuda.core; and nvidia-smi beside them.

They are not part of this project. The variable NVEMU_CUDA_CLIENTS names a Python that has them
(`nox -s cuda_clients` makes one), and NVEMU_REAL_DRIVERS a folder with NVIDIA's own nvidia-smi.
"""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from emulator import Gpu, Machine, Scenario, Testbed
from emulator.plans import plan_of
from emulator.scenario import load
from emulator.trace import records

HERE = Path(__file__).parent
PYTHON = os.environ.get("NVEMU_CUDA_CLIENTS", "")
PACKAGES = ("numba_cuda", "cuda.bindings", "cuda.core")
MISSING = """
import importlib.util, sys
print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])
"""
FOLDER = Path(os.environ.get("NVEMU_REAL_DRIVERS") or os.devnull)
MIB = 1 << 20
LIMIT = 180  # seconds in which a client, and what it compiles, is through

MACHINES = {
    "550 a100": Scenario(driver="550.163.01", gpus=[Gpu("a100-sxm4-80gb", count=2)]),
    "555 rtx-4090": Scenario(driver="555.58.02", gpus=[Gpu("rtx-4090", count=2)]),
    "580 h100": Scenario(driver="580.126.09", gpus=[Gpu("h100-sxm5-80gb", count=2)]),
}
each_machine = pytest.mark.parametrize("scenario", MACHINES.values(), ids=list(MACHINES))

#: Of numba-cuda's own tests, which its wheel has, those that need no kernel's results.
NUMBA_TESTS = (
    "cudadrv.test_array_attr",
    "cudadrv.test_context_stack.TestContextAPI",
    "cudadrv.test_context_stack.TestContextLeak",
    "cudadrv.test_context_stack.TestContextStack",
    "cudadrv.test_cuda_array_slicing.CudaArrayIndexing",
    "cudadrv.test_cuda_array_slicing.CudaArraySlicing",
    "cudadrv.test_cuda_array_slicing.CudaArrayStridedSlice",
    "cudadrv.test_cuda_auto_context",
    "cudadrv.test_cuda_devicerecord.TestCudaDeviceRecord",
    "cudadrv.test_cuda_devicerecord.TestCudaDeviceRecordWithRecord",
    "cudadrv.test_cuda_driver.TestDevice",
    "cudadrv.test_cuda_memory",
    "cudadrv.test_deallocations",
    "cudadrv.test_detect",
    "cudadrv.test_emm_plugins",
    "cudadrv.test_events",
    "cudadrv.test_host_alloc",
    "cudadrv.test_init",
    "cudadrv.test_module_callbacks.TestModuleCallbacksBasic",
    "cudadrv.test_pinned",
    "cudadrv.test_profiler",
    "cudadrv.test_reset_device",
    "cudadrv.test_runtime",
    "cudadrv.test_select_device",
    "cudapy.test_ipc",
)

Facts = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _clients_are_there() -> None:
    if not PYTHON:
        pytest.skip(f"NVEMU_CUDA_CLIENTS does not name a Python that has {', '.join(PACKAGES)}")
    command = [PYTHON, "-c", MISSING, *PACKAGES]
    missing = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if missing:
        pytest.skip(f"{PYTHON} (NVEMU_CUDA_CLIENTS) lacks {missing}")


def command(client: str, *arguments: object) -> list[str]:
    return [PYTHON, str(HERE / f"{client}_client.py"), *map(str, arguments)]


def facts(done: subprocess.CompletedProcess[str]) -> Facts:
    """What a client printed when it was through."""
    assert done.returncode == 0, done.stdout + done.stderr
    found: Facts = json.loads(done.stdout)
    return found


@pytest.fixture
def ask(run_in: Callable[..., Any]) -> Callable[..., Facts]:
    """`ask(scenario, client, part)`: what the client's part gives on the scenario's machine."""

    def answer(scenario: Scenario, client: str, part: str) -> Facts:
        return facts(run_in(scenario, command(client, part)))

    return answer


def traced(scenario: Scenario, client: str, part: str) -> tuple[Facts, list[Facts]]:
    """What the client's part gives, and the records of its calls."""
    with Testbed(scenario, trace=True) as testbed:
        done = subprocess.run(
            command(client, part),
            env=testbed.environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return facts(done), list(records(testbed.trace_file))


def launches(calls: list[Facts]) -> list[Facts]:
    """What was recorded of each kernel's launch."""
    shown = ("grid", "block", "arguments", "does")
    return [
        {"function": call["function"]} | {key: call["arguments"][key] for key in shown}
        for call in calls
        if call["function"].startswith("kernel ")
    ]


def array(pointer: int, size: int) -> list[str]:
    """The arguments that numba makes of an array of doubles."""
    return [*map(hex, (0, 0, size, 8, pointer, size, 8))]


def bits(value: float, kind: str = "d") -> int:
    """A float as it is in memory."""
    return int.from_bytes(struct.pack(kind, value), "little")


def machine(scenario: Scenario) -> Machine:
    return Machine(plan_of(scenario))


@each_machine
class TestNumba:
    def test_it_finds_the_devices(self, ask: Callable[..., Facts], scenario: Scenario):
        seen = ask(scenario, "numba", "devices")
        assert seen["supported"] is True
        assert "2/2 devices are supported" in seen["printed"]
        assert seen["devices"] == [
            [device.name, list(device.compute_capability), device.uuid]
            for device in machine(scenario).devices
        ]

    def test_arrays_go_to_the_device_and_back(self, ask: Callable[..., Facts], scenario: Scenario):
        seen = ask(scenario, "numba", "arrays")
        assert seen["back"] is True
        assert seen["taken"] is True
        assert seen["part"] == [8, 9, *[0] * 10, 20, 21]
        assert seen["matrix"] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
        assert seen["records"] == [[1, 2.5], [3, 4.5]]

    def test_streams_and_events(self, ask: Callable[..., Facts], scenario: Scenario):
        seen = ask(scenario, "numba", "streams")
        assert seen["back"] is True
        assert seen["finished"] is True
        assert seen["milliseconds"] >= 0

    def test_memory_of_host_and_device(self, ask: Callable[..., Facts], scenario: Scenario):
        assert ask(scenario, "numba", "host_memory") == {
            kind: number * 100_003
            for kind, number in (("pinned", 7), ("mapped", 8), ("managed", 9))
        }

    def test_an_array_in_two_processes(self, ask: Callable[..., Facts], scenario: Scenario):
        assert ask(scenario, "numba", "ipc") == {"read": 100_003, "status": 0, "now": 200_006}

    def test_a_launch_is_recorded(self, scenario: Scenario):
        seen, calls = traced(scenario, "numba", "launch")
        source, result = seen["pointers"]
        assert launches(calls) == [
            {
                "function": f"kernel {seen['name']}",
                "grid": [8, 1, 1],
                "block": [128, 1, 1],
                "arguments": [*array(source, 1000), hex(bits(2.5)), *array(result, 1000)],
                "does": "nothing",
            }
        ]
        assert seen["registers"] > 0
        assert seen["result"] == [0] * 1000

    def test_its_own_tests_pass(self, run_in: Callable[..., Any], scenario: Scenario):
        names = [f"numba.cuda.tests.{name}" for name in NUMBA_TESTS]
        done = run_in(scenario, [PYTHON, "-m", "unittest", *names])
        assert done.returncode == 0, done.stderr
        [count] = re.findall(r"^Ran (\d+) tests in", done.stderr, re.MULTILINE)
        assert int(count) > 80


@each_machine
class TestBindings:
    def test_the_device_is_the_machine_s(self, ask: Callable[..., Facts], scenario: Scenario):
        [device, _] = machine(scenario).devices
        seen = ask(scenario, "cuda_bindings", "properties")
        assert seen["version"] == {"550": 12040, "555": 12050, "580": 13000}[scenario.driver[:3]]
        assert seen["name"] == device.name
        assert seen["memory"] == device.memory.total - device.memory.reserved
        assert seen["attributes"] == {
            "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT": device.processor.multiprocessors,
            "CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK": 1024,
            "CU_DEVICE_ATTRIBUTE_WARP_SIZE": 32,
            "CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING": 1,
        }

    def test_bytes_move(self, ask: Callable[..., Facts], scenario: Scenario):
        assert ask(scenario, "cuda_bindings", "buffers") == {
            "back": True,
            "filled": "0403020104030201",
            "same": True,
            "row": True,
            "range": [True, MIB],
            "freed_twice": "CUDA_ERROR_INVALID_VALUE",
        }

    def test_a_launch_is_recorded(self, scenario: Scenario):
        seen, calls = traced(scenario, "cuda_bindings", "launch")
        assert launches(calls) == [
            {
                "function": "kernel saxpy",
                "grid": [4, 1, 1],
                "block": [256, 1, 1],
                "arguments": [bits(3.0, "f"), *map(hex, seen["pointers"]), hex(1000)],
                "does": "nothing",
            }
        ]
        assert seen["result"] == [0.5] * 1000
        assert seen["offsets"] == 16
        assert seen["missing"] == "CUDA_ERROR_NOT_FOUND"
        assert seen["too_many"] == "CUDA_ERROR_INVALID_VALUE"
        assert seen["threads"] == 1024
        assert seen["occupancy"] == [True, True]


@each_machine
class TestCore:
    def test_the_devices_are_the_machine_s(self, ask: Callable[..., Facts], scenario: Scenario):
        devices = machine(scenario).devices
        seen = ask(scenario, "cuda_core", "devices")
        assert seen["devices"] == [
            {
                "name": device.name,
                "uuid": device.uuid.removeprefix("GPU-"),
                "capability": list(device.compute_capability),
                "multiprocessors": device.processor.multiprocessors,
            }
            for device in devices
        ]
        assert len(seen["properties"]) > 100
        assert seen["properties"]["ecc_enabled"] is bool(devices[0].ecc.current)

    def test_bytes_move_through_a_stream(self, ask: Callable[..., Facts], scenario: Scenario):
        seen = ask(scenario, "cuda_core", "buffers")
        assert seen.pop("milliseconds") >= 0
        assert seen == {
            "back": True,
            "filled": 0xAB,
            "accessible": [[True, False], [True, True]],
            "device": 0,
        }

    def test_a_range_grows(self, ask: Callable[..., Facts], scenario: Scenario):
        assert ask(scenario, "cuda_core", "virtual_memory") == {"size": 8 * MIB, "kept": True}

    def test_launches_are_recorded_those_of_a_graph_too(self, scenario: Scenario):
        seen, calls = traced(scenario, "cuda_core", "launch")
        first, second, third = map(hex, seen["pointers"])
        size = hex(1000)
        assert [call["arguments"] for call in launches(calls)] == [
            [second, third, first, size],
            [second, third, first, size],
            [first, first, first, size],
        ]
        assert {call["function"] for call in launches(calls)} == {"kernel add"}
        assert seen["result"] == seen["by_graph"] == [0] * 1000
        assert seen["arguments"] == [[0, 8], [8, 8], [16, 8], [24, 8]]
        assert seen["threads"] == 1024
        assert seen["registers"] > 0
        assert seen["blocks"] > 0

    def test_graphs_keep_their_order(self, ask: Callable[..., Facts], scenario: Scenario):
        assert ask(scenario, "cuda_core", "graphs") == {
            "called": ["first", "branch", "branch", "last"] * 2,
            "filled": [2],
        }

    def test_a_pool_in_two_processes(self, ask: Callable[..., Facts], scenario: Scenario):
        assert ask(scenario, "cuda_core", "ipc") == {"read": 1000, "status": 0, "now": 2000}


class TestKernelsThatWork:
    """What clients read back when the scenario has a Python function for their kernels."""

    @pytest.fixture
    def result(self, ask: Callable[..., Facts]) -> Callable[[str], Facts]:
        return lambda client: ask(load(HERE / "cuda_kernels.py"), client, "launch")

    def test_numba_s(self, result: Callable[[str], Facts]):
        assert result("numba")["result"] == [2.5 * number for number in range(1000)]

    def test_cuda_bindings_s(self, result: Callable[[str], Facts]):
        expected = [3.0 * number + 0.5 for number in range(1000)]
        assert result("cuda_bindings")["result"] == expected

    def test_cuda_core_s_alone_and_in_a_graph(self, result: Callable[[str], Facts]):
        seen = result("cuda_core")
        assert seen["result"] == [3 * number for number in range(1000)]
        assert seen["by_graph"] == [6 * number for number in range(1000)]


#: The drivers that an nvidia-smi is there for.
SHOWN = [
    pytest.param(scenario, id=name)
    for name, scenario in MACHINES.items()
    if (FOLDER / scenario.driver / "nvidia-smi").exists()
]


@pytest.mark.skipif(not SHOWN, reason="NVEMU_REAL_DRIVERS does not name a folder with nvidia-smi")
class TestProcesses:
    """What nvidia-smi shows of a numba program that is under way."""

    @pytest.fixture(params=SHOWN)
    def testbed(self, request: pytest.FixtureRequest) -> Iterator[Testbed]:
        with Testbed(request.param) as testbed:
            yield testbed

    def seen(self, testbed: Testbed) -> tuple[int, dict[int, tuple[str, int]]]:
        """The first GPU's used memory in MiB, and each process with its name and memory."""
        log = ElementTree.fromstring(
            subprocess.run(
                [FOLDER / testbed.scenario.driver / "nvidia-smi", "-q", "-x"],
                env=testbed.environment(),
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=True,
            ).stdout
        )
        gpu = log.find("gpu")
        assert gpu is not None
        processes = {
            int(process.findtext("pid", "")): (
                process.findtext("process_name", ""),
                mebibytes(process.findtext("used_memory", "")),
            )
            for process in gpu.iter("process_info")
        }
        return mebibytes(gpu.findtext("fb_memory_usage/used", "")), processes

    @pytest.mark.parametrize("end", ["it returns", "it is killed"])
    def test_it_is_there_with_its_memory_while_it_runs(self, testbed: Testbed, end: str):
        before, nobody = self.seen(testbed)
        assert nobody == {}
        with subprocess.Popen(
            command("numba", "hold", 256 * MIB),
            env=testbed.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as client:
            assert client.stdout is not None
            assert json.loads(client.stdout.readline()) == {"held": 256 * MIB}
            during, processes = self.seen(testbed)
            if end == "it is killed":
                client.kill()
            client.communicate("\n", timeout=LIMIT)
        [(pid, (name, memory))] = processes.items()
        assert (pid, name) == (client.pid, PYTHON)
        assert memory > 256  # its context takes some, too
        assert during - before == memory
        assert client.returncode == (-signal.SIGKILL if end == "it is killed" else 0)
        assert self.seen(testbed) == (before, {})


def mebibytes(text: str) -> int:
    """The number in "256 MiB"."""
    number, unit = text.split()
    assert unit == "MiB"
    return int(number)
