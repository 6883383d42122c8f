"""Memory of the host that CUDA gives out: pools and allocations there, and managed pools."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_uint, c_ulonglong
from typing import Any

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import _constants as c
from emulator.cuda import api

SIZE = 2 << 20
NOWHERE, DEVICE, HOST, NODE, CURRENT_NODE = range(5)  # CUmemLocationType
PINNED, MANAGED = 1, 2
H100S = Scenario(gpus=[Gpu("h100-sxm5-80gb", count=2)])


def started() -> Client:
    client = Client()
    client.cuInit(0)
    client.handle("cuCtxCreate_v2", 0, 0)
    return client


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(H100S):
        yield started()


def free(client: Client) -> int:
    value = c_size_t()
    client.cuMemGetInfo_v2(byref(value), None)
    return value.value


def location(kind: int, number: int = 0) -> Any:
    return api.types["CUmemLocation"](type=kind, id=number)


def pool(client: Client, place: int, kind: int = PINNED, handles: int = 0, id: int = 0) -> c_size_t:  # noqa: A002
    props = api.types["CUmemPoolProps"](allocType=kind, handleTypes=handles)
    props.location.type, props.location.id = place, id
    return c_size_t(client.handle("cuMemPoolCreate", byref(props)))


def taken(client: Client, pool: c_size_t) -> int:
    return client.handle("cuMemAllocFromPoolAsync", c_size_t(SIZE), pool, None)


def told(client: Client, attribute: int, pointer: int) -> int:
    value = c_ulonglong()
    client.cuPointerGetAttribute(byref(value), attribute, c_size_t(pointer))
    return value.value


def create(client: Client, place: int, number: int = 0, handles: int = 0) -> c_ulonglong:
    prop = api.types["CUmemAllocationProp"](type=1, requestedHandleTypes=handles)
    prop.location.type, prop.location.id = place, number
    found = client.handle("cuMemCreate", c_size_t(SIZE), byref(prop), c_ulonglong(0))
    return c_ulonglong(found)


def mapped(client: Client, handle: c_ulonglong) -> int:
    nothing = c_ulonglong(0)
    zero, size = c_size_t(0), c_size_t(SIZE)
    address = client.handle("cuMemAddressReserve", size, zero, zero, nothing)
    client.cuMemMap(c_size_t(address), size, zero, handle, nothing)
    return address


def allow(client: Client, address: int, place: int) -> None:
    desc = api.types["CUmemAccessDesc"](flags=3)
    desc.location.type = place
    client.cuMemSetAccess(c_size_t(address), c_size_t(SIZE), byref(desc), c_size_t(1))


@pytest.mark.parametrize("place", [HOST, NODE])
def test_a_pool_of_the_host_takes_nothing_of_the_device(client: Client, place: int) -> None:
    before = free(client)
    made = pool(client, place)
    pointer = taken(client, made)
    ctypes.memset(pointer, 7, SIZE)
    data = ctypes.create_string_buffer(SIZE)
    client.cuMemcpyDtoH_v2(data, c_size_t(pointer), c_size_t(SIZE))
    assert data.raw == b"\7" * SIZE
    assert free(client) == before
    assert told(client, c.POINTER_ATTRIBUTE_MEMORY_TYPE, pointer) == c.MEMORYTYPE_HOST
    assert told(client, c.POINTER_ATTRIBUTE_HOST_POINTER, pointer) == pointer
    assert told(client, c.POINTER_ATTRIBUTE_MEMPOOL_HANDLE, pointer) == made.value
    client.cuMemFreeAsync(c_size_t(pointer), None)
    client.cuMemPoolDestroy(made)
    with refused("INVALID_VALUE"):
        client.cuMemsetD8_v2(c_size_t(pointer), 0, c_size_t(1))


def test_who_may_use_a_pool_of_the_host(client: Client) -> None:
    made, flags = pool(client, NODE), c_int()

    def access(place: int, number: int = 0) -> int:
        client.cuMemPoolGetAccess(byref(flags), made, byref(location(place, number)))
        return flags.value

    assert (access(NODE), access(DEVICE), access(DEVICE, 1)) == (3, 0, 0)
    desc = api.types["CUmemAccessDesc"](flags=3)
    desc.location.type, desc.location.id = DEVICE, 1
    client.cuMemPoolSetAccess(made, byref(desc), c_size_t(1))
    assert (access(DEVICE), access(DEVICE, 1)) == (0, 3)
    desc.location.type, desc.location.id = NODE, 0
    with refused("INVALID_VALUE"):  # the host has no way to a device's memory
        client.cuMemPoolSetAccess(pool(client, DEVICE), byref(desc), c_size_t(1))


@pytest.mark.parametrize("place", [NOWHERE, DEVICE, HOST, NODE])
def test_a_managed_pool(client: Client, place: int) -> None:
    before = free(client)
    pointer = taken(client, pool(client, place, MANAGED))
    ctypes.memset(pointer, 7, SIZE)
    assert free(client) == before
    assert told(client, c.POINTER_ATTRIBUTE_IS_MANAGED, pointer) == 1
    client.cuMemPrefetchAsync(c_size_t(pointer), c_size_t(SIZE), 1, None)
    found = c_int()
    attribute = c.MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION
    client.cuMemRangeGetAttribute(
        byref(found), c_size_t(4), attribute, c_size_t(pointer), c_size_t(SIZE)
    )
    assert found.value == 1
    client.cuMemFree_v2(c_size_t(pointer))


@pytest.mark.parametrize(
    ("place", "kind"), [(DEVICE, PINNED), (HOST, PINNED), (NODE, PINNED), (NOWHERE, MANAGED)]
)
def test_each_place_has_a_default_pool_and_a_current_one(
    client: Client, place: int, kind: int
) -> None:
    where = byref(location(place))
    default = client.handle("cuMemGetDefaultMemPool", where, kind)
    assert client.handle("cuMemGetMemPool", where, kind) == default
    with refused("INVALID_VALUE"):
        client.cuMemPoolDestroy(c_size_t(default))
    made = pool(client, place, kind)
    client.cuMemSetMemPool(where, kind, made)
    assert client.handle("cuMemGetMemPool", where, kind) == made.value
    client.cuMemPoolDestroy(made)
    assert client.handle("cuMemGetMemPool", where, kind) == default
    with refused("INVALID_VALUE"):  # it is of another device
        client.cuMemSetMemPool(where, kind, pool(client, DEVICE, id=1))


def test_where_pools_cannot_be(client: Client) -> None:
    with refused("INVALID_VALUE"):
        pool(client, CURRENT_NODE)
    with refused("INVALID_VALUE"):
        pool(client, NOWHERE)
    with refused("INVALID_VALUE"):
        pool(client, NODE, id=1)
    with refused("INVALID_VALUE"):  # of no node, it cannot be exported
        pool(client, HOST, handles=1)
    with refused("NOT_SUPPORTED"):
        pool(client, NODE, MANAGED, handles=1)
    with refused("INVALID_DEVICE"):
        pool(client, DEVICE, id=2)


@pytest.mark.parametrize(("place", "handles"), [(HOST, 0), (NODE, 0), (NODE, 1)])
def test_physical_memory_of_the_host(client: Client, place: int, handles: int) -> None:
    """As NCCL allocates it: on a node, for a device and the host."""
    before = free(client)
    handle = create(client, place, handles=handles)
    address = mapped(client, handle)
    allow(client, address, DEVICE)
    allow(client, address, place)
    ctypes.memset(address, 7, SIZE)
    assert free(client) == before
    prop = api.types["CUmemAllocationProp"]()
    client.cuMemGetAllocationPropertiesFromHandle(byref(prop), handle)
    assert (prop.location.type, prop.location.id) == (place, 0)
    if handles:
        descriptor, again = c_int(), c_ulonglong()
        client.cuMemExportToShareableHandle(byref(descriptor), handle, 1, c_ulonglong(0))
        client.cuMemImportFromShareableHandle(byref(again), c_size_t(descriptor.value), 1)
        os.close(descriptor.value)
        second = mapped(client, again)
        allow(client, second, NODE)
        assert ctypes.string_at(second, 3) == b"\7\7\7"


def test_where_physical_memory_cannot_be(client: Client) -> None:
    for place, number, handles in ((HOST, 0, 1), (NODE, 1, 0), (CURRENT_NODE, 0, 0)):
        with refused("INVALID_VALUE"):
            create(client, place, number, handles)


def test_a_device_that_has_no_pools_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(H100S) as machine:
        client = started()
        for name in ("HOST_MEMORY_POOLS_SUPPORTED", "HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED"):
            machine.devices[0].cuda[name] = 0
        with refused("NOT_SUPPORTED"):
            pool(client, HOST)
        with refused("NOT_SUPPORTED"):
            create(client, HOST)
        pool(client, NODE)


# ---- what is left when something ends


def files() -> int:
    """How many files with memory this process has open."""
    links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum("nvemu-device" in os.readlink(link) for link in links if os.path.islink(link))


def test_a_pool_that_is_destroyed_has_no_file(client: Client) -> None:
    before = files()
    first, second = pool(client, DEVICE, handles=1), pool(client, DEVICE, handles=1)
    pointer = c_size_t(taken(client, second))
    assert files() > before
    for made in (first, second):
        client.cuMemPoolDestroy(made)
    client.cuMemFreeAsync(pointer, None)
    client.cuCtxSynchronize()
    assert files() == before


def test_memory_that_is_not_released_goes_with_the_scenario(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    before = files()
    with emulator.emulate(H100S):
        client = started()
        create(client, DEVICE, handles=1)
        mapped(client, create(client, DEVICE, handles=1))
        assert files() > before
    with emulator.emulate(H100S):
        assert files() == before


def test_a_closed_descriptor_is_not_used_again(client: Client, tmp_path: Any) -> None:
    """A program that closes all descriptors may have a file of its own under the number."""
    made, allocation = pool(client, DEVICE, handles=1), create(client, DEVICE, handles=1)
    for name in os.listdir("/proc/self/fd"):
        try:
            if "nvemu-device" in os.readlink(f"/proc/self/fd/{name}"):
                with open(tmp_path / "file", "w", encoding="utf-8") as other:
                    os.dup2(other.fileno(), int(name))
        except FileNotFoundError:
            continue
    with refused("OUT_OF_MEMORY"):
        taken(client, made)
    assert (tmp_path / "file").stat().st_size == 0
    descriptor = c_int()
    with refused("OPERATING_SYSTEM"):
        client.cuMemPoolExportToShareableHandle(byref(descriptor), made, 1, c_ulonglong(0))
    with refused("OPERATING_SYSTEM"):
        client.cuMemExportToShareableHandle(byref(descriptor), allocation, 1, c_ulonglong(0))


def test_a_handle_of_memory_that_is_a_multicast_object(client: Client) -> None:
    prop = api.types["CUmulticastObjectProp"](numDevices=2, size=SIZE, handleTypes=1)
    handle = c_ulonglong(client.handle("cuMulticastCreate", byref(prop)))
    with refused("NOT_SUPPORTED"):
        mapped(client, handle)
    with refused("NOT_SUPPORTED"):
        client.cuMemExportToShareableHandle(byref(c_int()), handle, 1, c_ulonglong(0))
    with refused("NOT_SUPPORTED"):
        props = api.types["CUmemAllocationProp"]()
        client.cuMemGetAllocationPropertiesFromHandle(byref(props), handle)
    client.cuMemRelease(handle)


def test_what_no_machine_here_can_do(client: Client) -> None:
    pointer = client.handle("cuMemAlloc_v2", c_size_t(SIZE))
    with refused("NOT_SUPPORTED"):
        client.cuMemGetHandleForAddressRange(
            byref(c_int()), c_size_t(pointer), c_size_t(SIZE), 1, c_ulonglong(0)
        )
    info = api.types["CUarrayMapInfo"]()
    with refused("INVALID_VALUE"):
        client.cuMemMapArrayAsync(byref(info), c_uint(1), None)
