"""What NVML says about the system: initialisation, versions, errors, process names."""

from __future__ import annotations

import ctypes

import pynvml
import pytest
from nvml_client import T4, library, playing, refused

import emulator
from emulator import Gpu, Scenario
from emulator.nvml.system import TEXTS

PROCESS = {"pid": 4242, "name": "/usr/bin/python3", "type": "C", "used_memory": "3 GiB"}


def test_versions_are_the_machine_s():
    with playing(T4) as (machine, _):
        assert pynvml.nvmlSystemGetDriverVersion() == machine.driver_version == "580.126.09"
        assert pynvml.nvmlSystemGetNVMLVersion() == machine.nvml_version == "13.580.126.09"
        assert pynvml.nvmlSystemGetCudaDriverVersion() == machine.cuda_version == 13000
        assert pynvml.nvmlSystemGetCudaDriverVersion_v2() == 13000


def test_the_nvml_version_is_there_before_init_and_the_driver_s_is_not():
    with emulator.emulate(Scenario(gpus=[Gpu(T4)])):
        nvml, text = library(), ctypes.create_string_buffer(80)
        assert nvml.nvmlSystemGetNVMLVersion(text, 80) == 0
        assert text.value == b"13.580.126.09"
        assert nvml.nvmlSystemGetDriverVersion(text, 80) == pynvml.NVML_ERROR_UNINITIALIZED


def test_a_version_that_does_not_fit_is_refused():
    with playing(T4):
        text = ctypes.create_string_buffer(80)
        assert library().nvmlSystemGetDriverVersion(text, 4) == pynvml.NVML_ERROR_INSUFFICIENT_SIZE
        assert text.value == b""


def test_init_counts():
    with emulator.emulate(Scenario(gpus=[Gpu(T4)])):
        nvml = library()
        assert [nvml.nvmlInit_v2(), nvml.nvmlInitWithFlags(0)] == [0, 0]
        assert nvml.nvmlShutdown() == 0
        assert nvml.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint())) == 0
        assert nvml.nvmlShutdown() == 0
        assert nvml.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint())) == 1


@pytest.mark.parametrize("code", [*range(31), 99, 999])
def test_every_code_has_its_text_in_any_state(code: int):
    with emulator.emulate(Scenario(gpus=[Gpu(T4)])):
        nvml = library()
        nvml.nvmlErrorString.restype = ctypes.c_char_p
        expected = TEXTS[code][1] if code < len(TEXTS) else "Unknown Error"
        assert nvml.nvmlErrorString(code).decode() == expected


def test_a_process_has_the_name_that_the_scenario_gives_it():
    with playing(Gpu(T4, figures={"processes": [PROCESS]})):
        assert pynvml.nvmlSystemGetProcessName(4242) == "/usr/bin/python3"
        with refused("NOT_FOUND"):
            pynvml.nvmlSystemGetProcessName(1 << 22)  # Linux has no such number


def test_the_first_version_of_init_fails_with_a_device_that_does():
    with emulator.emulate(Scenario(gpus=[Gpu(T4), Gpu(T4, failure="lost")])):
        nvml = library()
        assert nvml.nvmlInit() == pynvml.NVML_ERROR_GPU_IS_LOST
        assert nvml.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint())) == 1
        assert nvml.nvmlInit_v2() == 0


@pytest.mark.parametrize(
    "function", ["GetDevices", "GetFanSpeedInfo", "GetLedState", "GetPsuInfo", "GetUnitInfo"]
)
def test_nothing_is_a_unit(function: str):
    with playing(T4) as (_, [handle]):
        places = [ctypes.create_string_buffer(1024) for _ in range(2)]
        code = getattr(library(), "nvmlUnit" + function)(handle, *map(ctypes.byref, places))
        assert code == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_there_are_no_units_and_no_excluded_devices():
    with playing(T4):
        assert pynvml.nvmlUnitGetCount() == 0
        assert pynvml.nvmlGetExcludedDeviceCount() == 0
        assert pynvml.nvmlSystemGetHicVersion() == []
        with refused("INVALID_ARGUMENT"):
            pynvml.nvmlUnitGetHandleByIndex(0)
