"""GPM: metrics between two samples."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, library, playing, refused

from emulator import Gpu
from emulator.nvml import _constants as constants
from emulator.nvml import _status as status
from emulator.nvml.gpmmetrics import NAMES

RISING = Gpu(H100, load={"curve": [["0 s", 0], ["10 s", 100]], "nvlink": 20})


def metrics(first: Any, last: Any, *numbers: int) -> list[tuple[int, float]]:
    """Status and value of each metric, asked for as a client of the newest header does."""

    class Asked(ctypes.Structure):
        _fields_ = [
            ("version", ctypes.c_uint),
            ("count", ctypes.c_uint),
            ("samples", ctypes.c_void_p * 2),
            ("metrics", pynvml.c_nvmlGpmMetric_t * constants.GPM_METRIC_MAX),
        ]

    asked = Asked(pynvml.NVML_GPM_METRICS_GET_VERSION, len(numbers))
    asked.samples[:] = [ctypes.cast(each, ctypes.c_void_p).value for each in (first, last)]
    for metric, number in zip(asked.metrics, numbers, strict=False):
        metric.metricId = number
    assert library().nvmlGpmMetricsGet(ctypes.byref(asked)) == 0
    return [(each.nvmlReturn, each.value) for each in asked.metrics[: len(numbers)]]


def sample(handle: Any) -> Any:
    return pynvml.nvmlGpmSampleGet(handle, pynvml.nvmlGpmSampleAlloc())


def test_a_metric_is_the_average_between_its_samples():
    with playing(RISING, clock="manual") as (machine, [handle]):
        machine.clock.advance(2)
        first = sample(handle)
        machine.clock.advance(4)
        [(code, share)] = metrics(first, sample(handle), pynvml.NVML_GPM_METRIC_SM_UTIL)
        assert code == 0
        assert share == pytest.approx(40, abs=1)


def test_links_carry_so_much_a_second():
    gpu = Gpu(H100, load={"gpu": 50, "nvlink": 20})
    with playing(gpu, clock="manual") as (machine, [handle]):
        first = sample(handle)
        machine.clock.advance(4)
        last = sample(handle)
        one, all_, none = metrics(
            first,
            last,
            pynvml.NVML_GPM_METRIC_NVLINK_L3_RX_PER_SEC,
            pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC,
            constants.GPM_METRIC_NVLINK_L40_RX_PER_SEC,
        )
        speed = 26_562 * 1_000_000 * 0.2 / (1 << 20)
        assert one[1] == pytest.approx(speed, rel=0.001)
        assert all_[1] == pytest.approx(18 * speed, rel=0.001)
        assert none[0] == status.NOT_SUPPORTED


def test_every_metric_of_the_header_has_an_answer():
    with playing(Gpu(H100, load=50)) as (_, [handle]):
        answers = metrics(sample(handle), sample(handle), *NAMES)
        assert {code for code, _ in answers} == {0, status.NOT_SUPPORTED}
        supported = {NAMES[n] for n, (code, _) in zip(NAMES, answers, strict=True) if code == 0}
        assert {"NVDEC_6_UTIL", "NVJPG_6_UTIL", "NVOFA_0_UTIL", "PCIE_RX_PER_SEC"} <= supported
        assert not {"NVDEC_7_UTIL", "NVOFA_1_UTIL", "C2C_TOTAL_TX_PER_SEC"} & supported


def test_a_number_that_is_no_metric_s_is_refused_by_itself():
    with playing(H100) as (_, [handle]):
        [(code, _)] = metrics(sample(handle), sample(handle), 99)
        assert code == status.INVALID_ARGUMENT


def test_samples_are_of_one_device():
    with playing(H100, H100) as (_, [one, other]):
        asked = pynvml.c_nvmlGpmMetricsGet_t()
        asked.version, asked.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, 1
        asked.sample1, asked.sample2 = sample(one), sample(other)
        assert library().nvmlGpmMetricsGet(ctypes.byref(asked)) == status.INVALID_ARGUMENT


def test_streaming_is_switched():
    with playing(H100, A100) as (_, [h100, a100]):
        assert pynvml.nvmlGpmQueryIfStreamingEnabled(h100) == 0
        pynvml.nvmlGpmSetStreamingEnabled(h100, 1)
        assert pynvml.nvmlGpmQueryIfStreamingEnabled(h100) == 1
        with refused("INVALID_ARGUMENT"):
            pynvml.nvmlGpmSetStreamingEnabled(h100, 2)
        with refused("NOT_SUPPORTED"):
            pynvml.nvmlGpmSetStreamingEnabled(a100, 1)


def test_an_instance_is_sampled_in_mig_mode():
    mig = {"current": True, "pending": True, "instances": [{"profile": "3g.40gb"}]}
    with playing(Gpu(H100, figures={"mig": mig}), H100) as (_, [divided, whole]):
        held = pynvml.nvmlGpmSampleAlloc()
        with refused("INVALID_ARGUMENT"):
            pynvml.nvmlGpmMigSampleGet(divided, 99, held)
        with refused("NOT_SUPPORTED"):
            pynvml.nvmlGpmMigSampleGet(whole, 1, held)
        found = [library().nvmlGpmMigSampleGet(divided, number, held) for number in range(15)]
        assert found.count(0) == 1
