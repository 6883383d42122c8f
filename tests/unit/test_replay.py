"""A capture answers the calls that it has, and marks those that it has not."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from getter_calls import Client, calls, getters, opening
from hypothesis import HealthCheck, given, settings

from emulator import Emulation, Fault, Gpu, Scenario
from emulator import strategies as nv
from emulator.imports.captures.answers import answers
from emulator.imports.captures.format import Call, Capture, Header, dumps
from emulator.vocabulary import apis

FEW = settings(
    max_examples=4,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

GPU = {"device": "GPU-0"}
TEMPERATURE = GPU | {"sensorType": 0}


def emulation(scenario: Scenario, *recorded: Call, **options: Any) -> Emulation:
    """A scenario with calls that a capture answers."""
    made = Emulation(scenario, record=True, **options)
    made.plan["answers"] = answers(Capture(Header(), recorded))
    return made


def recorded(records: list[dict[str, Any]]) -> list[Call]:
    """The calls of a trace that a capture can hold."""
    return [
        Call(each["library"], each["function"], each["in"], each["code"], each.get("out"))
        for each in records
        if "in" in each
    ]


def temperature(*values: int) -> list[Call]:
    function = "nvmlDeviceGetTemperature"
    return [Call("nvml", function, TEMPERATURE, 0, {"temp": value}) for value in values]


class Nvml:
    """A client with a handle of the first device."""

    def __init__(self) -> None:
        self.library: Any = ctypes.CDLL("libnvidia-ml.so.1")
        self.code = self.library.nvmlInit_v2()
        self.device = ctypes.c_void_p()
        self.library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self.device))

    def number(self, name: str, *arguments: Any) -> tuple[int, int]:
        """The code and the number that a getter puts out."""
        found = ctypes.c_uint()
        code = getattr(self.library, name)(self.device, *arguments, ctypes.byref(found))
        return code, found.value

    def temperature(self) -> tuple[int, int]:
        return self.number("nvmlDeviceGetTemperature", 0)


class TestEveryGetter:
    @FEW
    @given(nv.machines(min_gpus=2, max_gpus=2))
    @pytest.mark.parametrize("library", ["nvml", "cuda"])
    def test_fills_the_clients_memory_as_its_handler_did(
        self, library: str, machine: Scenario
    ) -> None:
        """Of a drawn machine; the one that replays has other products."""
        replayed_alike(library, machine)

    @pytest.mark.parametrize("library", ["nvml", "cuda"])
    def test_is_among_those_that_are_tried(self, library: str) -> None:
        answered = replayed_alike(library, Scenario(gpus=[Gpu("h100-sxm5-80gb", count=2)]))
        assert set(getters(library)) - answered <= NEVER


#: Getters whose inputs are an address, that no header declares, or that return no status.
NEVER = {
    *("cuMemRangeGetAttributes", "cuPointerGetAttributes"),
    *("cuMemGetAttribute", "cuMemGetAttribute_v2", "cudbgGetAPIVersion"),
}


def replayed_alike(library: str, machine: Scenario) -> set[str]:
    """The getters that were answered on a machine, and the same when they were replayed on T4s."""
    made = [*opening(library), *calls(library)]
    first = Emulation(machine.but(environment=ORDERED), record=True, capture=True)
    expected = outcomes(first, made)
    second = emulation(
        Scenario(gpus=[Gpu("t4", count=2)], environment=ORDERED), *recorded(first.calls)
    )
    found = outcomes(second, made)
    answered = set()
    rows = zip(made, first.calls, second.calls, expected, found, strict=True)
    for call, before, after, theirs, ours in rows:
        if "in" in before:
            assert "unseen" not in after, call
            assert ours == theirs, call
            answered.add(call.function)
    return answered


#: CUDA's devices in NVML's order, whichever is the fastest.
ORDERED = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def outcomes(played: Emulation, made: list[nv.ApiCall]) -> list[tuple[int | None, list[bytes]]]:
    with played:
        client = Client(made[0].library)
        return [client.made(call) for call in made]


class TestAnswers:
    def test_come_in_their_order_and_the_last_one_again_and_again(self) -> None:
        with emulation(Scenario(gpus=[Gpu("t4")]), *temperature(41, 42, 43)) as played:
            client = Nvml()
            found = [client.temperature() for _ in range(5)]
        assert found == [(0, 41), (0, 42), (0, 43), (0, 43), (0, 43)]
        assert [call.get("unseen") for call in played.calls] == [True, True, *[None] * 5]

    def test_of_a_call_that_failed_are_its_code_alone(self) -> None:
        failed = Call("nvml", "nvmlDeviceGetTemperature", TEMPERATURE, 15)
        with emulation(Scenario(gpus=[Gpu("t4")]), *temperature(41), failed):
            client = Nvml()
            assert [client.temperature() for _ in range(3)] == [(0, 41), (15, 0), (15, 0)]

    def test_are_those_of_the_same_inputs(self) -> None:
        hot = Call("nvml", "nvmlDeviceGetTemperature", {"device": "GPU-1", "sensorType": 0}, 0)
        with emulation(Scenario(gpus=[Gpu("t4", temperature=50)]), hot) as played:
            assert Nvml().temperature() == (0, 50)
        assert played.calls[-1]["unseen"] is True

    def test_come_after_the_faults_of_the_scenario(self) -> None:
        fault = Fault("nvmlDeviceGetTemperature", calls=2, returns="GPU_IS_LOST")
        scenario = Scenario(gpus=[Gpu("t4")], faults=[fault])
        with emulation(scenario, *temperature(41, 42)):
            client = Nvml()
            assert [client.temperature() for _ in range(3)] == [(0, 41), (15, 0), (0, 42)]

    def test_of_an_init_that_failed_keep_the_library_closed(self) -> None:
        failed = Call("nvml", "nvmlInit_v2", {}, 9)
        with emulation(Scenario(gpus=[Gpu("t4")]), failed, *temperature(41)):
            client = Nvml()
            assert client.code == 9
            assert client.temperature() == (1, 0)

    def test_of_what_makes_something_are_the_handlers(self) -> None:
        made = Call("nvml", "nvmlDeviceGetHandleByIndex_v2", {"index": 0}, 0, {"device": "GPU-0"})
        with emulation(Scenario(gpus=[Gpu("t4", temperature=50)]), made) as played:
            assert Nvml().temperature() == (0, 50)
        assert "unseen" not in played.calls[1]

    def test_do_not_stand_for_a_pointer_that_is_wrong(self) -> None:
        failed = Call("nvml", "nvmlDeviceGetFanSpeed", GPU, 3)
        with emulation(Scenario(gpus=[Gpu("t4")]), *temperature(41), failed):
            client = Nvml()
            ask = client.library.nvmlDeviceGetTemperature
            assert [ask(client.device, 0, ctypes.c_void_p(word)) for word in (0, 64)] == [2, 2]
            assert client.library.nvmlDeviceGetFanSpeed(client.device, None) == 2
            assert client.temperature() == (0, 41)

    def test_wait_for_a_list_that_is_long_enough(self) -> None:
        name = "nvmlDeviceGetSupportedMemoryClocks"
        recorded = [Call("nvml", name, GPU, 0, {"clocksMHz": each}) for each in ([3, 2, 1], [9])]
        with emulation(Scenario(gpus=[Gpu("t4")]), *recorded):
            client = Nvml()
            ask = getattr(client.library, name)
            count, clocks = ctypes.c_uint(0), (ctypes.c_uint * 3)()
            assert (ask(client.device, ctypes.byref(count), None), count.value) == (7, 3)
            assert (ask(client.device, ctypes.byref(count), clocks), [*clocks]) == (0, [3, 2, 1])
            assert (ask(client.device, ctypes.byref(count), clocks), [*clocks]) == (0, [9, 2, 1])
            assert count.value == 1

    def test_to_several_questions_are_put_together(self) -> None:
        fields = apis()["nvml"].types["nvmlFieldValue_t"]
        asked = [{"fieldId": 1, "scopeId": 0}, {"fieldId": 82, "scopeId": 0}]
        out = [each | {"nvmlReturn": 0, "value": {"ullVal": n}} for n, each in enumerate(asked, 70)]
        name = "nvmlDeviceGetFieldValues"
        recorded = Call("nvml", name, GPU | {"values": asked}, 0, {"values": out})
        with emulation(Scenario(gpus=[Gpu("t4")]), recorded) as played:
            client = Nvml()
            values = (fields * 2)()
            values[0].fieldId, values[1].fieldId = 82, 1
            assert client.library.nvmlDeviceGetFieldValues(client.device, 2, values) == 0
            assert [each.value.ullVal for each in values] == [71, 70]
            values[0].fieldId = 83
            client.library.nvmlDeviceGetFieldValues(client.device, 2, values)
        assert [call.get("unseen") for call in played.calls[-2:]] == [None, True]

    def test_come_once_each_to_threads(self) -> None:
        values = range(1, 400)
        found: list[tuple[int, int]] = []
        with emulation(Scenario(gpus=[Gpu("t4")]), *temperature(*values)):
            client = Nvml()

            def ask() -> None:
                found.extend(client.temperature() for _ in range(100))

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(value for _, value in found) == [*values, values[-1]]

    def test_go_on_in_the_child_of_a_fork(self) -> None:
        with emulation(Scenario(gpus=[Gpu("t4")]), *temperature(41, 42, 43)):
            client = Nvml()
            client.temperature()
            child = os.fork()
            if not child:
                os._exit(client.temperature()[1])
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
            assert client.temperature() == (0, 42)


class TestFiles:
    def test_replay_in_a_program_what_another_machine_answered(self, tmp_path: Path) -> None:
        capture = tmp_path / "box.capture"
        capture.write_bytes(dumps(Capture(Header(), tuple(temperature(77)))))
        box = tmp_path / "box.toml"
        box.write_text('capture = "box.capture"\n[[gpu]]\nprofile = "t4"\n')
        with Emulation(str(box)):
            assert Nvml().temperature() == (0, 77)
