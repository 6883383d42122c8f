"""MIG instances that several programs of a testbed make, see and use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from ctypes import byref, c_size_t
from typing import Any

import pynvml
import pytest
from cuda_client import Client
from nvml_client import A100, playing, refused

from emulator import Gpu, Scenario, Testbed

ENABLED = Gpu(A100, figures={"mig": {"current": True, "pending": True}})
MIB = 1 << 20

#: Runs lines that it reads, each with the devices' first handle at hand, and says what came of it.
PROGRAM = """
import sys, pynvml
from pynvml import *
nvmlInit()
gpu = nvmlDeviceGetHandleByIndex(0)
for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except NVMLError as error:
        print(type(error).__name__, flush=True)
"""

#: Has a context and memory on the device that it sees, says so, and waits for the end of input.
HOLDER = f"""
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
context, memory = ctypes.c_void_p(), ctypes.c_size_t()
assert not cuda.cuInit(0)
assert not cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0)
assert not cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t({100 * MIB}))
print("holding", flush=True)
sys.stdin.read()
"""


class Program:
    """One under way, which is told what to do."""

    def __init__(self, testbed: Testbed, source: str, **variables: str) -> None:
        path = os.pathsep.join(sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-c", source],
            env=testbed.environment() | {"PYTHONPATH": path} | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def __call__(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.says()

    def end(self) -> None:
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    with Testbed(Scenario(gpus=[ENABLED])) as testbed:

        def run(source: str = PROGRAM, **variables: str) -> Program:
            started.append(Program(testbed, source, **variables))
            return started[-1]

        yield run
        for program in started:
            program.end()


CREATE = "nvmlGpuInstanceGetInfo(nvmlDeviceCreateGpuInstance(gpu, 19)).id"
PARENT = "nvmlDeviceGetGpuInstanceById(gpu, {})"
SHARE = f"nvmlComputeInstanceGetInfo(nvmlGpuInstanceCreateComputeInstance({PARENT}, 0)).id"
DESTROY = f"nvmlComputeInstanceDestroy(nvmlGpuInstanceGetComputeInstanceById({PARENT}, 0))"
UUID = "nvmlDeviceGetUUID(nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0))"


def test_what_one_creates_the_other_sees(start: Callable[..., Program]):
    one, other = start(), start()
    assert [one(CREATE), other(CREATE), one(CREATE)] == ["13", "11", "12"]
    assert one(SHARE.format(11)) == "0"
    assert other(UUID) == one(UUID)
    assert start()(UUID) == one(UUID)
    assert other(DESTROY.format(11)) == "0"
    assert one(UUID) == "NVMLError_NotFound"


def test_a_handle_of_what_another_destroyed_is_stale(start: Callable[..., Program]):
    one, other = start(), start()
    one(CREATE)
    one(SHARE.format(13))
    assert other("globals().update(mig=nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0))") == "None"
    assert other("nvmlDeviceGetName(mig)").endswith("1g.10gb")
    one(DESTROY.format(13))
    assert other("nvmlDeviceGetName(mig)") == "NVMLError_InvalidArgument"


def test_what_a_program_computes_on_is_in_use(start: Callable[..., Program]):
    one = start()
    for number in (13, 11):
        one(CREATE)
        one(SHARE.format(number))
    uuid = one("nvmlDeviceGetUUID(nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1))")
    holder = start(HOLDER, CUDA_VISIBLE_DEVICES=uuid)
    assert holder.says() == "holding"
    pids = "[p.pid for p in nvmlDeviceGetComputeRunningProcesses(nvmlDeviceGetHandleByUUID({!r}))]"
    assert one(pids.format(uuid)) == f"[{holder.process.pid}]"
    assert one(DESTROY.format(13)) == "NVMLError_InUse"
    assert one(DESTROY.format(11)) == "0"
    assert one(pids.format(uuid)) == f"[{holder.process.pid}]"  # though now the first of all
    assert one("nvmlDeviceSetMigMode(gpu, 0)") == str(pynvml.NVML_ERROR_IN_USE)
    holder.end()
    assert one(DESTROY.format(13)) == "0"


def test_memory_stays_an_instance_s_own_when_others_come_and_go(monkeypatch: Any):
    rows = [{"profile": "1g.10gb"}, {"profile": "2g.20gb"}]
    gpu = Gpu(A100, figures={"mig": {"current": True, "instances": rows}})
    with playing(gpu) as (machine, [handle]):
        [device] = machine.devices
        used = device.partitions[1]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", used.uuid)
        client = Client()
        client.cuInit(0)
        client.handle("cuCtxCreate_v2", 0, 0)
        held = machine.ledger.held(used)
        assert held > 0
        other = pynvml.nvmlDeviceGetGpuInstanceById(handle, device.partitions[0].gpu_instance.id)
        pynvml.nvmlComputeInstanceDestroy(pynvml.nvmlGpuInstanceGetComputeInstanceById(other, 0))
        pynvml.nvmlGpuInstanceDestroy(other)
        assert device.partitions == [used]
        made = pynvml.nvmlDeviceCreateGpuInstance(handle, 9)
        pynvml.nvmlGpuInstanceCreateComputeInstance(made, 2)
        assert [machine.ledger.held(each) for each in device.partitions] == [0, held]
        free, total = c_size_t(), c_size_t()
        client.cuMemGetInfo_v2(byref(free), byref(total))
        assert total.value - free.value == held
        own = pynvml.nvmlGpuInstanceGetComputeInstanceById(
            pynvml.nvmlDeviceGetGpuInstanceById(handle, used.gpu_instance.id), 0
        )
        with refused("IN_USE"):
            pynvml.nvmlComputeInstanceDestroy(own)


def test_cuda_sees_what_nvml_made(monkeypatch: Any):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with playing(ENABLED) as (machine, [handle]):
        for profile in (19, 14):
            made = pynvml.nvmlDeviceCreateGpuInstance(handle, profile)
            pynvml.nvmlGpuInstanceCreateComputeInstance(made, 0 if profile == 19 else 1)
        client = Client()
        client.cuInit(0)
        name = machine.devices[0].name
        assert client.names() == [f"{name} MIG 2g.20gb", f"{name} MIG 1g.10gb"]
