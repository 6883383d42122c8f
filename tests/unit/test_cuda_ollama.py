"""Ollama's own search for GPUs, up to 0.12.3: libcuda by the absolute path of the real file."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator import Fault, Gpu, Scenario, Testbed
from emulator.machine import DRIVERS, Machine
from emulator.plans import plan_of

SOURCE = Path(__file__).with_name("ollama_client.c")
CALLS = [
    *("cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet"),
    *("cuDeviceGetAttribute", "cuDeviceGetAttribute", "cuDeviceGetUuid", "cuDeviceGetName"),
    *("cuCtxCreate_v3", "cuMemGetInfo_v2", "cuCtxDestroy"),
    *("cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet"),
    *("cuCtxCreate_v3", "cuMemGetInfo_v2", "cuCtxDestroy"),
]


@pytest.fixture
def discover(compile_c: Callable[..., Path]) -> Callable[..., list[str]]:
    """What the client prints on a testbed, which is not on the library path."""
    client = compile_c(SOURCE.read_text(encoding="utf-8"), "-Wall", "-Wextra", "-ldl")

    def run(testbed: Testbed, status: int = 0, **variables: str) -> list[str]:
        real = (testbed.libraries / "libcuda.so").resolve()
        assert real.name == f"libcuda.so.{testbed.scenario.driver}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CUDA_", "LD_", "NVEMU"))}
        done = subprocess.run(
            [client, real],
            env=clean | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (status, "")
        return done.stdout.splitlines()

    return run


def expected(scenario: Scenario) -> list[str]:
    machine = Machine(plan_of(scenario))
    version = f"driver {machine.cuda_version // 1000}.{machine.cuda_version % 1000 // 10}"
    gpus = [
        f"id={gpu.uuid} compute={gpu.compute_capability[0]}.{gpu.compute_capability[1]} "
        f"name={gpu.name} total={gpu.memory.total - gpu.memory.reserved} "
        f"available={gpu.memory.free - gpu.context_memory}"
        for gpu in machine.devices
    ]
    free = [gpu.memory.free - gpu.context_memory for gpu in machine.devices]
    again = [f"again available={size}" for size in free]
    return [version, *gpus, version, *again]


@pytest.mark.parametrize("driver", DRIVERS)
def test_it_finds_the_gpus_of_every_driver(driver: str, discover: Callable[..., list[str]]) -> None:
    scenario = Scenario(driver=driver, gpus=[Gpu("t4", memory_used="3 GiB"), Gpu("t4")])
    with Testbed(scenario) as testbed:
        assert discover(testbed, CUDA_DEVICE_ORDER="PCI_BUS_ID") == expected(scenario)


def test_the_calls_that_it_makes(discover: Callable[..., list[str]]) -> None:
    with Testbed(Scenario(gpus=[Gpu("h100-sxm5-80gb")]), trace=True) as testbed:
        discover(testbed)
        lines = testbed.trace_file.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["function"] for record in records] == CALLS
    assert {record["status"] for record in records} == {"SUCCESS"}
    assert all(record.get("handler", True) for record in records)


@pytest.mark.parametrize("name", ["NO_DEVICE", "UNKNOWN", "MAP_FAILED", "SYSTEM_DRIVER_MISMATCH"])
def test_what_it_says_when_init_fails(name: str, discover: Callable[..., list[str]]) -> None:
    fault = Fault("cuInit", returns=f"CUDA_ERROR_{name}")
    code = {"NO_DEVICE": 100, "UNKNOWN": 999, "MAP_FAILED": 205, "SYSTEM_DRIVER_MISMATCH": 803}
    with Testbed(Scenario(gpus=[Gpu("t4")], faults=[fault])) as testbed:
        assert discover(testbed, 1) == [f"cuda driver library init failure: {code[name]}"]


def test_no_gpu(discover: Callable[..., list[str]]) -> None:
    with Testbed(Scenario(gpus=[])) as testbed:
        assert discover(testbed, 1) == ["cuda driver library init failure: 100"]


def test_hidden_gpus(discover: Callable[..., list[str]]) -> None:
    scenario = Scenario(gpus=[Gpu("t4", count=2)])
    with Testbed(scenario) as testbed:
        uuid = expected(scenario)[2].split()[0].removeprefix("id=")
        found = discover(testbed, CUDA_VISIBLE_DEVICES=uuid[:12])
        assert [line.split()[0] for line in found if "id=" in line] == [f"id={uuid}"]
        failure = ["cuda driver library init failure: 100"]
        assert discover(testbed, 1, CUDA_VISIBLE_DEVICES="-1") == failure


def test_a_context_that_cannot_be_made(discover: Callable[..., list[str]]) -> None:
    fault = Fault("cuCtxCreate_v3", device=1, returns="CUDA_ERROR_OUT_OF_MEMORY")
    with Testbed(Scenario(gpus=[Gpu("t4", count=2)], faults=[fault])) as testbed:
        assert discover(testbed, 1)[-1] == "failed to get device context: 2"
