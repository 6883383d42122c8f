"""Limits and settings of a context."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_size_t, c_ulonglong

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Machine, Scenario

STACK, PRINTF, HEAP, DEPTH, PENDING, FETCH, PERSISTING, SHMEM = range(8)
MIB = 1 << 20
H100, A100, T4 = range(3)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    gpus = [
        Gpu("h100-sxm5-80gb", pci_bus_id="00000000:01:00.0"),
        Gpu("a100-sxm4-80gb", pci_bus_id="00000000:02:00.0"),
        Gpu("t4", pci_bus_id="00000000:03:00.0"),
    ]
    with emulator.emulate(Scenario(gpus=gpus)) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> Client:
    assert machine
    client = Client()
    client.cuInit(0)
    return client


def enter(client: Client, device: int) -> c_size_t:
    return c_size_t(client.handle("cuCtxCreate_v2", 0, device))


def limit(client: Client, which: int) -> int:
    return client.size("cuCtxGetLimit", which)


def change(client: Client, which: int, value: int) -> int:
    client.cuCtxSetLimit(which, c_size_t(value))
    return limit(client, which)


def test_defaults(client: Client) -> None:
    enter(client, T4)
    found = [limit(client, which) for which in (STACK, PRINTF, HEAP, DEPTH, PENDING, FETCH)]
    assert found == [1024, MIB, 8 * MIB, 2, 2048, 64]


def test_a_limit_is_within_what_the_device_can_do(client: Client) -> None:
    enter(client, A100)
    assert change(client, DEPTH, 1000) == 24
    assert change(client, FETCH, 1000) == 128
    assert change(client, PERSISTING, 1 << 40) == 25 * MIB
    assert change(client, PRINTF, 10 * MIB) == 10 * MIB


def test_each_context_has_its_own(client: Client) -> None:
    enter(client, T4)
    change(client, HEAP, MIB)
    second = enter(client, T4)
    assert limit(client, HEAP) == 8 * MIB
    client.cuCtxDestroy_v2(second)
    assert limit(client, HEAP) == MIB


@pytest.mark.parametrize(
    ("device", "which"), [(H100, DEPTH), (T4, PERSISTING), (H100, SHMEM), (T4, 8), (T4, 9)]
)
def test_what_a_device_does_not_have(client: Client, device: int, which: int) -> None:
    enter(client, device)
    with refused("UNSUPPORTED_LIMIT"):
        limit(client, which)
    with refused("UNSUPPORTED_LIMIT"):
        change(client, which, 1)


def test_what_is_no_limit(client: Client) -> None:
    enter(client, T4)
    for number in (11, 99, -1):
        with refused("INVALID_VALUE"):
            limit(client, number)


class TestStack:
    def test_it_takes_memory_for_each_thread_that_the_device_can_hold(
        self, client: Client, machine: Machine
    ) -> None:
        context = enter(client, T4)
        device = machine.devices[T4]
        before = machine.ledger.held(device)
        assert change(client, STACK, 2048) == 2048
        assert machine.ledger.held(device) - before == 1024 * 1024 * 40
        change(client, STACK, 512)
        assert machine.ledger.held(device) == before
        change(client, STACK, 4096)
        client.cuCtxDestroy_v2(context)
        assert machine.ledger.held(device) == 0

    def test_without_room_it_stays(self, client: Client, machine: Machine) -> None:
        enter(client, T4)
        with refused("OUT_OF_MEMORY"):
            change(client, STACK, 500 << 10)
        assert limit(client, STACK) == 1024

    def test_no_thread_has_so_much_local_memory(self, client: Client) -> None:
        enter(client, T4)
        with refused("INVALID_VALUE"):
            change(client, STACK, 513 << 10)


def test_cache_and_shared_memory_configuration(client: Client) -> None:
    enter(client, T4)
    assert client.integer("cuCtxGetCacheConfig") == 0
    client.cuCtxSetCacheConfig(2)
    assert client.integer("cuCtxGetCacheConfig") == 2
    client.cuCtxSetSharedMemConfig(2)
    assert client.integer("cuCtxGetSharedMemConfig") == 1  # banks of four bytes, all the same
    for function in ("cuCtxSetCacheConfig", "cuCtxSetSharedMemConfig"):
        with refused("INVALID_VALUE"):
            getattr(client, function)(7)


def test_the_cache_that_is_set_aside(client: Client) -> None:
    enter(client, A100)
    client.cuCtxResetPersistingL2Cache()
    enter(client, T4)
    with refused("NOT_SUPPORTED"):
        client.cuCtxResetPersistingL2Cache()


def test_remote_writes_are_flushed(client: Client) -> None:
    enter(client, A100)
    client.cuFlushGPUDirectRDMAWrites(0, 100)
    with refused("INVALID_VALUE"):
        client.cuFlushGPUDirectRDMAWrites(0, 1)


@pytest.mark.parametrize(
    "function", ["cuCtxGetLimit", "cuCtxGetCacheConfig", "cuCtxGetSharedMemConfig"]
)
def test_without_a_context(client: Client, function: str) -> None:
    with refused("INVALID_CONTEXT"):
        client.size(function, 0)


class TestUsers:
    """cuCtxAttach and cuCtxDetach, the way before primary contexts."""

    def test_the_last_one_s_leaving_ends_it(self, client: Client, machine: Machine) -> None:
        context = enter(client, T4)
        assert client.handle("cuCtxAttach", 0) == context.value
        client.cuCtxDetach(context)
        assert machine.ledger.held(machine.devices[T4])
        client.cuCtxDetach(context)
        assert not machine.ledger.held(machine.devices[T4])
        assert client.handle("cuCtxGetCurrent") == 0

    def test_only_a_current_context_that_is_not_primary(self, client: Client) -> None:
        with refused("INVALID_CONTEXT"):
            client.handle("cuCtxAttach", 0)
        first = enter(client, T4)
        enter(client, T4)
        with refused("INVALID_CONTEXT"):
            client.cuCtxDetach(first)
        with refused("INVALID_VALUE"):
            client.handle("cuCtxAttach", 1)
        primary = c_size_t(client.handle("cuDevicePrimaryCtxRetain", T4))
        client.cuCtxSetCurrent(primary)
        with refused("INVALID_CONTEXT"):
            client.handle("cuCtxAttach", 0)


def test_what_a_context_is(client: Client) -> None:
    first, second = enter(client, T4), enter(client, A100)
    numbers = [c_ulonglong() for _ in range(3)]
    for context, number in zip((first, second, None), numbers, strict=True):
        client.cuCtxGetId(context, byref(number))
    assert numbers[0].value != numbers[1].value == numbers[2].value
    assert client.integer("cuCtxGetDevice_v2", first) == T4
    assert client.integer("cuCtxGetDevice_v2", None) == A100
    client.cuCtxSetFlags(4)
    assert client.integer("cuCtxGetFlags") == 4
    with refused("UNSUPPORTED_EXEC_AFFINITY"):
        client.handle("cuCtxGetExecAffinity", 0)
