"""What a record shows of a call's arguments."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emulator import Emulation, Gpu, Scenario
from emulator.vocabulary import apis

TYPES = apis()["nvml"].types
SCENARIO = Scenario(gpus=[Gpu("t4", memory_used="1GiB", temperature=36), Gpu("t4"), Gpu("t4")])

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """`ask(function, *words)`: the arguments that the record of a call shows."""
    with Emulation(SCENARIO, record=True) as emulation:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        nvml.nvmlInit_v2()

        def call(function: str, *words: Any) -> dict[str, Any]:
            getattr(nvml, function)(*words)
            arguments: dict[str, Any] = emulation.calls[-1]["arguments"]
            return arguments

        yield call


@pytest.fixture
def device(ask: Ask) -> ctypes.c_void_p:
    """The handle of GPU 0."""
    handle = ctypes.c_void_p()
    shown = ask("nvmlDeviceGetHandleByIndex_v2", 0, ctypes.byref(handle))
    assert shown == {"index": 0, "device": "GPU-0"}
    return handle


def made(name: str) -> Any:
    """A struct of NVML, with its version's tag."""
    struct = TYPES[name]()
    if TYPES.version(name):
        struct.version = TYPES.tag(name)
    return struct


def test_names_handles_and_enums(ask: Ask, device: ctypes.c_void_p) -> None:
    shown = ask("nvmlDeviceGetTemperature", device, 0, ctypes.byref(ctypes.c_uint()))
    assert shown == {"device": "GPU-0", "sensorType": "NVML_TEMPERATURE_GPU", "temp": 36}


def test_what_is_no_handle_and_no_member_is_the_number(ask: Ask) -> None:
    shown = ask("nvmlDeviceGetTemperature", ctypes.c_void_p(1 << 20), 77, None)
    assert shown == {"device": "0x100000", "sensorType": 77, "temp": None}


def test_an_address_of_nothing_is_not_followed(ask: Ask) -> None:
    assert ask("nvmlDeviceGetCount_v2", None) == {"deviceCount": None}
    assert ask("nvmlDeviceGetCount_v2", ctypes.c_void_p(16)) == {"deviceCount": "0x10"}


def test_what_a_failed_call_was_to_put_out_is_an_address(ask: Ask) -> None:
    handle = ctypes.c_void_p()
    shown = ask("nvmlDeviceGetHandleByUUID", b"GPU-\xff", ctypes.byref(handle))
    assert shown == {"uuid": "GPU-\ufffd", "device": hex(ctypes.addressof(handle))}


def test_text_ends_at_its_nul(ask: Ask, device: ctypes.c_void_p) -> None:
    room = ctypes.create_string_buffer(b"x" * 96)
    shown = ask("nvmlDeviceGetName", device, room, 96)
    assert shown == {"device": "GPU-0", "name": "Tesla T4", "length": 96}


def test_a_struct_has_its_fields(ask: Ask, device: ctypes.c_void_p) -> None:
    shown = ask("nvmlDeviceGetPciInfo_v3", device, ctypes.byref(made("nvmlPciInfo_t")))["pci"]
    assert list(shown) == [name for name, *_ in TYPES["nvmlPciInfo_t"]._fields_]
    assert shown["busId"].endswith(":00.0")
    assert isinstance(shown["bus"], int)


def test_a_struct_is_the_clients_version(ask: Ask, device: ctypes.c_void_p) -> None:
    memory = made("nvmlMemory_v2_t")
    shown = ask("nvmlDeviceGetMemoryInfo_v2", device, ctypes.byref(memory))["memory"]
    assert shown["version"] == TYPES.tag("nvmlMemory_v2_t")
    assert shown["used"] == 1 << 30
    assert list(shown) == ["version", "total", "reserved", "free", "used"]


def test_of_a_long_array_the_beginning(ask: Ask, device: ctypes.c_void_p) -> None:
    values = (TYPES["nvmlFieldValue_t"] * 20)()
    shown = ask("nvmlDeviceGetFieldValues", device, 20, values)["values"]
    assert len(shown) == 16
    assert all(value["value"].startswith("0x") for value in shown)  # which member, is not known


def test_of_an_array_as_much_as_the_call_counted(ask: Ask, device: ctypes.c_void_p) -> None:
    count, handles = ctypes.c_uint(8), (ctypes.c_void_p * 8)()
    shown = ask("nvmlDeviceGetTopologyNearestGpus", device, 50, ctypes.byref(count), handles)
    assert shown["count"] == len(shown["deviceArray"]) == count.value
    assert set(shown["deviceArray"]) <= {"GPU-1", "GPU-2"}
    assert shown["level"] == "NVML_TOPOLOGY_SYSTEM"


def test_a_uuid_is_written_as_one() -> None:
    """Of the private table that a program asks for, which doctor goes by."""
    with Emulation(SCENARIO, record=True) as emulation:
        table = ctypes.c_void_p(1)
        asked = bytes.fromhex("6bd5fb6c5bf4e74a8987d93912fd9df9")
        assert ctypes.CDLL("libcuda.so.1").cuGetExportTable(ctypes.byref(table), asked) == 1
        call = emulation.calls[-1]
        assert call["arguments"]["pExportTableId"] == "6bd5fb6c-5bf4-e74a-8987-d93912fd9df9"
        assert call["status"] == "INVALID_VALUE"
        assert table.value is None
