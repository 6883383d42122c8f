"""Device memory: what is allocated, what it costs, and what a wrong pointer gets."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from collections.abc import Callable
from ctypes import byref, c_size_t, c_uint
from itertools import pairwise

import pytest
from cuda_client import Client, StatusError, in_child, refused
from device_images import image

from emulator.cuda import _constants as c
from emulator.cuda.library import Cuda, CudaError
from emulator.cuda.memory.space import Space
from emulator.runtime import boot

MIB = 1 << 20
GIB = 1 << 30


def free(client: Client) -> int:
    value = c_size_t()
    client.cuMemGetInfo_v2(byref(value), None)
    return value.value


def allocate(client: Client, size: int) -> c_size_t:
    return c_size_t(client.handle("cuMemAlloc_v2", c_size_t(size)))


def put(client: Client, pointer: int, data: bytes) -> None:
    client.cuMemcpyHtoD_v2(c_size_t(pointer), data, c_size_t(len(data)))


def get(client: Client, pointer: int, size: int) -> bytes:
    data = ctypes.create_string_buffer(size)
    client.cuMemcpyDtoH_v2(data, c_size_t(pointer), c_size_t(size))
    return data.raw


def test_small_allocations_share_two_mebibytes(client: Client) -> None:
    before = free(client)
    pointers = [allocate(client, 1) for _ in range(3)]
    assert [p.value - pointers[0].value for p in pointers] == [0, 512, 1024]
    assert before - free(client) == 2 * MIB
    for pointer in pointers:
        client.cuMemFree_v2(pointer)
    assert free(client) == before


@pytest.mark.parametrize(("size", "taken"), [(2, 2), (3, 4), (100, 100), (101, 102)])
def test_large_allocations_take_whole_blocks(client: Client, size: int, taken: int) -> None:
    before = free(client)
    pointer = allocate(client, size * MIB)
    assert pointer.value % (2 * MIB) == 0
    assert before - free(client) == taken * MIB
    client.cuMemFree_v2(pointer)
    assert free(client) == before


def test_a_large_allocation_costs_what_is_touched(client: Client) -> None:
    pointer = allocate(client, 60 * GIB)
    put(client, pointer.value + 59 * GIB, b"far away")
    assert get(client, pointer.value + 59 * GIB, 8) == b"far away"
    with open("/proc/self/statm", encoding="ascii") as file:
        resident = int(file.read().split()[1]) * 4096
    assert resident < GIB


def test_out_of_memory_at_the_device_s_capacity(client: Client) -> None:
    before = free(client)
    with refused("OUT_OF_MEMORY"):
        allocate(client, before + 1)
    pointer = allocate(client, before // (2 * MIB) * (2 * MIB))
    assert free(client) < 2 * MIB
    with refused("OUT_OF_MEMORY"):
        allocate(client, 1)
    client.cuMemFree_v2(pointer)
    assert free(client) == before
    client.cuMemFree_v2(allocate(client, 1))


def test_the_other_device_is_not_charged(client: Client) -> None:
    allocate(client, GIB)
    client.handle("cuCtxCreate_v2", 0, 1)
    left = free(client)
    allocate(client, GIB)
    assert left - free(client) == GIB


def test_what_cannot_be_freed(client: Client) -> None:
    pointer = allocate(client, 1024)
    own = ctypes.create_string_buffer(64)
    for wrong in (pointer.value + 1, pointer.value + 512, 0xDEAD000, ctypes.addressof(own)):
        with refused("INVALID_VALUE"):
            client.cuMemFree_v2(c_size_t(wrong))
    client.cuMemFree_v2(pointer)
    with refused("INVALID_VALUE"):
        client.cuMemFree_v2(pointer)
    client.cuMemFree_v2(c_size_t(0))
    with refused("INVALID_VALUE"):
        allocate(client, 0)


def test_freed_memory_is_given_out_again(client: Client) -> None:
    kept = [allocate(client, 1000) for _ in range(2000)]
    held = free(client)
    for pointer in kept[::2]:
        client.cuMemFree_v2(pointer)
    again = [allocate(client, 900) for _ in range(1000)]
    assert free(client) == held
    assert {p.value for p in again} == {p.value for p in kept[::2]}
    large = allocate(client, 10 * MIB)
    client.cuMemFree_v2(large)
    assert allocate(client, 10 * MIB).value


def test_blocks_do_not_overlap(client: Client) -> None:
    sizes = [1, 511, 512, 513, 70_000, MIB, 2 * MIB - 1, 2 * MIB, 3 * MIB] * 5
    spans = sorted((allocate(client, size).value, size) for size in sizes)
    for (start, size), (following, _) in pairwise(spans):
        assert start + size <= following
    for index, (start, size) in enumerate(spans):
        client.cuMemsetD8_v2(c_size_t(start), index, c_size_t(size))
    for index, (start, size) in enumerate(spans):
        assert get(client, start, 1) + get(client, start + size - 1, 1) == bytes([index]) * 2


def test_memory_ends_with_its_context(client: Client) -> None:
    before = free(client)
    other = client.handle("cuCtxCreate_v2", 0, 0)
    pointers = [allocate(client, size).value for size in (1, 5 * MIB, GIB)]
    host = client.handle("cuMemAllocHost_v2", c_size_t(4096))
    client.cuCtxDestroy_v2(c_size_t(other))
    assert free(client) == before
    for pointer in pointers:
        with refused("INVALID_VALUE"):
            get(client, pointer, 1)
        with refused("INVALID_VALUE"):
            client.cuMemFree_v2(c_size_t(pointer))
    with refused("INVALID_VALUE"):
        client.cuMemFreeHost(c_size_t(host))


def test_memory_of_another_context_can_be_used(client: Client) -> None:
    pointer = allocate(client, 64)
    put(client, pointer.value, b"shared")
    client.handle("cuCtxCreate_v2", 0, 1)
    assert get(client, pointer.value, 6) == b"shared"
    client.cuMemFree_v2(pointer)


def test_no_memory_without_a_context(client: Client) -> None:
    client.handle("cuCtxPopCurrent_v2")
    with refused("INVALID_CONTEXT"):
        allocate(client, 1)
    with refused("INVALID_CONTEXT"):
        client.cuMemFree_v2(c_size_t(0))


def test_rows(client: Client) -> None:
    pointer, pitch = c_size_t(), c_size_t()
    client.cuMemAllocPitch_v2(byref(pointer), byref(pitch), c_size_t(700), c_size_t(9), 4)
    assert pitch.value == 1024
    size = c_size_t()
    client.cuMemGetAddressRange_v2(None, byref(size), c_size_t(pointer.value + 5000))
    assert size.value == 9 * 1024
    for element in (0, 1, 3, 32):
        with refused("INVALID_VALUE"):
            client.cuMemAllocPitch_v2(
                byref(pointer), byref(pitch), c_size_t(7), c_size_t(9), element
            )
    with refused("INVALID_VALUE"):
        client.cuMemAllocPitch_v2(byref(pointer), byref(pitch), c_size_t(0), c_size_t(9), 4)


def test_address_range(client: Client) -> None:
    pointer = allocate(client, 1000)
    base, size = c_size_t(), c_size_t()
    client.cuMemGetAddressRange_v2(byref(base), byref(size), c_size_t(pointer.value + 999))
    assert (base.value, size.value) == (pointer.value, 1000)
    client.cuMemGetAddressRange_v2(byref(base), None, pointer)
    for outside in (pointer.value + 1000, pointer.value - 1, 0):
        with refused("NOT_FOUND"):
            client.cuMemGetAddressRange_v2(byref(base), None, c_size_t(outside))


def test_the_32_bit_forms(client: Client) -> None:
    pointer = c_uint()
    client.cuMemAlloc(byref(pointer), 100)
    client.cuMemcpyHtoD(pointer, b"low memory", 10)
    back = ctypes.create_string_buffer(10)
    client.cuMemcpyDtoH(back, pointer, 10)
    assert back.raw == b"low memory"
    base, size = c_uint(), c_uint()
    client.cuMemGetAddressRange(byref(base), byref(size), c_uint(pointer.value + 50))
    assert (base.value, size.value) == (pointer.value, 100)
    pitch = c_uint()
    rows = c_uint()
    client.cuMemAllocPitch(byref(rows), byref(pitch), 10, 10, 4)
    assert rows.value != pointer.value
    for each in (pointer, rows):
        client.cuMemFree(each)
    with refused("INVALID_VALUE"):
        client.cuMemFree(pointer)


def test_a_forked_child_does_not_see_device_memory(client: Client) -> None:
    pointer = allocate(client, 4096)
    put(client, pointer.value, b"parent")

    def look() -> str:
        with open("/proc/self/maps", encoding="utf-8") as maps:
            starts = [
                int(line.partition("-")[0], 16) for line in maps if "memfd:nvemu-device" in line
            ]
        with contextlib.suppress(StatusError):
            client.cuCtxSynchronize()
        links = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
        files = [link for link in links if os.path.islink(link)]
        return f"{len(starts)} {sum('nvemu-device' in os.readlink(file) for file in files)}"

    assert in_child(look) == "0 0"
    assert get(client, pointer.value, 6) == b"parent"


def test_the_program_closes_all_descriptors(client: Client) -> None:
    """As daemons do: what is allocated stays, and more can be."""
    first = allocate(client, 3 * MIB)
    put(client, first.value, b"first")
    for name in os.listdir("/proc/self/fd"):
        try:
            if "memfd:nvemu-device" in os.readlink(f"/proc/self/fd/{name}"):
                os.close(int(name))
        except OSError:
            continue
    second = allocate(client, 3 * MIB)
    put(client, second.value, b"second")
    assert get(client, first.value, 5) == b"first"
    client.cuMemFree_v2(first)
    client.cuMemFree_v2(second)


def test_pointer_attributes_of_device_memory(client: Client) -> None:
    context = client.handle("cuCtxGetCurrent")
    pointer = allocate(client, 1000)
    inside = c_size_t(pointer.value + 10)

    def ask(attribute: int) -> int:
        value = c_size_t(0)
        client.cuPointerGetAttribute(byref(value), attribute, inside)
        return value.value

    assert ask(c.POINTER_ATTRIBUTE_CONTEXT) == context
    assert ask(c.POINTER_ATTRIBUTE_MEMORY_TYPE) == c.MEMORYTYPE_DEVICE
    assert ask(c.POINTER_ATTRIBUTE_DEVICE_POINTER) == inside.value
    assert ask(c.POINTER_ATTRIBUTE_IS_MANAGED) == 0
    assert ask(c.POINTER_ATTRIBUTE_DEVICE_ORDINAL) == 0
    assert ask(c.POINTER_ATTRIBUTE_RANGE_START_ADDR) == pointer.value
    assert ask(c.POINTER_ATTRIBUTE_RANGE_SIZE) == 1000
    assert ask(c.POINTER_ATTRIBUTE_MAPPED) == 1
    assert ask(c.POINTER_ATTRIBUTE_MAPPING_SIZE) == 2 * MIB
    assert ask(c.POINTER_ATTRIBUTE_BUFFER_ID) != 0
    with refused("INVALID_VALUE"):
        ask(c.POINTER_ATTRIBUTE_HOST_POINTER)
    client.cuPointerSetAttribute(byref(c_uint(1)), c.POINTER_ATTRIBUTE_SYNC_MEMOPS, pointer)
    assert ask(c.POINTER_ATTRIBUTE_SYNC_MEMOPS) == 1
    with refused("INVALID_VALUE"):
        client.cuPointerSetAttribute(byref(c_uint(1)), c.POINTER_ATTRIBUTE_IS_MANAGED, pointer)


def test_a_pointer_that_is_none_of_cuda_s(client: Client) -> None:
    own = ctypes.create_string_buffer(16)
    address = c_size_t(ctypes.addressof(own))
    kind, ordinal = c_uint(7), ctypes.c_int(7)
    with refused("INVALID_VALUE"):
        client.cuPointerGetAttribute(byref(kind), c.POINTER_ATTRIBUTE_MEMORY_TYPE, address)
    attributes = (c_uint * 2)(c.POINTER_ATTRIBUTE_MEMORY_TYPE, c.POINTER_ATTRIBUTE_DEVICE_ORDINAL)
    places = (c_size_t * 2)(ctypes.addressof(kind), ctypes.addressof(ordinal))
    client.cuPointerGetAttributes(2, attributes, places, address)
    assert (kind.value, ordinal.value) == (0, -2)
    pointer = allocate(client, 1)
    client.cuPointerGetAttributes(2, attributes, places, pointer)
    assert (kind.value, ordinal.value) == (2, 0)


HUGE = [1 << 48, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - (2 << 20), (1 << 64) - 1]


@pytest.mark.parametrize("size", HUGE)
def test_sizes_that_nothing_has(client: Client, size: int) -> None:
    before = free(client)
    large = c_size_t(size)
    pointer, pitch = c_size_t(), c_size_t()
    for call in (
        lambda: allocate(client, size),
        lambda: client.cuMemAllocPitch_v2(byref(pointer), byref(pitch), large, large, 4),
        lambda: client.handle("cuMemAllocHost_v2", large),
        lambda: client.handle("cuMemAllocManaged", large, 1),
        lambda: client.handle("cuMemAllocAsync", large, None),
    ):
        with refused("OUT_OF_MEMORY"):
            call()
    assert free(client) == before


def test_the_system_has_no_room(client: Client) -> None:
    """As under ulimit -v and ulimit -f: refused, and the device's bytes are given back."""
    before = free(client)
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS):
        kept = resource.getrlimit(limit)
        resource.setrlimit(limit, (4 * GIB, kept[1]))
        try:
            with refused("OUT_OF_MEMORY"):
                allocate(client, 40 * GIB)
        finally:
            resource.setrlimit(limit, kept)
        assert free(client) == before
        client.cuMemFree_v2(allocate(client, 40 * GIB))


