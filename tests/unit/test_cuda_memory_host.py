"""Page-locked host memory and managed memory."""

from __future__ import annotations

import ctypes
import mmap
from ctypes import byref, c_int, c_size_t, c_uint

import pytest
from cuda_client import Client, refused

from emulator.cuda import _constants as c
from emulator.cuda import api


def free(client: Client) -> int:
    value = c_size_t()
    client.cuMemGetInfo_v2(byref(value), None)
    return value.value


def kind(client: Client, address: int) -> int:
    value = c_uint()
    client.cuPointerGetAttribute(byref(value), c.POINTER_ATTRIBUTE_MEMORY_TYPE, c_size_t(address))
    return value.value


@pytest.mark.parametrize("name", ["cuMemAllocHost_v2", "cuMemHostAlloc"])
def test_page_locked_memory_is_the_program_s_to_write(client: Client, name: str) -> None:
    flags = (0,) if name == "cuMemHostAlloc" else ()
    before = free(client)
    host = client.handle(name, c_size_t(10_000), *flags)
    ctypes.memmove(host, b"written by the host", 19)
    assert kind(client, host) == c.MEMORYTYPE_HOST
    device = client.handle("cuMemHostGetDevicePointer_v2", c_size_t(host), 0)
    back = ctypes.create_string_buffer(19)
    client.cuMemcpyDtoH_v2(back, c_size_t(device), c_size_t(19))
    assert back.raw == b"written by the host"
    assert client.get("cuMemHostGetFlags", c_uint, c_size_t(host)) == c.MEMHOSTALLOC_DEVICEMAP
    assert free(client) == before, "it is not the device's"
    with refused("INVALID_VALUE"):
        client.cuMemFree_v2(c_size_t(host))
    with refused("INVALID_VALUE"):
        client.cuMemHostUnregister(c_size_t(host))
    client.cuMemFreeHost(c_size_t(host))
    with refused("INVALID_VALUE"):
        client.cuMemFreeHost(c_size_t(host))
    client.cuMemFreeHost(None)


def test_flags_of_host_memory(client: Client) -> None:
    host = client.handle("cuMemHostAlloc", c_size_t(1), 5)
    assert client.get("cuMemHostGetFlags", c_uint, c_size_t(host)) == 7
    with refused("INVALID_VALUE"):
        client.handle("cuMemHostAlloc", c_size_t(1), 8)
    with refused("INVALID_VALUE"):
        client.handle("cuMemHostGetDevicePointer_v2", c_size_t(host), 1)
    client.handle("cuMemHostAlloc", c_size_t(0), 0)


