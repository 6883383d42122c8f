"""Modes, MIG, events, confidential computing, and what no product has."""

from __future__ import annotations

import time

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu
from emulator.nvml.absent import FUNCTIONS


class TestModes:
    def test_persistence(self):
        with playing(T4) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetPersistenceMode(handle) == 0
            pynvml.nvmlDeviceSetPersistenceMode(handle, 1)
            assert pynvml.nvmlDeviceGetPersistenceMode(handle) == 1
            assert machine.devices[0].persistence_mode is True

    def test_compute_mode(self):
        with playing(T4) as (machine, [handle]):
            exclusive = pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS
            pynvml.nvmlDeviceSetComputeMode(handle, exclusive)
            assert pynvml.nvmlDeviceGetComputeMode(handle) == exclusive
            assert machine.devices[0].compute_mode == "EXCLUSIVE_PROCESS"

    def test_display(self):
        with playing(T4, RTX_4090) as (_, [t4, rtx_4090]):
            assert pynvml.nvmlDeviceGetDisplayMode(t4) == 1
            assert pynvml.nvmlDeviceGetDisplayMode(rtx_4090) == 0
            assert pynvml.nvmlDeviceGetDisplayActive(t4) == 0

    @pytest.mark.parametrize("mode", ["NONE", "PASSTHROUGH", "VGPU"])
    def test_virtualization(self, mode: str):
        with playing(Gpu(T4, figures={"virtualization_mode": mode})) as (_, [handle]):
            expected = getattr(pynvml, "NVML_GPU_VIRTUALIZATION_MODE_" + mode)
            assert pynvml.nvmlDeviceGetVirtualizationMode(handle) == expected

    def test_addressing(self):
        with playing(Gpu(H100, figures={"addressing_mode": "HMM"})) as (_, [handle]):
            assert pynvml.nvmlDeviceGetAddressingMode(handle) == 1

    def test_application_clocks_are_for_root(self):
        with playing(T4) as (_, [handle]):
            restriction = pynvml.nvmlDeviceGetAPIRestriction
            assert restriction(handle, pynvml.NVML_RESTRICTED_API_SET_APPLICATION_CLOCKS) == 1


class TestMig:
    def test_products_without_it(self):
        with playing(T4, RTX_4090) as (_, handles):
            for handle in handles:
                with refused("NOT_SUPPORTED"):
                    pynvml.nvmlDeviceGetMigMode(handle)
                assert pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) == 0
                assert pynvml.nvmlDeviceIsMigDeviceHandle(handle).value == 0

    def test_it_is_switched_on_an_idle_device(self):
        with playing(A100) as (_, [handle]):
            assert pynvml.nvmlDeviceGetMigMode(handle) == [0, 0]
            assert pynvml.nvmlDeviceSetMigMode(handle, 1) == 0
            assert pynvml.nvmlDeviceGetMigMode(handle) == [1, 1]
            assert pynvml.nvmlDeviceGetMaxMigDeviceCount(handle) == 7
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, 0)

    def test_the_whole_device_s_utilization_is_not_told_in_it(self):
        gpu = Gpu(A100, figures={"mig": {"current": True}})
        with playing(gpu) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetUtilizationRates(handle)

    def test_on_a_busy_one_it_waits(self):
        process = {"pid": 1, "name": "a", "type": "C"}
        with playing(Gpu(A100, figures={"processes": [process]})) as (_, [handle]):
            assert pynvml.nvmlDeviceSetMigMode(handle, 1) == pynvml.NVML_ERROR_IN_USE
            assert pynvml.nvmlDeviceGetMigMode(handle) == [0, 1]


class TestEvents:
    def test_a_wait_ends_in_time(self):
        with playing(H100) as (_, [handle]):
            events = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
            began = time.monotonic()
            with refused("TIMEOUT"):
                pynvml.nvmlEventSetWait_v2(events, 50)
            assert time.monotonic() - began >= 0.05
            pynvml.nvmlEventSetFree(events)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlEventSetFree(events)

    def test_events_that_a_device_does_not_have(self):
        with playing(T4) as (_, [handle]):
            events = pynvml.nvmlEventSetCreate()
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceRegisterEvents(handle, 1 << 40, events)
            pynvml.nvmlEventSetFree(events)


def test_confidential_computing_is_off():
    with playing(H100):
        state = pynvml.nvmlSystemGetConfComputeState()
        assert (state.environment, state.ccFeature, state.devToolsMode) == (0, 0, 0)
        assert pynvml.nvmlSystemGetConfComputeGpusReadyState() == 0


def test_what_no_product_has_is_not_supported_and_not_missing():
    with playing(H100, strict=True) as (_, [handle]):
        for function in (
            pynvml.nvmlDeviceGetBridgeChipInfo,
            pynvml.nvmlDeviceGetGpuOperationMode,
            pynvml.nvmlDeviceGetDriverModel,
            pynvml.nvmlDeviceGetSupportedVgpus,
        ):
            with refused("NOT_SUPPORTED"):
                function(handle)
    assert len(set(FUNCTIONS)) == len(FUNCTIONS)
