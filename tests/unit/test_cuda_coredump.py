"""Settings of GPU core dumps: kept for the process and for each context."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ctypes import byref, c_size_t, create_string_buffer, string_at

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario

ENABLE, HOST, LIGHTWEIGHT, USER_TRIGGER, FILE, PIPE, FLAGS = range(1, 8)
SCENARIO = Scenario(gpus=[Gpu("h100-sxm5-80gb")])


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    for name in list(os.environ):
        if name.startswith("CUDA_"):
            monkeypatch.delenv(name)
    with emulator.emulate(SCENARIO):
        yield Client()


def get(client: Client, attribute: int, size: int = 1, kind: str = "Global") -> bytes:
    value = create_string_buffer(b"U" * 2048)
    getattr(client, "cuCoredumpGetAttribute" + kind)(attribute, value, byref(c_size_t(size)))
    return string_at(value, size)


def put(client: Client, attribute: int, data: bytes, kind: str = "Global") -> None:
    size = byref(c_size_t(len(data)))
    getattr(client, "cuCoredumpSetAttribute" + kind)(attribute, data, size)


def begin(client: Client) -> None:
    client.cuInit(0)
    client.handle("cuCtxCreate_v2", 0, 0)


def test_what_holds_before_cuinit(client: Client) -> None:
    assert [get(client, attribute) for attribute in range(1, 5)] == [b"\0", b"\1", b"\0", b"\0"]
    assert get(client, FILE, 1024) == bytes(1024)
    assert get(client, FLAGS, 4) == bytes(4)


def test_sizes(client: Client) -> None:
    for attribute, expected in {ENABLE: 1, FILE: 1024, PIPE: 1024, FLAGS: 4}.items():
        size = c_size_t(77)
        client.cuCoredumpGetAttributeGlobal(attribute, None, byref(size))
        assert size.value == expected
    for attribute, size in ((ENABLE, 2), (ENABLE, 0), (FLAGS, 8), (0, 1), (8, 1)):
        with refused("INVALID_VALUE"):
            get(client, attribute, size)
        with refused("INVALID_VALUE"):
            put(client, attribute, bytes(size))


def test_what_was_set_before_cuinit_stays(client: Client) -> None:
    put(client, HOST, b"\0")
    put(client, FILE, b"corefile")
    begin(client)
    assert get(client, HOST) == b"\0"
    assert get(client, FILE, 12) == b"corefile\0\0\0\0"
    assert get(client, HOST, kind="") == b"\0"
    with refused("INVALID_VALUE"):
        get(client, FILE, 8)
    assert get(client, PIPE, 1024).startswith(b"corepipe.cuda.")


def test_a_context_has_its_own(client: Client) -> None:
    with refused("NOT_INITIALIZED"):
        get(client, ENABLE, kind="")
    client.cuInit(0)
    with refused("INVALID_CONTEXT"):
        get(client, ENABLE, kind="")
    client.handle("cuCtxCreate_v2", 0, 0)
    put(client, ENABLE, b"\1", "")
    assert get(client, ENABLE, kind="") == b"\1"
    assert get(client, ENABLE) == b"\0"
    client.handle("cuCtxCreate_v2", 0, 0)
    assert get(client, ENABLE, kind="") == b"\0"
    with refused("INVALID_VALUE"):
        put(client, PIPE, b"pipe", "")


def test_the_environment_has_precedence(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_ENABLE_COREDUMP_ON_EXCEPTION", "1")
    monkeypatch.setenv("CUDA_COREDUMP_FILE", "/tmp/gpu_%p")
    monkeypatch.setenv("CUDA_COREDUMP_GENERATION_FLAGS", "skip_abort,skip_global_memory")
    assert get(client, ENABLE) == b"\0", "it is read by cuInit"
    put(client, FILE, b"elsewhere")
    begin(client)
    assert get(client, ENABLE) == b"\1"
    assert get(client, ENABLE, kind="") == b"\1"
    assert get(client, FILE, 64).rstrip(b"\0") == f"/tmp/gpu_{os.getpid()}".encode()
    assert get(client, FLAGS, 4) == (16 + 2).to_bytes(4, "little")
    with refused("NOT_PERMITTED"):
        put(client, FILE, b"again")
    put(client, LIGHTWEIGHT, b"\1")


def test_the_next_scenario_has_none_of_it(client: Client) -> None:
    put(client, HOST, b"\0")
    with emulator.emulate(SCENARIO):
        assert get(client, HOST) == b"\1"
