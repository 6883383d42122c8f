"""The driver's log, which is empty."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import CFUNCTYPE, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from ctypes import create_string_buffer as buffer_of
from pathlib import Path

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario

CALLBACK = CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_size_t)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        client = Client()
        client.cuInit(0)
        yield client


def test_it_is_empty(client: Client, tmp_path: Path) -> None:
    iterator, size, text = c_uint(9), c_size_t(64), buffer_of(b"x" * 64)
    client.cuLogsCurrent(byref(iterator), 0)
    client.cuLogsDumpToMemory(byref(iterator), text, byref(size), 0)
    assert (size.value, text.value) == (0, b"")
    client.cuLogsDumpToMemory(None, text, byref(c_size_t(64)), 0)
    path = tmp_path / "log"
    client.cuLogsDumpToFile(None, bytes(path), 0)
    assert path.read_bytes() == b""


def test_what_cannot_be_meant(client: Client, tmp_path: Path) -> None:
    with refused("INVALID_VALUE"):
        client.cuLogsCurrent(byref(c_uint()), 1)
    with refused("INVALID_VALUE"):
        client.cuLogsDumpToFile(None, bytes(tmp_path), 0)
    with refused("INVALID_VALUE"):
        client.cuLogsDumpToMemory(None, None, byref(c_size_t(64)), 0)
    with refused("INVALID_VALUE"):
        client.cuLogsDumpToFile(byref(c_uint(5)), bytes(tmp_path / "log"), 0)


def test_callbacks(client: Client) -> None:
    callback = CALLBACK(lambda *_: None)
    handle = c_size_t()
    client.cuLogsRegisterCallback(callback, None, byref(handle))
    assert handle.value
    client.cuLogsUnregisterCallback(handle)
    with refused("INVALID_VALUE"):
        client.cuLogsUnregisterCallback(handle)
    with refused("INVALID_VALUE"):
        client.cuLogsRegisterCallback(None, None, byref(handle))
    client.cuLogsRegisterCallback(callback, None, None)
