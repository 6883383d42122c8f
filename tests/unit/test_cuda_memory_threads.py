"""Many threads that allocate, use and free memory at the same time."""

from __future__ import annotations

import ctypes
import random
import threading
from collections.abc import Iterator
from ctypes import byref, c_size_t

import pytest
from cuda_client import Client

import emulator
from emulator import Gpu, Scenario

SIZES = (1, 600, 70_000, 3 << 20)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu("h100-sxm5-80gb")])):
        client = Client()
        client.cuInit(0)
        yield client


def free(client: Client) -> int:
    value = c_size_t()
    client.cuMemGetInfo_v2(byref(value), None)
    return value.value


def work(client: Client, context: c_size_t, number: int, wrong: list[str]) -> None:
    client.cuCtxSetCurrent(context)
    draw = random.Random(number)
    held: list[tuple[c_size_t, int, int]] = []
    data = ctypes.create_string_buffer(max(SIZES))

    def end(pointer: c_size_t, size: int, value: int, asynchronous: bool) -> None:
        client.cuMemcpyDtoH_v2(data, pointer, c_size_t(size))
        if data.raw[:size] != bytes([value]) * size:
            wrong.append(f"thread {number}: {size} bytes are not {value}")
        if asynchronous:
            client.cuMemFreeAsync(pointer, None)
        else:
            client.cuMemFree_v2(pointer)

    for _ in range(150):
        asynchronous = draw.random() < 0.5
        if held and draw.random() < 0.45:
            end(*held.pop(draw.randrange(len(held))), asynchronous)
            continue
        size, value = draw.choice(SIZES), draw.randrange(256)
        if asynchronous:
            pointer = c_size_t(client.handle("cuMemAllocAsync", c_size_t(size), None))
        else:
            pointer = c_size_t(client.handle("cuMemAlloc_v2", c_size_t(size)))
        client.cuMemsetD8_v2(pointer, value, c_size_t(size))
        held.append((pointer, size, value))
    for each in held:
        end(*each, False)


def test_no_thread_sees_another_s_memory(client: Client) -> None:
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 0))
    before = free(client)
    wrong: list[str] = []
    threads = [
        threading.Thread(target=work, args=(client, context, number, wrong)) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    pool = c_size_t(client.handle("cuDeviceGetDefaultMemPool", 0))
    client.cuMemPoolTrimTo(pool, c_size_t(0))
    assert free(client) == before
