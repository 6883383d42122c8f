"""Clocks, performance states, and what holds the clocks down."""

from __future__ import annotations

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu

GRAPHICS, SM, MEMORY, VIDEO = range(4)


class TestClocks:
    def test_every_domain_is_the_device_s(self):
        with playing(H100, A100, T4, RTX_4090) as (machine, handles):
            for device, handle in zip(machine.devices, handles, strict=True):
                for number, name in enumerate(("graphics", "sm", "memory", "video")):
                    domain = getattr(device.clocks, name)
                    assert pynvml.nvmlDeviceGetClockInfo(handle, number) == domain.current
                    assert pynvml.nvmlDeviceGetMaxClockInfo(handle, number) == domain.max

    def test_one_function_gives_them_by_purpose(self):
        with playing(H100) as (_, [handle]):
            clock = pynvml.nvmlDeviceGetClock
            assert clock(handle, GRAPHICS, pynvml.NVML_CLOCK_ID_CURRENT) == 345
            assert clock(handle, MEMORY, pynvml.NVML_CLOCK_ID_APP_CLOCK_TARGET) == 2619
            assert clock(handle, GRAPHICS, pynvml.NVML_CLOCK_ID_CUSTOMER_BOOST_MAX) == 1980
            with refused("INVALID_ARGUMENT"):
                clock(handle, 4, pynvml.NVML_CLOCK_ID_CURRENT)

    def test_supported_pairs(self):
        with playing(T4) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetSupportedMemoryClocks(handle) == [5001, 405]
            graphics = pynvml.nvmlDeviceGetSupportedGraphicsClocks(handle, 405)
            assert graphics == machine.devices[0].clocks.supported_graphics(405)
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetSupportedGraphicsClocks(handle, 1)


class TestApplicationClocks:
    def test_they_are_set_and_reset(self):
        with playing(T4) as (_, [handle]):
            pynvml.nvmlDeviceSetApplicationsClocks(handle, 5001, 1590)
            assert pynvml.nvmlDeviceGetApplicationsClock(handle, GRAPHICS) == 1590
            pynvml.nvmlDeviceResetApplicationsClocks(handle)
            assert pynvml.nvmlDeviceGetApplicationsClock(handle, GRAPHICS) == 585

    def test_a_pair_that_is_not_supported_is_refused(self):
        with playing(T4) as (_, [handle]), refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceSetApplicationsClocks(handle, 5001, 1591)

    def test_a_geforce_has_none(self):
        with playing(RTX_4090) as (_, [handle]):
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetApplicationsClock(handle, GRAPHICS)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceResetApplicationsClocks(handle)


def test_locked_clocks():
    with playing(H100) as (machine, [handle]):
        pynvml.nvmlDeviceSetGpuLockedClocks(handle, 345, 1200)
        assert machine.devices[0].clocks.graphics.locked == [345, 1200]
        pynvml.nvmlDeviceResetGpuLockedClocks(handle)
        assert machine.devices[0].clocks.graphics.locked is None
        with refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceSetMemoryLockedClocks(handle, 2, 1)


class TestOffsets:
    def test_a_geforce_is_overclocked_within_its_limits(self):
        with playing(RTX_4090) as (_, [handle]):
            pynvml.nvmlDeviceSetGpcClkVfOffset(handle, 150)
            assert pynvml.nvmlDeviceGetGpcClkVfOffset(handle) == 150
            assert pynvml.nvmlDeviceGetGpcClkMinMaxVfOffset(handle) == (-1000, 1000)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceSetMemClkVfOffset(handle, 6001)

    def test_what_has_no_bounds_is_not_bounded(self):
        figures = {"clocks": {"graphics": {"offset": 0, "max_offset": 200}}}
        with playing(Gpu(T4, figures=figures)) as (_, [handle]):
            pynvml.nvmlDeviceSetGpcClkVfOffset(handle, -5000)
            assert pynvml.nvmlDeviceGetGpcClkVfOffset(handle) == -5000
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceSetGpcClkVfOffset(handle, 201)

    def test_a_data_centre_gpu_is_not(self):
        with playing(H100) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceSetGpcClkVfOffset(handle, 150)


class TestPerformance:
    def test_states(self):
        with playing(H100, T4) as (_, [h100, t4]):
            assert pynvml.nvmlDeviceGetPerformanceState(h100) == 0
            assert pynvml.nvmlDeviceGetPowerState(t4) == 8
            assert pynvml.nvmlDeviceGetSupportedPerformanceStates(h100) == [0]
            assert pynvml.nvmlDeviceGetSupportedPerformanceStates(t4) == [0, 8]

    @pytest.mark.parametrize(
        ("reasons", "bits"),
        [
            ([], 0),
            (["gpu_idle"], pynvml.nvmlClocksEventReasonGpuIdle),
            (
                ["hw_slowdown", "hw_thermal_slowdown"],
                pynvml.nvmlClocksThrottleReasonHwSlowdown
                | pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
            ),
        ],
    )
    def test_event_reasons_are_bits(self, reasons: list[str], bits: int):
        with playing(Gpu(T4, figures={"clocks": {"event_reasons": reasons}})) as (_, [handle]):
            assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle) == bits
            assert pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle) == bits
            assert bits & ~pynvml.nvmlDeviceGetSupportedClocksEventReasons(handle) == 0

    def test_violations_are_the_counters(self):
        counters = {"sw_power_cap": 5_000_000}
        with playing(Gpu(H100, figures={"clocks": {"event_counters": counters}})) as (_, [handle]):
            violation = pynvml.nvmlDeviceGetViolationStatus(handle, pynvml.NVML_PERF_POLICY_POWER)
            assert violation.violationTime == 5_000_000
            policy = pynvml.NVML_PERF_POLICY_TOTAL_APP_CLOCKS
            assert pynvml.nvmlDeviceGetViolationStatus(handle, policy).violationTime == 5_000_000
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetViolationStatus(handle, 6)
