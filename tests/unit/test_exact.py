"""The exact values of calls: what a capture is told of the client's memory."""

from __future__ import annotations

import ctypes
import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import Emulation, Gpu, Scenario
from emulator.api import Api
from emulator.runtime.convert import fill
from emulator.runtime.forms import as_c, fields_of, has_address, reader
from emulator.vocabulary import apis

SCENARIO = Scenario(gpus=[Gpu("a100-sxm4-40gb", count=2, temperature=77)])


def structs() -> list[tuple[str, str]]:
    """The structs without an address, by API."""
    found = []
    for library, api in apis().items():
        tables: Any = import_module(f"{api.package}._types")
        found += [(library, name) for name in tables.STRUCTS if not has_address(api, name)]
    return found


def asked(*calls: tuple[Any, ...]) -> list[dict[str, Any]]:
    """The records of calls of NVML with a device between the name and the other arguments."""
    with Emulation(SCENARIO, record=True, capture=True) as played:
        library: Any = ctypes.CDLL("libnvidia-ml.so.1")
        library.nvmlInit_v2()
        device = ctypes.c_void_p()
        library.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(device))
        for name, *arguments in calls:
            getattr(library, name)(device, *arguments)
    return played.calls[2:]


class TestRecords:
    def test_have_inputs_and_outputs_by_c_name(self) -> None:
        [call] = asked(("nvmlDeviceGetTemperature", 0, ctypes.byref(ctypes.c_uint())))
        assert call["in"] == {"device": "GPU-1", "sensorType": 0}
        assert call["out"] == {"temp": 77}

    def test_have_no_outputs_of_a_call_that_failed(self) -> None:
        [call] = asked(("nvmlDeviceGetFanSpeed", ctypes.byref(ctypes.c_uint())))
        assert (call["in"], call["code"]) == ({"device": "GPU-1"}, 3)
        assert "out" not in call

    def test_have_the_question_of_a_struct_alone(self) -> None:
        struct = apis()["nvml"].types["nvmlTemperature_t"]()
        struct.version = apis()["nvml"].types.tag("nvmlTemperature_t")
        struct.temperature = 99  # whatever a client has there
        [call] = asked(("nvmlDeviceGetTemperatureV", ctypes.byref(struct)))
        assert call["in"] == {"device": "GPU-1", "temperature": {"sensorType": 0}}
        assert call["out"] == {"temperature": {"sensorType": 0, "temperature": 77}}

    def test_have_lists_as_long_as_they_were_answered(self) -> None:
        count, clocks = ctypes.c_uint(512), (ctypes.c_uint * 512)()
        asking = ("nvmlDeviceGetSupportedGraphicsClocks", 1215, ctypes.byref(count), clocks)
        [call] = asked(asking)
        assert call["in"] == {"device": "GPU-1", "memoryClockMHz": 1215}
        assert call["out"] == {"clocksMHz": [*clocks[: count.value]]}
        assert count.value > 16  # where traces for people end

    def test_do_not_tell_how_much_room_there_is(self) -> None:
        [short, long] = asked(
            ("nvmlDeviceGetName", ctypes.create_string_buffer(64), 64),
            ("nvmlDeviceGetName", ctypes.create_string_buffer(96), 96),
        )
        assert (short["in"], short["out"]) == (long["in"], long["out"])

    @pytest.mark.parametrize("address", [None, ctypes.c_void_p(64)])
    def test_are_not_of_calls_with_a_pointer_to_nothing(self, address: Any) -> None:
        [call] = asked(("nvmlDeviceGetTemperature", 0, address))
        assert call["code"] == 2
        assert "in" not in call

    def test_are_of_calls_with_null_where_that_is_fine(self) -> None:
        """nvidia-smi asks for one model at a time."""
        [call] = asked(("nvmlDeviceGetDriverModel", ctypes.byref(ctypes.c_uint()), None))
        assert (call["in"], call["code"]) == ({"device": "GPU-1"}, 3)

    def test_are_not_of_a_call_that_asks_how_long_a_list_is(self) -> None:
        count, room = ctypes.c_uint(0), (ctypes.c_uint * 2)()
        name = "nvmlDeviceGetSamples"
        arguments = (0, ctypes.c_ulonglong(0), room, ctypes.byref(count), None)
        [call] = asked((name, *arguments))
        assert (call["code"], "in" in call) == (0, False)
        assert count.value

    def test_are_of_an_empty_list_that_nobody_gave_room_for(self) -> None:
        count = ctypes.c_uint(0)
        [call] = asked(("nvmlDeviceGetEncoderSessions", ctypes.byref(count), None))
        assert (call["code"], call["in"], call["out"]) == (
            0,
            {"device": "GPU-1"},
            {"sessionInfos": []},
        )

    def test_are_not_of_handles_that_nobody_has_given(self) -> None:
        with Emulation(SCENARIO, record=True, capture=True) as played:
            library: Any = ctypes.CDLL("libnvidia-ml.so.1")
            library.nvmlInit_v2()
            library.nvmlDeviceGetTemperature(ctypes.c_void_p(4242), 0, (ctypes.c_uint * 1)())
        assert "in" not in played.calls[-1]

    @pytest.mark.parametrize(("kind", "told"), [(1, True), (2, False)])
    def test_are_not_of_a_uuid_as_bytes(self, kind: int, told: bool) -> None:
        """They would stand in a text's place."""
        api = apis()["nvml"]
        uuid = api.types["nvmlUUID_t"](version=api.types.tag("nvmlUUID_t"), type=kind)
        with Emulation(SCENARIO, record=True, capture=True) as played:
            library: Any = ctypes.CDLL("libnvidia-ml.so.1")
            library.nvmlInit_v2()
            place = ctypes.c_void_p()
            assert library.nvmlDeviceGetHandleByUUIDV(ctypes.byref(uuid), ctypes.byref(place)) == 6
        assert ("in" in played.calls[-1]) is told

    def test_name_what_is_put_out(self) -> None:
        with Emulation(SCENARIO, record=True, capture=True) as played:
            cuda: Any = ctypes.CDLL("libcuda.so.1")
            cuda.cuInit(0)
            cuda.cuDeviceGet(ctypes.byref(ctypes.c_int()), 1)
        assert played.calls[-1]["out"] == {"device": "GPU-1"}

    def test_survive_a_wild_pointer_before_the_library_is_initialised(self) -> None:
        """Nobody has followed it: the call is refused before."""
        with Emulation(SCENARIO, record=True, capture=True) as played:
            library: Any = ctypes.CDLL("libnvidia-ml.so.1")
            place = ctypes.c_void_p()
            wild = ctypes.c_void_p(0x7FFFFFFFF000 - 8192)
            assert library.nvmlDeviceGetHandleByUUID(wild, ctypes.byref(place)) == 1
        assert "in" not in played.calls[-1]


