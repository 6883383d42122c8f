"""Memory: what is there, what is used, what the driver keeps."""

from __future__ import annotations

import ctypes

import pynvml
import pytest
from nvml_client import A100, H100, T4, library, playing

from emulator import Gpu

GIB = 1 << 30


def test_the_second_version_tells_used_and_reserved_apart():
    with playing(Gpu(H100, memory_used="10 GiB")) as (machine, [handle]):
        info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
        memory = machine.devices[0].memory
        assert (info.total, info.used, info.reserved) == (memory.total, 10 * GIB, memory.reserved)
        assert info.free == info.total - info.used - info.reserved


def test_the_first_version_counts_what_is_reserved_as_used():
    with playing(Gpu(H100, memory_used="10 GiB")) as (machine, [handle]):
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
        assert info.used == 10 * GIB + machine.devices[0].memory.reserved
        assert info.total == info.used + info.free


def test_a_struct_of_an_unknown_version_is_refused():
    with playing(T4) as (_, [handle]):
        info = pynvml.c_nvmlMemory_v2_t()
        info.version = ctypes.sizeof(info) | 3 << 24
        code = library().nvmlDeviceGetMemoryInfo_v2(handle, ctypes.byref(info))
        assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH


def test_memory_changes_with_the_machine():
    with playing(T4) as (machine, [handle]):
        machine.devices[0].memory.used = GIB
        assert pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used == GIB


@pytest.mark.parametrize(("said", "used"), [({}, 3), ({"used": GIB}, 3), ({"used": 5 * GIB}, 5)])
def test_what_listed_processes_have_is_in_use(said: dict[str, int], used: int):
    listed = [
        {"pid": 1, "name": "one", "type": "C", "used_memory": 2 * GIB},
        {"pid": 2, "name": "two", "type": "G", "used_memory": GIB},
        {"pid": 3, "name": "three", "type": "C", "used_memory": None},
    ]
    gpu = Gpu(T4, figures={"processes": listed, "memory": said})
    with playing(gpu) as (machine, [handle]):
        info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
        assert info.used == used * GIB
        assert machine.ledger.free(machine.devices[0]) == info.free
        machine.alter(machine.devices[0], {"processes": [], "memory": {"used": 0}})
        assert pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used == 0


def test_in_mig_mode_it_is_the_gpu_instance_s():
    instances = [{"profile": "3g.40gb", "id": 1}, {"profile": "3g.40gb", "id": 2}]
    mig = {"current": True, "pending": True, "instances": instances}
    row = {"pid": 1, "name": "one", "type": "C", "used_memory": GIB, "compute_instance": 0}
    gpu = Gpu(A100, figures={"mig": mig, "processes": [{**row, "gpu_instance": 2}]})
    with playing(gpu) as (_, [handle]):
        devices = [pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, n) for n in (0, 1)]
        found = [pynvml.nvmlDeviceGetMemoryInfo(each).used for each in (*devices, handle)]
        assert found[1] - found[0] == GIB
        assert found[2] > GIB


def test_no_part_of_memory_is_ever_less_than_nothing():
    with playing(T4) as (machine, [handle]):
        memory = machine.devices[0].memory
        memory.used = 2 * memory.total
        for reserved in (memory.reserved, memory.total, 2 * memory.total):
            memory.reserved = reserved
            for version in (None, pynvml.nvmlMemory_v2):
                info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=version)
                assert info.free == 0
                assert info.used == memory.usable + (0 if version else memory.total - memory.usable)


def test_bar1_and_protected_memory():
    with playing(H100) as (_, [handle]):
        bar1 = pynvml.nvmlDeviceGetBAR1MemoryInfo(handle)
        assert (bar1.bar1Total, bar1.bar1Used, bar1.bar1Free) == (
            128 * GIB,
            1 << 20,
            (128 * GIB) - (1 << 20),
        )
        assert pynvml.nvmlDeviceGetConfComputeProtectedMemoryUsage(handle).total == 0
        assert pynvml.nvmlDeviceGetMemoryBusWidth(handle) == 5120
