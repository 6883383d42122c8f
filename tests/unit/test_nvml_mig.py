"""MIG in NVML: the mode, MIG devices and what their handles are good for."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, T4, library, playing, refused

from emulator import Gpu
from emulator.nvml._functions import FUNCTIONS
from emulator.nvml.mig import devices as migdevices

MIB = 1 << 20


def divided(*instances: Any, product: str = A100, **figures: Any) -> Gpu:
    rows = [{"profile": each} if isinstance(each, str) else each for each in instances]
    mig = {"current": True, "pending": True, "instances": rows}
    return Gpu(product, figures={"mig": mig, **figures})


def mig_handles(handle: Any) -> list[Any]:
    count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    found = []
    for index in range(count):
        try:
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
        except pynvml.NVMLError_NotFound:
            break
    return found


class TestMode:
    @pytest.mark.parametrize("product", [A100, H100])
    def test_it_is_switched_at_once_on_an_idle_device(self, product: str):
        with playing(product) as (_, [handle]):
            assert pynvml.nvmlDeviceGetMigMode(handle) == [0, 0]
            assert pynvml.nvmlDeviceSetMigMode(handle, 1) == pynvml.NVML_SUCCESS
            assert pynvml.nvmlDeviceGetMigMode(handle) == [1, 1]

    def test_while_a_process_has_the_device_it_is_pending(self):
        process = {"pid": 7, "name": "x", "type": "C"}
        with playing(Gpu(A100, figures={"processes": [process]})) as (_, [handle]):
            assert pynvml.nvmlDeviceSetMigMode(handle, 1) == pynvml.NVML_ERROR_IN_USE
            assert pynvml.nvmlDeviceGetMigMode(handle) == [0, 1]

    @pytest.mark.parametrize(("product", "mode"), [(A100, [0, 1]), (H100, [1, 1])])
    def test_a_virtual_machine_cannot_reset_an_ampere(self, product: str, mode: list[int]):
        gpu = Gpu(product, figures={"virtualization_mode": "PASSTHROUGH"})
        with playing(gpu) as (_, [handle]):
            expected = pynvml.NVML_SUCCESS if mode[0] else pynvml.NVML_ERROR_RESET_REQUIRED
            assert pynvml.nvmlDeviceSetMigMode(handle, 1) == expected
            assert pynvml.nvmlDeviceGetMigMode(handle) == mode

    def test_it_ends_accounting(self):
        with playing(Gpu(A100, figures={"accounting": {"enabled": True}})) as (_, [handle]):
            pynvml.nvmlDeviceSetMigMode(handle, 1)
            assert pynvml.nvmlDeviceGetAccountingMode(handle) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetAccountingMode(handle, 1)

    def test_the_compute_mode_is_the_default_in_it(self):
        with playing(Gpu(A100, figures={"compute_mode": "PROHIBITED"})) as (_, [handle]):
            pynvml.nvmlDeviceSetMigMode(handle, 1)
            assert pynvml.nvmlDeviceGetComputeMode(handle) == pynvml.NVML_COMPUTEMODE_DEFAULT
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetComputeMode(handle, pynvml.NVML_COMPUTEMODE_PROHIBITED)

    def test_instances_end_with_it(self):
        with playing(divided("1g.10gb")) as (machine, [handle]):
            assert pynvml.nvmlDeviceSetMigMode(handle, 0) == pynvml.NVML_SUCCESS
            assert machine.devices[0].mig.instances == []
            pynvml.nvmlDeviceSetMigMode(handle, 1)
            assert mig_handles(handle) == []

    def test_what_is_refused(self):
        with playing(A100, T4) as (_, [a100, t4]):
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceSetMigMode(a100, 2)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetMigMode(t4, 1)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetMigMode(t4)

    def test_only_root_may(self):
        with playing(A100, user="unprivileged") as (_, [handle]), refused("NO_PERMISSION"):
            pynvml.nvmlDeviceSetMigMode(handle, 1)


class TestDevices:
    def test_one_for_each_compute_instance(self):
        shared = {"profile": "3g.40gb", "compute": [{"slices": 1}, {"slices": 2}]}
        with playing(divided(shared, "1g.10gb")) as (machine, [handle]):
            found = mig_handles(handle)
            names = [pynvml.nvmlDeviceGetName(each) for each in found]
            name = machine.devices[0].name
            labels = ["1c.3g.40gb", "2c.3g.40gb", "1g.10gb"]
            assert names == [f"{name} MIG {label}" for label in labels]
            ids = [
                (pynvml.nvmlDeviceGetGpuInstanceId(x), pynvml.nvmlDeviceGetComputeInstanceId(x))
                for x in found
            ]
            assert ids == [(2, 0), (2, 1), (7, 0)]
            assert [pynvml.nvmlDeviceGetIndex(each) for each in found] == [0, 1, 2]

    def test_without_compute_instances_there_is_none(self):
        with playing(divided({"profile": "3g.40gb", "compute": []})) as (_, [handle]):
            assert mig_handles(handle) == []
            assert pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) == 7

    def test_while_the_mode_is_off_there_can_be_none(self):
        with playing(A100, T4) as (_, [a100, t4]):
            assert pynvml.nvmlDeviceGetMaxMigDeviceCount(a100) == 0
            assert pynvml.nvmlDeviceGetMaxMigDeviceCount(t4) == 0
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetMigDeviceHandleByIndex(a100, 0)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetMigDeviceHandleByIndex(a100, 7)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetMigDeviceHandleByIndex(t4, 0)

    def test_handle_and_gpu_lead_to_each_other(self):
        with playing(divided("1g.10gb")) as (_, [handle]):
            [found] = mig_handles(handle)
            [again] = mig_handles(handle)
            address = ctypes.cast(found, ctypes.c_void_p).value
            assert ctypes.cast(again, ctypes.c_void_p).value == address
            assert pynvml.nvmlDeviceIsMigDeviceHandle(found).value == 1
            assert pynvml.nvmlDeviceIsMigDeviceHandle(handle).value == 0
            parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(found)
            assert pynvml.nvmlDeviceGetUUID(parent) == pynvml.nvmlDeviceGetUUID(handle)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)

    def test_it_is_found_by_its_uuid(self):
        uuid = "MIG-01234567-89ab-5def-8123-456789abcdef"
        gpu = divided({"profile": "1g.10gb", "compute": [{"uuid": uuid}]})
        with playing(gpu) as (_, [handle]):
            gpu_uuid = pynvml.nvmlDeviceGetUUID(handle)
            for name in (uuid, f"MIG-{gpu_uuid}/13/0"):
                found = pynvml.nvmlDeviceGetHandleByUUID(name)
                assert pynvml.nvmlDeviceGetUUID(found) == uuid
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetHandleByUUID(uuid[:-1] + "0")

    def test_what_it_has(self):
        with playing(divided({"profile": "3g.40gb", "compute": [{"slices": 2}]})) as (
            machine,
            [handle],
        ):
            [found] = mig_handles(handle)
            has = pynvml.nvmlDeviceGetAttributes_v2(found)
            assert (has.multiprocessorCount, has.memorySizeMB) == (28, 40192)
            assert (has.gpuInstanceSliceCount, has.computeInstanceSliceCount) == (3, 2)
            assert (has.sharedCopyEngineCount, has.sharedDecoderCount) == (3, 2)
            memory = pynvml.nvmlDeviceGetMemoryInfo(found)
            assert (memory.total, memory.used) == (40192 * MIB, 0)
            bar1 = pynvml.nvmlDeviceGetBAR1MemoryInfo(found)
            assert bar1.bar1Total == machine.devices[0].bar1.total // 2 - MIB
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetAttributes_v2(handle)

    def test_its_processes_are_its_own(self):
        rows = [
            {"pid": pid, "name": "x", "type": "C", "gpu_instance": number, "compute_instance": 0}
            for pid, number in ((10, 13), (11, 11))
        ]
        with playing(divided("1g.10gb", "1g.10gb", processes=rows)) as (_, [handle]):
            first, second = (
                [each.pid for each in pynvml.nvmlDeviceGetComputeRunningProcesses(mig)]
                for mig in mig_handles(handle)
            )
            assert (first, second) == ([11], [10])
            both = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            assert [(each.pid, each.gpuInstanceId) for each in both] == [(10, 13), (11, 11)]

    def test_a_vgpu_host_does_not_tell_its_processes(self):
        gpu = divided("1g.10gb", virtualization_mode="HOST_VGPU")
        with playing(gpu) as (_, [handle]):
            [found] = mig_handles(handle)
            assert pynvml.nvmlDeviceGetComputeRunningProcesses(handle) == []
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetComputeRunningProcesses(found)

    def test_of_errors_it_has_the_volatile_uncorrectable_ones_of_sram(self):
        counts = {"sram_uncorrectable_parity": 3, "sram_correctable": 2, "dram_uncorrectable": 1}
        ecc = {"volatile": counts, "aggregate": counts}
        with playing(divided("1g.10gb", ecc=ecc)) as (_, [handle]):
            [found] = mig_handles(handle)
            corrected, uncorrected = range(2)
            volatile, aggregate = range(2)
            ask = pynvml.nvmlDeviceGetMemoryErrorCounter
            sram, dram = pynvml.NVML_MEMORY_LOCATION_SRAM, pynvml.NVML_MEMORY_LOCATION_DRAM
            assert ask(found, uncorrected, volatile, sram) == 3
            for which in (
                (corrected, volatile, sram),
                (uncorrected, aggregate, sram),
                (uncorrected, volatile, dram),
            ):
                with refused("NOT_SUPPORTED"):
                    ask(found, *which)
            assert ask(handle, uncorrected, aggregate, sram) == 3
            assert ask(handle, uncorrected, volatile, sram) == 3
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, volatile) == 4
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceClearEccErrorCounts(handle, aggregate)

    def test_before_535_the_gpu_tells_no_volatile_errors(self):
        with playing(divided("1g.10gb")) as (machine, [handle]):
            machine.driver = "525.147.05"  # a process has but one stub
            uncorrected, volatile, aggregate = 1, 0, 1
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, aggregate) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetTotalEccErrors(handle, uncorrected, volatile)

    def test_what_it_does_not_have(self):
        with playing(divided("1g.10gb")) as (_, [handle]):
            [found] = mig_handles(handle)
            for ask in (
                lambda: pynvml.nvmlDeviceGetTemperature(found, 0),
                lambda: pynvml.nvmlDeviceGetPowerUsage(found),
                lambda: pynvml.nvmlDeviceGetUtilizationRates(found),
                lambda: pynvml.nvmlDeviceSetPersistenceMode(found, 1),
            ):
                with refused("NOT_SUPPORTED"):
                    ask()
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetMigMode(found)

    def test_what_it_has_of_the_gpu(self):
        with playing(divided("1g.10gb")) as (_, [handle]):
            [found] = mig_handles(handle)
            for ask in (pynvml.nvmlDeviceGetCudaComputeCapability, pynvml.nvmlDeviceGetSerial):
                assert ask(found) == ask(handle)

    def test_it_is_lost_with_the_gpu(self):
        with playing(divided("1g.10gb")) as (machine, [handle]):
            [found] = mig_handles(handle)
            machine.devices[0].failure = "lost"
            with refused("GPU_IS_LOST"):
                pynvml.nvmlDeviceGetName(found)

    def test_its_handle_ends_with_it(self):
        with playing(divided("1g.10gb", "2g.20gb")) as (machine, [handle]):
            stays, goes = mig_handles(handle)
            machine.alter(machine.devices[0], {"mig": {"instances": [{"profile": "2g.20gb"}]}})
            assert pynvml.nvmlDeviceGetName(stays).endswith("2g.20gb")
            for ask in (pynvml.nvmlDeviceGetName, pynvml.nvmlDeviceIsMigDeviceHandle):
                with refused("INVALID_ARGUMENT"):
                    ask(goes)


class TestGpuInMigMode:
    @pytest.mark.parametrize(
        "ask",
        [
            pynvml.nvmlDeviceGetUtilizationRates,
            pynvml.nvmlDeviceGetEncoderUtilization,
            pynvml.nvmlDeviceGetDecoderUtilization,
            pynvml.nvmlDeviceGetNumGpuCores,
        ],
    )
    def test_what_it_does_not_tell(self, ask: Any):
        with playing(A100, divided("1g.10gb")) as (_, [whole, parts]):
            ask(whole)
            with refused("NOT_SUPPORTED"):
                ask(parts)

    def test_processes_of_all_instances_are_for_root(self):
        with playing(divided("1g.10gb"), A100, user="unprivileged") as (_, [parts, whole]):
            ask = pynvml.nvmlDeviceGetComputeRunningProcesses
            assert ask(whole) == ask(*mig_handles(parts)) == []
            with refused("NO_PERMISSION"):
                ask(parts)

    def test_rows_are_told_while_there_are_no_instances(self):
        with playing(divided(), divided("1g.10gb")) as (_, [empty, parts]):
            assert pynvml.nvmlDeviceGetRemappedRows(empty) == (0, 0, 0, 0)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetRemappedRows(parts)

    def test_what_it_does(self):
        with playing(divided("1g.10gb")) as (_, [handle]):
            assert pynvml.nvmlDeviceGetPowerUsage(handle) > 0
            assert pynvml.nvmlDeviceGetMemoryInfo(handle).total == 80 << 30


def test_the_table_names_functions_that_there_are():
    for functions, _ in migdevices.RULES:
        assert functions <= FUNCTIONS.keys()


def test_no_function_has_two_rules():
    sets = [functions for functions, _ in migdevices.RULES]
    assert sum(map(len, sets)) == len(frozenset().union(*sets))


TAKING = migdevices.OWN | migdevices.PROCESSES | migdevices.PARENT

#: Newer than the newest driver's table.
NEWER = {"nvmlDeviceGetGpuUptime_v1"}


@pytest.mark.parametrize("function", sorted(TAKING - NEWER))
def test_each_takes_a_mig_device(function: str):
    """With no room for an answer: what a MIG device has not is refused before that."""
    with playing(divided("1g.10gb")) as (_, [handle]):
        [found] = mig_handles(handle)
        answer = getattr(library(), function)(found, None, None, None, None)
        name = pynvml.nvmlErrorString(answer)
        assert answer in (
            pynvml.NVML_SUCCESS,
            pynvml.NVML_ERROR_INVALID_ARGUMENT,
            pynvml.NVML_ERROR_INSUFFICIENT_SIZE,
        ), name