class TestStructs:
    @pytest.mark.parametrize(("library", "name"), structs())
    def test_are_filled_as_they_were_read(self, library: str, name: str) -> None:
        """All that is told of one is there again when it is written to another."""
        api = apis()[library]
        kind, read = api.types[name], reader(api, name)
        assert read is not None
        size = ctypes.sizeof(kind)
        one = kind.from_buffer_copy(bytes(33 + place % 90 for place in range(size)))
        other = kind()
        fill(other, as_c(kind, read(one)))
        assert read(other) == read(one)

    @given(st.floats(), st.integers(0, 2))
    def test_have_numbers_that_are_none(self, value: float, place: int) -> None:
        api = apis()["cuda"]
        kind, read = api.types["CUDA_TEXTURE_DESC"], reader(api, "CUDA_TEXTURE_DESC")
        assert read is not None
        one, other = kind(), kind()
        one.borderColor[place] = value
        told = read(one)
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        fill(other, as_c(kind, told))
        assert repr([*other.borderColor]) == repr([*one.borderColor])

    def test_have_text_as_far_as_its_end(self) -> None:
        api = apis()["nvml"]
        kind, read = api.types["nvmlPciInfo_t"], reader(api, "nvmlPciInfo_t")
        assert read is not None
        one = kind(busId=b"00000000:19:00.0\0rest")
        assert read(one)["busId"] == "00000000:19:00.0"

    def test_are_told_without_version_and_padding(self) -> None:
        api = apis()["nvml"]
        names = [name for name, _ in fields_of(api, "nvmlMemory_v2_t")]
        assert names == ["total", "reserved", "free", "used"]
        assert "reserved" not in dict(fields_of(api, "nvmlAccountingStats_t"))

    def test_have_of_a_union_the_member_with_all_of_its_bits(self) -> None:
        assert fields_of(apis()["nvml"], "nvmlValue_t") == [("ullVal", "unsigned long long")]


def _inout(api: Api) -> set[str]:
    return {
        api.types.resolve(struct)
        for name in api.names
        for parameter in api.find(name).parameters or ()
        if parameter.direction == "inout" and api.types.is_struct(parameter.type)
        for struct in parameter.versions
    }


@pytest.mark.parametrize("library", apis())
def test_of_each_struct_that_both_sides_fill_in_the_questions_are_declared(library: str) -> None:
    api = apis()[library]
    declared: Any = import_module(f"{api.package}.questions")
    assert declared.STRUCT_INPUTS.keys() == _inout(api)
    for struct, fields in declared.STRUCT_INPUTS.items():
        assert set(fields) <= {name for name, _ in fields_of(api, struct)}
