"""Making, launching and looking into graphs, for tests."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from cuda_client import Client

from emulator.cuda import api

__all__ = [
    "array",
    "context",
    "copying",
    "edges",
    "empty",
    "launch",
    "memcpy",
    "memset",
    "new",
    "nodes",
    "ready",
    "setting",
]


def new(client: Client) -> c_void_p:
    return c_void_p(client.handle("cuGraphCreate", 0))


def array(nodes: Sequence[c_void_p]) -> Any:
    return (c_void_p * len(nodes))(*nodes)


def empty(client: Client, graph: c_void_p, *before: c_void_p) -> c_void_p:
    return c_void_p(
        client.handle("cuGraphAddEmptyNode", graph, array(before), c_size_t(len(before)))
    )


def setting(words: ctypes.Array[c_uint], index: int, value: int, count: int = 1) -> Any:
    return api.types["CUDA_MEMSET_NODE_PARAMS"](
        dst=ctypes.addressof(words) + 4 * index,
        value=value,
        elementSize=4,
        width=count,
        height=1,
    )


def context(client: Client) -> c_void_p:
    return c_void_p(client.handle("cuCtxGetCurrent"))


def memset(client: Client, graph: c_void_p, params: Any, *before: c_void_p) -> c_void_p:
    arguments = (graph, array(before), c_size_t(len(before)), byref(params), context(client))
    return c_void_p(client.handle("cuGraphAddMemsetNode", *arguments))


def copying(words: ctypes.Array[c_uint], to: int, at: int) -> Any:
    start = ctypes.addressof(words)
    return api.types["CUDA_MEMCPY3D"](
        srcMemoryType=2,
        srcDevice=start + 4 * at,
        dstMemoryType=2,
        dstDevice=start + 4 * to,
        WidthInBytes=4,
        Height=1,
        Depth=1,
    )


def memcpy(client: Client, graph: c_void_p, params: Any, *before: c_void_p) -> c_void_p:
    arguments = (graph, array(before), c_size_t(len(before)), byref(params), context(client))
    return c_void_p(client.handle("cuGraphAddMemcpyNode", *arguments))


def ready(client: Client, graph: c_void_p, flags: int = 0) -> c_void_p:
    return c_void_p(client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(flags)))


def launch(client: Client, made: c_void_p) -> None:
    client.cuGraphLaunch(made, None)
    client.cuStreamSynchronize(None)


def nodes(client: Client, function: str, of: c_void_p, room: int = 16) -> list[int]:
    found, count = (c_size_t * room)(*[7] * room), c_size_t(room)
    getattr(client, function)(of, found, byref(count))
    assert not any(found[count.value :])
    return list(found[: count.value])


def edges(client: Client, graph: c_void_p) -> set[tuple[int, int]]:
    starts, ends, count = (c_size_t * 16)(), (c_size_t * 16)(), c_size_t(16)
    client.cuGraphGetEdges(graph, starts, ends, byref(count))
    return set(zip(starts[: count.value], ends[: count.value], strict=True))
