"""What is ready becomes another graph: which changes are possible, and what an update says."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_size_t, c_uint, c_void_p
from typing import Any

from cuda_client import Client, refused
from graph_client import (
    array,
    context,
    copying,
    empty,
    launch,
    memcpy,
    memset,
    new,
    ready,
    setting,
)

from emulator.cuda import api


def update(client: Client, made: c_void_p, graph: c_void_p) -> tuple[int, int, int]:
    info = api.types["CUgraphExecUpdateResultInfo"]()
    status = client.library.cuGraphExecUpdate_v2(made, graph, byref(info))
    assert status == (910 if info.result else 0)
    node, result = c_size_t(), c_int()
    client.library.cuGraphExecUpdate(made, graph, byref(node), byref(result))
    assert (node.value, result.value) == (info.errorNode or 0, info.result)
    return info.result, info.errorNode or 0, info.errorFromNode or 0


def test_becoming_another_graph(client: Client, words: ctypes.Array[c_uint]) -> None:
    graph, other = new(client), new(client)
    first = memset(client, graph, setting(words, 0, 5))
    memset(client, graph, setting(words, 1, 5), first)
    made = ready(client, graph)
    start = memset(client, other, setting(words, 0, 6))
    end = memset(client, other, setting(words, 1, 6), start)
    assert update(client, made, other) == (0, 0, 0)
    launch(client, made)
    assert list(words[:2]) == [6, 6]
    client.cuGraphRemoveDependencies(other, array([start]), array([end]), 1)
    assert update(client, made, other)[0] == 2  # TOPOLOGY_CHANGED
    client.cuGraphDestroyNode(start)
    assert update(client, made, other)[0] == 2
    strange = empty(client, other)
    client.cuGraphAddDependencies(other, array([strange]), array([end]), 1)
    assert update(client, made, other) == (3, strange.value, 0)  # NODE_TYPE_CHANGED
    launch(client, made)
    assert list(words[:2]) == [6, 6]


def forked(client: Client, words: ctypes.Array[c_uint], value: int, *, swapped: bool) -> c_void_p:
    """A capture of two streams, whose calls come in one order or the other."""
    first, second = (c_void_p(client.handle("cuStreamCreate", 1)) for _ in range(2))
    fork, join = (c_void_p(client.handle("cuEventCreate", 2)) for _ in range(2))
    address = ctypes.addressof(words)
    client.cuStreamBeginCapture_v2(first, 2)
    client.cuMemsetD32Async(c_size_t(address), value, c_size_t(1), first)
    client.cuEventRecord(fork, first)
    client.cuStreamWaitEvent(second, fork, 0)
    work = [
        lambda: client.cuMemsetD32Async(c_size_t(address + 4), value + 1, c_size_t(1), first),
        lambda: client.cuMemcpyDtoDAsync_v2(
            c_size_t(address + 8), c_size_t(address), c_size_t(4), second
        ),
    ]
    for step in reversed(work) if swapped else work:
        step()
    client.cuEventRecord(join, second)
    client.cuStreamWaitEvent(first, join, 0)
    client.cuMemsetD32Async(c_size_t(address + 12), value + 3, c_size_t(1), first)
    graph = c_void_p()
    client.cuStreamEndCapture(first, byref(graph))
    return graph


def test_an_update_with_another_interleaving_of_streams(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    made = ready(client, forked(client, words, 10, swapped=False))
    assert update(client, made, forked(client, words, 20, swapped=True)) == (0, 0, 0)
    launch(client, made)
    assert list(words[:4]) == [20, 21, 20, 23]


def test_what_an_update_cannot_change(client: Client, words: ctypes.Array[c_uint]) -> None:
    page = client.handle("cuMemAllocHost_v2", c_size_t(64))
    graph = new(client)
    copy = memcpy(client, graph, copying(words, to=1, at=0))
    fill = memset(client, graph, setting(words, 0, 5), copy)
    rows = setting(words, 4, 5)
    rows.height, rows.pitch = 2, 8
    last = memset(client, graph, rows, fill)
    made = ready(client, graph)

    def other(**changed: Any) -> tuple[int, int, int]:
        graph = new(client)
        copy = memcpy(client, graph, changed.get("copy", copying(words, to=1, at=0)))
        fill = memset(client, graph, changed.get("fill", setting(words, 0, 5)), copy)
        last = memset(client, graph, changed.get("rows", rows), fill)
        nodes = {copy.value: 1, fill.value: 2, last.value: 3, 0: 0}
        result, node, start = update(client, made, graph)
        return result, nodes[node], start

    from_host = copying(words, to=1, at=0)
    from_host.srcMemoryType, from_host.srcHost = 1, page
    assert other(copy=from_host) == (5, 1, 0)  # PARAMETERS_CHANGED
    assert other(fill=setting(words, 0, 5, count=2)) == (0, 0, 0)
    more = setting(words, 4, 6)
    more.height, more.pitch = 3, 8
    assert other(rows=more) == (5, 3, 0)
    more.height = 2
    assert other(rows=more) == (0, 0, 0)
    here = context(client)
    for params in (from_host, api.types["CUDA_MEMCPY3D"](srcMemoryType=2, dstMemoryType=2)):
        with refused("INVALID_VALUE"):
            client.cuGraphExecMemcpyNodeSetParams(made, copy, byref(params), here)
    more.height = 3
    with refused("INVALID_VALUE"):
        client.cuGraphExecMemsetNodeSetParams(made, last, byref(more), here)
    client.handle("cuCtxCreate_v2", 0, 1)
    there = client.handle("cuMemAlloc_v2", 64)
    elsewhere = setting(words, 0, 5)
    elsewhere.dst = there
    client.handle("cuCtxPopCurrent_v2")
    assert other(fill=elsewhere) == (5, 2, 0)
