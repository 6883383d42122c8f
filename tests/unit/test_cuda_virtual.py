"""Virtual memory management: addresses, memory, and the one mapped to the other."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_int, c_size_t, c_ulonglong
from typing import Any

import pytest
from cuda_client import Client, refused

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import _constants as c
from emulator.cuda import api
from emulator.cuda.library import Cuda, CudaError
from emulator.cuda.memory.physical import Reservations
from emulator.runtime import boot

STEP = 2 << 20
FREE_PLACE = 1 << 44  # far from where systems put programs and libraries


def free(client: Client) -> int:
    value = c_size_t()
    client.cuMemGetInfo_v2(byref(value), None)
    return value.value


def properties(device: int = 0, handles: int = 0) -> Any:
    prop = api.types["CUmemAllocationProp"](type=1, requestedHandleTypes=handles)
    prop.location.type, prop.location.id = 1, device
    return prop


def create(client: Client, size: int, handles: int = 0) -> c_ulonglong:
    prop = properties(handles=handles)
    value = client.handle("cuMemCreate", c_size_t(size), byref(prop), c_ulonglong(0))
    return c_ulonglong(value)


def reserve(client: Client, size: int, align: int = 0, hint: int = 0) -> int:
    return client.handle(
        "cuMemAddressReserve", c_size_t(size), c_size_t(align), c_size_t(hint), c_ulonglong(0)
    )


def put(client: Client, address: int, size: int, handle: c_ulonglong) -> None:
    client.cuMemMap(c_size_t(address), c_size_t(size), c_size_t(0), handle, c_ulonglong(0))


def allow(client: Client, address: int, size: int, flags: int = 3, device: int = 0) -> None:
    desc = api.types["CUmemAccessDesc"](flags=flags)
    desc.location.type, desc.location.id = 1, device
    client.cuMemSetAccess(c_size_t(address), c_size_t(size), byref(desc), c_size_t(1))


def access(client: Client, address: int, device: int = 0) -> int:
    location = api.types["CUmemLocation"](type=1, id=device)
    flags = c_ulonglong()
    client.cuMemGetAccess(byref(flags), byref(location), c_size_t(address))
    return flags.value


def fill(client: Client, address: int, value: int, size: int) -> None:
    client.cuMemsetD8_v2(c_size_t(address), value, c_size_t(size))


def read(client: Client, address: int, size: int) -> bytes:
    data = ctypes.create_string_buffer(size)
    client.cuMemcpyDtoH_v2(data, c_size_t(address), c_size_t(size))
    return data.raw


def test_the_whole_way(client: Client) -> None:
    size = client.size("cuMemGetAllocationGranularity", byref(properties()), 0)
    assert size == STEP
    before = free(client)
    address = reserve(client, 4 * size)
    assert address % size == 0
    assert free(client) == before, "addresses are not memory"
    handle = create(client, size)
    assert before - free(client) == size
    put(client, address + size, size, handle)
    with refused("INVALID_VALUE"):
        fill(client, address + size, 1, 10)
    allow(client, address + size, size)
    fill(client, address + size, 1, size)
    for start, count in ((address, 1), (address + size, size + 1), (address + 2 * size, 1)):
        with refused("INVALID_VALUE"):
            fill(client, start, 2, count)
    client.cuMemRelease(handle)
    with refused("INVALID_HANDLE"):
        client.cuMemRelease(handle)
    assert before - free(client) == size, "it is still mapped"
    assert read(client, address + size, 3) == b"\1\1\1"
    client.cuMemUnmap(c_size_t(address + size), c_size_t(size))
    assert free(client) == before
    with refused("INVALID_VALUE"):
        read(client, address + size, 1)
    client.cuMemAddressFree(c_size_t(address), c_size_t(4 * size))
    with refused("INVALID_VALUE"):
        client.cuMemAddressFree(c_size_t(address), c_size_t(4 * size))


def test_a_copy_may_cross_mappings(client: Client) -> None:
    address = reserve(client, 4 * STEP)
    for place in (0, 1, 3):
        put(client, address + place * STEP, STEP, create(client, STEP))
        allow(client, address + place * STEP, STEP)
    fill(client, address, 7, 2 * STEP)
    assert read(client, address + STEP - 2, 4) == b"\7" * 4
    with refused("INVALID_VALUE"):
        fill(client, address, 7, 2 * STEP + 1)
    client.cuMemUnmap(c_size_t(address), c_size_t(2 * STEP))


def test_memory_mapped_twice_is_one(client: Client) -> None:
    handle = create(client, STEP)
    first, second = reserve(client, STEP), reserve(client, STEP)
    for address in (first, second):
        put(client, address, STEP, handle)
        allow(client, address, STEP)
    fill(client, first, 5, 10)
    assert read(client, second, 10) == b"\5" * 10


def test_reading_only(client: Client) -> None:
    address = reserve(client, STEP)
    put(client, address, STEP, create(client, STEP))
    allow(client, address, STEP)
    fill(client, address, 5, 1)
    allow(client, address, STEP, flags=1)
    assert (access(client, address), access(client, address, 1)) == (1, 0)
    assert read(client, address, 1) == b"\5"
    with refused("INVALID_VALUE"):
        fill(client, address, 6, 1)
    allow(client, address, STEP, flags=3, device=1)
    assert access(client, address + 100, 1) == 3
    with refused("INVALID_VALUE"):
        allow(client, address, STEP, flags=2)
    with refused("INVALID_VALUE"):
        allow(client, address, STEP // 2)
    with refused("INVALID_DEVICE"):
        allow(client, address, STEP, device=9)


def test_what_cannot_be_mapped(client: Client) -> None:
    handle = create(client, STEP)
    address = reserve(client, 2 * STEP)
    put(client, address, STEP, handle)
    for start, size in (
        (address, STEP),
        (address + STEP, 2 * STEP),
        (address + 2 * STEP, STEP),
        (address + 512, STEP),
        (address + STEP, 0),
    ):
        with refused("INVALID_VALUE"):
            put(client, start, size, handle)
    with refused("INVALID_VALUE"):
        client.cuMemAddressFree(c_size_t(address), c_size_t(2 * STEP))
    with refused("INVALID_VALUE"):
        client.cuMemUnmap(c_size_t(address), c_size_t(2 * STEP))
    with refused("INVALID_HANDLE"):
        put(client, address + STEP, STEP, c_ulonglong(0x1234000))


def test_sizes_and_places(client: Client) -> None:
    for size in (0, 1, STEP + 512):
        with refused("INVALID_VALUE"):
            create(client, size)
        with refused("INVALID_VALUE"):
            reserve(client, size)
    with refused("INVALID_VALUE"):
        reserve(client, STEP, align=3 * STEP)
    aligned = reserve(client, STEP, align=1 << 30)
    assert aligned % (1 << 30) == 0
    hinted = reserve(client, STEP, hint=FREE_PLACE)
    assert hinted == FREE_PLACE
    assert reserve(client, STEP, hint=hinted) != hinted, "a hint that is taken is only a hint"
    with refused("OUT_OF_MEMORY"):
        create(client, free(client) // STEP * STEP + STEP)
    with refused("OUT_OF_MEMORY"):
        reserve(client, 1 << 47)
    for size in (1 << 63, (1 << 64) - STEP):
        with refused("OUT_OF_MEMORY"):
            reserve(client, size, align=1 << 30)
    prop = properties(device=5)
    with refused("INVALID_DEVICE"):
        client.handle("cuMemCreate", c_size_t(STEP), byref(prop), c_ulonglong(0))
    prop = properties()
    prop.type = 0
    with refused("INVALID_VALUE"):
        client.size("cuMemGetAllocationGranularity", byref(prop), 0)


def test_handles_of_what_is_mapped(client: Client) -> None:
    before = free(client)
    handle = create(client, STEP, handles=1)
    address = reserve(client, STEP)
    put(client, address, STEP, handle)
    again = c_ulonglong(client.handle("cuMemRetainAllocationHandle", c_size_t(address + 10)))
    client.cuMemRelease(handle)
    client.cuMemUnmap(c_size_t(address), c_size_t(STEP))
    assert before - free(client) == STEP
    prop = properties()
    client.cuMemGetAllocationPropertiesFromHandle(byref(prop), again)
    assert (prop.type, prop.location.type, prop.location.id) == (1, 1, 0)
    assert prop.requestedHandleTypes == 1
    client.cuMemRelease(again)
    assert free(client) == before
    with refused("INVALID_VALUE"):
        client.handle("cuMemRetainAllocationHandle", c_size_t(address))


def test_a_shareable_handle_brings_the_same_memory(client: Client) -> None:
    before = free(client)
    handle = create(client, STEP, handles=1)
    descriptor = c_int()
    client.cuMemExportToShareableHandle(byref(descriptor), handle, 1, c_ulonglong(0))
    other = c_ulonglong(
        client.handle("cuMemImportFromShareableHandle", c_size_t(descriptor.value), 1)
    )
    os.close(descriptor.value)
    addresses = [reserve(client, STEP) for _ in range(2)]
    for address, each in zip(addresses, (handle, other), strict=True):
        put(client, address, STEP, each)
        allow(client, address, STEP)
    fill(client, addresses[0], 9, STEP)
    assert read(client, addresses[1] + STEP - 1, 1) == b"\x09"
    assert before - free(client) == STEP, "it counts once"
    with refused("INVALID_VALUE"):
        client.cuMemExportToShareableHandle(
            byref(descriptor), create(client, STEP), 1, c_ulonglong(0)
        )
    read_end, write_end = os.pipe()
    for wrong in (read_end, 9999, -1):
        with refused("INVALID_VALUE"):
            client.handle("cuMemImportFromShareableHandle", c_size_t(wrong), 1)
    os.close(read_end)
    os.close(write_end)


def test_mapped_memory_has_no_context(client: Client) -> None:
    address = reserve(client, STEP)
    put(client, address, STEP, create(client, STEP, handles=1))
    context, kinds = c_size_t(1), c_ulonglong()
    client.cuPointerGetAttribute(byref(context), c.POINTER_ATTRIBUTE_CONTEXT, c_size_t(address))
    client.cuPointerGetAttribute(
        byref(kinds), c.POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES, c_size_t(address)
    )
    assert (context.value, kinds.value) == (0, 1)


def test_memory_is_given_back_with_the_scenario(client: Client) -> None:
    address = reserve(client, STEP)
    put(client, address, STEP, create(client, STEP))
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        client.cuInit(0)
        client.handle("cuCtxCreate_v2", 0, 0)
        with refused("INVALID_VALUE"):
            fill(client, address, 1, 1)


def test_memory_that_another_thread_has_released(client: Client) -> None:
    cuda = next(a.library for a in boot.attachments if isinstance(a.library, Cuda))
    handle, address = create(client, STEP), reserve(client, STEP)
    memory = cuda.handles("CUmemGenericAllocationHandle").objects[handle.value]
    client.cuMemRelease(handle)
    with pytest.raises(CudaError):
        cuda.part(Reservations).put(memory, address, STEP, 0)
    with pytest.raises(CudaError):
        memory.release()
    client.cuMemAddressFree(c_size_t(address), c_size_t(STEP))
