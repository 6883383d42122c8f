"""Performance states and modes, PowerMizer, power smoothing, workload power profiles, coolers."""

from __future__ import annotations

import ctypes
import struct
import subprocess
from collections.abc import Callable

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, library, playing, refused
from nvml_newest import values

from emulator import Gpu
from emulator.nvml import _constants as constants
from emulator.nvml import _status as status

Run = Callable[..., subprocess.CompletedProcess[str]]

B200 = "b200-180gb"


def versioned(size: int, number: int = 1) -> int:
    return size | number << 24


class Words(ctypes.Structure):
    """Any struct of 32-bit words; the first is its version where it has one."""

    _fields_ = [("words", ctypes.c_uint * 64)]


def call(name: str, handle: object, size: int, *words: int) -> tuple[int, list[int]]:
    """Call a function that takes a struct of so many bytes, which begins with these words."""
    given = Words()
    given.words[: len(words)] = words
    code = getattr(library(), name)(handle, ctypes.byref(given))
    return code, list(given.words[: size // 4])


class TestStates:
    def test_each_product_has_its_own(self):
        with playing(T4, H100) as (_, [t4, h100]):
            states = pynvml.nvmlDeviceGetSupportedPerformanceStates
            assert list(states(t4)) == [0, 8]
            assert list(states(h100)) == [0]

    def test_a_busy_device_still_has_those_it_idles_in(self):
        with playing(Gpu(T4, load=100)) as (_, [handle]):
            assert list(pynvml.nvmlDeviceGetSupportedPerformanceStates(handle)) == [0, 8]

    def test_without_a_list_there_are_those_that_it_is_seen_in(self):
        with playing(Gpu(T4, figures={"clocks": {"states": []}})) as (_, [handle]):
            assert list(pynvml.nvmlDeviceGetSupportedPerformanceStates(handle)) == [0, 8]
            assert call("nvmlDeviceGetCurrentClockFreqs", handle, 2052, versioned(2052))[0] == 0

    def test_the_clocks_of_a_state(self):
        with playing(T4) as (_, [handle]):
            clocks = pynvml.nvmlDeviceGetMinMaxClockOfPState
            assert list(clocks(handle, pynvml.NVML_CLOCK_SM, 0)) == [300, 1590]
            assert list(clocks(handle, pynvml.NVML_CLOCK_SM, 8)) == [300, 645]
            assert list(clocks(handle, pynvml.NVML_CLOCK_MEM, 8)) == [405, 405]
            with refused("UNKNOWN"):
                clocks(handle, pynvml.NVML_CLOCK_SM, 5)

    @pytest.mark.parametrize(
        ("function", "levels"),
        [("nvmlDeviceGetPerformanceModes", [0, 1]), ("nvmlDeviceGetCurrentClockFreqs", [0])],
    )
    def test_are_told_as_text(self, function: str, levels: list[int]):
        text = (ctypes.c_char * 2052)()
        text[:4] = struct.pack("I", versioned(2052))
        with playing(T4) as (_, [handle]):
            assert getattr(library(), function)(handle, text) == 0
        modes = bytes(text[4:]).rstrip(b"\0").decode().split(" ; ")
        tables = [dict(token.split("=") for token in mode.split(", ")) for mode in modes]
        assert [int(table["perf"]) for table in tables] == levels
        assert tables[0]["nvclockmax"] == "645"
        assert tables[0]["memtransferrate"] == "810"


class TestPowerMizer:
    def test_is_of_products_with_displays(self):
        with playing(RTX_4090, A100) as (_, [rtx_4090, a100]):
            code, words = call("nvmlDeviceGetPowerMizerMode_v1", rtx_4090, 12)
            assert (code, words) == (0, [constants.POWER_MIZER_MODE_AUTO, 0, 0b111])
            assert call("nvmlDeviceGetPowerMizerMode_v1", a100, 12)[0] == status.NOT_SUPPORTED
            assert call("nvmlDeviceSetPowerMizerMode_v1", rtx_4090, 12, 0, 1)[0] == 0
            assert call("nvmlDeviceGetPowerMizerMode_v1", rtx_4090, 12)[1][0] == 1
            code, _ = call("nvmlDeviceSetPowerMizerMode_v1", rtx_4090, 12, 0, 3)
            assert code == status.INVALID_ARGUMENT


class TestSmoothing:
    SIZE = 24

    def profile(self, handle: object, name: str, number: int, part: int, value: float) -> int:
        given = struct.pack("IIIId", versioned(self.SIZE), number, part, 0, value)
        function = getattr(library(), f"nvmlDevicePowerSmoothing{name}")
        return int(function(handle, ctypes.create_string_buffer(given)))

    def field(self, handle: object, number: int, scope: int = 0) -> int | None:
        [answer] = pynvml.nvmlDeviceGetFieldValues(handle, [(number, scope)])
        return answer.value.uiVal if answer.nvmlReturn == 0 else None

    def test_is_switched_on_and_tuned(self):
        with playing(B200) as (_, [handle]):
            enabled = constants.FI_PWR_SMOOTHING_ENABLED
            assert self.field(handle, enabled) == 0
            state = (versioned(8), 1)
            assert call("nvmlDevicePowerSmoothingSetState", handle, 8, *state)[0] == 0
            assert self.field(handle, enabled) == 1
            assert self.profile(handle, "ActivatePresetProfile", 2, 0, 0) == 0
            assert self.field(handle, constants.FI_PWR_SMOOTHING_ACTIVE_PRESET_PROFILE) == 2
            assert self.field(handle, constants.FI_PWR_SMOOTHING_APPLIED_TMP_FLOOR) == 500
            assert self.profile(handle, "UpdatePresetProfileParam", 2, 0, 60.0) == 0
            assert self.field(handle, constants.FI_PWR_SMOOTHING_APPLIED_TMP_FLOOR) == 600
            floor = constants.FI_PWR_SMOOTHING_PROFILE_PERCENT_TMP_FLOOR
            assert [self.field(handle, floor, scope) for scope in (1, 2, 5)] == [30, 60, None]

    def test_a_profile_that_the_product_lacks_is_in_force_nowhere(self):
        gpu = Gpu(B200, figures={"power_smoothing": {"active_profile": 5}})
        with playing(gpu) as (_, [handle]):
            assert self.field(handle, constants.FI_PWR_SMOOTHING_ACTIVE_PRESET_PROFILE) == 5
            assert self.field(handle, constants.FI_PWR_SMOOTHING_APPLIED_TMP_FLOOR) is None

    def test_refuses_what_cannot_be(self):
        with playing(B200, H100) as (_, [handle, h100]):
            update = "UpdatePresetProfileParam"
            assert self.profile(handle, "ActivatePresetProfile", 5, 0, 0) == status.INVALID_ARGUMENT
            assert self.profile(handle, update, 0, 0, 91.0) == status.INVALID_ARGUMENT
            assert self.profile(handle, update, 0, 8, 1.0) == status.INVALID_ARGUMENT
            assert self.profile(handle, update, 0, 1, float("nan")) == status.INVALID_ARGUMENT
            assert self.profile(handle, update, 0, 4, 1.0) == status.NOT_SUPPORTED
            assert self.profile(h100, update, 0, 0, 1.0) == status.NOT_SUPPORTED


class TestWorkloadProfiles:
    CURRENT = 4 + 3 * 32

    def current(self, handle: object) -> tuple[int, int, int]:
        name = "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles"
        code, words = call(name, handle, self.CURRENT, versioned(self.CURRENT))
        assert code == 0
        return words[1], words[9], words[17]

    def test_are_asked_for_and_weighed(self):
        with playing(B200) as (_, [handle]):
            assert self.current(handle) == (0b10000011111111, 0, 0)
            request = (versioned(36), 0b11)
            name = "nvmlDeviceWorkloadPowerProfileSetRequestedProfiles"
            assert call(name, handle, 36, *request)[0] == 0
            assert self.current(handle)[1:] == (0b11, 0b01)  # the first goes before the second
            name = "nvmlDeviceWorkloadPowerProfileClearRequestedProfiles"
            assert call(name, handle, 36, versioned(36), 0b01)[0] == 0
            assert self.current(handle)[1:] == (0b10, 0b10)

    def test_one_that_the_device_lacks_is_refused(self):
        with playing(B200, A100) as (_, [handle, a100]):
            name = "nvmlDeviceWorkloadPowerProfileSetRequestedProfiles"
            assert call(name, handle, 36, versioned(36), 1 << 20)[0] == status.INVALID_ARGUMENT
            assert call(name, a100, 36, versioned(36), 1)[0] == status.NOT_SUPPORTED


class TestCoolers:
    def test_are_the_fans(self):
        with playing(RTX_4090, A100) as (_, [rtx_4090, a100]):
            name, size = "nvmlDeviceGetCoolerInfo", 16
            code, words = call(name, rtx_4090, size, versioned(size), 1)
            assert (code, words[2:]) == (0, [2, 14])
            code, _ = call(name, rtx_4090, size, versioned(size), 2)
            assert code == status.INVALID_ARGUMENT
            assert call(name, a100, size, versioned(size))[0] == status.NOT_SUPPORTED


class TestThresholds:
    def test_the_acoustic_one_is_set_within_its_bounds(self):
        heat = {"target": 84, "target_min": 65, "target_max": 90}
        gpu = Gpu(RTX_4090, figures={"temperature": heat})
        with playing(gpu) as (_, [handle]):
            kind = pynvml.NVML_TEMPERATURE_THRESHOLD_ACOUSTIC_CURR
            pynvml.nvmlDeviceSetTemperatureThreshold(handle, kind, 70)
            assert pynvml.nvmlDeviceGetTemperatureThreshold(handle, kind) == 70
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceSetTemperatureThreshold(handle, kind, 91)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetTemperatureThreshold(
                    handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN, 80
                )
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetTemperatureThreshold(handle, 8)


class TestClockMonitors:
    def test_from_ampere_on_with_the_faults_that_are_given(self):
        fault = Gpu(A100, figures={"clocks": {"faults": [{"domain": 1, "mask": 4}]}})
        with playing(fault, A100, T4) as (_, [faulty, well, t4]):
            broken = pynvml.nvmlDeviceGetClkMonStatus(faulty)
            assert (broken.bGlobalStatus, broken.clkMonListSize) == (1, 1)
            assert broken.clkMonList[0].clkDomainFaultMask == 4
            assert pynvml.nvmlDeviceGetClkMonStatus(well).bGlobalStatus == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetClkMonStatus(t4)

    def test_as_many_faults_as_the_struct_holds(self):
        faults = [{"domain": 1, "mask": bit} for bit in range(40)]
        with playing(Gpu(A100, figures={"clocks": {"faults": faults}})) as (_, [handle]):
            found = pynvml.nvmlDeviceGetClkMonStatus(handle)
            assert found.clkMonListSize == 32
            assert found.clkMonList[31].clkDomainFaultMask == 31


class TestLockedByName:
    def test_the_limits_have_names(self):
        tdp, free = constants.CLOCK_LIMIT_ID_TDP, constants.CLOCK_LIMIT_ID_UNLIMITED
        with playing(A100) as (machine, [handle]):
            graphics = machine.devices[0].clocks.graphics
            base = graphics.default_application
            for pair, locked in (
                ((tdp, tdp), [base, base]),
                ((free, tdp), [0, base]),
                ((tdp, free), [base, 1410]),
                ((free, free), None),
            ):
                pynvml.nvmlDeviceSetGpuLockedClocks(handle, *pair)
                assert graphics.locked == locked
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceSetGpuLockedClocks(handle, 1000, tdp)


class TestTheNewest:
    """What no recorded driver has."""

    def test_profiles_are_updated_in_one_call(self, run_in: Run):
        name = "nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1"
        kind = "nvmlWorkloadPowerProfileUpdateProfiles_v1_t"
        masks = "nvmlWorkloadPowerProfileCurrentProfiles_v1_t"
        now = (
            "field('nvmlDeviceWorkloadPowerProfileGetCurrentProfiles', "
            f"'{masks}', 'requestedProfilesMask')(h[0]).mask[0]"
        )
        steps = []
        for operation, bits in ((1, 0b100), (1, 0b1), (0, 0b100), (2, 0b10), (3, 0b1)):
            made = f"struct('{kind}', operation={operation})"
            mask = f"setattr(s.updateProfilesMask, 'mask', (uint * 8)({bits}))"
            steps += [f"[({mask}, code('{name}', h[0], s))[1] for s in [{made}]][0]", now]
        found = values(run_in, [Gpu(B200)], *steps)
        assert found[:-2] == ["SUCCESS", 0b100, "SUCCESS", 0b101, "SUCCESS", 0b1, "SUCCESS", 0b10]
        assert found[-2:] == ["INVALID_ARGUMENT", 0b10]

    def test_what_only_later_products_have(self, run_in: Run):
        info = "nvmlAdaptiveTgpModeInfo_v1_t"
        asked = f"code('nvmlDeviceGetAdaptiveTgpModeInfo_v1', h[0], struct('{info}'))"
        samples = "nvmlPerfMetricsSamples_v1_t"
        more = f"code('nvmlDevicePerfMetricsGetSamples_v1', h[0], struct('{samples}'))"
        assert values(run_in, [Gpu(B200)], asked, more) == ["NOT_SUPPORTED"] * 2
