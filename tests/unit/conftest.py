"""Fixtures of the tests of CUDA: two GPUs in this process, and a client of them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import c_size_t, c_uint

import pytest
from cuda_client import Client

import emulator
from emulator import Gpu, Machine, Scenario


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Two H100s, both visible."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb", count=2)])) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> Client:
    """A client with a context on the first of the machine's devices."""
    assert machine
    client = Client()
    client.cuInit(0)
    client.handle("cuCtxCreate_v2", 0, 0)
    return client


@pytest.fixture
def words(client: Client) -> ctypes.Array[c_uint]:
    """Sixteen words of device memory, all zero, in reach of the test."""
    address = client.handle("cuMemAlloc_v2", 64)
    client.cuMemsetD32_v2(c_size_t(address), 0, 16)
    return (c_uint * 16).from_address(address)
