"""Copies and memsets move real bytes, and what they must not touch stays as it is."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from ctypes import byref, c_size_t, c_uint
from pathlib import Path
from typing import Any

import pytest
from cuda_client import Client, refused

from emulator.cuda import api

HOST, DEVICE, ARRAY, UNIFIED = 1, 2, 3, 4


def device(client: Client, data: bytes) -> c_size_t:
    """Device memory that holds `data`."""
    pointer = c_size_t(client.handle("cuMemAlloc_v2", c_size_t(len(data))))
    client.cuMemcpyHtoD_v2(pointer, data, c_size_t(len(data)))
    return pointer


def read(client: Client, pointer: int, size: int) -> bytes:
    data = ctypes.create_string_buffer(size)
    client.cuMemcpyDtoH_v2(data, c_size_t(pointer), c_size_t(size))
    return data.raw


def at(buffer: Any) -> c_size_t:
    return c_size_t(ctypes.addressof(buffer))


@pytest.fixture
def pages() -> Iterator[tuple[int, int]]:
    """Three pages of host memory of which the last may not be read, nor the second written."""
    size = mmap.PAGESIZE
    memory = mmap.mmap(-1, 3 * size)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None).mprotect
    assert protect(c_size_t(start + size), c_size_t(size), 1) == 0
    assert protect(c_size_t(start + 2 * size), c_size_t(size), 0) == 0
    yield start, size
    protect(c_size_t(start), c_size_t(3 * size), 3)


def test_between_host_and_devices(client: Client) -> None:
    first = device(client, b"0123456789")
    client.handle("cuCtxCreate_v2", 0, 1)
    second = device(client, b"----------")
    client.cuMemcpyDtoD_v2(c_size_t(second.value + 2), c_size_t(first.value + 5), c_size_t(3))
    assert read(client, second.value, 10) == b"--567-----"
    back = ctypes.create_string_buffer(10)
    client.cuMemcpy(at(back), first, c_size_t(10))
    assert back.raw == b"0123456789"
    client.cuMemcpy(second, at(back), c_size_t(4))
    assert read(client, second.value, 10) == b"01237-----"
    client.cuMemcpy(at(back), c_size_t(ctypes.addressof(back) + 5), c_size_t(5))
    assert back.raw == b"5678956789"


def test_overlapping(client: Client) -> None:
    pointer = device(client, b"abcdefgh")
    client.cuMemcpyDtoD_v2(c_size_t(pointer.value + 2), pointer, c_size_t(6))
    assert read(client, pointer.value, 8) == b"ababcdef"


def test_out_of_range_moves_nothing(client: Client) -> None:
    pointer = device(client, b"x" * 1000)
    beside = device(client, b"y" * 1000)
    own = ctypes.create_string_buffer(b"z" * 4096, 4096)
    size = c_size_t(1001)
    for call in (
        lambda: client.cuMemcpyHtoD_v2(pointer, own, size),
        lambda: client.cuMemcpyHtoD_v2(c_size_t(pointer.value - 1), own, c_size_t(1)),
        lambda: client.cuMemcpyHtoD_v2(c_size_t(pointer.value + 1000), own, c_size_t(1)),
        lambda: client.cuMemcpyDtoH_v2(own, pointer, size),
        lambda: client.cuMemcpyDtoD_v2(beside, pointer, size),
        lambda: client.cuMemcpyDtoD_v2(pointer, beside, size),
        lambda: client.cuMemcpy(pointer, at(own), size),
        lambda: client.cuMemcpy(at(own), pointer, size),
        lambda: client.cuMemsetD8_v2(pointer, 0, size),
        lambda: client.cuMemsetD32_v2(pointer, 0, c_size_t(251)),
        lambda: client.cuMemcpyHtoDAsync_v2(pointer, own, size, None),
        lambda: client.cuMemcpyHtoD_v2(at(own), own, c_size_t(1)),
        lambda: client.cuMemcpyHtoD_v2(c_size_t(2**64 - 8), own, c_size_t(16)),
        lambda: client.cuMemcpyDtoH_v2(own, pointer, c_size_t(2**63)),
    ):
        with refused("INVALID_VALUE"):
            call()
    assert read(client, pointer.value, 1000) == b"x" * 1000
    assert read(client, beside.value, 1000) == b"y" * 1000
    assert own.raw == b"z" * 4096


def test_nothing_is_copied_from_anywhere(client: Client) -> None:
    client.cuMemcpyHtoD_v2(c_size_t(0), None, c_size_t(0))
    client.cuMemcpyDtoH_v2(None, c_size_t(0), c_size_t(0))
    client.cuMemcpyAsync(c_size_t(0), c_size_t(0), c_size_t(0), None)
    client.cuMemsetD8_v2(c_size_t(0), 0, c_size_t(0))


def test_host_memory_that_is_not_the_client_s(client: Client, pages: tuple[int, int]) -> None:
    start, size = pages
    pointer = device(client, b"d" * size * 3)
    client.cuMemcpyHtoD_v2(pointer, c_size_t(start), c_size_t(2 * size))
    client.cuMemcpyDtoH_v2(c_size_t(start), c_size_t(pointer.value + 2 * size), c_size_t(size))
    assert ctypes.string_at(start, size) == b"d" * size
    for call in (
        lambda: client.cuMemcpyHtoD_v2(pointer, c_size_t(start), c_size_t(2 * size + 1)),
        lambda: client.cuMemcpyHtoD_v2(pointer, None, c_size_t(1)),
        lambda: client.cuMemcpyHtoD_v2(pointer, c_size_t(0x10000), c_size_t(1)),
        lambda: client.cuMemcpyHtoD_v2(pointer, c_size_t(2**63 + 5), c_size_t(1)),
        lambda: client.cuMemcpyDtoH_v2(c_size_t(start), pointer, c_size_t(size + 1)),
        lambda: client.cuMemcpy(c_size_t(start + size), pointer, c_size_t(1)),
        lambda: client.cuMemcpyDtoHAsync_v2(c_size_t(start + size), pointer, c_size_t(1), None),
    ):
        with refused("INVALID_VALUE"):
            call()
    assert read(client, pointer.value, 3 * size) == b"\0" * 2 * size + b"d" * size
    assert ctypes.string_at(start + size, size) == b"\0" * size


def test_a_file_that_ends_before_its_mapping(client: Client, tmp_path: Any) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"f" * 100)
    pointer = device(client, b"d" * 8192)
    with open(path, "r+b") as file:
        file.truncate(8192)
        memory = mmap.mmap(file.fileno(), 8192)
        file.truncate(100)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    client.cuMemcpyHtoD_v2(pointer, c_size_t(address), c_size_t(4096))
    assert read(client, pointer.value, 100) == b"f" * 100
    with refused("INVALID_VALUE"):
        client.cuMemcpyHtoD_v2(pointer, c_size_t(address), c_size_t(4097))


def test_asynchronous_forms(client: Client) -> None:
    pointer = device(client, b"." * 16)
    other = device(client, b"," * 16)
    own = ctypes.create_string_buffer(16)
    client.cuMemcpyHtoDAsync_v2(pointer, b"host", c_size_t(4), None)
    client.cuMemcpyDtoDAsync_v2(other, pointer, c_size_t(8), None)
    client.cuMemcpyDtoHAsync_v2(own, other, c_size_t(16), None)
    client.cuMemcpyAsync(pointer, other, c_size_t(16), c_size_t(2))
    client.cuCtxSynchronize()
    assert own.raw == b"host....,,,,,,,,"
    assert read(client, pointer.value, 16) == own.raw


def test_peer(client: Client) -> None:
    one = client.handle("cuCtxGetCurrent")
    pointer = device(client, b"one")
    two = client.handle("cuCtxCreate_v2", 0, 1)
    other = device(client, b"two")
    size = c_size_t(3)
    client.cuMemcpyPeer(other, c_size_t(two), pointer, c_size_t(one), size)
    assert read(client, other.value, 3) == b"one"
    client.cuMemcpyHtoD_v2(pointer, b"111", size)
    client.cuMemcpyPeerAsync(other, c_size_t(two), pointer, c_size_t(one), size, None)
    assert read(client, other.value, 3) == b"111"
    with refused("INVALID_CONTEXT"):
        client.cuMemcpyPeer(other, c_size_t(two), pointer, c_size_t(0xBAD000), size)


def test_memsets(client: Client) -> None:
    pointer = device(client, b"." * 24)
    client.cuMemsetD8_v2(c_size_t(pointer.value + 1), 0x141, c_size_t(3))
    client.cuMemsetD16_v2(c_size_t(pointer.value + 6), 0x4342, c_size_t(3))
    client.cuMemsetD32Async(c_size_t(pointer.value + 16), 0x47464544, c_size_t(2), None)
    assert read(client, pointer.value, 24) == b".AAA..BCBCBC....DEFGDEFG"
    for name, offset in (("cuMemsetD16_v2", 1), ("cuMemsetD32_v2", 2)):
        with refused("INVALID_VALUE"):
            getattr(client, name)(c_size_t(pointer.value + offset), 0, c_size_t(1))


def test_a_memset_of_many_elements(client: Client) -> None:
    count = 3_000_001
    pointer = device(client, b"\xff" * (4 * count + 4))
    client.cuMemsetD32_v2(pointer, 0x04030201, c_size_t(count))
    data = read(client, pointer.value, 4 * count + 4)
    assert data == b"\1\2\3\4" * count + b"\xff" * 4


def test_memsets_of_rows(client: Client) -> None:
    pointer = device(client, b"." * 24)
    pitch = c_size_t(8)
    client.cuMemsetD2D8_v2(pointer, pitch, 0x41, c_size_t(3), c_size_t(3))
    assert read(client, pointer.value, 24) == b"AAA....." * 3
    client.cuMemsetD2D16_v2(pointer, pitch, 0x4342, c_size_t(2), c_size_t(2))
    client.cuMemsetD2D32Async(
        c_size_t(pointer.value + 4), pitch, 0x47464544, c_size_t(1), c_size_t(3), None
    )
    assert read(client, pointer.value, 24) == b"BCBCDEFG" * 2 + b"AAA.DEFG"
    for width, height, step in ((3, 4, 8), (3, 2, 2)):
        with refused("INVALID_VALUE"):
            client.cuMemsetD2D8_v2(pointer, c_size_t(step), 0, c_size_t(width), c_size_t(height))


def memcpy3d(**fields: int) -> Any:
    return api.types["CUDA_MEMCPY3D"](**fields)


def test_rows_are_copied_between_pitches(client: Client) -> None:
    source = ctypes.create_string_buffer(b"abc-def-ghi-", 12)
    pointer = device(client, b"." * 30)
    copy = api.types["CUDA_MEMCPY2D"](
        srcMemoryType=HOST,
        srcHost=ctypes.addressof(source),
        srcPitch=4,
        dstMemoryType=DEVICE,
        dstDevice=pointer.value,
        dstPitch=10,
        dstXInBytes=2,
        WidthInBytes=3,
        Height=3,
    )
    client.cuMemcpy2D_v2(byref(copy))
    assert read(client, pointer.value, 30) == b"..abc.......def.......ghi....."
    copy.dstY = 1
    with refused("INVALID_VALUE"):
        client.cuMemcpy2D_v2(byref(copy))
    copy.dstY, copy.Height = 0, 0
    client.cuMemcpy2DUnaligned_v2(byref(copy))
    copy.Height, copy.srcPitch = 3, 2
    with refused("INVALID_VALUE"):
        client.cuMemcpy2DAsync_v2(byref(copy), None)


def test_boxes_are_copied(client: Client) -> None:
    width, height, depth = 5, 4, 3
    source = bytes(range(width * height * depth))
    pointer = device(client, source)
    own = ctypes.create_string_buffer(2 * 2 * 2)
    copy = memcpy3d(
        srcMemoryType=DEVICE,
        srcDevice=pointer.value,
        srcPitch=width,
        srcHeight=height,
        srcXInBytes=1,
        srcY=2,
        srcZ=1,
        dstMemoryType=HOST,
        dstHost=ctypes.addressof(own),
        dstPitch=2,
        dstHeight=2,
        WidthInBytes=2,
        Height=2,
        Depth=2,
    )
    client.cuMemcpy3D_v2(byref(copy))
    expected = [z * width * height + y * width + x for z in (1, 2) for y in (2, 3) for x in (1, 2)]
    assert list(own.raw) == expected
    copy.srcZ = 2
    with refused("INVALID_VALUE"):
        client.cuMemcpy3DAsync_v2(byref(copy), None)
    copy.srcMemoryType = 9
    with refused("INVALID_VALUE"):
        client.cuMemcpy3D_v2(byref(copy))


def test_rows_may_have_nothing_between_them(client: Client, pages: tuple[int, int]) -> None:
    """Only what is copied has to be there."""
    start, size = pages
    pointer = device(client, b"r" * 8)
    copy = api.types["CUDA_MEMCPY2D"](
        srcMemoryType=DEVICE,
        srcDevice=pointer.value,
        srcPitch=4,
        dstMemoryType=HOST,
        dstHost=start,
        dstPitch=size - 4,
        WidthInBytes=4,
        Height=2,
    )
    client.cuMemcpy2D_v2(byref(copy))
    assert ctypes.string_at(start + size - 4, 4) == b"rrrr"


def test_v1_structs(client: Client) -> None:
    pointer = c_uint()
    client.cuMemAlloc(byref(pointer), 8)
    own = ctypes.create_string_buffer(b"12345678", 8)
    copy = api.types["CUDA_MEMCPY2D_v1"](
        srcMemoryType=HOST,
        srcHost=ctypes.addressof(own),
        srcPitch=4,
        dstMemoryType=DEVICE,
        dstDevice=pointer.value,
        dstPitch=4,
        WidthInBytes=4,
        Height=2,
    )
    client.cuMemcpy2D(byref(copy))
    assert read(client, pointer.value, 8) == b"12345678"


def test_more_rows_than_there_are(client: Client) -> None:
    """Nothing is made of each row before it is known to be there."""
    copy = api.types["CUDA_MEMCPY2D"](srcMemoryType=1, dstMemoryType=1, WidthInBytes=8)
    own = ctypes.create_string_buffer(4096)
    copy.srcHost = copy.dstHost = ctypes.addressof(own)
    copy.srcPitch = copy.dstPitch = 16
    copy.Height = 1 << 40
    with refused("INVALID_VALUE"):
        client.cuMemcpy2D_v2(byref(copy))


def test_a_hole_in_a_large_piece_of_host_memory(client: Client, tmp_path: Path) -> None:
    """Large ones are looked at by mapping, which may not be enough."""
    size, page = 64 << 20, mmap.PAGESIZE
    pointer = c_size_t(client.handle("cuMemAlloc_v2", c_size_t(size)))
    protect = ctypes.CDLL(None).mprotect
    with open(tmp_path / "file", "w+b") as file:
        file.truncate(size)
        private, shared = (
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE),
            mmap.mmap(file.fileno(), size),
        )
        hole = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE)
        starts = [
            ctypes.addressof(ctypes.c_char.from_buffer(memory))
            for memory in (private, shared, hole)
        ]
        ctypes.memset(starts[0], 7, size)
        for start in starts:
            client.cuMemcpyHtoD_v2(pointer, c_size_t(start), c_size_t(size))
            client.cuMemcpyDtoH_v2(c_size_t(start), pointer, c_size_t(size))
        os.truncate(tmp_path / "file", size // 2)  # what is behind kills who touches it
        assert protect(c_size_t(starts[2] + size // 2), c_size_t(page), 0) == 0
        for start in starts[1:]:
            with refused("INVALID_VALUE"):
                client.cuMemcpyHtoD_v2(pointer, c_size_t(start), c_size_t(size))
            with refused("INVALID_VALUE"):
                client.cuMemcpyDtoH_v2(c_size_t(start), pointer, c_size_t(size))
        protect(c_size_t(starts[0]), c_size_t(size), mmap.PROT_READ)
        client.cuMemcpyHtoD_v2(pointer, c_size_t(starts[0]), c_size_t(size))
        with refused("INVALID_VALUE"):
            client.cuMemcpyDtoH_v2(c_size_t(starts[0]), pointer, c_size_t(size))
        for start in starts:
            protect(c_size_t(start), c_size_t(size), mmap.PROT_READ | mmap.PROT_WRITE)
