"""What holds on any machine, whatever a program sets: drawn machines under drawn setters."""

from __future__ import annotations

import ctypes
from contextlib import ExitStack
from typing import Any

import pynvml as nvml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import emulator
from emulator import Gpu, Scenario
from emulator import strategies as nv
from emulator.nvml import _returns, api

Device = Any

NUMBERS = st.one_of(st.integers(0, 3), st.integers(0, 1_000_000), st.just(2**32 - 1))
SWITCHES = st.integers(0, 1)

#: A setter of pynvml -> what its arguments after the device are drawn from, and what asks for what
#: it has set: a getter, and the getter's answer out of those arguments; None where it resets.
SETTERS: dict[str, tuple[tuple[st.SearchStrategy[int], ...], Any, Any]] = {
    "nvmlDeviceClearAccountingPids": ((), None, None),
    "nvmlDeviceClearEccErrorCounts": ((SWITCHES,), None, None),
    "nvmlDeviceResetApplicationsClocks": ((), None, None),
    "nvmlDeviceResetGpuLockedClocks": ((), None, None),
    "nvmlDeviceResetMemoryLockedClocks": ((), None, None),
    "nvmlDeviceSetAccountingMode": ((SWITCHES,), nvml.nvmlDeviceGetAccountingMode, lambda on: on),
    "nvmlDeviceSetComputeMode": (
        (st.integers(0, 3),),
        nvml.nvmlDeviceGetComputeMode,
        lambda mode: mode,
    ),
    "nvmlDeviceSetDefaultFanSpeed_v2": ((st.integers(0, 3),), None, None),
    "nvmlDeviceSetEccMode": (
        (SWITCHES,),
        lambda device: nvml.nvmlDeviceGetEccMode(device)[1],
        lambda on: on,
    ),
    "nvmlDeviceSetFanSpeed_v2": ((st.integers(0, 3), st.integers(0, 120)), None, None),
    "nvmlDeviceSetGpuLockedClocks": ((NUMBERS, NUMBERS), None, None),
    "nvmlDeviceSetMemoryLockedClocks": ((NUMBERS, NUMBERS), None, None),
    "nvmlDeviceSetMigMode": (
        (SWITCHES,),
        lambda device: nvml.nvmlDeviceGetMigMode(device)[1],
        lambda on: on,
    ),
    "nvmlDeviceSetPersistenceMode": (
        (SWITCHES,),
        nvml.nvmlDeviceGetPersistenceMode,
        lambda on: on,
    ),
    "nvmlDeviceSetPowerManagementLimit": (
        (NUMBERS,),
        nvml.nvmlDeviceGetPowerManagementLimit,
        lambda limit: limit,
    ),
}

#: Lists that a device answers: their elements are counted by the same function.
LISTS = (
    nvml.nvmlDeviceGetAccountingPids,
    nvml.nvmlDeviceGetComputeRunningProcesses,
    nvml.nvmlDeviceGetGraphicsRunningProcesses,
    nvml.nvmlDeviceGetMPSComputeRunningProcesses,
    nvml.nvmlDeviceGetSupportedMemoryClocks,
)

#: Codes that any call about a device may return, documented or not.
ANY = ("GPU_IS_LOST", "RESET_REQUIRED", "NOT_SUPPORTED")


def answer(function: Any, *arguments: Any) -> Any:
    """What a function answers; None where the device has not what it asks for."""
    try:
        return function(*arguments)
    except nvml.NVMLError as error:
        name = function.__name__
        documented = _returns.RETURNS.get(name) or _returns.RETURNS.get(name + "_v2") or ""
        code = api.status_name(error.value)
        assert not documented or code in {*documented.split(), *ANY}, (name, arguments, code)
        return None


