"""Setters of NVML: what is set shows, in every process, and is for those who may set it.

A row of `nvml_setters.SETTERS` for each; its GPU is the machine's at the row's place.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nvml_setters import SETTERS

from emulator import Gpu, Scenario
from emulator.nvml import api
from emulator.nvml.refusals import REFUSALS

PROGRAM = Path(__file__).parent / "nvml_setters.py"
NEWEST = "615.71"  # has all functions that headers declare
NO_PERMISSION = 4

#: What makes or ends something, takes back what was set, or has nothing that shows it.
ELSEWHERE = (
    *("nvmlDeviceClearAccountingPids", "nvmlDeviceCcuSetStreamState"),
    *("nvmlDeviceCreateGpuInstance", "nvmlDeviceCreateGpuInstanceWithPlacement"),
    *("nvmlGpuInstanceCreateComputeInstance", "nvmlGpuInstanceDestroy"),
    *("nvmlGpuInstanceCreateComputeInstanceWithPlacement", "nvmlComputeInstanceDestroy"),
    *("nvmlDeviceGetGpuInstances", "nvmlDeviceGetGpuInstanceById"),
    *("nvmlGpuInstanceGetComputeInstances", "nvmlGpuInstanceGetComputeInstanceById"),
    *("nvmlDeviceDiscoverGpus", "nvmlDeviceRemoveGpu", "nvmlDeviceRemoveGpu_v2"),
    *("nvmlDeviceLockNvlinkRemapTable_v1", "nvmlDeviceReadPRMCounters_v1"),
    *("nvmlDeviceReadWritePRM_v1", "nvmlDeviceSetupNvlinkNvleEncryptionKey_v1"),
    *("nvmlDevicePowerSmoothingActivatePresetProfile", "nvmlDevicePowerSmoothingSetState"),
    "nvmlDevicePowerSmoothingUpdatePresetProfileParam",
    "nvmlDeviceWorkloadPowerProfileClearRequestedProfiles",
    "nvmlDeviceWorkloadPowerProfileSetRequestedProfiles",
    "nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1",
    *("nvmlDeviceSetGpuLockedClocks", "nvmlDeviceResetGpuLockedClocks"),
    *("nvmlDeviceSetMemoryLockedClocks", "nvmlDeviceResetMemoryLockedClocks"),
    *("nvmlDeviceSetDefaultFanSpeed_v2", "nvmlDeviceSetRusdSettings_v1"),
    *("nvmlDeviceSetPowerMizerMode_v1", "nvmlDeviceSetPowerMode"),
    *("nvmlDeviceSetNvLinkDeviceLowPowerThreshold", "nvmlDeviceSetNvlinkBwMode"),
    *("nvmlDeviceSetNvlinkNvleReady_v1", "nvmlSystemSetNvlinkBwMode"),
    *("nvmlDeviceSetVgpuCapabilities", "nvmlDeviceSetVgpuHeterogeneousMode"),
    *("nvmlDeviceSetVgpuSchedulerState", "nvmlDeviceSetVgpuSchedulerState_v2"),
    *("nvmlDeviceVgpuForceGspUnload", "nvmlSetVgpuVersion"),
    *("nvmlGpuInstanceSetVgpuHeterogeneousMode", "nvmlGpuInstanceSetVgpuSchedulerState"),
    *("nvmlGpuInstanceSetVgpuSchedulerState_v2", "nvmlVgpuInstanceClearAccountingPids"),
    "nvmlVgpuInstanceSetEncoderCapacity",
)

Rows = list[list[Any]]


@pytest.fixture
def play(run_in: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Rows]:
    """`play(what, **scenario)`: for each row the value before, the code and the value after."""

    def run(what: str, **scenario: Any) -> Rows:
        gpus = [Gpu(row.gpu, figures=row.figures or {}) for row in SETTERS]
        done = run_in(
            Scenario(gpus=gpus, driver=NEWEST, **scenario), [sys.executable, PROGRAM, what]
        )
        assert done.stderr == ""
        rows: Rows = json.loads(done.stdout)
        return rows

    return run


def test_the_getters_show_what_was_set(play: Callable[..., Rows]):
    for row, (before, code, after) in zip(SETTERS, play("set", user="root"), strict=True):
        assert (row.function, code, after) == (row.function, 0, row.expected)
        assert before != row.expected, row.function


def test_another_process_sees_it_that_was_there_before(play: Callable[..., Rows]):
    for row, (before, _, after) in zip(SETTERS, play("watch", user="root"), strict=True):
        assert (row.function, after) == (row.function, row.expected)
        assert before != row.expected, row.function


def test_an_ordinary_user_sets_nothing(play: Callable[..., Rows]):
    for row, (before, code, after) in zip(SETTERS, play("set", user="unprivileged"), strict=True):
        assert (row.function, code) == (row.function, NO_PERMISSION)
        assert before == after, row.function


@pytest.mark.parametrize("row", SETTERS, ids=lambda row: row.function)
def test_what_is_for_root_says_so_in_nvidia_s_documentation(row: Any):
    """Application clocks are for root, or not, as nvmlDeviceSetAPIRestriction says."""
    assert api.find(row.function).privileged or row.function == "nvmlDeviceSetApplicationsClocks"


def test_each_function_for_root_has_a_row_or_a_test_of_its_area():
    rows = {row.function for row in SETTERS}
    refused = {name for _, names in REFUSALS for name in names}
    privileged = {name for name in api.names if api.find(name).privileged} - refused
    assert privileged - rows == set(ELSEWHERE)
