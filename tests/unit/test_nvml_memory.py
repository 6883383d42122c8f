"""Memory: what is there, what is used, what the driver keeps."""

from __future__ import annotations

import ctypes

import pynvml
from nvml_client import H100, T4, library, playing

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