class Machines(RuleBasedStateMachine):
    """A machine with at least one GPU, and a program that sets what it likes."""

    @initialize(scenario=nv.machines(min_gpus=1, max_gpus=3))
    def start(self, scenario: Scenario) -> None:
        self.play(scenario.but(user="root"))

    def play(self, scenario: Scenario) -> None:
        self.stack = ExitStack()
        self.machine = self.stack.enter_context(emulator.emulate(scenario))
        nvml.nvmlInit()
        self.stack.callback(nvml.nvmlShutdown)
        count = nvml.nvmlDeviceGetCount()
        assert count == len(self.machine.plugged())
        found = [answer(nvml.nvmlDeviceGetHandleByIndex, index) for index in range(count)]
        self.devices: list[Device] = [device for device in found if device]
        self.instances: list[tuple[Device, Any]] = []

    def teardown(self) -> None:
        self.stack.close()

    @rule()
    def init_once_more(self) -> None:
        nvml.nvmlInit()
        nvml.nvmlShutdown()

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), name=st.sampled_from(sorted(SETTERS)))
    def set(self, data: st.DataObject, name: str) -> None:
        drawn, getter, expected = SETTERS[name]
        device = data.draw(st.sampled_from(self.devices))
        arguments = [data.draw(each) for each in drawn]
        try:
            getattr(nvml, name)(device, *arguments)
        except nvml.NVMLError as error:
            code = api.status_name(error.value)
            assert code in {*_returns.RETURNS[name].split(), *ANY}, (name, arguments)
            assert code != "NO_PERMISSION"
        else:
            assert getter is None or getter(device) == expected(*arguments)

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), profile=st.integers(0, nvml.NVML_GPU_INSTANCE_PROFILE_COUNT - 1))
    def divide(self, data: st.DataObject, profile: int) -> None:
        device = data.draw(st.sampled_from(self.devices))
        info = answer(nvml.nvmlDeviceGetGpuInstanceProfileInfo, device, profile)
        left = info and answer(nvml.nvmlDeviceGetGpuInstanceRemainingCapacity, device, info.id)
        made = info and answer(nvml.nvmlDeviceCreateGpuInstance, device, info.id)
        assert bool(made) == bool(left)
        if made:
            after = nvml.nvmlDeviceGetGpuInstanceRemainingCapacity(device, info.id)
            assert after < left
            self.instances.append((device, made))

    @precondition(lambda self: self.instances)
    @rule(data=st.data())
    def join(self, data: st.DataObject) -> None:
        device, instance = data.draw(st.sampled_from(self.instances))
        before = answer(nvml.nvmlDeviceGetMigMode, device)
        if before and before[0]:
            nvml.nvmlGpuInstanceDestroy(instance)
        self.instances.remove((device, instance))

    @invariant()
    def memory_adds_up(self) -> None:
        for device in self.devices:
            first = answer(nvml.nvmlDeviceGetMemoryInfo, device)
            second = answer(nvml.nvmlDeviceGetMemoryInfo, device, nvml.nvmlMemory_v2)
            if first:
                assert first.used + first.free == first.total
                assert second.used + second.free + second.reserved == second.total == first.total

    @invariant()
    def a_power_limit_is_between_its_bounds(self) -> None:
        for device in self.devices:
            limit = answer(nvml.nvmlDeviceGetPowerManagementLimit, device)
            bounds = answer(nvml.nvmlDeviceGetPowerManagementLimitConstraints, device)
            if limit is not None and bounds is not None:
                assert bounds[0] <= limit <= bounds[1]

    @invariant()
    def counts_are_those_of_the_lists(self) -> None:
        for device in self.devices:
            for function in LISTS:
                answer(function, device)  # asks for the count first, then for as many
            fans = answer(nvml.nvmlDeviceGetNumFans, device) or 0
            speeds = [answer(nvml.nvmlDeviceGetFanSpeed_v2, device, fan) for fan in range(fans + 1)]
            assert speeds[fans] is None
            self.mig_devices_are_those_of_the_instances(device)

    def mig_devices_are_those_of_the_instances(self, device: Device) -> None:
        most = answer(nvml.nvmlDeviceGetMaxMigDeviceCount, device) or 0
        handles = [
            answer(nvml.nvmlDeviceGetMigDeviceHandleByIndex, device, index) for index in range(most)
        ]
        there = [handle for handle in handles if handle]
        for handle in there:
            uuid = nvml.nvmlDeviceGetUUID(handle)
            assert same(nvml.nvmlDeviceGetHandleByUUID(uuid), handle)
            assert same(nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle), device)

    @invariant()
    def a_device_is_found_by_all_that_it_is_called(self) -> None:
        for device in self.devices:
            ways = (
                (nvml.nvmlDeviceGetIndex, nvml.nvmlDeviceGetHandleByIndex),
                (nvml.nvmlDeviceGetUUID, nvml.nvmlDeviceGetHandleByUUID),
                (serial_of_board, nvml.nvmlDeviceGetHandleBySerial),
                (bus_id, nvml.nvmlDeviceGetHandleByPciBusId),
            )
            for ask, find in ways:
                name = answer(ask, device)
                if name is not None:
                    assert same(find(name), device), (ask.__name__, name)


def serial_of_board(device: Device) -> str | None:
    """The serial number; GPUs that share a board are not looked up by it."""
    return (
        None
        if nvml.nvmlDeviceGetMultiGpuBoard(device)
        else answer(nvml.nvmlDeviceGetSerial, device)
    )


def bus_id(device: Device) -> str:
    found: str = nvml.nvmlDeviceGetPciInfo(device).busId
    return found


def same(first: Device, second: Device) -> bool:
    return ctypes.cast(first, ctypes.c_void_p).value == ctypes.cast(second, ctypes.c_void_p).value


class DividedMachines(Machines):
    """A machine in MIG mode, which is divided and joined again."""

    @initialize(gpu=st.sampled_from(("a30", "a100-sxm4-80gb", "h100-sxm5-80gb", "h200-sxm-141gb")))
    def start(self, gpu: str) -> None:
        mig = {"current": True, "pending": True}
        self.play(Scenario(user="root", gpus=[Gpu(gpu, figures={"mig": mig})]))


SETTINGS = settings(
    max_examples=100,
    stateful_step_count=15,
    suppress_health_check=list(HealthCheck),
)

TestMachines = Machines.TestCase
TestMachines.settings = SETTINGS
TestDividedMachines = DividedMachines.TestCase
TestDividedMachines.settings = SETTINGS
