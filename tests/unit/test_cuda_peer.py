"""What devices can do with each other's memory and with the host's."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import c_int, c_size_t, c_uint

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Machine, Scenario

RANK, ACCESS, ATOMICS, ARRAYS, PARTIAL = range(1, 6)
ADD, CAS, EXCHANGE = 0, 9, 8

#: By PCI bus id: two on NVLink, two GeForce, two on PCI Express.
H100, OTHER_H100, GEFORCE, OTHER_GEFORCE, T4, OTHER_T4 = range(6)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    atomics = {"pci": {"atomics_outbound": ["FETCHADD_32", "FETCHADD_64", "CAS_128"]}}
    products = ["h100-sxm5-80gb"] * 2 + ["rtx-4090"] * 2
    gpus = [Gpu(name, pci_bus_id=f"00000000:0{i}:00.0") for i, name in enumerate(products, 1)]
    last = [Gpu("t4", pci_bus_id=f"00000000:0{i}:00.0", figures=atomics) for i in (8, 9)]
    with emulator.emulate(Scenario(gpus=[*gpus, *last])) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> Client:
    assert machine
    client = Client()
    client.cuInit(0)
    return client


def enter(client: Client, device: int) -> c_size_t:
    return c_size_t(client.handle("cuCtxCreate_v2", 0, device))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (H100, OTHER_H100, [0, 1, 1, 1, 0]),
        (T4, OTHER_T4, [1, 1, 0, 1, 0]),
        (H100, T4, [0, 0, 0, 0, 0]),  # of different chips
        (GEFORCE, OTHER_GEFORCE, [0, 0, 0, 0, 0]),
    ],
)
def test_attributes(client: Client, one: int, other: int, expected: list[int]) -> None:
    attributes = (RANK, ACCESS, ATOMICS, ARRAYS, PARTIAL)
    found = [client.integer("cuDeviceGetP2PAttribute", each, one, other) for each in attributes]
    assert found == expected
    assert client.integer("cuDeviceCanAccessPeer", one, other) == expected[1]


def test_a_device_is_no_peer_of_itself(client: Client) -> None:
    assert client.integer("cuDeviceCanAccessPeer", T4, T4) == 0
    with refused("INVALID_DEVICE"):
        client.integer("cuDeviceGetP2PAttribute", ACCESS, T4, T4)


def test_no_such_attribute(client: Client) -> None:
    with refused("INVALID_VALUE"):
        client.integer("cuDeviceGetP2PAttribute", 9, H100, OTHER_H100)


def capabilities(client: Client, function: str, *devices: int) -> list[int]:
    operations = (c_int * 3)(ADD, EXCHANGE, CAS)
    found = (c_uint * 3)()
    getattr(client, function)(found, operations, 3, *devices)
    return list(found)


def test_atomics_over_nvlink_and_pci_express(client: Client) -> None:
    name = "cuDeviceGetP2PAtomicCapabilities"
    assert capabilities(client, name, H100, OTHER_H100) == [31, 26, 26]
    assert capabilities(client, name, T4, OTHER_T4) == [0, 0, 0]


def test_atomics_in_the_host_s_memory(client: Client) -> None:
    name = "cuDeviceGetHostAtomicCapabilities"
    assert capabilities(client, name, T4) == [31, 0, 34]
    assert capabilities(client, name, H100) == [31, 26, 26]


class TestAccess:
    def test_it_is_switched_on_once_and_off_once(self, client: Client) -> None:
        peer, _ = enter(client, H100), enter(client, OTHER_H100)
        with refused("PEER_ACCESS_NOT_ENABLED"):
            client.cuCtxDisablePeerAccess(peer)
        client.cuCtxEnablePeerAccess(peer, 0)
        with refused("PEER_ACCESS_ALREADY_ENABLED"):
            client.cuCtxEnablePeerAccess(peer, 0)
        client.cuCtxDisablePeerAccess(peer)
        with refused("PEER_ACCESS_NOT_ENABLED"):
            client.cuCtxDisablePeerAccess(peer)

    def test_devices_that_cannot(self, client: Client) -> None:
        peer, _ = enter(client, GEFORCE), enter(client, OTHER_GEFORCE)
        with refused("PEER_ACCESS_UNSUPPORTED"):
            client.cuCtxEnablePeerAccess(peer, 0)

    def test_what_is_no_peer(self, client: Client) -> None:
        dead = enter(client, H100)
        client.cuCtxDestroy_v2(dead)
        own = enter(client, OTHER_H100)
        for context in (dead, own):
            with refused("INVALID_CONTEXT"):
                client.cuCtxEnablePeerAccess(context, 0)

    def test_it_ends_with_the_life_of_either(self, client: Client) -> None:
        own, peer = (
            c_size_t(client.handle("cuDevicePrimaryCtxRetain", device))
            for device in (H100, OTHER_H100)
        )
        client.cuCtxSetCurrent(own)
        for ended in (OTHER_H100, H100):
            client.cuCtxEnablePeerAccess(peer, 0)
            client.cuDevicePrimaryCtxReset_v2(ended)
            client.handle("cuDevicePrimaryCtxRetain", ended)
            with refused("PEER_ACCESS_NOT_ENABLED"):
                client.cuCtxDisablePeerAccess(peer)

    def test_flags_are_for_later(self, client: Client) -> None:
        peer, _ = enter(client, H100), enter(client, OTHER_H100)
        with refused("INVALID_VALUE"):
            client.cuCtxEnablePeerAccess(peer, 1)