def test_registering(client: Client) -> None:
    memory = mmap.mmap(-1, 3 * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + 100
    size = c_size_t(5000)
    client.cuMemHostRegister_v2(c_size_t(address), size, 0)
    assert kind(client, address + 4999) == c.MEMORYTYPE_HOST
    for start in (address, address + 10, address - 10, address + 4999):
        with refused("HOST_MEMORY_ALREADY_REGISTERED"):
            client.cuMemHostRegister_v2(c_size_t(start), c_size_t(100), 0)
    client.cuMemsetD8_v2(c_size_t(address), 0x55, size)
    assert memory[100:5100] == b"\x55" * 5000
    assert memory[99:100] + memory[5100:5101] == b"\0\0"
    with refused("INVALID_VALUE"):
        client.cuMemsetD8_v2(c_size_t(address), 0, c_size_t(5001))
    with refused("INVALID_VALUE"):
        client.cuMemHostUnregister(c_size_t(address + 10))
    client.cuMemHostUnregister(c_size_t(address))
    with refused("HOST_MEMORY_NOT_REGISTERED"):
        client.cuMemHostUnregister(c_size_t(address))
    with refused("INVALID_VALUE"):
        client.cuMemHostUnregister(None)
    with refused("INVALID_VALUE"):
        kind(client, address)


def test_what_cannot_be_registered(client: Client) -> None:
    pointer = client.handle("cuMemAlloc_v2", c_size_t(4096))
    for address, size, flags in (
        (0, 10, 0),
        (0x10000, 10, 0),
        (pointer, 10, 0),
        (pointer, 0, 0),
        (pointer, 10, 16),
    ):
        with refused("INVALID_VALUE"):
            client.cuMemHostRegister_v2(c_size_t(address), c_size_t(size), flags)


def test_registered_memory_that_the_program_unmaps(client: Client) -> None:
    size = 4 * mmap.PAGESIZE
    libc = ctypes.CDLL(None)
    libc.mmap.restype = c_size_t
    address = libc.mmap(None, c_size_t(size), 3, 0x22, -1, c_size_t(0))
    client.cuMemHostRegister_v2(c_size_t(address), c_size_t(size), 0)
    libc.munmap(c_size_t(address), c_size_t(size))
    with refused("INVALID_VALUE"):
        client.cuMemsetD8_v2(c_size_t(address), 1, c_size_t(size))
    client.cuMemHostUnregister(c_size_t(address))


def test_managed_memory_belongs_to_both(client: Client) -> None:
    before = free(client)
    pointer = client.handle("cuMemAllocManaged", c_size_t(5000), 1)
    ctypes.memset(pointer, 7, 5000)
    client.cuMemsetD8_v2(c_size_t(pointer + 1), 9, c_size_t(2))
    assert ctypes.string_at(pointer, 4) == b"\7\x09\x09\7"
    assert kind(client, pointer) == c.MEMORYTYPE_DEVICE
    managed, host = c_uint(), c_size_t()
    client.cuPointerGetAttribute(byref(managed), c.POINTER_ATTRIBUTE_IS_MANAGED, c_size_t(pointer))
    client.cuPointerGetAttribute(byref(host), c.POINTER_ATTRIBUTE_HOST_POINTER, c_size_t(pointer))
    assert (managed.value, host.value) == (1, pointer)
    assert free(client) == before
    client.cuMemFree_v2(c_size_t(pointer))
    for size, flags in ((0, 1), (10, 0), (10, 3), (10, 4)):
        with refused("INVALID_VALUE"):
            client.handle("cuMemAllocManaged", c_size_t(size), flags)


def ask(client: Client, attribute: int, pointer: int, size: int, count: int = 1) -> list[int]:
    values = (c_int * count)()
    room = c_size_t(4 * count)
    client.cuMemRangeGetAttribute(values, room, attribute, c_size_t(pointer), c_size_t(size))
    return list(values)


def test_advice(client: Client) -> None:
    size = 1 << 20
    pointer = client.handle("cuMemAllocManaged", c_size_t(size), 1)

    def advise(advice: int, start: int, count: int, device: int) -> None:
        client.cuMemAdvise(c_size_t(pointer + start), c_size_t(count), advice, device)

    assert ask(client, c.MEM_RANGE_ATTRIBUTE_READ_MOSTLY, pointer, size) == [0]
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, pointer, size) == [-2]
    advise(c.MEM_ADVISE_SET_READ_MOSTLY, 0, 8192, 0)
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_READ_MOSTLY, pointer, 8192) == [1]
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_READ_MOSTLY, pointer, size) == [0]
    advise(c.MEM_ADVISE_SET_PREFERRED_LOCATION, 0, size, 1)
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, pointer, size) == [1]
    advise(c.MEM_ADVISE_SET_PREFERRED_LOCATION, 4096, 4096, -1)
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, pointer, size) == [-2]
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION, pointer + 4096, 4096) == [-1]
    advise(c.MEM_ADVISE_SET_ACCESSED_BY, 0, size, 1)
    advise(c.MEM_ADVISE_SET_ACCESSED_BY, 0, size, -1)
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_ACCESSED_BY, pointer, size, 3) == [1, -1, -2]
    advise(c.MEM_ADVISE_UNSET_ACCESSED_BY, 0, size, 1)
    assert ask(client, c.MEM_RANGE_ATTRIBUTE_ACCESSED_BY, pointer, size, 3) == [-1, -2, -2]
    with refused("INVALID_DEVICE"):
        advise(c.MEM_ADVISE_SET_PREFERRED_LOCATION, 0, size, 2)
    with refused("INVALID_VALUE"):
        advise(c.MEM_ADVISE_SET_READ_MOSTLY, 0, size + 1, 0)
    with refused("INVALID_VALUE"):
        advise(99, 0, size, 0)


def test_prefetching(client: Client) -> None:
    pointer = client.handle("cuMemAllocManaged", c_size_t(8192), 1)
    last = c.MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION
    assert ask(client, last, pointer, 8192) == [-2]
    client.cuMemPrefetchAsync(c_size_t(pointer), c_size_t(8192), 1, None)
    assert ask(client, last, pointer, 8192) == [1]
    client.cuMemPrefetchAsync(c_size_t(pointer), c_size_t(8192), -1, None)
    attributes = (c_uint * 2)(last, c.MEM_RANGE_ATTRIBUTE_READ_MOSTLY)
    values = (c_int * 2)(5, 5)
    places = (c_size_t * 2)(ctypes.addressof(values), ctypes.addressof(values) + 4)
    sizes = (c_size_t * 2)(4, 4)
    client.cuMemRangeGetAttributes(
        places, sizes, attributes, c_size_t(2), c_size_t(pointer), c_size_t(8192)
    )
    assert list(values) == [-1, 0]
    device = client.handle("cuMemAlloc_v2", c_size_t(4096))
    with refused("INVALID_VALUE"):
        client.cuMemPrefetchAsync(c_size_t(device), c_size_t(4096), 0, None)
    location = api.types["CUmemLocation"](type=1, id=0)
    client.cuMemPrefetchAsync_v2(c_size_t(pointer), c_size_t(10), location, 0, None)
    with refused("INVALID_VALUE"):
        client.cuMemPrefetchAsync_v2(c_size_t(pointer), c_size_t(10), location, 1, None)
