"""Copies that a stream does later, and copies during a capture."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_size_t, c_uint
from typing import Any

from cuda_client import Client, refused

from emulator.cuda import _constants as c
from emulator.cuda import api


class Held:
    """A stream in which nothing is done until `release`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.stream = c_size_t(client.handle("cuStreamCreate", 1))
        self._flag = client.handle("cuMemAllocHost_v2", c_size_t(4))
        ctypes.memset(self._flag, 0, 4)
        client.cuStreamWaitValue32_v2(self.stream, c_size_t(self._flag), c_uint(1), 0)

    def release(self) -> None:
        c_uint.from_address(self._flag).value = 1
        self._client.cuStreamSynchronize(self.stream)


def device(client: Client, data: bytes) -> c_size_t:
    pointer = c_size_t(client.handle("cuMemAlloc_v2", c_size_t(len(data))))
    client.cuMemcpyHtoD_v2(pointer, data, c_size_t(len(data)))
    return pointer


def read(client: Client, pointer: c_size_t, size: int) -> bytes:
    data = ctypes.create_string_buffer(size)
    client.cuMemcpyDtoH_v2(data, pointer, c_size_t(size))
    return data.raw


def test_a_stream_that_waits_copies_later(client: Client) -> None:
    held = Held(client)
    pointer = device(client, b"before")
    host = client.handle("cuMemAllocHost_v2", c_size_t(6))
    ctypes.memmove(host, b"pinned", 6)
    client.cuMemcpyHtoDAsync_v2(pointer, c_size_t(host), c_size_t(6), held.stream)
    client.cuMemsetD8Async(pointer, ord("P"), c_size_t(1), held.stream)
    assert ctypes.string_at(pointer.value, 6) == b"before"
    ctypes.memmove(host, b"PINNED", 6)
    held.release()
    assert read(client, pointer, 6) == b"PINNED"


def test_pageable_memory_is_read_before_the_call_returns(client: Client) -> None:
    held = Held(client)
    pointer = device(client, b"before")
    own = ctypes.create_string_buffer(b"as it was", 9)
    client.cuMemcpyHtoDAsync_v2(pointer, own, c_size_t(6), held.stream)
    ctypes.memset(own, 0, 9)
    held.release()
    assert read(client, pointer, 6) == b"as it "


def test_memory_that_goes_before_the_copy_comes(client: Client) -> None:
    """Freeing waits; unmapping by the program does not, and ends the context."""
    held = Held(client)
    pointer = device(client, b"x" * 4096)
    libc = ctypes.CDLL(None)
    libc.mmap.restype = c_size_t
    address = libc.mmap(None, c_size_t(4096), 3, 0x22, -1, c_size_t(0))
    client.cuMemHostRegister_v2(c_size_t(address), c_size_t(4096), 0)
    client.cuMemcpyDtoHAsync_v2(c_size_t(address), pointer, c_size_t(4096), held.stream)
    libc.munmap(c_size_t(address), c_size_t(4096))
    with refused("ILLEGAL_ADDRESS"):
        held.release()
    with refused("ILLEGAL_ADDRESS"):
        client.handle("cuMemAlloc_v2", c_size_t(1))


def test_freeing_in_a_stream_comes_in_its_turn(client: Client) -> None:
    held = Held(client)
    pointer = c_size_t(client.handle("cuMemAllocAsync", c_size_t(4), held.stream))
    kept = device(client, b"....")
    client.cuMemsetD8Async(pointer, ord("k"), c_size_t(4), held.stream)
    client.cuMemcpyDtoDAsync_v2(kept, pointer, c_size_t(4), held.stream)
    client.cuMemFreeAsync(pointer, held.stream)
    with refused("INVALID_VALUE"):
        client.cuMemFreeAsync(pointer, held.stream)
    held.release()
    assert read(client, kept, 4) == b"kkkk"
    with refused("INVALID_VALUE"):
        read(client, pointer, 1)


def capture(client: Client, stream: c_size_t) -> None:
    client.cuStreamBeginCapture_v2(stream, c.STREAM_CAPTURE_MODE_GLOBAL)


def test_a_captured_copy_is_made_by_each_launch(client: Client) -> None:
    stream = c_size_t(client.handle("cuStreamCreate", 1))
    pointer = device(client, b"....")
    own = ctypes.create_string_buffer(b"one!", 4)
    capture(client, stream)
    client.cuMemcpyHtoDAsync_v2(pointer, own, c_size_t(4), stream)
    client.cuMemsetD8Async(c_size_t(pointer.value + 3), ord("?"), c_size_t(1), stream)
    graph = c_size_t()
    client.cuStreamEndCapture(stream, byref(graph))
    assert read(client, pointer, 4) == b"...."
    nodes, count = (c_size_t * 2)(), c_size_t(2)
    client.cuGraphGetNodes(graph, nodes, byref(count))
    assert count.value == 2
    params = api.types["CUDA_MEMCPY3D"]()
    client.cuGraphMemcpyNodeGetParams(c_size_t(nodes[0]), byref(params))
    assert (params.srcMemoryType, params.dstDevice) == (1, pointer.value)
    assert (params.WidthInBytes, params.Height, params.Depth) == (4, 1, 1)
    run = c_size_t(client.handle("cuGraphInstantiateWithFlags", graph, c_size_t(0)))
    for text in (b"one!", b"two!"):
        own.raw = text
        client.cuGraphLaunch(run, stream)
        client.cuStreamSynchronize(stream)
        assert read(client, pointer, 4) == text[:3] + b"?"


def test_what_a_capture_forbids(client: Client) -> None:
    stream = c_size_t(client.handle("cuStreamCreate", 0))
    pointer = device(client, b"....")
    calls: list[tuple[str, Any]] = [
        ("STREAM_CAPTURE_IMPLICIT", lambda: read(client, pointer, 1)),
        ("STREAM_CAPTURE_UNSUPPORTED", lambda: client.handle("cuMemAlloc_v2", c_size_t(1))),
        ("STREAM_CAPTURE_UNSUPPORTED", lambda: client.cuMemFree_v2(pointer)),
        ("STREAM_CAPTURE_UNSUPPORTED", lambda: client.handle("cuMemAllocHost_v2", c_size_t(1))),
    ]
    for status, call in calls:
        capture(client, stream)
        with refused(status):
            call()
        graph = c_size_t()
        with refused("STREAM_CAPTURE_INVALIDATED"):
            client.cuStreamEndCapture(stream, byref(graph))
    assert read(client, pointer, 4) == b"...."


def test_memory_that_a_graph_allocates(client: Client) -> None:
    stream = c_size_t(client.handle("cuStreamCreate", 1))
    kept = device(client, b"....")
    capture(client, stream)
    pointer = c_size_t(client.handle("cuMemAllocAsync", c_size_t(4), stream))
    client.cuMemsetD8Async(pointer, ord("g"), c_size_t(4), stream)
    client.cuMemcpyDtoDAsync_v2(kept, pointer, c_size_t(4), stream)
    client.cuMemFreeAsync(pointer, stream)
    graph = c_size_t()
    client.cuStreamEndCapture(stream, byref(graph))
    run = c_size_t(client.handle("cuGraphInstantiateWithFlags", graph, c_size_t(0)))
    for _ in range(2):
        client.cuGraphLaunch(run, stream)
        client.cuStreamSynchronize(stream)
        assert read(client, kept, 4) == b"gggg"
        client.cuMemsetD8_v2(kept, 0, c_size_t(4))