def test_a_block_that_is_freed_late_frees_no_other(client: Client) -> None:
    """Two threads may free the same pointer, and a third have the address already."""
    cuda = next(a.library for a in boot.attachments if isinstance(a.library, Cuda))
    space = cuda.part(Space)

    def host() -> int:
        return client.handle("cuMemAllocHost_v2", c_size_t(MIB))

    kinds: list[tuple[Callable[[], int], str]] = [
        (lambda: allocate(client, MIB).value, "cuMemFree_v2"),
        (lambda: client.handle("cuMemAllocAsync", c_size_t(MIB), None), "cuMemFree_v2"),
        (host, "cuMemFreeHost"),
    ]
    for take, give in kinds:
        first = take()
        stale = space.at(first)
        getattr(client, give)(c_size_t(first))
        assert take() == first
        with pytest.raises(CudaError):
            stale.owner.free(stale)
        put(client, first, b"still there")
        getattr(client, give)(c_size_t(first))


def test_a_managed_variable_of_a_module(client: Client) -> None:
    arguments = (image("zstd.fatbin"), None, None, 0, None, None, 0)
    library = c_size_t(client.handle("cuLibraryLoadData", *arguments))
    pointer = c_size_t(client.handle("cuLibraryGetManaged", byref(c_size_t()), library, b"total"))
    client.cuMemPrefetchAsync(pointer, c_size_t(4), 0, None)
    with refused("INVALID_VALUE"):  # it is the module's
        client.cuMemFree_v2(pointer)
    client.cuLibraryUnload(library)
