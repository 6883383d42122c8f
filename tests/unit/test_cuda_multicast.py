"""Multicast objects: whose they are, and what is bound to them."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_size_t, c_ulonglong

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import api

MB = 1 << 20
SIZE = 64 * MB


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb", count=3)])):
        client = Client()
        client.cuInit(0)
        yield client


def create(client: Client, team: int = 2, size: int = SIZE, flags: int = 0) -> c_size_t:
    prop = api.types["CUmulticastObjectProp"](team, size, 1, flags)
    return c_size_t(client.handle("cuMulticastCreate", byref(prop)))


def allocate(client: Client, device: int) -> c_size_t:
    client.cuCtxSetCurrent(c_size_t(client.handle("cuDevicePrimaryCtxRetain", device)))
    return c_size_t(client.handle("cuMemAlloc_v2", SIZE))


def bind(client: Client, multicast: c_size_t, memory: c_size_t, offset: int, size: int) -> None:
    nothing = c_ulonglong()
    client.cuMulticastBindAddr(multicast, c_size_t(offset), memory, c_size_t(size), nothing)


def test_granularity(client: Client) -> None:
    prop = api.types["CUmulticastObjectProp"](2, SIZE, 1, 0)
    assert client.size("cuMulticastGetGranularity", byref(prop), 0) == 2 * MB
    assert client.size("cuMulticastGetGranularity", byref(prop), 1) == 512 * MB
    with refused("INVALID_VALUE"):
        client.size("cuMulticastGetGranularity", byref(prop), 2)


def test_what_cannot_be_created(client: Client) -> None:
    for team, size, flags in ((0, SIZE, 0), (2, 0, 0), (2, MB, 0), (2, SIZE, 1)):
        with refused("INVALID_VALUE"):
            create(client, team, size, flags)


def test_the_team(client: Client) -> None:
    multicast = create(client)
    client.cuMulticastAddDevice(multicast, 0)
    with refused("INVALID_VALUE"):
        client.cuMulticastAddDevice(multicast, 0)
    client.cuMulticastAddDevice(multicast, 1)
    with refused("INVALID_VALUE"):
        client.cuMulticastAddDevice(multicast, 2)
    with refused("INVALID_HANDLE"):
        client.cuMulticastAddDevice(c_size_t(0xDEAD000), 0)


def test_binding(client: Client) -> None:
    multicast, memory = create(client), allocate(client, 0)
    client.cuMulticastAddDevice(multicast, 0)
    with refused("ILLEGAL_STATE"):
        bind(client, multicast, memory, 0, 4 * MB)
    client.cuMulticastAddDevice(multicast, 1)
    bind(client, multicast, memory, 0, 4 * MB)
    bind(client, multicast, memory, 4 * MB, 4 * MB)
    bind(client, multicast, allocate(client, 1), 0, 4 * MB)
    for offset, size in ((2 * MB, 4 * MB), (MB, 2 * MB), (8 * MB, MB), (SIZE, 2 * MB), (8 * MB, 0)):
        with refused("INVALID_VALUE"):
            bind(client, multicast, memory, offset, size)
    with refused("INVALID_DEVICE"):
        bind(client, multicast, allocate(client, 2), 0, 4 * MB)


def test_unbinding(client: Client) -> None:
    multicast, memory = create(client, team=1), allocate(client, 0)
    client.cuMulticastAddDevice(multicast, 0)
    bind(client, multicast, memory, 0, 4 * MB)
    with refused("INVALID_VALUE"):
        client.cuMulticastUnbind(multicast, 0, c_size_t(0), c_size_t(2 * MB))
    client.cuMulticastUnbind(multicast, 0, c_size_t(0), c_size_t(4 * MB))
    bind(client, multicast, memory, 2 * MB, 4 * MB)


def test_binding_created_memory(client: Client) -> None:
    multicast = create(client, team=1)
    client.cuMulticastAddDevice(multicast, 1)
    prop = api.types["CUmemAllocationProp"]()
    prop.type, prop.location.type, prop.location.id = 1, 1, 1
    memory = c_size_t(client.handle("cuMemCreate", c_size_t(SIZE), byref(prop), c_ulonglong()))

    def bind_mem(offset: int, begin: int, size: int, of: c_size_t = memory) -> None:
        words = (c_size_t(offset), of, c_size_t(begin), c_size_t(size), c_ulonglong())
        client.cuMulticastBindMem(multicast, *words)

    bind_mem(0, 2 * MB, 4 * MB)
    with refused("INVALID_VALUE"):
        bind_mem(8 * MB, SIZE, 2 * MB)
    with refused("INVALID_VALUE"):
        bind_mem(8 * MB, 0, 2 * MB, multicast)
    client.cuMemRelease(memory)


def test_releasing(client: Client) -> None:
    multicast = create(client)
    client.cuMemRelease(multicast)
    with refused("INVALID_HANDLE"):
        client.cuMulticastAddDevice(multicast, 0)
