"""Conditional nodes: what decides them here is the default of their handle."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

import pytest
from cuda_client import Client, refused

from emulator.cuda import api

CONDITIONAL = 13
IF, WHILE, SWITCH = range(3)
ASSIGN_DEFAULT = 1


@pytest.fixture
def words(client: Client) -> ctypes.Array[c_uint]:
    """Four words of device memory, all zero, in reach of the test."""
    address = client.handle("cuMemAlloc_v2", 64)
    client.cuMemsetD32_v2(c_size_t(address), 0, 16)
    return (c_uint * 4).from_address(address)


def context(client: Client) -> c_void_p:
    return c_void_p(client.handle("cuCtxGetCurrent"))


def condition(client: Client, graph: c_void_p, value: int, flags: int = ASSIGN_DEFAULT) -> int:
    arguments = graph, context(client), value, flags
    return client.handle("cuGraphConditionalHandleCreate", *arguments)


def described(client: Client, handle: int, kind: int, size: int) -> Any:
    params = api.types["CUgraphNodeParams"](type=CONDITIONAL)
    inside = params._anonymous0.conditional
    inside.handle, inside.type, inside.size = handle, kind, size
    inside.ctx = context(client).value
    return params


def add(client: Client, graph: c_void_p, params: Any) -> tuple[c_void_p, list[c_void_p]]:
    """A node, and the graphs that it was given."""
    node = client.handle("cuGraphAddNode_v2", graph, None, None, c_size_t(0), byref(params))
    inside = params._anonymous0.conditional
    graphs = (c_void_p * inside.size).from_address(inside.phGraph_out)
    return c_void_p(node), [c_void_p(graph) for graph in graphs]


def setting(words: ctypes.Array[c_uint], index: int) -> Any:
    return api.types["CUDA_MEMSET_NODE_PARAMS"](
        dst=ctypes.addressof(words) + 4 * index, value=7, elementSize=4, width=1, height=1
    )


def built(client: Client, words: ctypes.Array[c_uint], kind: int, size: int, handle: Any) -> Any:
    """A graph with a node of which each graph sets a word of its own."""
    graph = c_void_p(client.handle("cuGraphCreate", 0))
    _, bodies = add(client, graph, described(client, handle(graph), kind, size))
    for index, body in enumerate(bodies):
        params = setting(words, index)
        client.handle(
            "cuGraphAddMemsetNode", body, None, c_size_t(0), byref(params), context(client)
        )
    return graph


def ready(client: Client, graph: c_void_p) -> c_void_p:
    return c_void_p(client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(0)))


@pytest.mark.parametrize(
    ("kind", "size", "value", "done"),
    [
        (IF, 1, 1, [0]),
        (IF, 1, 0, []),
        (IF, 2, 5, [0]),
        (IF, 2, 0, [1]),
        (WHILE, 1, 0, []),
        (SWITCH, 3, 2, [2]),
        (SWITCH, 3, 3, []),
    ],
)
def test_the_default_decides(
    client: Client, words: ctypes.Array[c_uint], kind: int, size: int, value: int, done: list[int]
) -> None:
    graph = built(client, words, kind, size, lambda graph: condition(client, graph, value))
    made = ready(client, graph)
    for _ in range(2):
        client.cuMemsetD32_v2(c_size_t(ctypes.addressof(words)), 0, 4)
        client.cuGraphLaunch(made, None)
        client.cuStreamSynchronize(None)
        assert [index for index in range(4) if words[index]] == done


def test_a_default_that_is_not_assigned(client: Client, words: ctypes.Array[c_uint]) -> None:
    graph = built(client, words, IF, 1, lambda graph: condition(client, graph, 1, flags=0))
    client.cuGraphLaunch(ready(client, graph), None)
    client.cuStreamSynchronize(None)
    assert words[0] == 0


def test_what_would_be_done_for_ever_is_done_once(
    client: Client, words: ctypes.Array[c_uint], capfd: pytest.CaptureFixture[str]
) -> None:
    graph = built(client, words, WHILE, 1, lambda graph: condition(client, graph, 1))
    client.cuGraphLaunch(ready(client, graph), None)
    client.cuStreamSynchronize(None)
    assert words[0] == 7
    assert "WHILE node" in capfd.readouterr().err


def test_an_update_takes_over_the_default(client: Client, words: ctypes.Array[c_uint]) -> None:
    graphs = [
        built(client, words, IF, size, lambda graph, value=value: condition(client, graph, value))
        for size, value in ((1, 0), (1, 1), (2, 1))
    ]
    made = ready(client, graphs[0])
    info = api.types["CUgraphExecUpdateResultInfo"]()
    client.cuGraphExecUpdate_v2(made, graphs[1], byref(info))
    client.cuGraphLaunch(made, None)
    client.cuStreamSynchronize(None)
    assert words[0] == 7
    with refused("GRAPH_EXEC_UPDATE_FAILURE"):
        client.cuGraphExecUpdate_v2(made, graphs[2], byref(info))
    assert info.result == 5  # PARAMETERS_CHANGED


def test_what_is_refused(client: Client) -> None:
    graph, other = (c_void_p(client.handle("cuGraphCreate", 0)) for _ in range(2))
    with refused("INVALID_VALUE"):
        condition(client, graph, 0, flags=2)
    handle = condition(client, graph, 0)
    for kind, size in ((IF, 0), (IF, 3), (WHILE, 2), (SWITCH, 0), (3, 1)):
        with refused("INVALID_VALUE"):
            add(client, graph, described(client, handle, kind, size))
    with refused("INVALID_VALUE"):
        add(client, other, described(client, handle, IF, 1))
    with refused("INVALID_VALUE"):
        add(client, graph, described(client, 12345, IF, 1))
    with refused("INVALID_VALUE"):  # no node has the handle
        ready(client, graph)
    params = api.types["CUDA_GRAPH_INSTANTIATE_PARAMS"]()
    with refused("INVALID_VALUE"):
        client.handle("cuGraphInstantiateWithParams", graph, byref(params))
    assert params.result_out == 5  # CONDITIONAL_HANDLE_UNUSED
    node, bodies = add(client, graph, described(client, handle, IF, 1))
    with refused("INVALID_VALUE"):  # it has one
        add(client, graph, described(client, handle, IF, 1))
    with refused("INVALID_VALUE"):  # it is the node's
        client.cuGraphDestroy(bodies[0])
    with refused("INVALID_VALUE"):
        client.cuGraphNodeSetParams(node, byref(described(client, handle, IF, 1)))
    made = ready(client, graph)
    with refused("INVALID_VALUE"):
        client.cuGraphExecNodeSetParams(made, node, byref(described(client, handle, IF, 1)))
    client.cuGraphDestroyNode(node)
    with refused("INVALID_VALUE"):
        client.cuGraphDestroyNode(node)
