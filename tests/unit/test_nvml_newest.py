"""What the newest headers declare of memory, repairs and times; no recorded driver has it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from nvml_client import A100, H100, T4
from nvml_newest import values

from emulator import Gpu

Run = Callable[..., subprocess.CompletedProcess[str]]

GIB = 1 << 30
MOST = (1 << 64) - 1  # NVML_DEVICE_MEMORY_LIMIT_MAX


def uptime(device: int = 0) -> str:
    return f"field('nvmlDeviceGetGpuUptime_v1', 'nvmlGpuUptime_v1_t', 'uptime')(h[{device}])"


def limit(name: str) -> str:
    kind = "nvmlGetMemoryLimits_v1_t"
    return f"field('nvmlDeviceGetMemoryLimits_v1', '{kind}', '{name}', nameSpace=text(b'/'))(h[0])"


def set_limits(soft: int, hard: int, path: str = "/") -> str:
    kind = f"struct('nvmlSetMemoryLimits_v1_t', nameSpace=text({path.encode()!r}), "
    made = f"{kind}softLimit={soft}, hardLimit={hard})"
    return f"code('nvmlDeviceSetMemoryLimits_v1', h[0], {made})"


class TestTimes:
    def test_the_driver_has_had_a_device_since_before(self, run_in: Run):
        gpus = [Gpu(T4, figures={"uptime": 86_400}), Gpu(T4)]
        assert values(run_in, gpus, uptime(), uptime(1), clock="manual") == [86_400, 0]

    def test_the_black_box_adds_up_all_times(self, run_in: Run):
        gpus = [Gpu(T4, figures={"inforom": {"bbx_run_time": 500}})]
        asked = "field('nvmlDeviceGetBBXTimeData_v1', 'nvmlBBXTimeData_v1_t', 'timeRun')(h[0])"
        assert values(run_in, gpus, asked, clock="manual") == [500]


class TestMemory:
    def test_limits_of_a_control_group(self, run_in: Run):
        found = values(
            run_in,
            [Gpu(T4)],
            limit("softLimit"),
            set_limits(GIB, 2 * GIB),
            *map(limit, ("softLimit", "hardLimit", "currentUsed")),
            set_limits(GIB, MOST),
            limit("hardLimit"),
            set_limits(0, MOST),
            limit("hardLimit"),
        )
        assert found[:5] == ["NOT_FOUND", "SUCCESS", GIB, 2 * GIB, 0]
        assert found[5:] == ["SUCCESS", MOST, "SUCCESS", "NOT_FOUND"]

    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            (set_limits(2, 1), "INVALID_ARGUMENT"),
            (set_limits(0, 1 << 50), "INVALID_ARGUMENT"),
            (set_limits(1 << 50, MOST), "INVALID_ARGUMENT"),
            (set_limits(0, 1, "/no/such/group"), "OPERATING_SYSTEM"),
            (set_limits(0, 1).replace("text(b'/')", "8"), "INVALID_ARGUMENT"),
        ],
    )
    def test_limits_that_cannot_be(self, run_in: Run, asked: str, status: str):
        assert values(run_in, [Gpu(T4)], asked, limit("softLimit")) == [status, "NOT_FOUND"]


class TestRepairs:
    def test_rows_by_what_became_of_them(self, run_in: Run):
        rows = {"correctable": 1, "uncorrectable": 2, "pending": True}
        kind = "nvmlRemappedRowsInfo_v2_t"
        names = ("corrActiveRemaps", "uncActiveRemaps", "uncInactiveRemaps", "bPending")
        asked = [f"field('nvmlDeviceGetRemappedRows_v2', '{kind}', '{n}')(h[0])" for n in names]
        gpus = [Gpu(A100, figures={"remapped_rows": rows})]
        assert values(run_in, gpus, *asked) == [1, 2, 0, 1]

    def test_memory_that_nothing_replaces(self, run_in: Run):
        gpus = [Gpu(H100, figures={"remapped_rows": {"unrepairable": True}}), Gpu(H100), Gpu(A100)]
        function, kind = (
            "nvmlDeviceGetUnrepairableMemoryFlag_v1",
            "nvmlUnrepairableMemoryStatus_v1_t",
        )
        asked = [f"field('{function}', '{kind}', 'bUnrepairableMemory')(h[{n}])" for n in range(3)]
        assert values(run_in, gpus, *asked) == [1, 0, "NOT_SUPPORTED"]


class TestPolling:
    @pytest.mark.parametrize(
        ("mask", "status"), [(0, "SUCCESS"), (0x81, "SUCCESS"), (0x100, "INVALID_ARGUMENT")]
    )
    def test_groups_of_readings(self, run_in: Run, mask: int, status: str):
        made = f"struct('nvmlRusdSettings_v1_t', pollMask={mask})"
        asked = f"code('nvmlDeviceSetRusdSettings_v1', h[0], {made})"
        assert values(run_in, [Gpu(T4)], asked, user="root") == [status]


class TestErrorRecords:
    @pytest.mark.parametrize(
        ("profile", "user", "status"),
        [
            ("b200-180gb", "root", "SUCCESS"),
            ("b200-180gb", "unprivileged", "NO_PERMISSION"),
            (H100, "root", "NOT_SUPPORTED"),
        ],
    )
    def test_there_are_none(self, run_in: Run, profile: str, user: str, status: str):
        asked = "code('nvmlSystemGetCPER_v1', struct('nvmlGetCPER_v1_t'))"
        assert values(run_in, [Gpu(profile)], asked, user=user) == [status]

    def test_a_size_without_a_buffer(self, run_in: Run):
        asked = "code('nvmlSystemGetCPER_v1', struct('nvmlGetCPER_v1_t', bufferSize=1))"
        gpus = [Gpu("b200-180gb")]
        assert values(run_in, gpus, asked, user="root") == ["INVALID_ARGUMENT"]


def test_firmware_that_vgpus_share_is_unloaded(run_in: Run):
    hosts = {"virtualization_mode": "HOST_VGPU"}
    gpus = [Gpu("l4", figures=hosts), Gpu("l4"), Gpu(A100, figures=hosts)]
    asked = [f"code('nvmlDeviceVgpuForceGspUnload', h[{number}])" for number in range(3)]
    version = "asked('nvmlDeviceGetGspFirmwareMode', uint, uint)(h[0])"
    found = values(run_in, gpus, *asked, version, user="root")
    assert found == ["SUCCESS", "NOT_SUPPORTED", "NOT_SUPPORTED", [0, 1]]


def test_the_counters_streams_by_the_name_that_they_had_at_first(run_in: Run):
    read = "asked('nvmlDeviceCcuGetStreamState', uint)(h[0])"
    asked = [read, "code('nvmlDeviceCcuSetStreamState', h[0], 1)", read]
    found = values(run_in, [Gpu(H100)], *asked, driver="525.147.05", user="root")
    assert found == [0, "SUCCESS", 1]
