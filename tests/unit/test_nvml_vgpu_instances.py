"""vGPU instances: what a host knows of the vGPUs that its VMs have."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_client import A100, library, playing, refused
from vgpu_host import RUNNING, VM, host, instances, type_id

from emulator import Gpu

MIB = 1 << 20


def only(handle: Any) -> int:
    """The number of the one vGPU of a GPU."""
    [number] = instances(handle)
    return number


class TestIdentity:
    def test_each_has_a_number_and_uuids_of_its_own(self):
        with playing(host("GRID T4-8Q", "GRID T4-8Q")) as (_, [handle]):
            numbers = instances(handle)
            assert len(set(numbers)) == 2
            uuids = {pynvml.nvmlVgpuInstanceGetUUID(number) for number in numbers}
            uuids |= {pynvml.nvmlVgpuInstanceGetMdevUUID(number) for number in numbers}
            assert len(uuids) == 4
            assert {len(uuid) for uuid in uuids} == {36}

    def test_they_are_the_same_in_every_run(self):
        seen = []
        for _ in range(2):
            with playing(host("GRID T4-8Q")) as (_, [handle]):
                seen.append((only(handle), pynvml.nvmlVgpuInstanceGetUUID(only(handle))))
        assert seen[0] == seen[1]

    def test_those_that_the_scenario_gives(self):
        uuid, mdev = VM.replace("5", "6"), VM.replace("5", "7")
        row = {"type": "GRID T4-8Q", "id": 3251634190, "uuid": uuid, "mdev_uuid": mdev}
        with playing(host(row)) as (_, [handle]):
            assert only(handle) == 3251634190
            assert pynvml.nvmlVgpuInstanceGetUUID(3251634190) == uuid
            assert pynvml.nvmlVgpuInstanceGetMdevUUID(3251634190) == mdev

    def test_its_type_and_vm(self):
        with playing(host(RUNNING)) as (_, [handle]):
            number = only(handle)
            assert pynvml.nvmlVgpuInstanceGetType(number) == type_id(handle, "GRID T4-8Q")
            assert pynvml.nvmlVgpuInstanceGetVmID(number) == (VM.encode(), 1)
            assert pynvml.nvmlVgpuInstanceGetGpuInstanceId(number) == 0xFFFFFFFF

    def test_on_xen_a_vm_is_a_domain_and_there_are_no_mediated_devices(self):
        row = {**RUNNING, "vm_id": "7"}
        with playing(host(row, hypervisor="XEN")) as (_, [handle]):
            number = only(handle)
            assert pynvml.nvmlVgpuInstanceGetVmID(number) == (b"7", 0)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlVgpuInstanceGetMdevUUID(number)

    def test_two_gpus_have_their_own(self):
        with playing(host("GRID T4-8Q"), host("GRID T4-16Q")) as (_, [first, second]):
            kinds = [pynvml.nvmlVgpuInstanceGetType(only(each)) for each in (first, second)]
            assert kinds == [type_id(first, "GRID T4-8Q"), type_id(second, "GRID T4-16Q")]


class TestErrors:
    @pytest.mark.parametrize(
        "call",
        [
            pynvml.nvmlVgpuInstanceGetUUID,
            pynvml.nvmlVgpuInstanceGetVmID,
            pynvml.nvmlVgpuInstanceGetType,
            pynvml.nvmlVgpuInstanceGetFbUsage,
            pynvml.nvmlVgpuInstanceGetLicenseInfo_v2,
            pynvml.nvmlVgpuInstanceGetAccountingMode,
            pynvml.nvmlVgpuInstanceGetEncoderStats,
            pynvml.nvmlVgpuInstanceGetFBCStats,
            pynvml.nvmlVgpuInstanceGetMetadata,
            pynvml.nvmlVgpuInstanceGetGpuPciId,
        ],
    )
    def test_a_number_that_stands_for_none(self, call: Any):
        with playing(host("GRID T4-8Q")):
            with refused("INVALID_ARGUMENT"):
                call(0)
            with refused("NOT_FOUND"):
                call(77)

    def test_a_buffer_that_is_too_small(self):
        with playing(host(RUNNING)) as (_, [handle]):
            text = ctypes.create_string_buffer(8)
            assert library().nvmlVgpuInstanceGetUUID(only(handle), text, 8) == 7

    def test_vgpus_of_a_lost_gpu_are_not_found(self):
        with playing(host("GRID T4-8Q")) as (machine, [handle]):
            number = only(handle)
            machine.devices[0].failure = "lost"
            with refused("NOT_FOUND"):
                pynvml.nvmlVgpuInstanceGetUUID(number)


class TestGuest:
    def test_without_a_driver(self):
        with playing(host("GRID T4-8Q")) as (_, [handle]):
            number = only(handle)
            assert pynvml.nvmlVgpuInstanceGetVmDriverVersion(number) == "Not Available"
            assert pynvml.nvmlVgpuInstanceGetGpuPciId(number) == "00000000:00:00.0"
            assert pynvml.nvmlVgpuInstanceGetLicenseStatus(number) == 0
            for call, code in (
                (pynvml.nvmlVgpuInstanceGetLicenseInfo_v2, "DRIVER_NOT_LOADED"),
                (pynvml.nvmlVgpuInstanceGetAccountingMode, "DRIVER_NOT_LOADED"),
                (pynvml.nvmlVgpuInstanceGetAccountingPids, "NOT_SUPPORTED"),
                (pynvml.nvmlVgpuInstanceGetEccMode, "NOT_SUPPORTED"),
                (pynvml.nvmlVgpuInstanceGetFrameRateLimit, "NOT_SUPPORTED"),
            ):
                with refused(code):
                    call(number)

    def test_with_one(self):
        row = {**RUNNING, "used_memory": "3 GiB", "pci_bus_id": "00000000:02:00.0"}
        with playing(host(row)) as (_, [handle]):
            number = only(handle)
            assert pynvml.nvmlVgpuInstanceGetVmDriverVersion(number) == "550.163.01"
            assert pynvml.nvmlVgpuInstanceGetGpuPciId(number) == "00000000:02:00.0"
            assert pynvml.nvmlVgpuInstanceGetFbUsage(number) == 3072 * MIB
            assert pynvml.nvmlVgpuInstanceGetEccMode(number) == 1
            assert pynvml.nvmlVgpuInstanceGetFrameRateLimit(number) == 60

    @pytest.mark.parametrize(("limit", "expected"), [(30, 30), (0, None)])
    def test_frame_rates(self, limit: int, expected: int | None):
        with playing(host({**RUNNING, "frame_rate_limit": limit})) as (_, [handle]):
            if expected is None:
                with refused("NOT_SUPPORTED"):
                    pynvml.nvmlVgpuInstanceGetFrameRateLimit(only(handle))
            else:
                assert pynvml.nvmlVgpuInstanceGetFrameRateLimit(only(handle)) == expected

    def test_no_limit_where_all_have_the_same_share(self):
        gpu = host(RUNNING, scheduler={"policy": "FIXED_SHARE"})
        with playing(gpu) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlVgpuInstanceGetFrameRateLimit(only(handle))

    @pytest.mark.parametrize(
        ("given", "licensed", "state", "expiry"),
        [
            ({"license": "LICENSED"}, 1, 5, (0, 0, 0, 4)),
            ({"license": "LICENSED", "license_expires": 1801396800}, 1, 5, (2027, 1, 31, 2)),
            ({"license": "UNLICENSED_RESTRICTED"}, 0, 3, (0, 0, 0, 0)),
            ({"license": "N/A"}, 0, 4, (0, 0, 0, 0)),
        ],
    )
    def test_licence(
        self, given: dict[str, Any], licensed: int, state: int, expiry: tuple[int, ...]
    ):
        with playing(host({**RUNNING, **given})) as (_, [handle]):
            info = pynvml.nvmlVgpuInstanceGetLicenseInfo_v2(only(handle))
            ends = info.licenseExpiry
            assert (info.isLicensed, info.currentState) == (licensed, state)
            assert (ends.year, ends.month, ends.day, ends.status) == expiry
            assert pynvml.nvmlVgpuInstanceGetLicenseStatus(only(handle)) == licensed


SESSION = {"codec": "H264", "width": 1920, "height": 1080}

PROCESSES = [
    {"pid": 11, "name": "blender", "gpu": 40, "memory": 16, "max_memory": "2 GiB"},
    {"pid": 12, "name": "old", "gpu": 3, "ended": True, "time": 5000, "start_time": 99},
]


def pids(number: int) -> list[int]:
    """Those that accounting remembers."""
    _, found = pynvml.nvmlVgpuInstanceGetAccountingPids(number)
    return list(found)


class TestEncoder:
    def test_capacity_is_set(self):
        with playing(host(RUNNING, "GRID T4-8Q")) as (machine, [handle]):
            first, second = instances(handle)
            assert library().nvmlVgpuInstanceSetEncoderCapacity(first, 40) == 0
            assert pynvml.nvmlVgpuInstanceGetEncoderCapacity(first) == 40
            assert pynvml.nvmlVgpuInstanceGetEncoderCapacity(second) == 100
            assert machine.devices[0].vgpu.instances[0].encoder_capacity == 40
            assert library().nvmlVgpuInstanceSetEncoderCapacity(first, 101) == 2
            assert library().nvmlVgpuInstanceSetEncoderCapacity(77, 50) == 6

    def test_sessions(self):
        sessions = [
            {**SESSION, "id": 1, "pid": 8, "average_fps": 60, "average_latency": 4000},
            {**SESSION, "id": 2, "pid": 9, "average_fps": 30, "average_latency": 2000},
        ]
        with playing(host({**RUNNING, "encoder_sessions": sessions})) as (_, [handle]):
            number = only(handle)
            found = pynvml.nvmlVgpuInstanceGetEncoderSessions(number)
            assert [(one.sessionId, one.pid, one.averageFps) for one in found] == [
                (1, 8, 60),
                (2, 9, 30),
            ]
            assert {one.vgpuInstance for one in found} == {number}
            assert list(pynvml.nvmlVgpuInstanceGetEncoderStats(number)) == [2, 45, 3000]

    def test_asking_for_the_number_of_sessions_succeeds(self):
        row = {"id": 1, "pid": 8, "average_fps": 60, "average_latency": 4000, **SESSION}
        with playing(host({**RUNNING, "encoder_sessions": [row]})) as (_, [handle]):
            count = ctypes.c_uint(0)
            call = library().nvmlVgpuInstanceGetEncoderSessions
            assert call(only(handle), ctypes.byref(count), None) == 0
            assert count.value == 1

    def test_capture_sessions(self):
        session = {
            **{"id": 5, "pid": 8, "type": "CUDA", "width": 800, "height": 600},
            **{"average_fps": 20, "average_latency": 1500},
        }
        with playing(host({**RUNNING, "capture_sessions": [session]})) as (_, [handle]):
            [one] = pynvml.nvmlVgpuInstanceGetFBCSessions(only(handle))
            assert (one.sessionId, one.sessionType, one.hResolution) == (5, 2, 800)
            stats = pynvml.nvmlVgpuInstanceGetFBCStats(only(handle))
            assert (stats.sessionsCount, stats.averageFPS, stats.averageLatency) == (1, 20, 1500)


class TestAccounting:
    def gpu(self, **figures: Any) -> Gpu:
        return host({**RUNNING, "accounting": True, "processes": PROCESSES, **figures})

    def test_those_that_ran_are_remembered(self):
        with playing(self.gpu()) as (_, [handle]):
            number = only(handle)
            assert pynvml.nvmlVgpuInstanceGetAccountingMode(number) == 1
            assert pids(number) == [11, 12]
            running = pynvml.nvmlVgpuInstanceGetAccountingStats(number, 11)
            ended = pynvml.nvmlVgpuInstanceGetAccountingStats(number, 12)
            assert (running.isRunning, running.time, running.gpuUtilization) == (1, 0, 40)
            assert running.maxMemoryUsage == 2048 * MIB
            assert (ended.isRunning, ended.time, ended.startTime) == (0, 5000, 99)
            with refused("NOT_FOUND"):
                pynvml.nvmlVgpuInstanceGetAccountingStats(number, 13)

    def test_until_they_are_cleared(self):
        with playing(self.gpu(), user="root") as (_, [handle]):
            number = only(handle)
            for _ in range(2):
                pynvml.nvmlVgpuInstanceClearAccountingPids(number)
                assert pids(number) == [11]
            assert pynvml.nvmlVgpuInstanceGetAccountingStats(number, 11).gpuUtilization == 40

    def test_which_only_root_may(self):
        with playing(self.gpu(), user="unprivileged") as (_, [handle]), refused("NO_PERMISSION"):
            pynvml.nvmlVgpuInstanceClearAccountingPids(only(handle))

    def test_while_it_is_off(self):
        with playing(self.gpu(accounting=False)) as (_, [handle]):
            number = only(handle)
            assert pynvml.nvmlVgpuInstanceGetAccountingMode(number) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlVgpuInstanceGetAccountingPids(number)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlVgpuInstanceGetAccountingStats(number, 11)


class TestUtilization:
    def test_of_each_vgpu(self):
        row = {**RUNNING, "utilization": {"gpu": 42, "memory": 17, "encoder": 8, "ofa": 3}}
        with playing(host(row, "GRID T4-8Q")) as (_, [handle]):
            first, second = instances(handle)
            found = pynvml.nvmlDeviceGetVgpuUtilization(handle, 0)
            assert [(one.vgpuInstance, one.smUtil.uiVal, one.memUtil.uiVal) for one in found] == [
                (first, 42, 17),
                (second, 0, 0),
            ]
            newer = pynvml.nvmlDeviceGetVgpuInstancesUtilizationInfo(handle, 0)
            values = [(one.vgpuInstance, one.encUtil.uiVal, one.ofaUtil.uiVal) for one in newer]
            assert values == [(first, 8, 3), (second, 0, 0)]

    def test_nothing_newer(self):
        with playing(host(RUNNING)) as (_, [handle]):
            [sample] = pynvml.nvmlDeviceGetVgpuUtilization(handle, 0)
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetVgpuUtilization(handle, sample.timeStamp + 10_000_000)

    def test_no_vgpus(self):
        with playing(host()) as (_, [handle]):
            assert list(pynvml.nvmlDeviceGetVgpuUtilization(handle, 0)) == []

    def test_of_each_process_that_is_busy(self):
        row = {**RUNNING, "processes": [*PROCESSES, {"pid": 13, "name": "idle"}]}
        with playing(host(row)) as (_, [handle]):
            [one] = pynvml.nvmlDeviceGetVgpuProcessUtilization(handle, 0)
            assert (one.vgpuInstance, one.pid, one.smUtil) == (only(handle), 11, 40)
            assert one.processName == "blender"
            [newer] = pynvml.nvmlDeviceGetVgpuProcessesUtilizationInfo(handle, 0)
            assert (newer.pid, newer.processName, newer.memUtil) == (11, "blender", 16)


class TestMigBacked:
    def gpu(self, *rows: Any, **figures: Any) -> Gpu:
        made = [{"type": row} if isinstance(row, str) else row for row in rows]
        mig = {"current": True, "instances": [{"profile": "3g.40gb"}, {"profile": "1g.10gb"}]}
        vgpu = {"instances": made, **figures}
        table = {"virtualization_mode": "HOST_VGPU", "mig": mig, "vgpu": vgpu}
        return Gpu(A100, figures=table)

    def test_a_vgpu_has_a_gpu_instance_of_its_profile(self):
        with playing(self.gpu("GRID A100DX-1-10C", "GRID A100DX-3-40C")) as (machine, [handle]):
            ids = {each.kind.name: each.id for each in machine.devices[0].gpu_instances}
            small, large = instances(handle)
            assert pynvml.nvmlVgpuInstanceGetGpuInstanceId(small) == ids["1g.10gb"]
            assert pynvml.nvmlVgpuInstanceGetGpuInstanceId(large) == ids["3g.40gb"]

    def test_what_can_be_created_is_what_has_a_free_one(self):
        with playing(self.gpu("GRID A100DX-1-10C")) as (_, [handle]):
            found = pynvml.nvmlDeviceGetCreatableVgpus(handle)
            assert [pynvml.nvmlVgpuTypeGetName(each) for each in found] == ["GRID A100DX-3-40C"]

    def test_the_vgpus_of_a_gpu_instance(self):
        with playing(self.gpu("GRID A100DX-3-40C")) as (machine, [handle]):
            [there] = [
                each for each in machine.devices[0].gpu_instances if each.kind.name == "3g.40gb"
            ]
            gpu_instance = pynvml.nvmlDeviceGetGpuInstanceById(handle, there.id)
            info = pynvml.c_nvmlActiveVgpuInstanceInfo_v1_t()
            info.version = pynvml.nvmlActiveVgpuInstanceInfo_v1
            call = library().nvmlGpuInstanceGetActiveVgpus
            assert call(gpu_instance, ctypes.byref(info)) == 7
            assert info.vgpuCount == 1
            room = (ctypes.c_uint * 1)()
            info.vgpuInstances = ctypes.cast(room, type(info.vgpuInstances))
            assert call(gpu_instance, ctypes.byref(info)) == 0
            assert list(room) == [only(handle)]

    def test_its_gpu_instance_is_in_use(self):
        with playing(self.gpu("GRID A100DX-1-10C")) as (machine, [handle]):
            [small] = [each for each in machine.devices[0].gpu_instances if each.kind.slices == 1]
            found = pynvml.nvmlDeviceGetGpuInstanceById(handle, small.id)
            inner = pynvml.nvmlGpuInstanceGetComputeInstanceById(found, 0)
            pynvml.nvmlComputeInstanceDestroy(inner)
            with refused("IN_USE"):
                pynvml.nvmlGpuInstanceDestroy(found)
            assert pynvml.nvmlDeviceSetMigMode(handle, 0) == pynvml.NVML_ERROR_IN_USE
            machine.alter(machine.devices[0], {"vgpu": {"instances": []}})
            pynvml.nvmlGpuInstanceDestroy(found)

    def test_its_time_is_shared_on_few_products(self):
        with playing(self.gpu()) as (machine, [handle]):
            number = machine.devices[0].gpu_instances[0].id
            gpu_instance = pynvml.nvmlDeviceGetGpuInstanceById(handle, number)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlGpuInstanceGetVgpuHeterogeneousMode(gpu_instance)

    def test_where_it_is(self):
        with playing(self.gpu(mig_timeslicing=True), user="root") as (machine, [handle]):
            first, second = (
                pynvml.nvmlDeviceGetGpuInstanceById(handle, each.id)
                for each in machine.devices[0].gpu_instances
            )
            pynvml.nvmlGpuInstanceSetVgpuHeterogeneousMode(first, 1)
            modes = [
                pynvml.nvmlGpuInstanceGetVgpuHeterogeneousMode(each) for each in (first, second)
            ]
            assert modes == [1, 0]
