"""Taking GPUs out of service: draining, removing, finding them again, and leaving them alone."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import pynvml
import pytest
from nvml_asking import code, struct
from nvml_client import T4, library, playing, refused

from emulator import Gpu, Scenario

ON, OFF = pynvml.NVML_FEATURE_ENABLED, pynvml.NVML_FEATURE_DISABLED
BUSY = {"processes": [{"pid": 1, "name": "a", "type": "C"}]}
ANYWHERE = struct("nvmlPciInfo_t")


def place(handle: Any) -> Any:
    return pynvml.nvmlDeviceGetPciInfo(handle)


class TestDraining:
    def test_the_state_is_told_and_set_back(self):
        with playing(T4) as (_, [handle]):
            assert pynvml.nvmlDeviceQueryDrainState(place(handle)) == OFF
            pynvml.nvmlDeviceModifyDrainState(place(handle), ON)
            assert pynvml.nvmlDeviceQueryDrainState(place(handle)) == ON
            pynvml.nvmlDeviceModifyDrainState(place(handle), OFF)
            assert pynvml.nvmlDeviceQueryDrainState(place(handle)) == OFF

    def test_who_was_there_before_keeps_the_device(self):
        with playing(Gpu(T4, count=2)) as (_, [first, _second]):
            pynvml.nvmlDeviceModifyDrainState(place(first), ON)
            assert pynvml.nvmlDeviceGetCount() == 2
            assert pynvml.nvmlDeviceGetName(first) == "Tesla T4"

    def test_who_initialises_now_does_not_find_it(self):
        with playing(Gpu(T4, count=2)) as (_, [first, second]):
            uuid = pynvml.nvmlDeviceGetUUID(second)
            pynvml.nvmlDeviceModifyDrainState(place(first), ON)
            pynvml.nvmlShutdown()
            pynvml.nvmlInit()
            assert pynvml.nvmlDeviceGetCount() == 1
            assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(0)) == uuid

    def test_cuda_does_not_find_it_either(self):
        with playing(Gpu(T4, count=2, figures={"availability": "DRAINING"})):
            assert ctypes.CDLL("libcuda.so.1").cuInit(0) == 100  # NO_DEVICE

    def test_persistence_holds_a_device(self):
        with playing(T4) as (_, [handle]):
            pynvml.nvmlDeviceSetPersistenceMode(handle, ON)
            with refused("IN_USE"):
                pynvml.nvmlDeviceModifyDrainState(place(handle), ON)

    def test_an_address_without_a_device(self):
        with playing(T4):
            nowhere = struct("nvmlPciInfo_t", bus=0x7F)
            assert code("nvmlDeviceQueryDrainState", nowhere, struct("nvmlPciInfo_t")) == (
                "INVALID_ARGUMENT"
            )


class TestRemoving:
    def test_one_that_is_not_drained_is_in_use(self):
        with playing(T4) as (_, [handle]), refused("IN_USE"):
            pynvml.nvmlDeviceRemoveGpu(place(handle))

    def test_one_that_processes_use_is_in_use(self):
        with playing(Gpu(T4, figures=BUSY)) as (_, [handle]):
            pynvml.nvmlDeviceModifyDrainState(place(handle), ON)
            with refused("IN_USE"):
                pynvml.nvmlDeviceRemoveGpu(place(handle))

    @pytest.mark.parametrize(
        ("function", "states"), [("nvmlDeviceRemoveGpu", ()), ("nvmlDeviceRemoveGpu_v2", (1, 1))]
    )
    def test_it_is_gone_for_all_and_back_when_the_bus_is_searched(
        self, function: str, states: tuple[int, ...]
    ):
        with playing(Gpu(T4, count=3)) as (_, handles):
            first, info = handles[0], place(handles[0])
            uuids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
            pynvml.nvmlDeviceModifyDrainState(info, ON)
            assert getattr(library(), function)(ctypes.byref(info), *states) == 0
            assert pynvml.nvmlDeviceGetCount() == 2
            assert pynvml.nvmlDeviceGetIndex(handles[1]) == 0
            with refused("GPU_IS_LOST"):
                pynvml.nvmlDeviceGetName(first)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceQueryDrainState(info)
            pynvml.nvmlDeviceDiscoverGpus(ANYWHERE)
            found = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(3)]
            assert [pynvml.nvmlDeviceGetUUID(handle) for handle in found] == uuids
            assert pynvml.nvmlDeviceQueryDrainState(info) == OFF

    def test_a_search_elsewhere_does_not_find_it(self):
        with playing(Gpu(T4, count=2)) as (_, [first, second]):
            info, elsewhere = place(first), place(second)
            pynvml.nvmlDeviceModifyDrainState(info, ON)
            pynvml.nvmlDeviceRemoveGpu(info)
            pynvml.nvmlDeviceDiscoverGpus(elsewhere)
            assert pynvml.nvmlDeviceGetCount() == 1

    def test_one_that_was_unplugged_does_not_come_back(self):
        with playing(Gpu(T4, failure="unplugged"), T4):
            pynvml.nvmlDeviceDiscoverGpus(ANYWHERE)
            assert pynvml.nvmlDeviceGetCount() == 1

    def test_what_waited_for_a_reset_holds_after_it(self):
        with playing(T4) as (_, [handle]):
            info = place(handle)
            pynvml.nvmlDeviceSetEccMode(handle, OFF)
            pynvml.nvmlDeviceModifyDrainState(info, ON)
            pynvml.nvmlDeviceRemoveGpu(info)
            pynvml.nvmlDeviceDiscoverGpus(ANYWHERE)
            assert pynvml.nvmlDeviceGetEccMode(pynvml.nvmlDeviceGetHandleByIndex(0)) == [0, 0]


#: Is there before another program takes the first GPU out, looks, and has it found again.
WATCHER = """
import pynvml, subprocess, sys
pynvml.nvmlInit()
place = pynvml.nvmlDeviceGetPciInfo(pynvml.nvmlDeviceGetHandleByIndex(0))
subprocess.run([sys.executable, "-c", REMOVER], check=True)
print(pynvml.nvmlDeviceGetCount())
pynvml.nvmlDeviceDiscoverGpus(place)
print(pynvml.nvmlDeviceGetCount())
"""


def test_other_processes_see_it_go_and_come(run_in: Callable[..., Any]):
    remover = (
        "import pynvml; pynvml.nvmlInit()\n"
        "place = pynvml.nvmlDeviceGetPciInfo(pynvml.nvmlDeviceGetHandleByIndex(0))\n"
        "pynvml.nvmlDeviceModifyDrainState(place, 1)\n"
        "pynvml.nvmlDeviceRemoveGpu(place)\n"
    )
    program = f"REMOVER = {remover!r}\n{WATCHER}"
    done = run_in(Scenario(gpus=[Gpu(T4, count=2)], user="root"), [sys.executable, "-c", program])
    assert (done.stderr, done.stdout.split()) == ("", ["1", "2"])


class TestExcluded:
    @pytest.mark.parametrize("word", ["Excluded", "Blacklist"])
    def test_devices_that_the_driver_leaves_alone(self, word: str):
        excluded = Gpu(T4, figures={"availability": "EXCLUDED"})
        with playing(T4, excluded) as (machine, handles):
            count, info = ctypes.c_uint(), struct("nvmlExcludedDeviceInfo_t")
            assert len(handles) == 1
            assert getattr(library(), f"nvmlGet{word}DeviceCount")(ctypes.byref(count)) == 0
            assert count.value == 1
            assert code(f"nvmlGet{word}DeviceInfoByIndex", 0, info) == "SUCCESS"
            assert info.uuid.decode() == machine.devices[1].uuid
            assert info.pciInfo.busId.decode() == machine.devices[1].pci.bus_id
            assert code(f"nvmlGet{word}DeviceInfoByIndex", 1, info) == "INVALID_ARGUMENT"
            assert code("nvmlDeviceQueryDrainState", info.pciInfo, info) == "INVALID_ARGUMENT"
