"""Memory in the order of a stream, and the pools that it comes from."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_size_t, c_uint, c_ulonglong
from typing import Any

import pytest
from cuda_client import Client, refused

from emulator.cuda import _constants as c
from emulator.cuda import api
from emulator.cuda.library import Cuda
from emulator.cuda.memory.pool import Free
from emulator.cuda.memory.space import Space
from emulator.runtime import boot

MIB = 1 << 20


def free(client: Client) -> int:
    value = c_size_t()
    client.cuMemGetInfo_v2(byref(value), None)
    return value.value


def allocate(client: Client, size: int) -> c_size_t:
    return c_size_t(client.handle("cuMemAllocAsync", c_size_t(size), None))


def make(client: Client, **fields: Any) -> c_size_t:
    props = api.types["CUmemPoolProps"](allocType=1, **fields)
    props.location.type, props.location.id = 1, 0
    return c_size_t(client.handle("cuMemPoolCreate", byref(props)))


def attribute(client: Client, pool: c_size_t, number: int) -> int:
    value = c_ulonglong()
    client.cuMemPoolGetAttribute(pool, number, byref(value))
    return value.value


def test_memory_comes_from_the_default_pool(client: Client) -> None:
    pool = c_size_t(client.handle("cuDeviceGetDefaultMemPool", 0))
    assert client.handle("cuDeviceGetMemPool", 0) == pool.value
    before = free(client)
    pointer = allocate(client, 12)
    assert before - free(client) == 32 * MIB
    assert attribute(client, pool, c.MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 32 * MIB
    assert attribute(client, pool, c.MEMPOOL_ATTR_USED_MEM_CURRENT) == 512
    owner = c_size_t()
    client.cuPointerGetAttribute(byref(owner), c.POINTER_ATTRIBUTE_MEMPOOL_HANDLE, pointer)
    assert owner.value == pool.value
    client.cuMemcpyHtoDAsync_v2(pointer, b"hello", c_size_t(5), None)
    back = ctypes.create_string_buffer(5)
    client.cuMemcpyDtoH_v2(back, pointer, c_size_t(5))
    assert back.raw == b"hello"
    client.cuMemFreeAsync(pointer, None)
    with refused("INVALID_VALUE"):
        client.cuMemFreeAsync(pointer, None)
    assert attribute(client, pool, c.MEMPOOL_ATTR_USED_MEM_CURRENT) == 0
    assert attribute(client, pool, c.MEMPOOL_ATTR_USED_MEM_HIGH) == 512
    client.cuMemPoolTrimTo(pool, c_size_t(0))
    assert free(client) == before
    assert attribute(client, pool, c.MEMPOOL_ATTR_RESERVED_MEM_HIGH) == 32 * MIB
    client.cuMemPoolSetAttribute(pool, c.MEMPOOL_ATTR_RESERVED_MEM_HIGH, byref(c_ulonglong(0)))
    assert attribute(client, pool, c.MEMPOOL_ATTR_RESERVED_MEM_HIGH) == 0


def test_sizes_beyond_a_step(client: Client) -> None:
    before = free(client)
    pointers = [allocate(client, size) for size in (100 * MIB, 20 * MIB, 20 * MIB, 1)]
    assert before - free(client) == (128 + 32 + 0 + 0) * MIB
    for pointer in pointers:
        client.cuMemFree_v2(pointer)
    again = allocate(client, 120 * MIB)
    assert again.value == pointers[0].value
    assert before - free(client) == 160 * MIB


def test_what_is_left_of_a_device_is_given(client: Client) -> None:
    left = free(client)
    kept = c_size_t(client.handle("cuMemAlloc_v2", c_size_t((left // MIB - 10) * MIB)))
    pointer = allocate(client, 6 * MIB)
    with refused("OUT_OF_MEMORY"):
        allocate(client, 6 * MIB)
    client.cuMemFree_v2(kept)
    client.cuMemFreeAsync(pointer, None)


def test_a_pool_of_one_s_own(client: Client) -> None:
    before = free(client)
    pool = make(client, maxSize=64 * MIB)
    pointer = c_size_t(client.handle("cuMemAllocFromPoolAsync", c_size_t(40 * MIB), pool, None))
    with refused("OUT_OF_MEMORY"):
        client.handle("cuMemAllocFromPoolAsync", c_size_t(40 * MIB), pool, None)
    client.cuDeviceSetMemPool(0, pool)
    assert client.handle("cuDeviceGetMemPool", 0) == pool.value
    with refused("INVALID_VALUE"):
        client.cuDeviceSetMemPool(1, pool)
    client.cuMemPoolDestroy(pool)
    with refused("INVALID_HANDLE"):
        client.cuMemPoolTrimTo(pool, c_size_t(0))
    assert client.handle("cuDeviceGetMemPool", 0) == client.handle("cuDeviceGetDefaultMemPool", 0)
    assert free(client) < before, "what was allocated stays until it is freed"
    client.cuMemFreeAsync(pointer, None)
    assert free(client) == before
    with refused("INVALID_VALUE"):
        client.cuMemPoolDestroy(c_size_t(client.handle("cuDeviceGetDefaultMemPool", 0)))


def test_attributes(client: Client) -> None:
    pool = make(client)
    for number in (1, 2, 3):
        value = c_int(-1)
        client.cuMemPoolGetAttribute(pool, number, byref(value))
        assert value.value == 1
        client.cuMemPoolSetAttribute(pool, number, byref(c_int(0)))
        client.cuMemPoolGetAttribute(pool, number, byref(value))
        assert value.value == 0
    threshold = c.MEMPOOL_ATTR_RELEASE_THRESHOLD
    assert attribute(client, pool, threshold) == 0
    client.cuMemPoolSetAttribute(pool, threshold, byref(c_ulonglong(2**64 - 1)))
    assert attribute(client, pool, threshold) == 2**64 - 1
    for number in (c.MEMPOOL_ATTR_USED_MEM_CURRENT, c.MEMPOOL_ATTR_USED_MEM_HIGH):
        with refused("INVALID_VALUE"):
            client.cuMemPoolSetAttribute(pool, number, byref(c_ulonglong(1)))
    with refused("INVALID_VALUE"):
        client.cuMemPoolGetAttribute(pool, 99, byref(c_ulonglong()))


def test_access(client: Client) -> None:
    pool = make(client)
    desc = api.types["CUmemAccessDesc"](flags=3)
    desc.location.type, desc.location.id = 1, 1
    flags = c_uint()
    client.cuMemPoolGetAccess(byref(flags), pool, byref(desc.location))
    assert flags.value == 0
    client.cuMemPoolSetAccess(pool, byref(desc), c_size_t(1))
    client.cuMemPoolGetAccess(byref(flags), pool, byref(desc.location))
    assert flags.value == 3
    desc.location.id, desc.flags = 0, 0
    with refused("INVALID_VALUE"):
        client.cuMemPoolSetAccess(pool, byref(desc), c_size_t(1))
    desc.location.id = 7
    with refused("INVALID_DEVICE"):
        client.cuMemPoolSetAccess(pool, byref(desc), c_size_t(1))


def test_what_a_stream_cannot_free(client: Client) -> None:
    host = client.handle("cuMemAllocHost_v2", c_size_t(100))
    for wrong in (0, host, 0xDEAD000):
        with refused("INVALID_VALUE"):
            client.cuMemFreeAsync(c_size_t(wrong), None)
    assert allocate(client, 0).value == 0
    pointer = client.handle("cuMemAlloc_v2", c_size_t(100))
    client.cuMemFreeAsync(c_size_t(pointer), None)
    with refused("INVALID_VALUE"):
        client.cuMemFree_v2(c_size_t(pointer))


def test_pools_outlive_contexts(client: Client) -> None:
    pointer = allocate(client, 100)
    client.cuCtxDestroy_v2(c_size_t(client.handle("cuCtxGetCurrent")))
    client.handle("cuCtxCreate_v2", 0, 0)
    client.cuMemsetD8_v2(pointer, 1, c_size_t(100))
    client.cuMemFree_v2(pointer)


def held(client: Client) -> tuple[c_size_t, c_uint]:
    """A stream that waits until a word of ours is 1."""
    stream, word = c_size_t(client.handle("cuStreamCreate", 1)), c_uint(0)
    client.cuMemHostRegister_v2(byref(word), c_size_t(4), 0)
    client.cuStreamWaitValue32_v2(stream, c_size_t(ctypes.addressof(word)), 1, 0)
    return stream, word


@pytest.mark.parametrize("function", ["cuMemAlloc_v2", "cuMemAllocAsync"])
def test_what_a_stream_is_to_free_is_freed_once(client: Client, function: str) -> None:
    stream, word = held(client)
    more = () if function == "cuMemAlloc_v2" else (None,)
    pointer = c_size_t(client.handle(function, c_size_t(1000), *more))
    client.cuMemFreeAsync(pointer, stream)
    with refused("INVALID_VALUE"):
        client.cuMemFreeAsync(pointer, stream)
    word.value = 1
    client.cuStreamSynchronize(stream)
    with refused("INVALID_VALUE"):
        client.cuMemFreeAsync(pointer, stream)
    client.cuCtxSynchronize()


def test_a_free_that_comes_too_late_is_no_error_of_the_context(client: Client) -> None:
    """Another thread may have freed the memory between the call and its turn."""
    cuda = next(a.library for a in boot.attachments if isinstance(a.library, Cuda))
    pointer = allocate(client, 1000)
    late = Free(cuda.part(Space).at(pointer.value))
    client.cuMemFree_v2(pointer)
    late.run()
    client.cuCtxSynchronize()


def test_what_a_lost_stream_was_to_free_is_free(client: Client) -> None:
    client.handle("cuCtxCreate_v2", 0, 0)
    stream, _word = held(client)
    pointer = allocate(client, 1000)
    client.cuMemFreeAsync(pointer, stream)
    client.cuCtxDestroy_v2(c_size_t(client.handle("cuCtxGetCurrent")))
    pool = c_size_t(client.handle("cuDeviceGetDefaultMemPool", 0))
    assert attribute(client, pool, c.MEMPOOL_ATTR_USED_MEM_CURRENT) == 0
