"""Modes, restrictions, MIG, and what no product has."""

from __future__ import annotations

import pynvml
import pytest
from nvml_asking import code
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu, ScenarioError
from emulator.machine.words import WORDS
from emulator.nvml.refusals import REFUSALS


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

    @pytest.mark.parametrize("mode", WORDS["ComputeMode"])
    def test_each_compute_mode_has_its_number(self, mode: str):
        number = getattr(pynvml, f"NVML_COMPUTEMODE_{mode}")
        with playing(Gpu(T4, figures={"compute_mode": mode})) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetComputeMode(handle) == number
            assert machine.devices[0].cuda_attribute("COMPUTE_MODE") == number

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

    def test_exclusive_thread_mode_is_no_more(self):
        with playing(T4) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceSetComputeMode(handle, pynvml.NVML_COMPUTEMODE_EXCLUSIVE_THREAD)
        with pytest.raises(ScenarioError, match="expected one of"):
            Gpu(T4, figures={"compute_mode": "EXCLUSIVE_THREAD"})

    @pytest.mark.parametrize(
        ("mode", "wanted", "status"),
        [
            ("HOST_VGPU", 2, "INVALID_ARGUMENT"),
            ("HOST_VGPU", 0, "INVALID_ARGUMENT"),
            ("NONE", 3, "NOT_SUPPORTED"),
            ("PASSTHROUGH", 3, "NOT_SUPPORTED"),
        ],
    )
    def test_virtualization_is_switched_between_a_host_s_two(
        self, mode: str, wanted: int, status: str
    ):
        with playing(Gpu(T4, figures={"virtualization_mode": mode})) as (_, [handle]):
            assert code("nvmlDeviceSetVirtualizationMode", handle, wanted) == status
            shown = getattr(pynvml, "NVML_GPU_VIRTUALIZATION_MODE_" + mode)
            assert pynvml.nvmlDeviceGetVirtualizationMode(handle) == shown


class TestRestrictions:
    CLOCKS = pynvml.NVML_RESTRICTED_API_SET_APPLICATION_CLOCKS
    AUTO_BOOST = pynvml.NVML_RESTRICTED_API_SET_AUTO_BOOSTED_CLOCKS

    def test_application_clocks_are_for_root(self):
        with playing(T4, user="unprivileged") as (_, [handle]):
            assert pynvml.nvmlDeviceGetAPIRestriction(handle, self.CLOCKS) == 1
            with refused("NO_PERMISSION"):
                pynvml.nvmlDeviceSetApplicationsClocks(handle, 5001, 585)
            with refused("NO_PERMISSION"):
                pynvml.nvmlDeviceResetApplicationsClocks(handle)

    def test_or_for_all_once_root_says_so(self):
        open_to_all = {"application_clocks_restricted": False}
        with playing(Gpu(T4, figures=open_to_all), user="unprivileged") as (_, [handle]):
            assert pynvml.nvmlDeviceGetAPIRestriction(handle, self.CLOCKS) == 0
            pynvml.nvmlDeviceSetApplicationsClocks(handle, 5001, 585)
            with refused("NO_PERMISSION"):
                pynvml.nvmlDeviceSetAPIRestriction(handle, self.CLOCKS, 1)

    def test_no_other_api_can_be_restricted(self):
        with playing(T4) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceSetAPIRestriction(handle, self.AUTO_BOOST, 0)

    def test_nor_what_the_product_has_not(self):
        with playing("rtx-5090") as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetAPIRestriction(handle, self.CLOCKS)


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


def test_what_no_product_has_is_not_supported_and_not_missing():
    with playing(H100, strict=True) as (_, [handle]):
        for function in (
            pynvml.nvmlDeviceGetGpuOperationMode,
            pynvml.nvmlDeviceGetDriverModel,
            pynvml.nvmlDeviceGetPendingDriverModel,
        ):
            with refused("NOT_SUPPORTED"):
                function(handle)


def test_each_refusal_has_its_reason():
    names = [name for _, row in REFUSALS for name in row]
    assert len(set(names)) == len(names)
    assert all(reason for reason, _ in REFUSALS)
