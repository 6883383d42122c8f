"""Names and texts of status codes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_char_p

import pytest
from cuda_client import Client, StatusError, refused

import emulator
from emulator import Scenario
from emulator.cuda import _errors, api
from emulator.machine import DRIVERS, NEWEST

CODES = api.types.members("CUresult")


@pytest.fixture
def client() -> Iterator[Client]:
    with emulator.emulate(Scenario(gpus=[])):
        yield Client()


def ask(client: Client, function: str, code: int) -> str:
    text = c_char_p(b"not overwritten")
    try:
        getattr(client, function)(code, byref(text))
    except StatusError as error:
        assert text.value is None
        return str(error)
    assert text.value is not None
    return text.value.decode()


def test_without_init(client: Client) -> None:
    assert ask(client, "cuGetErrorName", 100) == "CUDA_ERROR_NO_DEVICE"
    assert ask(client, "cuGetErrorString", 100) == "no CUDA-capable device is detected"
    assert ask(client, "cuGetErrorName", 0) == "CUDA_SUCCESS"
    assert ask(client, "cuGetErrorString", 0) == "no error"


@pytest.mark.parametrize("name", CODES)
def test_every_code_of_the_header(name: str, client: Client) -> None:
    code = CODES[name]
    known = code in _errors.TEXTS and code not in _errors.LACKING[NEWEST]
    assert ask(client, "cuGetErrorName", code) == (name if known else "INVALID_VALUE")
    text = _errors.TEXTS[code] if known else "INVALID_VALUE"
    assert ask(client, "cuGetErrorString", code) == text


def test_a_driver_by_another_version_knows_what_it_knows() -> None:
    with emulator.emulate(Scenario(driver_version="570.86.10")):
        assert ask(Client(), "cuGetErrorName", _errors.LACKING[NEWEST][0]) == "INVALID_VALUE"


@pytest.mark.parametrize("code", [-1, 9, 99, 1000, 2**31 - 1])
@pytest.mark.parametrize("function", ["cuGetErrorName", "cuGetErrorString"])
def test_other_codes(function: str, code: int, client: Client) -> None:
    assert ask(client, function, code) == "INVALID_VALUE"


@pytest.mark.parametrize("function", ["cuGetErrorName", "cuGetErrorString"])
def test_null(function: str, client: Client) -> None:
    """The real library crashes; nvemu does not."""
    with refused("INVALID_VALUE"):
        getattr(client, function)(0, None)


def test_the_pointer_stays_the_same(client: Client) -> None:
    assert pointer(client, 100) == pointer(client, 100) != pointer(client, 101)


def pointer(client: Client, code: int) -> int:
    found = ctypes.c_size_t()
    client.cuGetErrorString(code, byref(found))
    return found.value


def test_the_table_is_about_the_drivers_and_the_codes_that_there_are() -> None:
    assert _errors.LACKING.keys() == DRIVERS.keys()
    assert _errors.TEXTS.keys() <= set(CODES.values())
    assert all(set(codes) < _errors.TEXTS.keys() for codes in _errors.LACKING.values())
