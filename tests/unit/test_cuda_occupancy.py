"""Occupancy, against figures of NVIDIA's calculator."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t
from typing import Any

import pytest
from cuda_client import refused
from device_images import ptx
from module_client import ModuleClient

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import _constants as constants
from emulator.cuda import api

DYNAMIC = constants.FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
GPUS = ["h100-sxm5-80gb", "t4", "a100-sxm4-80gb"]
KERNEL = ".visible .entry k {directives} {{ .reg .b32 %r<{registers}>; {shared} ret; }}"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleClient]:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with emulator.emulate(Scenario(gpus=[Gpu(name) for name in GPUS])):
        yield ModuleClient()


def kernel(
    client: ModuleClient, registers: int = 32, shared: int = 0, directives: str = ""
) -> c_size_t:
    space = f".shared .b8 tile[{shared}];" if shared else ""
    text = KERNEL.format(registers=registers, shared=space, directives=directives)
    return client.function(client.load(ptx(text)), "k")


def blocks(client: ModuleClient, function: c_size_t, threads: int, dynamic: int = 0) -> int:
    size = c_size_t(dynamic)
    name = "cuOccupancyMaxActiveBlocksPerMultiprocessor"
    found = client.integer(name, function, threads, size)
    assert client.integer(name + "WithFlags", function, threads, size, 1) == found
    return found


@pytest.mark.parametrize(
    ("gpu", "registers", "directives", "shared", "threads", "dynamic", "expected"),
    [
        (0, 32, "", 0, 256, 0, 8),  # warps
        (0, 32, "", 0, 32, 0, 32),  # blocks
        (0, 64, "", 0, 256, 0, 4),  # registers
        (0, 33, "", 0, 256, 0, 6),  # registers in steps: 40 a thread
        (0, 200, ".maxntid 256, 1, 1", 0, 256, 0, 1),
        (0, 200, ".maxntid 256, 1, 1", 0, 128, 0, 2),
        (0, 32, "", 0, 256, 100 * 1024, 2),  # shared memory, and 1 KiB of each block's reserved
        (0, 32, "", 40_000, 256, 0, 5),
        (0, 32, "", 0, 256, 227 * 1024, 1),
        (0, 32, "", 0, 1025, 0, 0),
        (0, 32, ".maxntid 128, 1, 1", 0, 129, 0, 0),
        (1, 32, "", 0, 256, 0, 4),  # 1024 threads a multiprocessor
        (1, 32, "", 0, 32, 0, 16),
        (1, 32, "", 0, 128, 32 * 1024, 2),
        (2, 32, "", 0, 1024, 0, 2),
        (2, 32, "", 0, 128, 80 * 1024, 2),
    ],
)
def test_blocks_of_a_multiprocessor(  # noqa: PLR0917  (a row of the table)
    client: ModuleClient,
    gpu: int,
    registers: int,
    directives: str,
    shared: int,
    threads: int,
    dynamic: int,
    expected: int,
) -> None:
    client.create(gpu)
    function = kernel(client, registers, shared, directives)
    if dynamic + shared > 48 * 1024:
        assert blocks(client, function, threads, dynamic) == 0, "it was not asked for"
        client.cuFuncSetAttribute(function, DYNAMIC, dynamic)
    assert blocks(client, function, threads, dynamic) == expected


def potential(
    client: ModuleClient, function: c_size_t, size_of: Any = None, dynamic: int = 0, limit: int = 0
) -> tuple[int, int]:
    grid, block = c_int(), c_int()
    client.cuOccupancyMaxPotentialBlockSize(
        byref(grid), byref(block), function, size_of, c_size_t(dynamic), limit
    )
    return grid.value, block.value


def test_the_best_block_size(client: ModuleClient) -> None:
    function = kernel(client)
    assert potential(client, function) == (2 * 132, 1024)
    grid, block = potential(client, function, limit=512)
    assert (grid, block) == (4 * 132, 512)
    assert potential(client, kernel(client, directives=".maxntid 256, 1, 1"))[1] == 256


def test_shared_memory_that_depends_on_the_block_size(client: ModuleClient) -> None:
    asked: list[int] = []

    def size_of(threads: int) -> int:
        asked.append(threads)
        return threads * 40  # at most 48 KiB

    callback = ctypes.CFUNCTYPE(c_size_t, c_int)(size_of)
    grid, block = potential(client, kernel(client), callback)
    assert block == 1024
    assert grid == blocks(client, kernel(client), block, block * 40) * 132
    assert asked[0] == 1024


def test_shared_memory_that_is_left(client: ModuleClient) -> None:
    name = "cuOccupancyAvailableDynamicSMemPerBlock"
    assert client.size(name, kernel(client, shared=256), 1, 256) == 48 * 1024 - 256
    function = kernel(client)
    client.cuFuncSetAttribute(function, DYNAMIC, 227 * 1024)
    for count in (1, 2, 4, 8):
        room = client.size("cuOccupancyAvailableDynamicSMemPerBlock", function, count, 256)
        assert blocks(client, function, 256, room) >= count
        if room < 227 * 1024:
            assert blocks(client, function, 256, room + 128) < count
    with refused("INVALID_VALUE"):
        client.size("cuOccupancyAvailableDynamicSMemPerBlock", function, 9, 256)
    with refused("INVALID_VALUE"):
        client.size("cuOccupancyAvailableDynamicSMemPerBlock", function, 0, 256)


def config(threads: int, cluster: int = 0) -> Any:
    made = api.types["CUlaunchConfig"]()
    made.gridDimX = made.gridDimY = made.gridDimZ = 1
    made.blockDimX, made.blockDimY, made.blockDimZ = threads, 1, 1
    attribute = api.types["CUlaunchAttribute"]()
    attribute.id = constants.LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
    dim = attribute.value.clusterDim
    dim.x, dim.y, dim.z = cluster, 1, 1
    made.attrs, made.numAttrs = ctypes.addressof(attribute), int(cluster > 0)
    made.kept = attribute
    return made


def test_clusters(client: ModuleClient) -> None:
    function = kernel(client)
    assert client.integer("cuOccupancyMaxPotentialClusterSize", function, byref(config(1024))) == 8
    client.cuFuncSetAttribute(
        function, constants.FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1
    )
    assert client.integer("cuOccupancyMaxPotentialClusterSize", function, byref(config(1024))) == 16
    counts = [
        client.integer("cuOccupancyMaxActiveClusters", function, byref(config(1024, size)))
        for size in (1, 2, 4, 8, 16)
    ]
    assert counts[0] == 264
    assert counts == sorted(counts, reverse=True)
    assert all(count * size <= 264 for count, size in zip(counts, (1, 2, 4, 8, 16), strict=True))
    with refused("INVALID_CLUSTER_SIZE"):
        client.integer("cuOccupancyMaxActiveClusters", function, byref(config(1024, 17)))
    client.create(1)
    with refused("INVALID_CLUSTER_SIZE"):
        client.integer("cuOccupancyMaxActiveClusters", kernel(client), byref(config(64, 2)))


def test_what_is_asked_wrongly(client: ModuleClient) -> None:
    function = kernel(client)
    for threads, flags in ((0, 0), (-1, 0), (32, 2)):
        with refused("INVALID_VALUE"):
            client.integer(
                "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags",
                *(function, threads, c_size_t(), flags),
            )
    with refused("INVALID_HANDLE"):
        blocks(client, c_size_t(0xDEAD000), 32)
