"""Errors that a context does not survive: every later call in it answers them."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_size_t, c_ulonglong

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Fault, Gpu, Scenario
from emulator.cuda import api
from emulator.cuda.contexts.context import STICKY

GPUS = [Gpu("t4", count=2)]


def failing(code: str) -> Scenario:
    """The second synchronisation fails with this code."""
    return Scenario(gpus=GPUS, faults=[Fault("cuCtxSynchronize", calls=2, returns=code)])


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def client_with_context() -> tuple[Client, c_size_t]:
    client = Client()
    client.cuInit(0)
    return client, c_size_t(client.handle("cuCtxCreate_v2", 0, 0))


@pytest.fixture(params=sorted(STICKY))
def sticky(request: pytest.FixtureRequest) -> Iterator[str]:
    name = api.status_name(request.param)
    with emulator.emulate(failing(name)):
        yield name


def test_it_stays_until_the_context_ends(sticky: str) -> None:
    client, context = client_with_context()
    client.cuCtxSynchronize()
    with refused(sticky):
        client.cuCtxSynchronize()
    for _ in range(2):
        with refused(sticky):
            client.cuCtxSynchronize()
        with refused(sticky):
            client.cuMemGetInfo_v2(byref(c_size_t()), byref(c_size_t()))
        with refused(sticky):
            client.cuMemAlloc_v2(byref(c_ulonglong()), c_size_t(16))
    client.cuCtxDestroy_v2(context)
    client.handle("cuCtxCreate_v2", 0, 0)
    client.cuCtxSynchronize()


def test_another_context_goes_on(sticky: str) -> None:
    client, context = client_with_context()
    client.handle("cuCtxCreate_v2", 0, 1)
    client.cuCtxSetCurrent(context)
    client.cuCtxSynchronize()
    with refused(sticky):
        client.cuCtxSynchronize()
    client.cuCtxPopCurrent_v2(byref(c_size_t()))
    client.handle("cuCtxCreate_v2", 0, 0)
    client.cuCtxSynchronize()


def test_a_reset_heals_a_primary_context(sticky: str) -> None:
    client = Client()
    client.cuInit(0)
    context = c_size_t(client.handle("cuDevicePrimaryCtxRetain", 0))
    client.cuCtxSetCurrent(context)
    client.cuCtxSynchronize()
    with refused(sticky):
        client.cuCtxSynchronize()
    with refused(sticky):
        client.cuCtxSynchronize()
    client.cuDevicePrimaryCtxReset_v2(0)
    client.handle("cuDevicePrimaryCtxRetain", 0)
    client.cuCtxSynchronize()


@pytest.mark.parametrize("code", ["INVALID_VALUE", "OUT_OF_MEMORY", "NOT_READY"])
def test_other_codes_are_of_one_call(code: str) -> None:
    with emulator.emulate(failing(code)):
        client, _ = client_with_context()
        client.cuCtxSynchronize()
        with refused(code):
            client.cuCtxSynchronize()
        client.cuCtxSynchronize()
