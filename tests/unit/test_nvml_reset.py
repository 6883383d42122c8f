"""A reset, asked for as `nvidia-smi --gpu-reset` does, and what it makes of a device."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, playing, refused
from nvml_table import call_slot

from emulator import Gpu

RESET, FABRIC, MAKE, MEMBERS, END, RESET_ONE = 168, 169, 182, 183, 184, 13
IN_USE, UNKNOWN, NO_PERMISSION = 19, 999, 4
V100 = "v100-sxm2-16gb"
BUSY = {"processes": [{"pid": 1, "name": "a", "type": "C"}]}


def handles_of(devices: Sequence[Any]) -> Any:
    return (ctypes.c_void_p * len(devices))(*(ctypes.cast(d, ctypes.c_void_p) for d in devices))


def reset(*devices: Any) -> tuple[int, list[int]]:
    """The code, and the code of each device."""
    results, switches = (ctypes.c_int * len(devices))(), ctypes.c_uint(7)
    code = call_slot(
        RESET,
        ctypes.c_void_p(len(devices)),
        handles_of(devices),
        results,
        ctypes.byref(switches),
    )
    return code, list(results)


class TestReset:
    def test_pending_modes_hold_then(self):
        with playing(T4, A100) as (_, [t4, a100]):
            pynvml.nvmlDeviceSetEccMode(t4, 0)
            assert reset(t4, a100) == (0, [0, 0])
            assert pynvml.nvmlDeviceGetEccMode(t4) == [0, 0]
            assert pynvml.nvmlDeviceGetEccMode(a100) == [1, 1]

    def test_mig_mode_that_waited_is_on_and_instances_are_gone(self):
        mig = {"pending": True}
        with playing(Gpu(A100, figures={"mig": mig})) as (machine, [handle]):
            assert reset(handle) == (0, [0])
            assert pynvml.nvmlDeviceGetMigMode(handle) == [1, 1]
            assert list(machine.devices[0].mig.instances) == []

    def test_what_was_counted_and_set_since_the_driver_loaded_is_forgotten(self):
        figures = {
            "ecc": {"volatile": {"dram_correctable": 2}, "aggregate": {"dram_correctable": 5}},
            "remapped_rows": {"uncorrectable": 1, "pending": True},
        }
        with playing(Gpu(H100, figures=figures)) as (_, [handle]):
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, 300_000)
            pynvml.nvmlDeviceSetComputeMode(handle, pynvml.NVML_COMPUTEMODE_PROHIBITED)
            assert reset(handle) == (0, [0])
            assert pynvml.nvmlDeviceGetPowerManagementLimit(handle) == 700_000
            assert pynvml.nvmlDeviceGetComputeMode(handle) == pynvml.NVML_COMPUTEMODE_DEFAULT
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, 0, 0) == 0
            assert pynvml.nvmlDeviceGetTotalEccErrors(handle, 0, 1) == 5
            assert pynvml.nvmlDeviceGetRemappedRows(handle) == (0, 1, 0, 0)

    def test_its_links_count_anew(self):
        row = {"replay_errors": 4, "data_rx": 9}
        gpus = Gpu(V100, count=2, figures={"nvlinks": {"0": row}})
        with playing(gpus) as (machine, [handle, _other]):
            pynvml.nvmlDeviceResetNvLinkUtilizationCounter(handle, 0, 0)
            pynvml.nvmlDeviceFreezeNvLinkUtilizationCounter(handle, 0, 0, 1)
            assert reset(handle) == (0, [0])
            link, other = (device.nvlinks[0] for device in machine.devices)
            assert (link.active, link.replay_errors, link.data_rx) == (True, 0, 0)
            assert (other.replay_errors, other.data_rx) == (4, 9)
            assert pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 0) == (0, 0)
            link.data_rx = 3
            assert pynvml.nvmlDeviceGetNvLinkUtilizationCounter(handle, 0, 0) == (3 << 10, 0)

    def test_fans_and_links_are_as_the_driver_sets_them(self):
        with playing(Gpu(RTX_4090), Gpu(H100)) as (machine, handles):
            by_name = {
                device.profile: h for device, h in zip(machine.devices, handles, strict=True)
            }
            fans, links = by_name[RTX_4090], by_name[H100]
            pynvml.nvmlDeviceSetFanSpeed_v2(fans, 0, 70)
            settings = next(device.nvlink for device in machine.devices if device.nvlinks)
            settings.low_power_threshold = 77
            count = pynvml.nvmlDeviceGetNumFans(fans)
            assert reset(fans, links) == (0, [0, 0])
            assert pynvml.nvmlDeviceGetFanControlPolicy_v2(fans, 0) == 0
            assert pynvml.nvmlDeviceGetFanSpeed_v2(fans, 0) != 70
            assert pynvml.nvmlDeviceGetNumFans(fans) == count
            assert settings.low_power_threshold == settings.low_power_threshold_default

    def test_it_mends_a_device_that_needs_it(self):
        with playing(Gpu(T4, failure="reset_required")) as (_, [handle]):
            with refused("RESET_REQUIRED"):
                pynvml.nvmlDeviceGetPowerUsage(handle)
            assert reset(handle) == (0, [0])
            assert pynvml.nvmlDeviceGetPowerUsage(handle) > 0

    def test_with_one_in_use_none_is_reset(self):
        with playing(T4, Gpu(T4, figures=BUSY)) as (_, [idle, busy]):
            pynvml.nvmlDeviceSetEccMode(idle, 0)
            assert reset(idle, busy) == (UNKNOWN, [0, IN_USE])
            assert pynvml.nvmlDeviceGetEccMode(idle) == [1, 0]

    def test_older_drivers_reset_one_by_one(self):
        with playing(T4, Gpu(T4, figures=BUSY)) as (_, [idle, busy]):
            pynvml.nvmlDeviceSetEccMode(idle, 0)
            assert call_slot(RESET_ONE, idle) == 0
            assert pynvml.nvmlDeviceGetEccMode(idle) == [0, 0]
            assert call_slot(RESET_ONE, busy) == IN_USE

    def test_it_is_for_root(self):
        with playing(T4, user="unprivileged") as (_, [handle]):
            assert reset(handle)[0] == NO_PERMISSION
            assert call_slot(RESET_ONE, handle) == NO_PERMISSION


class TestGroups:
    def members(self, *devices: Any) -> list[str]:
        group = ctypes.c_size_t()
        assert (
            call_slot(
                MAKE,
                ctypes.byref(group),
                handles_of(devices),
                ctypes.c_void_p(len(devices)),
                ctypes.c_void_p(1),
            )
            == 0
        )
        texts = [ctypes.create_string_buffer(32) for _ in range(pynvml.nvmlDeviceGetCount())]
        addresses = (ctypes.c_void_p * len(texts))(*map(ctypes.addressof, texts))
        count, word = ctypes.c_uint(), ctypes.c_void_p(group.value)
        assert call_slot(MEMBERS, word, addresses, ctypes.byref(count)) == 0
        assert call_slot(END, word) == 0
        assert call_slot(END, word) == pynvml.NVML_ERROR_INVALID_ARGUMENT
        return [text.value.decode() for text in texts[: count.value]]

    def test_a_device_by_itself(self):
        with playing(Gpu(A100, count=2)) as (machine, [_, second]):
            assert self.members(second) == [machine.devices[1].pci.bus_id]

    @pytest.mark.parametrize(("profile", "together"), [("v100-sxm2-16gb", 4), (A100, 1)])
    def test_until_turing_links_bind_devices_together(self, profile: str, together: int):
        with playing(Gpu(profile, count=4)) as (_, handles):
            assert len(self.members(handles[0])) == together

    def test_no_switch_is_reset_along(self):
        with playing(T4):
            state = ctypes.c_uint(7)
            assert call_slot(FABRIC, ctypes.byref(state)) == 0
            assert state.value == 0

    def test_what_is_no_device_is_refused(self):
        with playing(T4):
            group = ctypes.c_size_t()
            code = call_slot(
                MAKE, ctypes.byref(group), (ctypes.c_void_p * 1)(1), ctypes.c_void_p(1)
            )
            assert code == pynvml.NVML_ERROR_INVALID_ARGUMENT
