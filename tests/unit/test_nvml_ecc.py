"""Error correction: modes, counts, and what was done about broken memory."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_asking import code, struct
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu
from emulator.nvml import api

CORRECTED, UNCORRECTED = 0, 1
VOLATILE, AGGREGATE = 0, 1
SEVERITIES = pynvml.NVML_MEMORY_ERROR_TYPE_COUNT
LIFETIMES = pynvml.NVML_ECC_COUNTER_TYPE_COUNT
LOCATIONS = pynvml.NVML_MEMORY_LOCATION_COUNT
DRAM, SRAM = pynvml.NVML_MEMORY_LOCATION_DRAM, pynvml.NVML_MEMORY_LOCATION_SRAM

ERRORS = {
    "volatile": {"dram_correctable": 1, "sram_correctable": 2},
    "aggregate": {"dram_uncorrectable": 4, "sram_uncorrectable_parity": 8},
}
BROKEN = Gpu(H100, figures={"ecc": ERRORS})
V100, B200 = "v100-sxm2-16gb", "b200-180gb"

SRAM_ERROR = {
    **dict.fromkeys(("unit", "sublocation", "extended_location"), 0),
    **{"location": 3, "address": 0x1F, "parity": True, "count": 2},
}


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

    def test_until_volta_each_memory_is_counted_apart(self):
        counts = {"l1_cache_uncorrectable": 2, "register_file_uncorrectable": 4}
        figures = {"ecc": {"volatile": {**counts, "cbu_uncorrectable": 8}}}
        with playing(Gpu(V100, figures=figures)) as (_, [handle]):
            count = pynvml.nvmlDeviceGetMemoryErrorCounter
            locations = {
                pynvml.NVML_MEMORY_LOCATION_L1_CACHE: 2,
                pynvml.NVML_MEMORY_LOCATION_REGISTER_FILE: 4,
                pynvml.NVML_MEMORY_LOCATION_CBU: 8,
                DRAM: 0,
            }
            for location, expected in locations.items():
                assert count(handle, UNCORRECTED, VOLATILE, location) == expected
            with refused("NOT_SUPPORTED"):
                count(handle, UNCORRECTED, VOLATILE, SRAM)
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, UNCORRECTED, VOLATILE) == 14
            found = pynvml.nvmlDeviceGetDetailedEccErrors(handle, UNCORRECTED, VOLATILE)
            assert (found.l1Cache, found.registerFile, found.deviceMemory) == (2, 4, 0)

    def test_in_the_older_struct_the_sram_is_the_l2_cache(self):
        with playing(BROKEN) as (_, [handle]):
            found = pynvml.nvmlDeviceGetDetailedEccErrors(handle, CORRECTED, VOLATILE)
            assert (found.l1Cache, found.l2Cache, found.deviceMemory) == (0, 2, 1)

    def test_sram_in_detail(self):
        with playing(BROKEN) as (_, [handle]):
            found = pynvml.c_nvmlEccSramErrorStatus_v1_t()
            pynvml.nvmlDeviceGetSramEccErrorStatus(handle, ctypes.byref(found))
            assert (found.volatileCor, found.aggregateUncParity) == (2, 8)
            assert found.bThresholdExceeded == 0

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            ("nvmlDeviceGetMemoryErrorCounter", (CORRECTED, VOLATILE, LOCATIONS)),
            ("nvmlDeviceGetMemoryErrorCounter", (CORRECTED, LIFETIMES, DRAM)),
            ("nvmlDeviceGetTotalEccErrors", (SEVERITIES, VOLATILE)),
            ("nvmlDeviceClearEccErrorCounts", (LIFETIMES,)),
            ("nvmlDeviceGetRetiredPages", (pynvml.NVML_PAGE_RETIREMENT_CAUSE_COUNT,)),
            ("nvmlDeviceGetRetiredPages_v2", (pynvml.NVML_PAGE_RETIREMENT_CAUSE_COUNT,)),
        ],
    )
    def test_the_headers_counts_are_none_of_them(self, function: str, arguments: tuple[int, ...]):
        with playing(T4) as (_, [handle]), refused("INVALID_ARGUMENT"):
            getattr(pynvml, function)(handle, *arguments)

    def test_they_are_cleared_by_lifetime(self):
        with playing(BROKEN) as (_, [handle]):
            pynvml.nvmlDeviceClearEccErrorCounts(handle, VOLATILE)
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, CORRECTED, VOLATILE) == 0
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, UNCORRECTED, AGGREGATE) == 12

    def test_where_errors_arose_is_forgotten_with_the_aggregate_counts(self):
        figures = {"ecc": {"sram_sources": {"sm": 3}, "sram_errors": [SRAM_ERROR]}}
        with playing(Gpu(B200, figures=figures)) as (machine, [handle]):
            pynvml.nvmlDeviceClearEccErrorCounts(handle, VOLATILE)
            assert machine.devices[0].ecc.sram_sources.sm == 3
            pynvml.nvmlDeviceClearEccErrorCounts(handle, AGGREGATE)
            assert machine.devices[0].ecc.sram_sources.sm == 0
            assert machine.devices[0].ecc.sram_errors == []

    def test_there_are_none_while_ecc_is_off(self):
        with playing(RTX_4090) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetTotalEccErrors(handle, CORRECTED, VOLATILE)


class TestUniqueSramErrors:
    FUNCTION = "nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts"

    def counts(self, entries: Any = None) -> Any:
        place = 0 if entries is None else ctypes.addressof(entries)
        count = 0 if entries is None else len(entries)
        kind = "nvmlEccSramUniqueUncorrectedErrorCounts_t"
        return struct(kind, entryCount=count, entries=place)

    def test_how_many_and_which(self):
        with playing(Gpu(B200, figures={"ecc": {"sram_errors": [SRAM_ERROR]}})) as (_, [handle]):
            asked = self.counts()
            assert code(self.FUNCTION, handle, asked) == "SUCCESS"
            assert asked.entryCount == 1
            entries = (api.types["nvmlEccSramUniqueUncorrectedErrorEntry_v1_t"] * 2)()
            asked = self.counts(entries)
            assert code(self.FUNCTION, handle, asked) == "SUCCESS"
            assert asked.entryCount == 1
            found = entries[0]
            assert (found.location, found.address, found.isParity, found.count) == (3, 31, 1, 2)

    def test_without_room(self):
        errors = {"ecc": {"sram_errors": [SRAM_ERROR, SRAM_ERROR]}}
        with playing(Gpu(B200, figures=errors)) as (_, [handle]):
            asked = self.counts((api.types["nvmlEccSramUniqueUncorrectedErrorEntry_v1_t"] * 1)())
            assert code(self.FUNCTION, handle, asked) == "INSUFFICIENT_SIZE"
            assert asked.entryCount == 2

    def test_where_there_can_be_no_list(self):
        with playing(Gpu(B200, figures={"ecc": {"sram_errors": [SRAM_ERROR]}})) as (_, [handle]):
            asked = self.counts()
            asked.entryCount, asked.entries = 1, 1
            assert code(self.FUNCTION, handle, asked) == "INSUFFICIENT_SIZE"

    @pytest.mark.parametrize(
        "gpu", [Gpu(H100), Gpu(B200, figures={"ecc": {"current": False}})], ids=["hopper", "off"]
    )
    def test_blackwell_remembers_them_while_ecc_is_on(self, gpu: Gpu):
        with playing(gpu) as (_, [handle]):
            assert code(self.FUNCTION, handle, self.counts()) == "NOT_SUPPORTED"


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

    def test_when_pages_were_retired(self):
        pages = {"single_bit": [0x1000, 0x2000], "single_bit_times": [1_700_000_000]}
        with playing(Gpu(T4, figures={"retired_pages": pages})) as (_, [handle]):
            found = pynvml.nvmlDeviceGetRetiredPages_v2(handle, 0)
            assert [(page["address"], page["timestamp"]) for page in found] == [
                (0x1000, 1_700_000_000),
                (0x2000, 0),
            ]

    def test_rows_are_not_told_while_there_are_mig_instances(self):
        mig = {"current": True, "pending": True, "instances": [{"profile": "1g.10gb"}]}
        with playing(Gpu(A100, figures={"mig": mig})) as (_, [handle]), refused("NOT_SUPPORTED"):
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
