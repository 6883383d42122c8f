"""What the driver says about its devices."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_int, c_uint

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Machine, Scenario
from emulator.cuda import api
from emulator.cuda.devices.attributes import MAX, PROPERTIES

ATTRIBUTES = api.types.members("CUdevice_attribute")
PREFIX = "CU_DEVICE_ATTRIBUTE_"


@pytest.fixture(autouse=True)
def _pci_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with emulator.emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb", count=2)])) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine) -> Client:
    assert machine
    client = Client()
    client.cuInit(0)
    return client


def test_ordinals(client: Client) -> None:
    assert client.integer("cuDeviceGetCount") == 2
    assert [client.integer("cuDeviceGet", ordinal) for ordinal in (0, 1)] == [0, 1]
    for ordinal in (-1, 2, 2**31 - 1):
        with refused("INVALID_DEVICE"):
            client.integer("cuDeviceGet", ordinal)
    with refused("INVALID_VALUE"):
        client.cuDeviceGet(None, 0)


def test_a_name_is_cut_off_to_the_clients_buffer(client: Client) -> None:
    assert client.text("cuDeviceGetName", 64, 1) == "NVIDIA H100 80GB HBM3"
    assert client.text("cuDeviceGetName", 12, 1) == "NVIDIA H100"
    assert client.text("cuDeviceGetName", 1, 1) == ""


def test_every_device_call_refuses_other_devices(client: Client) -> None:
    for device in (-1, 2, 1000):
        with refused("INVALID_DEVICE"):
            client.text("cuDeviceGetName", 64, device)
        with refused("INVALID_DEVICE"):
            client.size("cuDeviceTotalMem_v2", device)
        with refused("INVALID_DEVICE"):
            client.integer("cuDeviceGetAttribute", 1, device)


@pytest.mark.parametrize("function", ["cuDeviceGetUuid", "cuDeviceGetUuid_v2"])
def test_uuid(function: str, client: Client, machine: Machine) -> None:
    uuid = client.get(function, ctypes.c_ubyte * 16, 1)
    assert bytes(uuid).hex() == machine.devices[1].uuid.removeprefix("GPU-").replace("-", "")


def test_total_memory_is_without_what_the_driver_keeps(client: Client, machine: Machine) -> None:
    memory = machine.devices[0].memory
    assert client.size("cuDeviceTotalMem_v2", 0) == memory.total - memory.reserved
    assert client.size("cuDeviceTotalMem_v2", 0) >> 20 == 81079
    assert client.get("cuDeviceTotalMem", c_uint, 0) == 2**32 - 1, "all that 32 bits hold"


def test_compute_capability(client: Client) -> None:
    major, minor = c_int(), c_int()
    client.cuDeviceComputeCapability(byref(major), byref(minor), 0)
    assert (major.value, minor.value) == (9, 0)


def test_pci_bus_id_there_and_back(client: Client, machine: Machine) -> None:
    text = client.text("cuDeviceGetPCIBusId", 13, 1)
    assert text == machine.devices[1].pci.bus_id_legacy == "0000:43:00.0"
    for spelling in (text, "0000:43:00", "43:00.0", "0:43:0.0", text.lower()):
        assert client.integer("cuDeviceGetByPCIBusId", spelling.encode()) == 1
    for spelling in ("0000:44:00.0", "0001:43:00.0", "0000:43:00.1"):
        with refused("INVALID_DEVICE"):
            client.integer("cuDeviceGetByPCIBusId", spelling.encode())
    for spelling in ("", "GPU-0", "43", "0:0:0:0:0", "zz:00.0", "0x43:0.0", "4_3:00.0", "-1:0:0"):
        with refused("INVALID_VALUE"):
            client.integer("cuDeviceGetByPCIBusId", spelling.encode())


def test_luid_is_for_windows(client: Client) -> None:
    with refused("NOT_SUPPORTED"):
        client.cuDeviceGetLuid(ctypes.create_string_buffer(8), byref(c_uint()), 0)


def test_peers(client: Client) -> None:
    assert client.integer("cuDeviceCanAccessPeer", 0, 1) == 1
    assert client.integer("cuDeviceCanAccessPeer", 0, 0) == 0
    with emulator.emulate(Scenario(gpus=[Gpu("rtx-4090", count=2)])):
        client.cuInit(0)
        assert client.integer("cuDeviceCanAccessPeer", 0, 1) == 0


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_every_attribute_of_the_header(name: str, client: Client, machine: Machine) -> None:
    number = ATTRIBUTES[name]
    if number >= MAX[machine.cuda_version]:
        with refused("INVALID_VALUE"):
            client.integer("cuDeviceGetAttribute", number, 0)
        return
    aliases = [other.removeprefix(PREFIX) for other, n in ATTRIBUTES.items() if n == number]
    known = [machine.devices[0].cuda_attribute(alias) for alias in aliases]
    expected = next((value for value in known if value is not None), 0)
    assert client.integer("cuDeviceGetAttribute", number, 0) == expected


def test_unknown_attributes(client: Client) -> None:
    for number in (0, -1, 148, 10**6):
        with refused("INVALID_VALUE"):
            client.integer("cuDeviceGetAttribute", number, 0)


def test_attributes_are_live(client: Client, machine: Machine) -> None:
    compute_mode = ATTRIBUTES[PREFIX + "COMPUTE_MODE"]
    assert client.integer("cuDeviceGetAttribute", compute_mode, 0) == 0
    machine.devices[0].compute_mode = "PROHIBITED"
    assert client.integer("cuDeviceGetAttribute", compute_mode, 0) == 2


def test_properties_are_the_attributes_of_old(client: Client) -> None:
    properties = client.get("cuDeviceGetProperties", api.types["CUdevprop"], 0)

    def attribute(name: str) -> int:
        return client.integer("cuDeviceGetAttribute", ATTRIBUTES[PREFIX + name], 0)

    for field, names in PROPERTIES.items():
        value = getattr(properties, field)
        if isinstance(names, str):
            assert value == attribute(names)
        else:
            assert list(value) == [attribute(name) for name in names]
    assert properties.maxThreadsPerBlock == 1024
