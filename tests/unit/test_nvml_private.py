"""The private table that nvidia-smi uses, called as nvidia-smi calls it."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, T4, library, playing
from nvml_table import call_slot, table

import emulator
from emulator import Gpu, Scenario
from emulator.nvml.private import SIZES
from emulator.nvml.slots import ENTRY, ENTRY_525, SLOTS, slots_of
from emulator.plans import plan_of
from emulator.runtime import boot

MIB = 1 << 20
PYTHON = {"pid": 4242, "name": "/usr/bin/python3", "type": "C", "used_memory": 3072 * MIB}
XORG = {"pid": 77, "name": "/usr/bin/Xorg", "type": "G", "used_memory": 5 * MIB}


class Entry(ctypes.Structure):
    _fields_ = ENTRY


@pytest.fixture
def slot() -> Callable[..., int]:
    """`slot(number, *words)`: call a function of the table."""
    return call_slot


def test_there_is_no_other_table():
    with playing(T4):
        code = library().nvmlInternalGetExportTable(ctypes.byref(ctypes.c_void_p()), bytes(16))
        assert code == pynvml.NVML_ERROR_INVALID_ARGUMENT  # as of the real libraries, 470 to 555


def test_the_table_is_there_before_init_and_stays_where_it_is():
    with emulator.emulate(Scenario(gpus=[Gpu(T4)])):
        first = ctypes.addressof(table())
    with playing(H100):
        assert ctypes.addressof(table()) == first
        assert all(table()[1:])


def test_before_init_its_functions_are_uninitialised(slot: Callable[..., int]):
    with emulator.emulate(Scenario(gpus=[Gpu(T4)])):
        assert slot(26) == pynvml.NVML_ERROR_UNINITIALIZED


class TestNumbersAndTexts:
    @pytest.mark.parametrize(
        ("number", "expected"),
        [
            (72, 1),
            (108, 700_000),
            (209, 670_000),
            (230, 5),
            (240, 56),
            (242, 0),
            (249, 0),
        ],
    )
    def test_numbers_of_an_h100(self, slot: Callable[..., int], number: int, expected: int):
        with playing(H100) as (_, [handle]):
            out = ctypes.c_int(-1)
            assert slot(number, handle, ctypes.byref(out)) == 0
            assert out.value == expected

    def test_texts(self, slot: Callable[..., int]):
        with playing(H100) as (_, [handle]):
            out = ctypes.create_string_buffer(80)
            assert slot(231, handle, out, 80) == 0
            assert out.value == b"2330-885-A1"
            assert slot(231, handle, out, 5) == 0
            assert out.value == b"2330"
            assert slot(237, handle, out, 80) == pynvml.NVML_ERROR_NOT_SUPPORTED

    def test_ampere_has_no_margin_temperature(self, slot: Callable[..., int]):
        with playing(A100) as (_, [handle]):
            out = ctypes.c_int()
            assert slot(240, handle, ctypes.byref(out)) == pynvml.NVML_ERROR_NOT_SUPPORTED

    def test_the_bus_id_of_a_device_by_index(self, slot: Callable[..., int]):
        with playing(Gpu(T4, count=2)):
            out = ctypes.create_string_buffer(0x22)
            assert slot(81, 1, out, 0x22) == 0
            assert out.value == b"0000:5E:00.0"
            assert slot(81, 2, out, 0x22) == pynvml.NVML_ERROR_INVALID_ARGUMENT

    def test_a_bus_id_that_a_user_wrote(self, slot: Callable[..., int]):
        with playing(T4):
            parts = (ctypes.c_uint * 4)(9, 9, 9, 9)
            outs = [ctypes.byref(parts, 4 * index) for index in range(4)]
            assert slot(12, b"0001:5e:02.3", *outs) == 0
            assert list(parts) == [1, 0x5E, 2, 3]
            assert slot(12, b"5E:00.0", *outs) == 0
            assert list(parts) == [0, 0x5E, 0, 0]
            for wrong in (b"5E:00", b"x:y.0", b"5E:00.", b"\xff"):
                assert slot(12, wrong, *outs) == pynvml.NVML_ERROR_INVALID_ARGUMENT

    def test_the_address_of_a_device_by_index(self, slot: Callable[..., int]):
        with playing(Gpu(T4, count=2)):
            parts = (ctypes.c_uint * 3)(9, 9, 9)
            outs = [ctypes.byref(parts, 4 * index) for index in range(3)]
            assert slot(75, 1, *outs) == 0
            assert list(parts) == [0, 0x5E, 0]
            assert slot(75, 2, *outs) == pynvml.NVML_ERROR_INVALID_ARGUMENT

    def test_the_nodes_of_the_nearest_cpus(self, slot: Callable[..., int]):
        with playing(Gpu(T4, figures={"topology": {"numa_node": 65}})) as (_, [handle]):
            nodes = (ctypes.c_ulong * 20)(*[7] * 20)
            assert slot(223, handle, 20, nodes) == 0
            assert list(nodes) == [0, 2, *[0] * 18]


class TestProcesses:
    @pytest.fixture
    def handle(self) -> Iterator[Any]:
        with playing(Gpu(T4, figures={"processes": [PYTHON, XORG]})) as (_, [handle]):
            yield handle

    @pytest.mark.parametrize(
        ("number", "expected"),
        [(213, [(4242, "/usr/bin/python3")]), (214, []), (215, [(77, "/usr/bin/Xorg")])],
    )
    def test_lists(
        self, slot: Callable[..., int], handle: Any, number: int, expected: list[tuple[int, str]]
    ):
        entries, count = (Entry * 500)(), ctypes.c_uint(500)
        assert slot(number, handle, ctypes.byref(count), entries) == 0
        assert [(e.pid, e.name.decode()) for e in entries[: count.value]] == expected

    def test_a_list_without_room(self, slot: Callable[..., int], handle: Any):
        count = ctypes.c_uint(0)
        code = slot(213, handle, ctypes.byref(count), None)
        assert (code, count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 1)

    def test_entries_have_the_sizes_that_nvidia_smi_allocates(self):
        older = type("Older", (ctypes.Structure,), {"_fields_": ENTRY_525})
        assert (ctypes.sizeof(older), ctypes.sizeof(Entry)) == (4120, 4128)


class TestUnknownSlots:
    def test_one_for_a_device_is_not_supported(self, slot: Callable[..., int]):
        with playing(T4) as (_, [handle]):
            out = ctypes.c_int(-1)
            assert slot(3, handle, ctypes.byref(out)) == pynvml.NVML_ERROR_NOT_SUPPORTED
            assert out.value == -1

    def test_one_for_no_device_succeeds(self, slot: Callable[..., int]):
        with playing(T4):
            assert slot(3) == slot(26, b"%s") == 0


def test_every_call_is_in_the_trace(slot: Callable[..., int], tmp_path: Path):
    with playing(T4):
        boot.play({**plan_of(Scenario(gpus=[Gpu(T4)])), "trace": str(tmp_path / "t")})
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        slot(3, handle)
    records = [json.loads(line) for line in (tmp_path / "t").read_text().splitlines()]
    [called] = [each for each in records if each["function"] == "nvmlInternalGetExportTable[3]"]
    assert called["arguments"]["word0"] == "GPU-0"
    assert called["status"] == "NOT_SUPPORTED"


@pytest.mark.parametrize("release", SIZES)
def test_every_known_slot_fits_its_driver_s_table(release: int):
    known = {number for number, put in slots_of(release).items() if put}
    assert max(known) < SIZES[release] // 8
    assert set(SLOTS) <= set(SIZES)
