"""Processes on a device, and what they use."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, T4, library, playing, refused

from emulator import Gpu

MIB = 1 << 20
PYTHON = {"pid": 4242, "name": "/usr/bin/python3", "type": "C", "used_memory": 3072 * MIB}
XORG = {"pid": 77, "name": "/usr/bin/Xorg", "type": "G", "used_memory": 5 * MIB}
BLENDER = {"pid": 88, "name": "blender", "type": "C+G", "used_memory": 7 * MIB}
MPS_CLIENT = {"pid": 99, "name": "client", "type": "M+C", "used_memory": 7 * MIB}
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


class TestTheDetailedList:
    VERSION = pynvml.nvmlProcessDetailList_v1

    def test_it_has_what_confidential_computing_protects(self):
        protected = {**PYTHON, "protected_memory": "1 GiB"}
        with playing(Gpu(H100, figures={"processes": [protected, XORG]})) as (_, [handle]):
            [found] = pynvml.nvmlDeviceGetRunningProcessDetailList(handle, self.VERSION, 0)
            assert (found.pid, found.usedGpuMemory) == (4242, 3072 * MIB)
            assert found.usedGpuCcProtectedMemory == 1 << 30

    @pytest.mark.parametrize(("mode", "expected"), [(0, [4242, 88, 99]), (1, [77, 88]), (2, [99])])
    def test_by_kind(self, mode: int, expected: list[int]):
        busy = Gpu(H100, figures={"processes": [PYTHON, XORG, BLENDER, MPS_CLIENT]})
        with playing(busy) as (_, [handle]):
            found = pynvml.nvmlDeviceGetRunningProcessDetailList(handle, self.VERSION, mode)
            assert [each.pid for each in found] == expected

    def test_a_kind_that_does_not_exist(self):
        with playing(H100) as (_, [handle]), refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceGetRunningProcessDetailList(handle, self.VERSION, 3)

    def test_before_hopper_there_is_none(self):
        with playing(A100) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetRunningProcessDetailList(handle, self.VERSION, 0)


@pytest.mark.parametrize(
    ("suffix", "fields"), [("", "IxxxxQ"), ("_v2", "IxxxxQII"), ("_v3", "IxxxxQII")]
)
def test_the_strides_of_the_versions(suffix: str, fields: str):
    """nvmlProcessInfo_v1_t has no instances (nvml.h of CUDA 10); the later ones have."""
    with playing(BUSY) as (_, [handle]):
        room, count = bytearray(b"\xff" * 4 * struct.calcsize(fields)), ctypes.c_uint(4)
        array = (ctypes.c_char * len(room)).from_buffer(room)
        function = getattr(library(), "nvmlDeviceGetComputeRunningProcesses" + suffix)
        assert not function(handle, ctypes.byref(count), array)
        rows = list(struct.iter_unpack("=" + fields, room))
        assert count.value == 2
        assert [row[:2] for row in rows[:2]] == [(4242, 3072 * MIB), (88, 7 * MIB)]
        assert all(row[2:] == (0xFFFFFFFF,) * (len(row) - 2) for row in rows[:2])


def test_clients_of_mps_are_listed_as_such_and_as_compute():
    with playing(Gpu(T4, figures={"processes": [PYTHON, MPS_CLIENT]})) as (_, [handle]):
        assert pids("nvmlDeviceGetMPSComputeRunningProcesses_v3", handle) == [99]
        assert pids("nvmlDeviceGetComputeRunningProcesses_v3", handle) == [4242, 99]


HALVES = [{"profile": "3g.40gb"}, {"profile": "3g.40gb"}]
DIVIDED = Gpu(
    A100,
    figures={
        "processes": [{**PYTHON, "gpu_instance": 1, "compute_instance": 0}, XORG],
        "mig": {"current": True, "pending": True, "instances": HALVES},
    },
)


class TestInMigMode:
    def test_the_gpu_s_processes_are_in_instances(self):
        with playing(DIVIDED, user="root") as (_, [handle]):
            [found] = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            assert (found.gpuInstanceId, found.computeInstanceId) == (1, 0)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetProcessUtilization(handle, 0)

    def test_who_is_not_root_does_not_see_them(self):
        with playing(DIVIDED, user="unprivileged") as (_, [handle]), refused("NO_PERMISSION"):
            pynvml.nvmlDeviceGetComputeRunningProcesses(handle)

    def test_each_mig_device_has_its_own(self):
        with playing(DIVIDED, user="unprivileged") as (machine, [handle]):
            found = []
            for index in range(2):
                part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
                found.append(pids("nvmlDeviceGetComputeRunningProcesses", part))
            ids = [part.ids for part in machine.devices[0].partitions]
            assert found == [[4242] if each == (1, 0) else [] for each in ids]


class TestNames:
    def test_of_a_process_of_the_scenario(self):
        with playing(BUSY):
            assert pynvml.nvmlSystemGetProcessName(77) == "/usr/bin/Xorg"

    def test_of_one_that_is_there(self):
        with playing(T4):
            assert pynvml.nvmlSystemGetProcessName(os.getpid()) == sys.orig_argv[0]

    def test_it_is_cropped_to_the_room_there_is(self):
        with playing(BUSY):
            name = ctypes.create_string_buffer(b"x" * 16, 16)
            assert not library().nvmlSystemGetProcessName(77, name, 5)
            assert name.raw == b"/usr\0" + b"x" * 11

    def test_without_any_room(self):
        with playing(BUSY):
            name = ctypes.create_string_buffer(1)
            code = library().nvmlSystemGetProcessName(77, name, 0)
            assert code == pynvml.NVML_ERROR_INVALID_ARGUMENT

    def test_of_none(self):
        with playing(BUSY), refused("NOT_FOUND"):
            pynvml.nvmlSystemGetProcessName(1 << 30)


class TestUtilization:
    def samples(self, handle: object, last: int = 0) -> dict[int, Any]:
        return {each.pid: each for each in pynvml.nvmlDeviceGetProcessUtilization(handle, last)}

    def test_processes_share_the_device_s(self):
        with playing(BUSY) as (_, [handle]):
            found = self.samples(handle)
            assert {pid: sample.smUtil for pid, sample in found.items()} == {
                4242: 30,
                77: 30,
                88: 30,
            }

    def test_the_shares_add_up_and_some_are_given(self):
        rows = [{**PYTHON, "utilization": 60, "memory_utilization": 40}, XORG, BLENDER]
        figures = {"processes": rows, "utilization": {"gpu": 91, "memory": 45}}
        with playing(Gpu(T4, figures=figures)) as (_, [handle]):
            found = self.samples(handle)
            assert [found[pid].smUtil for pid in (4242, 77, 88)] == [60, 16, 15]
            assert [found[pid].memUtil for pid in (4242, 77, 88)] == [40, 3, 2]

    def test_who_did_nothing_has_no_sample(self):
        rows = [PYTHON, {**XORG, "utilization": 0, "memory_utilization": 0}]
        figures = {"processes": rows, "utilization": {"gpu": 50, "encoder": 0, "decoder": 0}}
        with playing(Gpu(T4, figures=figures)) as (_, [handle]):
            assert list(self.samples(handle)) == [4242]

    def test_an_idle_device_has_no_samples(self):
        with (
            playing(Gpu(T4, figures={"processes": [PYTHON]})) as (_, [handle]),
            refused("NOT_FOUND"),
        ):
            self.samples(handle)

    def test_of_a_gpu_in_mig_mode_nothing_is_known(self):
        mig = {"current": True, "pending": True}
        gpu = Gpu(A100, utilization=50, figures={"mig": mig, "processes": [PYTHON]})
        with playing(gpu) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetProcessUtilization(handle, 0)

    def test_only_newer_ones_than_were_seen(self):
        with playing(BUSY, clock="manual") as (machine, [handle]):
            machine.clock.advance(10)
            [stamp] = {sample.timeStamp for sample in self.samples(handle).values()}
            now = machine.clock.now() // 1000
            assert now - 1_000_000 < stamp <= now
            with refused("NOT_FOUND"):
                self.samples(handle, stamp)
            machine.clock.advance(1)
            [later] = {sample.timeStamp for sample in self.samples(handle, stamp).values()}
            assert stamp < later <= machine.clock.now() // 1000

    def test_without_room_it_tells_how_much_it_needs(self):
        with playing(BUSY) as (_, [handle]):
            count = ctypes.c_uint(0)
            function = library().nvmlDeviceGetProcessUtilization
            code = function(handle, None, ctypes.byref(count), ctypes.c_ulonglong(0))
            assert (code, count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 3)

    def test_the_newer_function_has_more_engines(self):
        figures = {
            "processes": [PYTHON, XORG],
            "utilization": {"gpu": 50, "encoder": 9, "jpeg": 20, "ofa": 7},
        }
        with playing(Gpu(A100, figures=figures)) as (_, [handle]):
            found = pynvml.nvmlDeviceGetProcessesUtilizationInfo(handle, 0)
            shares = [(each.smUtil, each.encUtil, each.jpgUtil, each.ofaUtil) for each in found]
            assert shares == [(25, 5, 10, 4), (25, 4, 10, 3)]

    def test_its_struct_says_what_room_there_is(self):
        with playing(BUSY) as (_, [handle]):
            asked = pynvml.c_nvmlProcessesUtilizationInfo_v1_t()
            asked.version = pynvml.ProcessesUtilizationInfo_v1
            function = library().nvmlDeviceGetProcessesUtilizationInfo
            code = function(handle, ctypes.byref(asked))
            assert (code, asked.processSamplesCount) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 3)
            nowhere = ctypes.POINTER(pynvml.c_nvmlProcessUtilizationInfo_v1_t)
            asked.procUtilArray = ctypes.cast(8, nowhere)
            code = function(handle, ctypes.byref(asked))
            assert code == pynvml.NVML_ERROR_INSUFFICIENT_SIZE
            asked.lastSeenTimeStamp = (1 << 64) - 1
            assert function(handle, ctypes.byref(asked)) == pynvml.NVML_ERROR_NOT_FOUND
            asked.version = 0
            code = function(handle, ctypes.byref(asked))
            assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
