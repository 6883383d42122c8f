"""Power, energy, temperatures and fans."""

from __future__ import annotations

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Gpu


class TestPower:
    def test_every_figure_is_the_device_s(self):
        with playing(H100, A100, T4, RTX_4090) as (machine, handles):
            for device, handle in zip(machine.devices, handles, strict=True):
                power = device.power
                assert pynvml.nvmlDeviceGetPowerUsage(handle) == power.usage
                assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == power.limit
                assert pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) == power.enforced_limit
                assert (
                    pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle) == power.default_limit
                )
                assert pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle) == [
                    power.min_limit,
                    power.max_limit,
                ]
                assert pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) == power.total_energy

    def test_the_limit_is_set_between_its_bounds(self):
        with playing(H100) as (_, [handle]):
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, 350_000)
            assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == 350_000
            for outside in (199_999, 700_001):
                with refused("INVALID_ARGUMENT"):
                    pynvml.nvmlDeviceSetPowerManagementLimit(handle, outside)

    def test_a_device_that_does_not_measure_says_so(self):
        with (
            playing(Gpu(T4, figures={"power": {"usage": "N/A"}})) as (_, [handle]),
            refused("NOT_SUPPORTED"),
        ):
            pynvml.nvmlDeviceGetPowerUsage(handle)


class TestTemperature:
    def test_the_gpu_s_sensor(self):
        with playing(Gpu(T4, temperature=61)) as (_, [handle]):
            assert pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU) == 61
            assert pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU) == 61
            sensor, *_ = pynvml.nvmlDeviceGetThermalSettings(handle, 0)
            assert sensor.currentTemp == 61
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetTemperature(handle, 1)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetTemperatureV(handle, 1)

    def test_ampere_has_thresholds_and_no_margin(self):
        with playing(A100) as (_, [handle]):
            threshold = pynvml.nvmlDeviceGetTemperatureThreshold
            assert threshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN) == 92
            assert threshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN) == 89
            assert threshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX) == 85
            assert threshold(handle, pynvml.NVML_TEMPERATURE_THRESHOLD_MEM_MAX) == 95
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetMarginTemperature(handle)

    def test_hopper_has_a_margin_and_no_thresholds(self):
        with playing(H100) as (_, [handle]):
            assert pynvml.nvmlDeviceGetMarginTemperature(handle) == 56
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetTemperatureThreshold(
                    handle, pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN
                )


class TestFans:
    @pytest.mark.parametrize("profile", [H100, A100, T4])
    def test_data_centre_products_have_none(self, profile: str):
        with playing(profile) as (_, [handle]):
            assert pynvml.nvmlDeviceGetNumFans(handle) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetFanSpeed(handle)

    def test_a_geforce_s_fans_are_set_and_given_back(self):
        with playing(RTX_4090) as (_, [handle]):
            assert pynvml.nvmlDeviceGetNumFans(handle) == 2
            pynvml.nvmlDeviceSetFanSpeed_v2(handle, 1, 70)
            speeds = [pynvml.nvmlDeviceGetFanSpeed_v2(handle, fan) for fan in range(2)]
            assert speeds == [0, 70]
            pynvml.nvmlDeviceSetDefaultFanSpeed_v2(handle, 1)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetFanSpeed_v2(handle, 2)
