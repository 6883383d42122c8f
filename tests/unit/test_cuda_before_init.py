"""What functions look at before they ask for cuInit; recorded from the real libraries."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, create_string_buffer

import pytest
from cuda_client import Client, in_child, refused

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import _before_init, api
from emulator.machine import DRIVERS


@pytest.fixture
def client() -> Iterator[Client]:
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        yield Client()


def test_most_functions_look_at_nothing(client: Client) -> None:
    for arguments in ((None, None), (byref(c_size_t()), byref(c_size_t()))):
        with refused("NOT_INITIALIZED"):
            client.cuMemGetInfo_v2(*arguments)


def test_some_look_at_pointers(client: Client) -> None:
    with refused("INVALID_VALUE"):
        client.cuDeviceGetAttribute(None, 1, 0)
    with refused("NOT_INITIALIZED"):
        client.cuDeviceGetAttribute(byref(c_int()), 1, 0)


def test_some_look_at_handles(client: Client) -> None:
    with refused("INVALID_HANDLE"):
        client.cuStreamDestroy_v2(None)
    with refused("NOT_INITIALIZED"):
        client.cuStreamDestroy_v2(create_string_buffer(64))


def test_some_look_at_both_pointers_first(client: Client) -> None:
    state = byref(c_int())
    with refused("INVALID_VALUE"):
        client.cuFuncIsLoaded(None, None)
    with refused("INVALID_HANDLE"):
        client.cuFuncIsLoaded(state, None)
    with refused("NOT_INITIALIZED"):
        client.cuFuncIsLoaded(state, create_string_buffer(64))


def test_some_look_only_once_init_was_called(client: Client) -> None:
    with refused("NOT_INITIALIZED"):
        client.cuArrayDestroy(None)
    client.cuInit(0)
    with refused("INVALID_HANDLE"):
        client.cuArrayDestroy(None)


def test_some_take_one_null_pointer_and_not_two(client: Client) -> None:
    client.cuMemGetAddressRange_v2(None, None, None)
    for first, second in ((byref(c_size_t()), None), (None, byref(c_size_t()))):
        with refused("NOT_INITIALIZED"):
            client.cuMemGetAddressRange_v2(first, second, None)


def test_some_look_at_flags_and_handles_that_cannot_be(client: Client) -> None:
    address = byref(c_size_t())
    with refused("INVALID_VALUE"):
        client.cuStreamCreate(address, 0x3000)
    with refused("NOT_INITIALIZED"):
        client.cuStreamCreate(address, 1)
    with refused("INVALID_CONTEXT"):
        client.cuEventQuery(create_string_buffer(4096))
    client.cuInit(0)
    client.handle("cuCtxCreate_v2", 0, 0)
    with refused("INVALID_HANDLE"):
        client.cuEventQuery(create_string_buffer(4096))


def test_a_forked_child_has_its_parents_handles(client: Client) -> None:
    client.cuInit(0)
    client.handle("cuCtxCreate_v2", 0, 0)
    event = c_size_t(client.handle("cuEventCreate", 0))
    client.cuEventQuery(event)

    def ask() -> str:
        client.cuEventQuery(event)
        return "answered"

    assert in_child(ask) == "NOT_INITIALIZED"


def test_some_have_an_answer_of_their_own(client: Client) -> None:
    with refused("NOT_SUPPORTED"):
        client.cuProfilerInitialize(None, None, 0)


def test_the_table_names_what_there_is() -> None:
    assert set(_before_init.CHECKS) <= set(DRIVERS)
    for rows in _before_init.CHECKS.values():
        for function, row in rows.items():
            names = {parameter.name for parameter in api.find(function).parameters or ()}
            for check in row.split():
                looked_at, code = check.replace("~", "=").split("=")
                assert not looked_at or names.issuperset(looked_at.split("&"))
                assert int(code) in api.types.members("CUresult").values()
