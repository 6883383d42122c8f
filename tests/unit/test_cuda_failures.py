"""One machine behind NVML and CUDA: what fails in one has failed in the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from ctypes import c_size_t
from multiprocessing.connection import Connection

import pynvml
import pytest
from cuda_client import Client, refused

import emulator
from emulator import Emulation, Fault, Gpu, Scenario


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulation]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.Emulation(Scenario(gpus=[Gpu("t4", count=2)])) as played:
        pynvml.nvmlInit()
        yield played
        pynvml.nvmlShutdown()


@pytest.fixture
def client(played: Emulation) -> Client:
    assert played
    client = Client()
    client.cuInit(0)
    return client


def uncorrectable(device: int) -> int:
    handle = pynvml.nvmlDeviceGetHandleByIndex(device)
    kind, volatile = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    return int(pynvml.nvmlDeviceGetTotalEccErrors(handle, kind, volatile))


def test_a_lost_device_shows_in_the_next_call(played: Emulation, client: Client) -> None:
    client.handle("cuCtxCreate_v2", 0, 1)
    played.control.set(1, failure="lost")
    with refused("UNKNOWN"):
        client.cuCtxSynchronize()
    with refused("UNKNOWN"):
        client.handle("cuCtxCreate_v2", 0, 1)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(1))
    client.handle("cuCtxCreate_v2", 0, 0)
    client.cuCtxSynchronize()


def test_what_was_there_before_does_not_come_back(played: Emulation, client: Client) -> None:
    before = c_size_t(client.handle("cuCtxCreate_v2", 0, 1))
    played.control.set(1, failure="lost")
    played.control.set(1, failure="N/A")
    with refused("UNKNOWN"):
        client.cuCtxSynchronize()
    client.handle("cuCtxCreate_v2", 0, 1)
    client.cuCtxSynchronize()
    client.cuCtxSetCurrent(before)
    with refused("UNKNOWN"):
        client.cuCtxSynchronize()
    client.cuCtxDestroy_v2(before)


def test_a_primary_context_comes_back_after_its_release(played: Emulation, client: Client) -> None:
    primary = c_size_t(client.handle("cuDevicePrimaryCtxRetain", 1))
    client.cuCtxSetCurrent(primary)
    played.machine.devices[1].failure = "reset_required"
    with refused("UNKNOWN"):
        client.cuCtxSynchronize()
    played.machine.devices[1].failure = None
    client.cuDevicePrimaryCtxReset_v2(1)
    client.handle("cuDevicePrimaryCtxRetain", 1)
    client.cuCtxSynchronize()


def test_a_memory_error_is_counted_once(played: Emulation, client: Client) -> None:
    client.handle("cuCtxCreate_v2", 0, 1)
    fault = played.control.fail("cuCtxSynchronize", returns="ECC_UNCORRECTABLE")
    for _ in range(2):
        with refused("ECC_UNCORRECTABLE"):
            client.cuCtxSynchronize()
    assert [uncorrectable(0), uncorrectable(1)] == [0, 1]
    played.control.clear(fault)
    with refused("ECC_UNCORRECTABLE"):
        client.cuCtxSynchronize()


def test_a_program_is_listed_by_nvml_while_it_has_a_context(client: Client) -> None:
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    before = pynvml.nvmlDeviceGetMemoryInfo(handle).used
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 0))
    [process] = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    size = 40 * (4 << 20)
    assert process.usedGpuMemory == size
    assert pynvml.nvmlDeviceGetMemoryInfo(handle).used - before == size
    assert "python" in pynvml.nvmlSystemGetProcessName(process.pid)
    assert pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle) == []
    client.cuCtxDestroy_v2(context)
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(handle) == []
    assert pynvml.nvmlDeviceGetMemoryInfo(handle).used == before


def test_another_scenario_begins_with_nothing_held(client: Client) -> None:
    client.handle("cuCtxCreate_v2", 0, 0)
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])) as machine:
        assert machine.ledger.held(machine.devices[0]) == 0


def hold(ready: Connection) -> None:
    """Have a context and memory, say so, and wait to be killed."""
    client = Client()
    client.cuInit(0)
    client.handle("cuCtxCreate_v2", 0, 0)
    client.handle("cuMemAlloc_v2", c_size_t(1 << 30))
    ready.send(os.getpid())
    signal.pause()


def test_children_of_multiprocessing_share_the_machine(played: Emulation) -> None:
    """Of a test's own process, which has no testbed, and has not asked for memory before."""
    assert played
    fork = multiprocessing.get_context("fork")
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    here, there = fork.Pipe()
    children = [fork.Process(target=hold, args=(there,)) for _ in range(3)]
    for child in children:
        child.start()
    pids = sorted(here.recv() for _ in children)
    each = 40 * (4 << 20) + (1 << 30)
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    assert sorted((process.pid, process.usedGpuMemory) for process in listed) == [
        (pid, each) for pid in pids
    ]
    info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    assert info.used == 3 * each
    for child in children:
        child.kill()
        child.join()
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(handle) == []
    info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    assert info.used == 0


def test_an_exclusive_device_is_not_for_a_second_process(played: Emulation) -> None:
    gpu = Gpu("t4", figures={"compute_mode": "EXCLUSIVE_PROCESS"})
    other = {"pid": 4242, "name": "train", "type": "C", "used_memory": "1 GiB"}
    taken = Gpu("t4", figures={"compute_mode": "EXCLUSIVE_PROCESS", "processes": [other]})
    with emulator.emulate(Scenario(gpus=[gpu, taken])):
        client = Client()
        client.cuInit(0)
        for _ in range(2):
            client.handle("cuCtxCreate_v2", 0, 0)
        with refused("DEVICE_UNAVAILABLE"):
            client.handle("cuCtxCreate_v2", 0, 1)


def test_a_fault_is_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fault = Fault("cuCtxCreate*", device=1, returns="OUT_OF_MEMORY")
    with emulator.emulate(Scenario(gpus=[Gpu("t4", count=2)], faults=[fault])):
        client = Client()
        client.cuInit(0)
        client.handle("cuCtxCreate_v2", 0, 0)
        with refused("OUT_OF_MEMORY"):
            client.handle("cuCtxCreate_v2", 0, 1)
