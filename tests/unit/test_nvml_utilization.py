"""How busy a device is: rates, engines, samples, sessions, GPM."""

from __future__ import annotations

import ctypes

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, library, playing, refused

from emulator import Gpu
from emulator.nvml import api

BUSY = Gpu(H100, utilization=87, figures={"utilization": {"memory": 42, "encoder": 3}})


def test_rates_and_engines():
    with playing(BUSY) as (_, [handle]):
        rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
        assert (rates.gpu, rates.memory) == (87, 42)
        assert pynvml.nvmlDeviceGetEncoderUtilization(handle) == [3, 167_000]
        assert pynvml.nvmlDeviceGetJpgUtilization(handle) == [0, 167_000]


def test_an_engine_that_the_product_lacks():
    with playing("p4") as (_, [handle]), refused("NOT_SUPPORTED"):
        pynvml.nvmlDeviceGetOfaUtilization(handle)


def test_dynamic_states_repeat_the_rates():
    with playing(BUSY) as (_, [handle]):
        domains = pynvml.nvmlDeviceGetDynamicPstatesInfo(handle).utilization
        assert [domain.percentage for domain in domains[:2]] == [87, 42]


class TestSamples:
    def test_they_are_of_the_last_two_seconds(self):
        with playing(BUSY) as (_, [handle]):
            kind, samples = pynvml.nvmlDeviceGetSamples(
                handle, pynvml.NVML_GPU_UTILIZATION_SAMPLES, 0
            )
            assert kind == pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
            assert {sample.sampleValue.uiVal for sample in samples} == {87}
            times = [sample.timeStamp for sample in samples]
            assert times == sorted(times)
            assert times[-1] - times[0] == 99 * 20_000

    def test_only_newer_ones_are_given(self):
        with playing(BUSY) as (_, [handle]):
            _, samples = pynvml.nvmlDeviceGetSamples(handle, pynvml.NVML_TOTAL_POWER_SAMPLES, 0)
            middle = samples[49].timeStamp
            _, newer = pynvml.nvmlDeviceGetSamples(handle, pynvml.NVML_TOTAL_POWER_SAMPLES, middle)
            assert all(sample.timeStamp > middle for sample in newer)
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetSamples(handle, pynvml.NVML_TOTAL_POWER_SAMPLES, 1 << 62)

    @pytest.mark.parametrize(
        ("room", "code", "filled"), [(0, "INVALID_ARGUMENT", 0), (3, "SUCCESS", 3)]
    )
    def test_as_many_as_there_is_room_for(self, room: int, code: str, filled: int):
        """nvml.h: "the number of entries which can be accommodated in the provided array"."""
        with playing(BUSY) as (_, [handle]):
            array, kind = (pynvml.c_nvmlSample_t * 4)(), ctypes.c_int()
            count = ctypes.c_uint(room)
            puts = (ctypes.byref(kind), ctypes.byref(count), array)
            power, none_seen = pynvml.NVML_TOTAL_POWER_SAMPLES, ctypes.c_ulonglong(0)
            found = library().nvmlDeviceGetSamples(handle, power, none_seen, *puts)
            assert (api.status_name(found), count.value) == (code, filled)
            assert [bool(sample.timeStamp) for sample in array] == [
                place < filled for place in range(4)
            ]


def test_encoder_capacity_by_codec():
    with playing(RTX_4090, A100) as (_, [rtx_4090, a100]):
        assert pynvml.nvmlDeviceGetEncoderCapacity(rtx_4090, pynvml.NVML_ENCODER_QUERY_AV1) == 100
        with refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetEncoderCapacity(a100, pynvml.NVML_ENCODER_QUERY_H264)


def test_sessions_that_are_listed():
    row = {"pid": 42, "codec": "hevc", "width": 1920, "height": 1080}
    encoder = {"rows": [{**row, "average_fps": fps, "average_latency": 900} for fps in (30, 60)]}
    shown = {"pid": 43, "display": 0, "type": "CUDA", "width": 1280, "height": 720}
    capture = {"rows": [{**shown, "average_fps": 24, "average_latency": 500}]}
    gpu = Gpu(RTX_4090, figures={"encoder": encoder, "capture": capture})
    with playing(gpu) as (_, [handle]):
        assert pynvml.nvmlDeviceGetEncoderStats(handle) == (2, 45, 900)
        first, second = pynvml.nvmlDeviceGetEncoderSessions(handle)
        assert (first.sessionId, first.pid, first.codecType, first.averageFps) == (1, 42, 1, 30)
        assert (second.sessionId, second.hResolution, second.vResolution) == (2, 1920, 1080)
        [session] = pynvml.nvmlDeviceGetFBCSessions(handle)
        assert (session.pid, session.sessionType, session.averageFPS) == (43, 2, 24)
        assert pynvml.nvmlDeviceGetFBCStats(handle).sessionsCount == 1


def test_sessions():
    with playing(T4) as (_, [handle]):
        assert pynvml.nvmlDeviceGetEncoderStats(handle) == (0, 0, 0)
        assert pynvml.nvmlDeviceGetEncoderSessions(handle) == []
        assert pynvml.nvmlDeviceGetFBCStats(handle).sessionsCount == 0
        assert pynvml.nvmlDeviceGetFBCSessions(handle) == []


class TestGpm:
    def test_hopper_has_it_and_ampere_does_not(self):
        with playing(H100, A100) as (_, [h100, a100]):
            assert pynvml.nvmlGpmQueryDeviceSupport(h100).isSupportedDevice == 1
            assert pynvml.nvmlGpmQueryDeviceSupport(a100).isSupportedDevice == 0

    def test_metrics_between_two_samples(self):
        with playing(BUSY) as (_, [handle]):
            samples = [pynvml.nvmlGpmSampleAlloc() for _ in range(2)]
            for sample in samples:
                pynvml.nvmlGpmSampleGet(handle, sample)
            asked = pynvml.c_nvmlGpmMetricsGet_t()
            asked.version, asked.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, 2
            asked.sample1, asked.sample2 = samples
            asked.metrics[0].metricId = pynvml.NVML_GPM_METRIC_SM_UTIL
            asked.metrics[1].metricId = 164  # hits of the DRAM's cache
            assert library().nvmlGpmMetricsGet(ctypes.byref(asked)) == 0
            assert (asked.metrics[0].nvmlReturn, asked.metrics[0].value) == (0, 87.0)
            assert asked.metrics[1].nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED
            for sample in samples:
                pynvml.nvmlGpmSampleFree(sample)
