"""Assertions on the calls of a program."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pynvml
import pytest

from emulator import Emulation, Fault, Gpu, Scenario, ScenarioError
from emulator.testing.calls import Calls


@pytest.fixture
def emulation() -> Iterator[Emulation]:
    fault = Fault("nvmlDeviceGetName", returns="GPU_IS_LOST", name="lost")
    with Emulation(Scenario(gpus=[Gpu("t4")], faults=[fault]), record=True) as emulation:
        yield emulation


def discover() -> None:
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    pynvml.nvmlDeviceGetUUID(handle)
    with pytest.raises(pynvml.NVMLError_GpuIsLost):
        pynvml.nvmlDeviceGetName(handle)


def test_a_call_says_what_it_was(emulation: Emulation) -> None:
    discover()
    *_, uuid, name = Calls.of(emulation.calls)
    assert (uuid.library, uuid.status, uuid.code, uuid.fault) == ("nvml", "SUCCESS", 0, None)
    assert uuid.succeeded
    assert uuid.arguments["uuid"] == emulation.machine.devices[0].uuid
    assert (name.status, name.code, name.fault, name.handled) == ("GPU_IS_LOST", 15, "lost", True)
    assert name.failed
    assert not name.succeeded
    assert name.thread == threading.get_native_id()
    assert repr(name).startswith("nvmlDeviceGetName(device=GPU-0, ")


def test_calls_are_picked_by_name(emulation: Emulation) -> None:
    discover()
    calls = Calls.of(emulation.calls)
    assert calls.functions == [
        "nvmlInitWithFlags",
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetName",
    ]
    assert calls.count("nvmlDeviceGet*") == calls.count("getters") == 3
    assert calls.named("nvmlInit*", "nvmlDeviceGetName").functions == [
        "nvmlInitWithFlags",
        "nvmlDeviceGetName",
    ]
    assert not calls.named("setters")
    assert calls.failed.functions == ["nvmlDeviceGetName"]
    assert len(calls.succeeded) == 3
    assert calls[-1].function == "nvmlDeviceGetName"
    assert len(calls[1:]) == 3


def test_launches_are_picked_by_their_kernel() -> None:
    record = {"library": "cuda", "arguments": {}, "code": 0, "status": "SUCCESS", "t": 0, "us": 0}
    names = ("kernel _ZN3lab5scaleEPf", "cuLaunchKernel", "kernel copy")
    calls = Calls.of([{**record, "pid": 1, "tid": 1, "function": name} for name in names])
    assert calls.count("kernel*") == 2
    assert calls.named("kernel lab::scale", "cuLaunch*").functions == list(names[:2])


def test_a_name_of_no_function_is_refused(emulation: Emulation) -> None:
    with pytest.raises(ScenarioError, match="found 'nvmlInt_v2'; did you mean 'nvmlInit_v2'"):
        Calls.of(emulation.calls).count("nvmlInt_v2")


def test_a_result_that_is_no_status_is_no_failure(emulation: Emulation) -> None:
    pynvml.nvmlErrorString(3)
    (call,) = Calls.of(emulation.calls)
    assert call.code != 0
    assert call.status is None
    assert call.succeeded
    assert not call.failed


def test_balanced_counts_what_succeeded(emulation: Emulation) -> None:
    name = emulation.control.fail("nvmlInit*", returns="UNKNOWN")
    with pytest.raises(pynvml.NVMLError_Unknown):
        pynvml.nvmlInit()
    assert Calls.of(emulation.calls).balanced("nvmlInit*", "nvmlShutdown")
    emulation.control.clear(name)
    for _ in range(2):
        pynvml.nvmlInit()
    pynvml.nvmlShutdown()
    verdict = Calls.of(emulation.calls).balanced("nvmlInit*", "nvmlShutdown")
    assert not verdict
    assert repr(verdict) == "nvmlInit* succeeded 2 times, nvmlShutdown 1 time"
    pynvml.nvmlShutdown()
    assert Calls.of(emulation.calls).balanced("nvmlInit*", "nvmlShutdown")
    pynvml.nvmlShutdown()  # one too many succeeds, and takes another's away
    assert not Calls.of(emulation.calls).balanced("nvmlInit*", "nvmlShutdown")


def test_in_order(emulation: Emulation) -> None:
    discover()
    calls = Calls.of(emulation.calls)
    assert calls.in_order("nvmlInit*", "nvmlDeviceGetHandle*", "nvmlDeviceGetName")
    assert not calls.in_order("nvmlShutdown")
    verdict = calls.in_order("nvmlInit*", "nvmlDeviceGetUUID", "nvmlDeviceGetHandle*")
    assert not verdict
    assert repr(verdict) == (
        "there is no call of nvmlDeviceGetHandle* after call 3, nvmlDeviceGetUUID = SUCCESS"
    )


def test_only_after(emulation: Emulation) -> None:
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    discover()
    calls = Calls.of(emulation.calls)
    assert calls.only_after("nvmlDeviceGetName", "nvmlInit*")
    assert calls.only_after("cuInit", "nvmlInit*")
    verdict = calls.only_after("nvmlDeviceGet*", "nvmlInit*")
    assert not verdict
    assert repr(verdict) == (
        "call 1, nvmlDeviceGetCount_v2 = UNINITIALIZED, comes before any success of nvmlInit*"
    )


def test_a_blocked_call_counts_once(emulation: Emulation) -> None:
    emulation.control.fail("nvmlInit*", block=True)
    thread = threading.Thread(target=pynvml.nvmlInit)
    thread.start()
    while not emulation.calls:
        pass
    (call,) = Calls.of(emulation.calls)
    assert (call.status, call.code) == ("BLOCKED", None)
    assert not call.failed
    assert not call.succeeded
    emulation.control.release()
    thread.join(10)
    assert len(emulation.calls) == 2
    (call,) = Calls.of(emulation.calls)
    assert call.status == "SUCCESS"
