"""Error correction: modes, counts, and what was done about broken memory."""

from __future__ import annotations

import ctypes

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu

CORRECTED, UNCORRECTED = 0, 1
VOLATILE, AGGREGATE = 0, 1
DRAM, SRAM = pynvml.NVML_MEMORY_LOCATION_DRAM, pynvml.NVML_MEMORY_LOCATION_SRAM

ERRORS = {
    "volatile": {"dram_correctable": 1, "sram_correctable": 2},
    "aggregate": {"dram_uncorrectable": 4, "sram_uncorrectable_parity": 8},
}
BROKEN = Gpu(H100, figures={"ecc": ERRORS})


class TestMode:
    def test_current_pending_and_default(self):
        with playing(H100, RTX_4090) as (_, [h100, rtx_4090]):
            assert pynvml.nvmlDeviceGetEccMode(h100) == [1, 1]
            assert pynvml.nvmlDeviceGetEccMode(rtx_4090) == [0, 0]
            assert pynvml.nvmlDeviceGetDefaultEccMode(h100) == [1]

    def test_it_is_switched_for_the_next_boot(self):
        with playing(T4) as (_, [handle]):
            pynvml.nvmlDeviceSetEccMode(handle, 0)
            assert pynvml.nvmlDeviceGetEccMode(handle) == [1, 0]


class TestCounts:
    def test_by_lifetime_severity_and_place(self):
        with playing(BROKEN) as (_, [handle]):
            count = pynvml.nvmlDeviceGetMemoryErrorCounter
            assert count(handle, CORRECTED, VOLATILE, DRAM) == 1
            assert count(handle, CORRECTED, VOLATILE, SRAM) == 2
            assert count(handle, UNCORRECTED, AGGREGATE, DRAM) == 4
            assert count(handle, UNCORRECTED, AGGREGATE, SRAM) == 8
            assert count(handle, UNCORRECTED, VOLATILE, SRAM) == 0

    def test_the_totals_are_their_sums(self):
        with playing(BROKEN) as (_, [handle]):
            total = pynvml.nvmlDeviceGetTotalEccErrors
            assert total(handle, CORRECTED, VOLATILE) == 3
            assert total(handle, UNCORRECTED, AGGREGATE) == 12

    def test_places_that_are_not_counted_apart(self):
        with playing(BROKEN) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetMemoryErrorCounter(
                handle, CORRECTED, VOLATILE, pynvml.NVML_MEMORY_LOCATION_L1_CACHE
            )

    def test_sram_in_detail(self):
        with playing(BROKEN) as (_, [handle]):
            found = pynvml.c_nvmlEccSramErrorStatus_v1_t()
            pynvml.nvmlDeviceGetSramEccErrorStatus(handle, ctypes.byref(found))
            assert (found.volatileCor, found.aggregateUncParity) == (2, 8)
            assert found.bThresholdExceeded == 0

    def test_they_are_cleared_by_lifetime(self):
        with playing(BROKEN) as (_, [handle]):
            pynvml.nvmlDeviceClearEccErrorCounts(handle, VOLATILE)
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, CORRECTED, VOLATILE) == 0
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, UNCORRECTED, AGGREGATE) == 12

    def test_there_are_none_while_ecc_is_off(self):
        with playing(RTX_4090) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetTotalEccErrors(handle, CORRECTED, VOLATILE)


class TestRepairs:
    @pytest.mark.parametrize("cause", [0, 1])
    def test_turing_retires_pages(self, cause: int):
        names = ("single_bit", "double_bit")
        figures = {"retired_pages": {names[cause]: [0x1000, 0x2000]}}
        with playing(Gpu(T4, figures=figures)) as (_, [handle]):
            assert pynvml.nvmlDeviceGetRetiredPages(handle, cause) == [0x1000, 0x2000]
            assert pynvml.nvmlDeviceGetRetiredPages(handle, 1 - cause) == []
            assert pynvml.nvmlDeviceGetRetiredPagesPendingStatus(handle) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetRemappedRows(handle)

    def test_ampere_and_hopper_remap_rows(self):
        rows = {"correctable": 1, "uncorrectable": 2, "pending": True, "banks_low": 3}
        with playing(Gpu(A100, figures={"remapped_rows": rows}), H100) as (_, [a100, h100]):
            assert pynvml.nvmlDeviceGetRemappedRows(a100) == (1, 2, 1, 0)
            assert pynvml.nvmlDeviceGetRowRemapperHistogram(a100).low == 3
            assert pynvml.nvmlDeviceGetRowRemapperHistogram(h100).max == 2560
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetRetiredPages(h100, 0)

    def test_repairs_that_wait_for_a_reset(self):
        with playing(Gpu(H100, figures={"ecc": {"tpc_repair_pending": True}})) as (_, [handle]):
            assert list(pynvml.nvmlDeviceGetRepairStatus(handle)) == [0, 1]
