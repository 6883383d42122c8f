"""Modes of a vGPU host: capabilities, mixed sizes, schedulers, versions, migration."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_client import A100, T4, library, playing, refused
from vgpu_host import RUNNING, host, instances, type_id

from emulator import Gpu
from emulator.nvml import api


class TestCapabilities:
    def test_of_the_driver(self):
        with playing(host()):
            capability = pynvml.NVML_VGPU_DRIVER_CAP_HETEROGENEOUS_MULTI_VGPU
            assert pynvml.nvmlGetVgpuDriverCapabilities(capability) == 1

    def test_without_a_host(self):
        with playing(T4), refused("NOT_SUPPORTED"):
            pynvml.nvmlGetVgpuDriverCapabilities(0)

    @pytest.mark.parametrize(("product", "mode"), [(T4, 0), (A100, 1)])
    def test_sr_iov(self, product: str, mode: int):
        with playing(host(product=product)) as (_, [handle]):
            assert pynvml.nvmlDeviceGetHostVgpuMode(handle) == mode

    def test_that_are_set(self):
        with playing(host(), user="root") as (_, [handle]):
            capability = pynvml.NVML_DEVICE_VGPU_CAP_MINI_QUARTER_GPU
            assert pynvml.nvmlDeviceGetVgpuCapabilities(handle, capability) == 0
            pynvml.nvmlDeviceSetVgpuCapabilities(handle, capability, 1)
            assert pynvml.nvmlDeviceGetVgpuCapabilities(handle, capability) == 1

    def test_that_cannot_be_set(self):
        with playing(host(), user="root") as (_, [handle]), refused("INVALID_ARGUMENT"):
            fractional = pynvml.NVML_DEVICE_VGPU_CAP_FRACTIONAL_MULTI_VGPU
            pynvml.nvmlDeviceSetVgpuCapabilities(handle, fractional, 1)


class TestMixedSizes:
    def test_off_as_it_starts(self):
        with playing(host(), user="root") as (_, [handle]):
            assert pynvml.nvmlDeviceGetVgpuHeterogeneousMode(handle) == 0
            pynvml.nvmlDeviceSetVgpuHeterogeneousMode(handle, 1)
            assert pynvml.nvmlDeviceGetVgpuHeterogeneousMode(handle) == 1
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceSetVgpuHeterogeneousMode(handle, 2)

    def test_not_while_a_vgpu_runs(self):
        with playing(host(RUNNING), user="root") as (_, [handle]), refused("IN_USE"):
            pynvml.nvmlDeviceSetVgpuHeterogeneousMode(handle, 1)

    def test_root_switches_it(self):
        with playing(host(), user="unprivileged") as (_, [handle]), refused("NO_PERMISSION"):
            pynvml.nvmlDeviceSetVgpuHeterogeneousMode(handle, 1)

    def test_without_the_mode_a_vgpu_has_no_placement(self):
        with playing(host("GRID T4-8Q")) as (_, [handle]):
            [number] = instances(handle)
            assert pynvml.nvmlVgpuInstanceGetPlacementId(number) == 0xFFFF

    def test_vgpus_of_several_sizes_have_places_of_their_own(self):
        gpu = host(
            "GRID T4-8Q", "GRID T4-4Q", {"type": "GRID T4-4C", "placement": 0}, heterogeneous=True
        )
        with playing(gpu) as (_, [handle]):
            found = [pynvml.nvmlVgpuInstanceGetPlacementId(number) for number in instances(handle)]
            assert found == [8, 4, 0]

    def test_supported_and_creatable_placements(self):
        with playing(host("GRID T4-8Q", heterogeneous=True)) as (_, [handle]):
            number = type_id(handle, "GRID T4-4Q")
            supported = pynvml.nvmlDeviceGetVgpuTypeSupportedPlacements(handle, number)
            assert listed(supported) == [0, 4, 8, 12]
            assert supported.placementSize == 4
            creatable = pynvml.nvmlDeviceGetVgpuTypeCreatablePlacements(handle, number)
            assert listed(creatable) == [8, 12]

    def test_placements_of_one_size(self):
        with playing(host("GRID T4-8Q")) as (_, [handle]):
            number = type_id(handle, "GRID T4-8Q")
            found = pynvml.nvmlDeviceGetVgpuTypeSupportedPlacements(
                handle, number, mode=pynvml.NVML_VGPU_PGPU_HOMOGENEOUS_MODE, version=2
            )
            assert listed(found) == [0, 8]

    @pytest.mark.parametrize(
        ("name", "count"),
        [("GRID A100DX-16C", 4), ("GRID A100DX-8C", 8), ("GRID A100DX-20C", 4)],
    )
    def test_as_many_as_in_the_user_guide(self, name: str, count: int):
        with playing(host(product=A100)) as (_, [handle]):
            number = type_id(handle, name)
            found = pynvml.nvmlDeviceGetVgpuTypeSupportedPlacements(handle, number)
            assert found.count == count

    def test_version_1_of_the_list_has_room_by_contract(self):
        with playing(host()) as (_, [handle]):
            placements = pynvml.c_nvmlVgpuPlacementList_v1_t()
            placements.version = pynvml.VgpuPlacementList_v1
            number = type_id(handle, "GRID T4-4Q")
            call = library().nvmlDeviceGetVgpuTypeSupportedPlacements
            assert call(handle, number, ctypes.byref(placements)) == 2

    def test_in_version_2_it_can_be_too_short(self):
        with playing(host()) as (_, [handle]):
            placements = pynvml.c_nvmlVgpuPlacementList_v2_t()
            placements.version = pynvml.VgpuPlacementList_v2
            number = type_id(handle, "GRID T4-4Q")
            call = library().nvmlDeviceGetVgpuTypeSupportedPlacements
            assert call(handle, number, ctypes.byref(placements)) == 7
            assert placements.count == 4


def listed(placements: Any) -> list[int]:
    return list(placements.placementIds[: placements.count])


class TestScheduler:
    def test_best_effort_as_it_starts(self):
        with playing(host(RUNNING)) as (_, [handle]):
            found = pynvml.nvmlDeviceGetVgpuSchedulerState(handle)
            assert found.schedulerPolicy == pynvml.NVML_VGPU_SCHEDULER_POLICY_BEST_EFFORT
            assert found.schedulerParams.vgpuSchedData.timeslice == 2_000_000

    def test_nothing_is_scheduled_without_vgpus(self):
        with playing(host()) as (_, [handle]):
            found = pynvml.nvmlDeviceGetVgpuSchedulerState(handle)
            assert found.schedulerParams.vgpuSchedData.timeslice == 0

    @staticmethod
    def asked(policy: int, arr: int, **params: int) -> Any:
        state = pynvml.c_nvmlVgpuSchedulerSetState_t()
        state.schedulerPolicy, state.enableARRMode = policy, arr
        if "timeslice" in params:
            state.schedulerParams.vgpuSchedData.timeslice = params["timeslice"]
        else:
            state.schedulerParams.vgpuSchedDataWithARR.avgFactor = params.get("factor", 0)
            state.schedulerParams.vgpuSchedDataWithARR.frequency = params.get("frequency", 0)
        return state

    def test_it_is_set_while_no_vgpu_runs(self):
        with playing(host(), user="root") as (machine, [handle]):
            fixed = pynvml.NVML_VGPU_SCHEDULER_POLICY_FIXED_SHARE
            disable = pynvml.NVML_VGPU_SCHEDULER_ARR_DISABLE
            wanted = self.asked(fixed, disable, timeslice=5_000_000)
            pynvml.nvmlDeviceSetVgpuSchedulerState(handle, wanted)
            scheduler = machine.devices[0].vgpu.scheduler
            assert (scheduler.policy, scheduler.timeslice) == ("FIXED_SHARE", 5_000_000)
            assert pynvml.nvmlDeviceGetVgpuSchedulerState(handle).schedulerPolicy == fixed

    def test_not_while_one_does(self):
        with playing(host(RUNNING), user="root") as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceSetVgpuSchedulerState(handle, self.asked(2, 0))

    @pytest.mark.parametrize(
        ("policy", "arr", "params"),
        [
            (0, 0, {}),
            (4, 0, {}),
            (2, 3, {}),
            (2, 1, {"timeslice": 999}),
            (2, 1, {"timeslice": 30_000_001}),
            (2, 2, {"factor": 61}),
            (2, 2, {"frequency": 62}),
        ],
    )
    def test_what_cannot_be_set(self, policy: int, arr: int, params: dict[str, int]):
        with playing(host(), user="root") as (_, [handle]), refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceSetVgpuSchedulerState(handle, self.asked(policy, arr, **params))

    def test_adaptive_round_robin(self):
        scheduler = {"policy": "EQUAL_SHARE", "frequency": 500, "average_factor": 40}
        with playing(host(RUNNING, scheduler=scheduler)) as (_, [handle]):
            found = pynvml.nvmlDeviceGetVgpuSchedulerState(handle)
            params = found.schedulerParams.vgpuSchedDataWithARR
            assert found.arrMode == pynvml.NVML_VGPU_SCHEDULER_ARR_ENABLE
            assert (params.avgFactor, params.timeslice) == (40, 2_000_000)

    def test_capabilities(self):
        with playing(host()) as (_, [handle]):
            found = pynvml.nvmlDeviceGetVgpuSchedulerCapabilities(handle)
            assert list(found.supportedSchedulers) == [1, 2, 3]
            assert (found.minTimeslice, found.maxTimeslice) == (1_000_000, 30_000_000)

    def test_the_log_has_the_turns_of_each_vgpu(self):
        with playing(host(RUNNING, "GRID T4-8Q"), clock="manual") as (machine, [handle]):
            assert pynvml.nvmlDeviceGetVgpuSchedulerLog(handle).entriesCount == 0
            machine.clock.advance(0.01)
            log = pynvml.nvmlDeviceGetVgpuSchedulerLog(handle)
            entries = log.logEntries[: log.entriesCount]
            assert [entry.swRunlistId for entry in entries] == [0, 1, 0, 1, 0]
            assert {entry.timeRun for entry in entries} == {2_000_000}
            assert [entry.timeRunTotal for entry in entries[-2:]] == [4_000_000, 6_000_000]
            machine.clock.advance(60)
            assert pynvml.nvmlDeviceGetVgpuSchedulerLog(handle).entriesCount == 200

    def test_in_mig_mode_it_is_of_the_gpu_instances(self):
        table = {"virtualization_mode": "HOST_VGPU", "mig": {"current": True}}
        with playing(Gpu(A100, figures=table)) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetVgpuSchedulerState(handle)


class TestVersions:
    def test_preset_and_current(self):
        with playing(host()):
            assert pynvml.nvmlGetVgpuVersion() == [(0x70001, 0x190001)] * 2

    def test_an_administrator_narrows_the_range(self):
        with playing(host(), host(), user="root"):
            pynvml.nvmlSetVgpuVersion(versions(0x120001, 0x140001))
            preset, current = pynvml.nvmlGetVgpuVersion()
            assert preset == (0x70001, 0x190001)
            assert current == (0x120001, 0x140001)

    @pytest.mark.parametrize("span", [(0x60001, 0x70001), (0x180001, 0x1A0001), (0x9, 0x8)])
    def test_not_beyond_the_preset(self, span: tuple[int, int]):
        with playing(host(), user="root"), refused("INVALID_ARGUMENT"):
            pynvml.nvmlSetVgpuVersion(versions(*span))

    def test_not_while_a_vm_runs(self):
        with playing(host(), host(RUNNING), user="root"), refused("IN_USE"):
            pynvml.nvmlSetVgpuVersion(versions(0x120001, 0x140001))

    def test_without_a_host(self):
        with playing(T4), refused("NOT_SUPPORTED"):
            pynvml.nvmlGetVgpuVersion()


def versions(low: int, high: int) -> Any:
    made = pynvml.c_nvmlVgpuVersion_t()
    made.minVersion, made.maxVersion = low, high
    return made


class TestMigration:
    def test_to_a_gpu_of_the_same_product(self):
        with playing(host(RUNNING), host()) as (_, [source, target]):
            [number] = instances(source)
            vgpu = pynvml.nvmlVgpuInstanceGetMetadata(number)
            found = pynvml.nvmlGetVgpuCompatibility(vgpu, pynvml.nvmlDeviceGetVgpuMetadata(target))
            live = pynvml.NVML_VGPU_VM_COMPATIBILITY_LIVE
            assert found.vgpuVmCompatibility & live
            assert found.compatibilityLimitCode == pynvml.NVML_VGPU_COMPATIBILITY_LIMIT_NONE

    def test_to_another_product(self):
        with playing(host(RUNNING), host(product=A100)) as (_, [source, target]):
            vgpu = pynvml.nvmlVgpuInstanceGetMetadata(instances(source)[0])
            found = pynvml.nvmlGetVgpuCompatibility(vgpu, pynvml.nvmlDeviceGetVgpuMetadata(target))
            assert found.vgpuVmCompatibility == 0
            assert found.compatibilityLimitCode == pynvml.NVML_VGPU_COMPATIBILITY_LIMIT_GPU

    def test_of_a_driver_that_is_too_old(self):
        row = {**RUNNING, "version": 0x60001}
        with playing(host(row)) as (_, [handle]):
            vgpu = pynvml.nvmlVgpuInstanceGetMetadata(instances(handle)[0])
            found = pynvml.nvmlGetVgpuCompatibility(vgpu, pynvml.nvmlDeviceGetVgpuMetadata(handle))
            limit = pynvml.NVML_VGPU_COMPATIBILITY_LIMIT_GUEST_DRIVER
            assert found.compatibilityLimitCode == limit

    def test_of_a_vm_without_a_driver(self):
        with playing(host("GRID T4-8Q")) as (_, [handle]):
            vgpu = pynvml.nvmlVgpuInstanceGetMetadata(instances(handle)[0])
            assert (vgpu.guestInfoState, vgpu.guestDriverVersion) == (0, "")
            found = pynvml.nvmlGetVgpuCompatibility(vgpu, pynvml.nvmlDeviceGetVgpuMetadata(handle))
            assert found.vgpuVmCompatibility == pynvml.NVML_VGPU_VM_COMPATIBILITY_COLD

    def test_a_buffer_that_is_too_small(self):
        with playing(host()) as (_, [handle]):
            size = ctypes.c_uint(8)
            room = ctypes.create_string_buffer(1024)
            call = library().nvmlDeviceGetVgpuMetadata
            assert call(handle, room, ctypes.byref(size)) == 7
            assert size.value == ctypes.sizeof(api.types["nvmlVgpuPgpuMetadata_t"])
            assert call(handle, None, ctypes.byref(size)) == 2
            assert call(handle, room, None) == 2

    def test_as_text(self):
        with playing(host()) as (_, [handle]):
            text, size = pynvml.nvmlDeviceGetPgpuMetadataString(handle)
            assert text == b"580.126.09;1eb810de:12a210de;70001-190001"
            assert size == len(text) + 1
