"""Processes on a device, what they use, and accounting."""

from __future__ import annotations

import ctypes

import pynvml
import pytest
from nvml_client import T4, library, playing, refused

from emulator import Gpu

MIB = 1 << 20
PYTHON = {"pid": 4242, "name": "/usr/bin/python3", "type": "C", "used_memory": 3072 * MIB}
XORG = {"pid": 77, "name": "/usr/bin/Xorg", "type": "G", "used_memory": 5 * MIB}
BLENDER = {"pid": 88, "name": "blender", "type": "C+G", "used_memory": 7 * MIB}
BUSY = Gpu(T4, utilization=90, figures={"processes": [PYTHON, XORG, BLENDER]})


def pids(function: str, handle: object) -> list[int]:
    return [each.pid for each in getattr(pynvml, function)(handle)]


@pytest.mark.parametrize("version", ["", "_v2", "_v3"])
def test_compute_and_graphics_are_listed_apart(version: str):
    with playing(BUSY) as (_, [handle]):
        assert pids("nvmlDeviceGetComputeRunningProcesses" + version, handle) == [4242, 88]
        assert pids("nvmlDeviceGetGraphicsRunningProcesses" + version, handle) == [77, 88]
        assert pids("nvmlDeviceGetMPSComputeRunningProcesses" + version, handle) == []


def test_a_process_tells_its_memory_and_that_it_is_in_no_instance():
    with playing(BUSY) as (_, [handle]):
        [first, _] = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        assert first.usedGpuMemory == 3072 * MIB
        assert first.gpuInstanceId == first.computeInstanceId == 0xFFFFFFFF


def test_memory_that_the_system_does_not_tell():
    unknown = {"pid": 1, "name": "hidden", "type": "C", "used_memory": "N/A"}
    with playing(Gpu(T4, figures={"processes": [unknown]})) as (_, [handle]):
        [process] = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        assert process.usedGpuMemory is None  # pynvml's word for NVML_VALUE_NOT_AVAILABLE


def test_a_list_without_room_tells_how_much_it_needs():
    with playing(BUSY) as (_, [handle]):
        count = ctypes.c_uint(0)
        function = library().nvmlDeviceGetComputeRunningProcesses_v3
        code = function(handle, ctypes.byref(count), None)
        assert (code, count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 2)


def test_the_detailed_list():
    with playing(BUSY) as (_, [handle]):
        version = pynvml.nvmlProcessDetailList_v1
        found = pynvml.nvmlDeviceGetRunningProcessDetailList(handle, version, 0)
        assert [each.pid for each in found] == [4242, 88]


def test_processes_share_the_device_s_utilization():
    with playing(BUSY) as (_, [handle]):
        samples = pynvml.nvmlDeviceGetProcessUtilization(handle, 0)
        assert {sample.pid: sample.smUtil for sample in samples} == {4242: 30, 77: 30, 88: 30}


class TestAccounting:
    def test_it_is_off_until_it_is_switched_on(self):
        with playing(BUSY) as (_, [handle]):
            assert pynvml.nvmlDeviceGetAccountingMode(handle) == 0
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == []
            pynvml.nvmlDeviceSetAccountingMode(handle, 1)
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [4242, 77, 88]
            assert pynvml.nvmlDeviceGetAccountingBufferSize(handle) == 4000

    def test_stats_of_a_process(self):
        with playing(BUSY) as (_, [handle]):
            pynvml.nvmlDeviceSetAccountingMode(handle, 1)
            stats = pynvml.nvmlDeviceGetAccountingStats(handle, 4242)
            assert (stats.maxMemoryUsage, stats.isRunning) == (3072 * MIB, 1)
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetAccountingStats(handle, 1)
