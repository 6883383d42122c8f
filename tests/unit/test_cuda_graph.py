"""Graphs: made of nodes, made ready, launched, changed."""

from __future__ import annotations

import ctypes
import threading
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64, c_void_p
from pathlib import Path

import pytest
from cuda_client import Client, refused
from graph_client import (
    array,
    context,
    copying,
    edges,
    empty,
    launch,
    memcpy,
    memset,
    new,
    nodes,
    ready,
    setting,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import emulator
from emulator import Gpu, Scenario
from emulator.cuda import api
from emulator.cuda.streams.operation import Operation
from emulator.cuda.streams.stream import Stream

HOST_FUNCTION = ctypes.CFUNCTYPE(None, c_void_p)
MEMCPY, MEMSET, HOST, CHILD, EMPTY, WAIT, RECORD = range(1, 8)
MEM_ALLOC, MEM_FREE, BATCH, CONDITIONAL = range(10, 14)


def test_nodes_and_edges(client: Client) -> None:
    graph = new(client)
    first, second = empty(client, graph), empty(client, graph)
    last = empty(client, graph, first, second)
    handles = [node.value or 0 for node in (first, second, last)]
    assert nodes(client, "cuGraphGetNodes", graph) == handles
    assert nodes(client, "cuGraphGetRootNodes", graph) == handles[:2]
    assert nodes(client, "cuGraphNodeGetDependencies", last) == handles[:2]
    assert nodes(client, "cuGraphNodeGetDependentNodes", first) == handles[2:]
    assert edges(client, graph) == {(handles[0], handles[2]), (handles[1], handles[2])}
    count = c_size_t()
    client.cuGraphGetNodes(graph, None, byref(count))
    assert count.value == 3
    assert nodes(client, "cuGraphGetNodes", graph, room=2) == handles[:2]
    kind = c_int()
    client.cuGraphNodeGetType(last, byref(kind))
    assert kind.value == EMPTY


def test_edges_are_put_in_and_taken_out(client: Client) -> None:
    graph = new(client)
    first, second, third = (empty(client, graph) for _ in range(3))
    client.cuGraphAddDependencies(graph, array([first, second]), array([second, third]), 2)
    assert edges(client, graph) == {(first.value, second.value), (second.value, third.value)}
    with refused("INVALID_VALUE"):  # a circle
        client.cuGraphAddDependencies(graph, array([third]), array([first]), 1)
    with refused("INVALID_VALUE"):  # there already; the other of the two is not put in either
        client.cuGraphAddDependencies(graph, array([first, first]), array([third, second]), 2)
    assert len(edges(client, graph)) == 2
    client.cuGraphRemoveDependencies(graph, array([first]), array([second]), 1)
    with refused("INVALID_VALUE"):
        client.cuGraphRemoveDependencies(graph, array([first]), array([second]), 1)
    client.cuGraphAddDependencies(graph, array([third]), array([first]), 1)
    with refused("INVALID_VALUE"):
        client.cuGraphAddDependencies(graph, array([first]), array([first]), 1)


def test_edges_that_say_something(client: Client) -> None:
    graph = new(client)
    first, second = empty(client, graph), empty(client, graph)
    data = api.types["CUgraphEdgeData"](from_port=1, to_port=0, type=1)
    pair = array([first]), array([second])
    client.cuGraphAddDependencies_v2(graph, *pair, byref(data), 1)
    with refused("LOSSY_QUERY"):
        edges(client, graph)
    found, start, end = api.types["CUgraphEdgeData"](), c_size_t(), c_size_t()
    client.cuGraphGetEdges_v2(graph, byref(start), byref(end), byref(found), byref(c_size_t(1)))
    assert (found.from_port, found.type, end.value) == (1, 1, second.value)
    with refused("INVALID_VALUE"):
        client.cuGraphRemoveDependencies_v2(graph, *pair, None, 1)
    client.cuGraphRemoveDependencies_v2(graph, *pair, byref(data), 1)
    assert edges(client, graph) == set()


def test_handles_that_are_none(client: Client) -> None:
    graph, other = new(client), new(client)
    node = empty(client, other)
    with refused("INVALID_VALUE"):
        empty(client, graph, node)
    with refused("INVALID_VALUE"):
        client.handle("cuGraphAddEmptyNode", graph, None, c_size_t(1))
    client.cuGraphDestroyNode(node)
    with refused("INVALID_VALUE"):
        client.cuGraphDestroyNode(node)
    client.cuGraphDestroy(graph)
    for function in ("cuGraphDestroy", "cuGraphExecDestroy"):
        with refused("INVALID_VALUE"):
            getattr(client, function)(graph)
    with refused("INVALID_VALUE"):
        client.handle("cuGraphCreate", 1)


def test_nodes_are_done_after_those_before_them(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    graph = new(client)
    copy = memcpy(client, graph, copying(words, to=1, at=0))
    fill = memset(client, graph, setting(words, 0, 5))
    client.cuGraphAddDependencies(graph, array([fill]), array([copy]), 1)
    made = ready(client, graph)
    client.cuGraphUpload(made, None)
    assert list(words[:2]) == [0, 0]
    launch(client, made)
    assert list(words[:2]) == [5, 5]
    client.cuGraphDestroy(graph)  # what was made ready of it stays
    words[1] = 0
    launch(client, made)
    assert words[1] == 5
    client.cuGraphExecDestroy(made)
    with refused("INVALID_VALUE"):
        client.cuGraphLaunch(made, None)


def test_what_is_ready_does_not_follow_its_graph(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    graph = new(client)
    fill = memset(client, graph, setting(words, 0, 5))
    made = ready(client, graph)
    client.cuGraphMemsetNodeSetParams(fill, byref(setting(words, 0, 6)))
    launch(client, made)
    assert words[0] == 5
    params = api.types["CUDA_MEMSET_NODE_PARAMS"]()
    client.cuGraphMemsetNodeGetParams(fill, byref(params))
    assert (params.value, params.dst) == (6, ctypes.addressof(words))
    launch(client, ready(client, graph))
    assert words[0] == 6
    client.cuGraphExecMemsetNodeSetParams(made, fill, byref(setting(words, 0, 7)), context(client))
    launch(client, made)
    assert words[0] == 7


def test_copies_of_graphs(client: Client, words: ctypes.Array[c_uint]) -> None:
    graph = new(client)
    fill = memset(client, graph, setting(words, 0, 5))
    clone = c_void_p(client.handle("cuGraphClone", graph))
    twin = c_void_p(client.handle("cuGraphNodeFindInClone", fill, clone))
    assert twin.value not in {fill.value, 0}
    client.cuGraphMemsetNodeSetParams(twin, byref(setting(words, 1, 6)))
    client.cuGraphDestroy(graph)
    launch(client, ready(client, clone))
    assert list(words[:2]) == [0, 6]
    with refused("INVALID_VALUE"):
        client.handle("cuGraphNodeFindInClone", twin, clone)


def test_children(client: Client, words: ctypes.Array[c_uint]) -> None:
    child, graph = new(client), new(client)
    fill = memset(client, child, setting(words, 0, 5))
    node = c_void_p(client.handle("cuGraphAddChildGraphNode", graph, None, c_size_t(0), child))
    inner = c_void_p()
    client.cuGraphChildGraphNodeGetGraph(node, byref(inner))
    assert inner.value != child.value
    with refused("INVALID_VALUE"):
        client.cuGraphDestroy(inner)
    copy = memcpy(client, graph, copying(words, to=1, at=0), node)
    assert nodes(client, "cuGraphNodeGetDependencies", copy) == [node.value]
    made = ready(client, graph)
    launch(client, made)
    assert list(words[:2]) == [5, 5]
    client.cuGraphMemsetNodeSetParams(fill, byref(setting(words, 0, 6)))
    client.cuGraphExecChildGraphNodeSetParams(made, node, child)
    launch(client, made)
    assert list(words[:2]) == [6, 6]
    empty(client, child)
    with refused("INVALID_VALUE"):  # of another shape
        client.cuGraphExecChildGraphNodeSetParams(made, node, child)


def test_disabled_nodes(client: Client, words: ctypes.Array[c_uint]) -> None:
    graph = new(client)
    fill = memset(client, graph, setting(words, 0, 5))
    nothing = empty(client, graph)
    made = ready(client, graph)
    enabled = c_uint(7)
    client.cuGraphNodeSetEnabled(made, fill, 0)
    client.cuGraphNodeGetEnabled(made, fill, byref(enabled))
    launch(client, made)
    assert (enabled.value, words[0]) == (0, 0)
    client.cuGraphNodeSetEnabled(made, fill, 1)
    launch(client, made)
    assert words[0] == 5
    with refused("INVALID_VALUE"):
        client.cuGraphNodeSetEnabled(made, nothing, 0)


def test_nodes_of_any_type_by_one_function(client: Client, words: ctypes.Array[c_uint]) -> None:
    graph = new(client)
    params = api.types["CUgraphNodeParams"](type=MEMSET)
    inside = params._anonymous0.memset
    inside.dst, inside.value, inside.elementSize = ctypes.addressof(words), 5, 4
    inside.width = inside.height = 1
    fill = c_void_p(client.handle("cuGraphAddNode", graph, None, c_size_t(0), byref(params)))
    copy = api.types["CUgraphNodeParams"](type=MEMCPY)
    copy._anonymous0.memcpy.copyParams = copying(words, to=1, at=0)
    before = array([fill])
    client.handle("cuGraphAddNode_v2", graph, before, None, c_size_t(1), byref(copy))
    made = ready(client, graph)
    launch(client, made)
    assert list(words[:2]) == [5, 5]
    inside.value = 6
    client.cuGraphExecNodeSetParams(made, fill, byref(params))
    launch(client, made)
    assert words[1] == 6
    client.cuGraphNodeSetParams(fill, byref(params))
    params.type = EMPTY
    with refused("INVALID_VALUE"):
        client.cuGraphNodeSetParams(fill, byref(params))
    for kind in (CONDITIONAL, 8, 99):
        params.type = kind
        with refused("INVALID_VALUE"):
            client.handle("cuGraphAddNode", graph, None, c_size_t(0), byref(params))


def test_events_in_graphs(client: Client, words: ctypes.Array[c_uint]) -> None:
    graph, waiting = new(client), c_void_p(client.handle("cuStreamCreate", 1))
    mark, other = (c_void_p(client.handle("cuEventCreate", 0)) for _ in range(2))
    wait = c_void_p(client.handle("cuGraphAddEventWaitNode", graph, None, c_size_t(0), other))
    before = array([wait])
    record = c_void_p(client.handle("cuGraphAddEventRecordNode", graph, before, c_size_t(1), mark))
    found = c_size_t()
    client.cuGraphEventRecordNodeGetEvent(record, byref(found))
    assert found.value == mark.value
    client.cuStreamWaitValue32_v2(waiting, c_size_t(ctypes.addressof(words)), 1, 0)
    client.cuEventRecord(other, waiting)
    made, stream = ready(client, graph), c_void_p(client.handle("cuStreamCreate", 1))
    client.cuGraphLaunch(made, stream)
    with refused("NOT_READY"):
        client.cuEventQuery(mark)
    words[0] = 1
    client.cuEventSynchronize(mark)
    client.cuGraphEventWaitNodeSetEvent(wait, mark)
    client.cuGraphEventWaitNodeGetEvent(wait, byref(found))
    assert found.value == mark.value
    with refused("INVALID_VALUE"):
        client.cuGraphEventRecordNodeSetEvent(wait, mark)


def test_launches_of_one_graph_come_one_after_the_other(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    graph = new(client)
    batch = (api.types["CUstreamBatchMemOpParams"] * 2)()
    for place, operation in zip(batch, (1, 2), strict=True):
        place.operation = operation
        place.writeValue.address = ctypes.addressof(words) + 4 * (operation - 1)
        place.writeValue._anonymous0.value = 1
    params = api.types["CUDA_BATCH_MEM_OP_NODE_PARAMS"](
        ctx=context(client).value, count=2, paramArray=ctypes.addressof(batch)
    )
    node = c_void_p(
        client.handle("cuGraphAddBatchMemOpNode", graph, None, c_size_t(0), byref(params))
    )
    read = type(params)()
    client.cuGraphBatchMemOpNodeGetParams(node, byref(read))
    kept = (type(batch[0]) * 2).from_address(read.paramArray)
    assert bytes(kept)[:40] == bytes(batch)[:40]
    made = ready(client, graph)
    streams = [c_void_p(client.handle("cuStreamCreate", 1)) for _ in range(2)]
    for stream in streams:
        client.cuGraphLaunch(made, stream)
        with refused("NOT_READY"):
            client.cuStreamQuery(stream)
    words[0] = 1
    for stream in streams:
        client.cuStreamSynchronize(stream)
    assert words[1] == 1


def test_host_functions_in_graphs(client: Client, words: ctypes.Array[c_uint]) -> None:
    seen: list[tuple[int, int]] = []
    function = HOST_FUNCTION(lambda data: seen.append((data, words[0])))
    graph = new(client)
    fill = memset(client, graph, setting(words, 0, 5))
    params = api.types["CUDA_HOST_NODE_PARAMS"](
        fn=ctypes.cast(function, c_void_p).value, userData=42
    )
    before = array([fill])
    node = c_void_p(client.handle("cuGraphAddHostNode", graph, before, c_size_t(1), byref(params)))
    memset(client, graph, setting(words, 0, 6), node)
    made = ready(client, graph)
    launch(client, made)
    launch(client, made)
    assert seen == [(42, 5), (42, 5)]
    assert words[0] == 6
    params.fn = 0
    with refused("INVALID_VALUE"):
        client.cuGraphHostNodeSetParams(node, byref(params))


def allocation(client: Client, graph: c_void_p, size: int) -> tuple[c_void_p, int]:
    params = api.types["CUDA_MEM_ALLOC_NODE_PARAMS"](bytesize=size)
    params.poolProps.allocType = 1
    params.poolProps.location.type = 1
    node = client.handle("cuGraphAddMemAllocNode", graph, None, c_size_t(0), byref(params))
    return c_void_p(node), int(params.dptr)


def figure(client: Client, attribute: int) -> int:
    value = c_uint64(7)
    client.cuDeviceGetGraphMemAttribute(0, attribute, byref(value))
    return value.value


def test_memory_of_graphs(client: Client) -> None:
    graph = new(client)
    alloc, address = allocation(client, graph, 1 << 20)
    base = c_size_t()
    with refused("NOT_FOUND"):  # not yet
        client.cuMemGetAddressRange_v2(byref(base), None, c_size_t(address))
    made = ready(client, graph)
    launch(client, made)
    client.cuMemsetD8_v2(c_size_t(address), 1, c_size_t(1 << 20))
    assert all(figure(client, attribute) >= 1 << 20 for attribute in range(4))
    with refused("INVALID_VALUE"):  # it is there still
        client.cuGraphLaunch(made, None)
    client.cuMemFree_v2(c_size_t(address))
    launch(client, made)
    client.cuMemFreeAsync(c_size_t(address), None)
    client.handle("cuGraphAddMemFreeNode", graph, array([alloc]), c_size_t(1), c_size_t(address))
    with refused("INVALID_VALUE"):  # twice in one graph
        client.handle("cuGraphAddMemFreeNode", graph, array([]), c_size_t(0), c_size_t(address))
    with refused("INVALID_VALUE"):  # there may be one at a time
        ready(client, graph)
    client.cuGraphExecDestroy(made)
    both = ready(client, graph)
    for _ in range(3):
        launch(client, both)
    assert figure(client, 2) >= 1 << 20, "it is kept for the next launch"
    with refused("INVALID_VALUE"):
        client.cuDeviceSetGraphMemAttribute(0, 0, byref(c_uint64(0)))
    client.cuGraphExecDestroy(both)
    client.cuGraphDestroy(graph)
    client.cuDeviceGraphMemTrim(0)
    assert [figure(client, attribute) for attribute in (0, 2)] == [0, 0]
    assert figure(client, 3) >= 1 << 20
    client.cuDeviceSetGraphMemAttribute(0, 3, byref(c_uint64(0)))
    assert figure(client, 3) == 0


def test_memory_that_a_launch_frees_by_itself(client: Client) -> None:
    graph = new(client)
    _, address = allocation(client, graph, 4096)
    made = ready(client, graph, flags=1)
    launch(client, made)
    launch(client, made)
    client.cuMemFree_v2(c_size_t(address))
    flags = c_uint64()
    client.cuGraphExecGetFlags(made, byref(flags))
    assert flags.value == 1


def test_an_address_that_is_none_poisons_the_context(client: Client) -> None:
    graph = new(client)
    words = (c_uint * 1).from_address(0xDEAD000)
    memset(client, graph, setting(words, 0, 5))
    client.cuGraphLaunch(ready(client, graph), None)
    with refused("ILLEGAL_ADDRESS"):
        client.cuStreamSynchronize(None)


def test_ways_to_make_ready(client: Client) -> None:
    graph = new(client)
    empty(client, graph)
    log, node = ctypes.create_string_buffer(b"?" * 8), c_size_t(7)
    client.handle("cuGraphInstantiate_v2", graph, byref(node), log, c_size_t(8))
    assert (node.value, log.value) == (0, b"")
    client.handle("cuGraphInstantiate_v2", graph, None, None, c_size_t(0))
    params = api.types["CUDA_GRAPH_INSTANTIATE_PARAMS"](flags=2, result_out=9)
    client.handle("cuGraphInstantiateWithParams", graph, byref(params))
    assert params.result_out == 0
    with refused("INVALID_VALUE"):
        ready(client, graph, flags=16)


def test_a_picture(client: Client, tmp_path: Path) -> None:
    graph, child = new(client), new(client)
    empty(client, child)
    first = empty(client, graph)
    client.handle("cuGraphAddChildGraphNode", graph, array([first]), c_size_t(1), child)
    path = tmp_path / "graph.dot"
    client.cuGraphDebugDotPrint(graph, str(path).encode(), 0)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "digraph dot {"
    assert lines[-1] == "}"
    assert sum("->" in line for line in lines) == 1
    assert sum("EMPTY" in line for line in lines) == 2
    with refused("OPERATING_SYSTEM"):
        client.cuGraphDebugDotPrint(graph, str(tmp_path / "none" / "graph").encode(), 0)


def test_user_objects(client: Client) -> None:
    ended: list[int] = []
    function = HOST_FUNCTION(ended.append)
    nothing = HOST_FUNCTION(lambda _: None)

    def sync() -> None:
        """What the worker was given before is done when a host function is."""
        client.cuLaunchHostFunc(None, nothing, None)
        client.cuStreamSynchronize(None)

    held = c_void_p(client.handle("cuUserObjectCreate", c_void_p(42), function, 2, 1))
    client.cuUserObjectRetain(held, 1)
    graph = new(client)
    client.cuGraphRetainUserObject(graph, held, 1, 0)
    client.cuGraphRetainUserObject(graph, held, 2, 1)  # two of the program's three
    client.cuUserObjectRelease(held, 1)
    clone = c_void_p(client.handle("cuGraphClone", graph))
    client.cuGraphReleaseUserObject(graph, held, 2)
    with refused("INVALID_VALUE"):
        client.cuGraphReleaseUserObject(graph, held, 2)
    client.cuGraphDestroy(graph)
    sync()
    assert ended == []
    client.cuGraphDestroy(clone)
    sync()
    assert ended == [42]
    with refused("INVALID_VALUE"):
        client.cuUserObjectRelease(held, 1)
    with refused("INVALID_VALUE"):
        client.handle("cuUserObjectCreate", None, function, 1, 0)


def test_external_semaphores_are_none(client: Client) -> None:
    params = api.types["CUDA_EXT_SEM_SIGNAL_NODE_PARAMS"]()
    for function in ("Signal", "Wait"):
        with refused("INVALID_VALUE"):
            client.handle(
                f"cuGraphAddExternalSemaphores{function}Node",
                new(client),
                None,
                c_size_t(0),
                byref(params),
            )


def blocked(client: Client, words: ctypes.Array[c_uint]) -> c_void_p:
    """A stream that waits until the last of the words is 1."""
    stream = c_void_p(client.handle("cuStreamCreate", 1))
    client.cuStreamWaitValue32_v2(stream, c_size_t(ctypes.addressof(words) + 60), 1, 0)
    return stream


def test_user_objects_outlive_launches_under_way(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    seen: list[int] = []
    destroy = HOST_FUNCTION(seen.append)
    called = HOST_FUNCTION(lambda _: seen.append(0))
    held = c_void_p(client.handle("cuUserObjectCreate", c_void_p(5), destroy, 1, 1))
    graph = new(client)
    empty(client, graph)
    client.cuGraphRetainUserObject(graph, held, 1, 1)
    made, stream = ready(client, graph), blocked(client, words)
    client.cuGraphLaunch(made, stream)
    client.cuGraphDestroy(graph)
    client.cuGraphExecDestroy(made)
    other = c_void_p(client.handle("cuStreamCreate", 1))
    for _ in range(2):  # on the thread that calls destructors too
        client.cuLaunchHostFunc(other, called, None)
        client.cuStreamSynchronize(other)
    assert seen == [0, 0]
    words[15] = 1
    client.cuStreamSynchronize(stream)
    client.cuLaunchHostFunc(other, called, None)
    client.cuStreamSynchronize(other)
    assert seen == [0, 0, 5, 0]


def test_two_threads_launch_the_same(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    function = HOST_FUNCTION(seen.append)
    graph, before = new(client), list[c_void_p]()
    for number in (1, 2):
        params = api.types["CUDA_HOST_NODE_PARAMS"](
            fn=ctypes.cast(function, c_void_p).value, userData=number
        )
        arguments = (graph, array(before), c_size_t(len(before)), byref(params))
        before = [c_void_p(client.handle("cuGraphAddHostNode", *arguments))]
    made, current = ready(client, graph), context(client)
    first, second = (c_void_p(client.handle("cuStreamCreate", 1)) for _ in range(2))

    def launch_too() -> None:
        client.cuCtxSetCurrent(current)
        client.cuGraphLaunch(made, second)

    other = threading.Thread(target=launch_too)
    submit = Stream.submit

    def slow(stream: Stream, operation: Operation) -> None:
        """The other thread has time to come in between the first launch's nodes."""
        submit(stream, operation)
        if other.ident is None:
            other.start()
            other.join(0.2)

    monkeypatch.setattr(Stream, "submit", slow)
    client.cuGraphLaunch(made, first)
    other.join()
    client.cuCtxSynchronize()
    assert seen == [1, 2, 1, 2]


def test_memory_that_launches_under_way_free_by_themselves(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    graph = new(client)
    _, address = allocation(client, graph, 4096)
    made, stream = ready(client, graph, flags=1), blocked(client, words)
    client.cuGraphLaunch(made, stream)
    client.cuGraphLaunch(made, stream)
    words[15] = 1
    client.cuStreamSynchronize(stream)
    client.cuMemFree_v2(c_size_t(address))


def test_what_a_graph_with_memory_forbids(client: Client) -> None:
    graph = new(client)
    node, address = allocation(client, graph, 4096)
    last = empty(client, graph, node)
    with refused("INVALID_VALUE"):
        client.cuGraphDestroyNode(last)
    with refused("INVALID_VALUE"):
        client.cuGraphRemoveDependencies(graph, array([node]), array([last]), c_size_t(1))
    with refused("INVALID_VALUE"):
        client.handle("cuGraphClone", graph)
    other = client.handle("cuMemAlloc_v2", 64)
    with refused("INVALID_VALUE"):  # no node's
        client.handle("cuGraphAddMemFreeNode", graph, None, c_size_t(0), c_size_t(other))
    assert address != other


def test_a_graph_is_no_part_of_itself(client: Client) -> None:
    graph = new(client)
    params = api.types["CUgraphNodeParams"](type=CHILD)
    params._anonymous0.graph.graph = graph.value
    params._anonymous0.graph.ownership = 1  # MOVE
    with refused("INVALID_VALUE"):
        client.handle("cuGraphAddNode", graph, None, c_size_t(0), byref(params))
    client.handle("cuGraphAddChildGraphNode", graph, None, c_size_t(0), graph)  # a copy of it
    ready(client, graph)
    client.cuGraphDestroy(graph)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_circles_are_found(pairs: list[tuple[int, int]]) -> None:
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        client = Client()
        client.cuInit(0)
        graph = new(client)
        found = [empty(client, graph) for _ in range(7)]
        before: dict[int, set[int]] = {number: set() for number in range(7)}
        direct: set[tuple[int, int]] = set()
        for start, end in pairs:
            arguments = (graph, array([found[start]]), array([found[end]]), c_size_t(1))
            if start == end or end in before[start] or (start, end) in direct:
                with refused("INVALID_VALUE"):
                    client.cuGraphAddDependencies(*arguments)
                continue
            client.cuGraphAddDependencies(*arguments)
            direct.add((start, end))
            for number in range(7):
                if number == end or end in before[number]:
                    before[number] |= {start, *before[start]}
