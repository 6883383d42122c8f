"""Capture: what streams would do becomes a graph."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64, c_void_p

import pytest
from cuda_client import Client, StatusError, refused

from emulator.cuda import api

GLOBAL, THREAD_LOCAL, RELAXED = range(3)
NON_BLOCKING = EXTERNAL = 1


@pytest.fixture
def words(client: Client) -> ctypes.Array[c_uint]:
    address = client.handle("cuMemAlloc_v2", 64)
    client.cuMemsetD32_v2(c_size_t(address), 0, 16)
    return (c_uint * 16).from_address(address)


def stream(client: Client, flags: int = NON_BLOCKING) -> c_void_p:
    return c_void_p(client.handle("cuStreamCreate", flags))


def event(client: Client) -> c_void_p:
    return c_void_p(client.handle("cuEventCreate", 0))


def begin(client: Client, stream: c_void_p, mode: int = GLOBAL) -> None:
    client.cuStreamBeginCapture_v2(stream, mode)


def end(client: Client, stream: c_void_p) -> c_void_p:
    graph = c_void_p(7)
    try:
        client.cuStreamEndCapture(stream, byref(graph))
    except StatusError:
        assert not graph.value
        raise
    return graph


def fill(
    client: Client, stream: c_void_p | None, words: ctypes.Array[c_uint], at: int, value: int = 5
) -> None:
    start = c_size_t(ctypes.addressof(words) + 4 * at)
    client.cuMemsetD32Async(start, value, c_size_t(1), stream)


def run(client: Client, graph: c_void_p) -> None:
    made = c_void_p(client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(0)))
    client.cuGraphLaunch(made, None)
    client.cuStreamSynchronize(None)


def shape(client: Client, graph: c_void_p) -> tuple[int, int]:
    """How many nodes, and how many edges."""
    nodes, edges = c_size_t(), c_size_t()
    client.cuGraphGetNodes(graph, None, byref(nodes))
    client.cuGraphGetEdges(graph, None, None, byref(edges))
    return nodes.value, edges.value


def state(client: Client, stream: c_void_p | None) -> int:
    found = c_int(9)
    client.cuStreamIsCapturing(stream, byref(found))
    return found.value


def test_work_becomes_nodes(client: Client, words: ctypes.Array[c_uint]) -> None:
    origin = stream(client)
    assert state(client, origin) == 0
    begin(client, origin)
    assert state(client, origin) == 1
    fill(client, origin, words, 0)
    client.cuMemcpyDtoDAsync_v2(
        c_size_t(ctypes.addressof(words) + 4), c_size_t(ctypes.addressof(words)), 4, origin
    )
    client.cuStreamWriteValue32_v2(origin, c_size_t(ctypes.addressof(words) + 8), 7, 0)
    graph = end(client, origin)
    assert state(client, origin) == 0
    assert shape(client, graph) == (3, 2)
    assert list(words[:3]) == [0, 0, 0]
    run(client, graph)
    assert list(words[:3]) == [5, 5, 7]
    client.cuGraphDestroy(graph)


def test_other_streams_are_taken_in_by_events(client: Client, words: ctypes.Array[c_uint]) -> None:
    origin, other = stream(client), stream(client)
    fork, join = event(client), event(client)
    begin(client, origin)
    fill(client, origin, words, 0)
    client.cuEventRecord(fork, origin)
    with refused("CAPTURED_EVENT"):
        client.cuEventQuery(fork)
    client.cuStreamWaitEvent(other, fork, 0)
    assert state(client, other) == 1
    fill(client, origin, words, 1)
    fill(client, other, words, 2)
    client.cuEventRecord(join, other)
    client.cuStreamWaitEvent(origin, join, 0)
    fill(client, origin, words, 3)
    graph = end(client, origin)
    assert state(client, other) == 0
    assert shape(client, graph) == (4, 4)
    run(client, graph)
    assert list(words[:4]) == [5] * 4
    client.cuEventRecord(fork, origin)
    client.cuEventQuery(fork)


def test_a_fork_must_be_joined(client: Client, words: ctypes.Array[c_uint]) -> None:
    origin, other, fork = stream(client), stream(client), event(client)
    begin(client, origin)
    client.cuEventRecord(fork, origin)
    client.cuStreamWaitEvent(other, fork, 0)
    fill(client, other, words, 0)
    with refused("STREAM_CAPTURE_UNJOINED"):
        end(client, origin)
    assert (state(client, origin), state(client, other)) == (0, 0)
    begin(client, origin)
    client.cuEventRecord(fork, origin)
    client.cuStreamWaitEvent(other, fork, 0)
    with refused("STREAM_CAPTURE_UNMATCHED"):
        end(client, other)


def test_what_cannot_be_captured(client: Client, words: ctypes.Array[c_uint]) -> None:
    host = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p)(lambda *_: None)
    recorded = event(client)
    client.cuEventRecord(recorded, None)
    refusals: list[tuple[str, Callable[[c_void_p], object]]] = [
        ("STREAM_CAPTURE_UNSUPPORTED", client.cuStreamSynchronize),
        ("STREAM_CAPTURE_UNSUPPORTED", client.cuStreamQuery),
        ("STREAM_CAPTURE_UNSUPPORTED", lambda s: client.cuStreamAddCallback(s, host, None, 0)),
        ("STREAM_CAPTURE_ISOLATION", lambda s: client.cuStreamWaitEvent(s, recorded, 0)),
    ]
    for status, call in refusals:
        origin = stream(client)
        begin(client, origin)
        with refused(status):
            call(origin)
        assert state(client, origin) == 2
        with refused("STREAM_CAPTURE_INVALIDATED"):
            fill(client, origin, words, 0)
        with refused("STREAM_CAPTURE_INVALIDATED"):
            end(client, origin)
        assert state(client, origin) == 0


def test_the_legacy_stream_cannot_wait_for_a_capture(
    client: Client, words: ctypes.Array[c_uint]
) -> None:
    with refused("STREAM_CAPTURE_UNSUPPORTED"):
        begin(client, c_void_p(1))
    free = stream(client)
    begin(client, free)
    fill(client, None, words, 0)
    assert shape(client, end(client, free)) == (0, 0)
    blocking = stream(client, flags=0)
    begin(client, blocking)
    with refused("STREAM_CAPTURE_IMPLICIT"):
        state(client, None)
    with refused("STREAM_CAPTURE_IMPLICIT"):
        fill(client, None, words, 0)
    with refused("STREAM_CAPTURE_INVALIDATED"):
        end(client, blocking)


def test_two_captures_stay_apart(client: Client) -> None:
    first, second, mark = stream(client), stream(client), event(client)
    begin(client, first)
    begin(client, second)
    client.cuEventRecord(mark, first)
    with refused("STREAM_CAPTURE_MERGE"):
        client.cuStreamWaitEvent(second, mark, 0)
    for capturing in (first, second):
        with refused("STREAM_CAPTURE_INVALIDATED"):
            end(client, capturing)


def test_beginning_and_ending_at_the_wrong_time(client: Client) -> None:
    origin = stream(client)
    with refused("ILLEGAL_STATE"):
        end(client, origin)
    begin(client, origin)
    with refused("ILLEGAL_STATE"):
        begin(client, origin)
    with refused("INVALID_VALUE"):
        begin(client, stream(client), 3)
    end(client, origin)


def in_thread(client: Client, call: Callable[[], object]) -> str:
    """The status of a call in another thread, in the same context."""
    context, status = c_size_t(client.handle("cuCtxGetCurrent")), ["SUCCESS"]

    def work() -> None:
        client.cuCtxSetCurrent(context)
        try:
            call()
        except StatusError as error:
            status[0] = str(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return status[0]


def test_threads(client: Client) -> None:
    origin = stream(client)
    for mode in (GLOBAL, THREAD_LOCAL):
        begin(client, origin, mode)
        found = in_thread(client, lambda: end(client, origin))
        assert found == "STREAM_CAPTURE_WRONG_THREAD"
        end(client, origin)
    begin(client, origin, RELAXED)
    assert in_thread(client, lambda: end(client, origin)) == "SUCCESS"


def test_modes_of_threads(client: Client) -> None:
    mode = c_int(RELAXED)
    client.cuThreadExchangeStreamCaptureMode(byref(mode))
    assert mode.value == GLOBAL
    client.cuThreadExchangeStreamCaptureMode(byref(mode))
    assert mode.value == RELAXED
    mode.value = 3
    with refused("INVALID_VALUE"):
        client.cuThreadExchangeStreamCaptureMode(byref(mode))


def test_looking_into_a_capture(client: Client, words: ctypes.Array[c_uint]) -> None:
    origin = stream(client)
    status, number = c_int(9), c_uint64()
    client.cuStreamGetCaptureInfo(origin, byref(status), byref(number))
    assert status.value == 0
    begin(client, origin)
    fill(client, origin, words, 0)
    graph, nodes, count = c_void_p(), c_void_p(), c_size_t()
    client.cuStreamGetCaptureInfo_v2(
        origin, byref(status), byref(number), byref(graph), byref(nodes), byref(count)
    )
    assert (status.value, count.value) == (1, 1)
    assert number.value > 0
    last = c_void_p.from_address(nodes.value or 0)
    added = c_void_p(
        client.handle("cuGraphAddEmptyNode", graph, (c_void_p * 1)(last.value), c_size_t(1))
    )
    client.cuStreamUpdateCaptureDependencies(origin, byref(added), c_size_t(1), 1)
    edges = c_void_p()
    client.cuStreamGetCaptureInfo_v3(
        origin, byref(status), None, None, byref(nodes), byref(edges), byref(count)
    )
    assert c_void_p.from_address(nodes.value or 0).value == added.value
    assert edges.value
    client.cuStreamUpdateCaptureDependencies(origin, byref(last), c_size_t(1), 0)
    fill(client, origin, words, 1)
    with refused("INVALID_VALUE"):  # it is the capture's still
        client.cuGraphDestroy(graph)
    assert end(client, origin).value == graph.value
    assert shape(client, graph) == (3, 3)
    with refused("ILLEGAL_STATE"):
        client.cuStreamUpdateCaptureDependencies(origin, None, c_size_t(0), 1)


def test_into_a_graph_that_is_there(client: Client, words: ctypes.Array[c_uint]) -> None:
    graph = c_void_p(client.handle("cuGraphCreate", 0))
    node = c_void_p(client.handle("cuGraphAddEmptyNode", graph, None, c_size_t(0)))
    origin = stream(client)
    client.cuStreamBeginCaptureToGraph(origin, graph, byref(node), None, c_size_t(1), GLOBAL)
    fill(client, origin, words, 0)
    assert end(client, origin).value == graph.value
    assert shape(client, graph) == (2, 1)
    run(client, graph)
    assert words[0] == 5


def test_external_events(client: Client, words: ctypes.Array[c_uint]) -> None:
    origin, waiting = stream(client), stream(client)
    before, after = event(client), event(client)
    begin(client, origin)
    client.cuStreamWaitEvent(origin, before, EXTERNAL)
    fill(client, origin, words, 1)
    client.cuEventRecordWithFlags(after, origin, EXTERNAL)
    graph = end(client, origin)
    assert shape(client, graph) == (3, 2)
    client.cuStreamWaitValue32_v2(waiting, c_size_t(ctypes.addressof(words)), 1, 0)
    client.cuEventRecord(before, waiting)
    made = c_void_p(client.handle("cuGraphInstantiateWithFlags", graph, c_uint64(0)))
    client.cuGraphLaunch(made, origin)
    with refused("NOT_READY"):
        client.cuEventQuery(after)
    assert words[1] == 0
    words[0] = 1
    client.cuEventSynchronize(after)
    assert words[1] == 5


def test_a_launch_becomes_a_child(client: Client, words: ctypes.Array[c_uint]) -> None:
    origin = stream(client)
    begin(client, origin)
    fill(client, origin, words, 0)
    inner = end(client, origin)
    made = c_void_p(client.handle("cuGraphInstantiateWithFlags", inner, c_uint64(0)))
    begin(client, origin)
    client.cuGraphLaunch(made, origin)
    fill(client, origin, words, 1)
    outer = end(client, origin)
    client.cuGraphExecDestroy(made)
    client.cuGraphDestroy(inner)
    assert shape(client, outer) == (2, 1)
    run(client, outer)
    assert list(words[:2]) == [5, 5]


def test_host_functions(client: Client) -> None:
    seen: list[int] = []
    function = ctypes.CFUNCTYPE(None, c_void_p)(seen.append)
    origin = stream(client)
    begin(client, origin)
    client.cuLaunchHostFunc(origin, function, c_void_p(42))
    graph = end(client, origin)
    assert seen == []
    run(client, graph)
    run(client, graph)
    assert seen == [42, 42]
    node, count, params = c_void_p(), c_size_t(1), api.types["CUDA_HOST_NODE_PARAMS"]()
    client.cuGraphGetNodes(graph, byref(node), byref(count))
    client.cuGraphHostNodeGetParams(node, byref(params))
    assert params.userData == 42


def test_a_stream_that_captures_is_destroyed(client: Client) -> None:
    origin = stream(client)
    begin(client, origin)
    with refused("STREAM_CAPTURE_UNSUPPORTED"):
        client.cuCtxSynchronize()
    client.cuStreamDestroy_v2(origin)
    client.cuCtxSynchronize()
    context = c_size_t(client.handle("cuCtxCreate_v2", 0, 0))
    begin(client, stream(client, flags=0))
    client.cuCtxDestroy_v2(context)
    client.cuMemFree_v2(c_size_t(client.handle("cuMemAlloc_v2", 64)))


@pytest.mark.parametrize(
    ("mode", "own", "other", "found"),
    [
        (GLOBAL, GLOBAL, False, "STREAM_CAPTURE_UNSUPPORTED"),
        (GLOBAL, GLOBAL, True, "STREAM_CAPTURE_UNSUPPORTED"),
        (GLOBAL, THREAD_LOCAL, True, "SUCCESS"),
        (GLOBAL, RELAXED, False, "SUCCESS"),
        (THREAD_LOCAL, GLOBAL, False, "STREAM_CAPTURE_UNSUPPORTED"),
        (THREAD_LOCAL, GLOBAL, True, "SUCCESS"),
        (RELAXED, GLOBAL, False, "SUCCESS"),
        (RELAXED, RELAXED, True, "SUCCESS"),
    ],
)
def test_unsafe_calls(client: Client, mode: int, own: int, other: bool, found: str) -> None:
    """A thread in a mode, beside a capture begun in another, by itself or another thread."""

    def call() -> None:
        client.cuThreadExchangeStreamCaptureMode(byref(c_int(mode)))
        try:
            client.handle("cuMemAlloc_v2", 64)
        finally:
            client.cuThreadExchangeStreamCaptureMode(byref(c_int(GLOBAL)))

    origin = stream(client)
    begin(client, origin, own)
    if other:
        assert in_thread(client, call) == found
    elif found == "SUCCESS":
        call()
    else:
        with refused(found):
            call()
    assert state(client, origin) == (1 if found == "SUCCESS" else 2)


def test_synchronous_copies(client: Client, words: ctypes.Array[c_uint]) -> None:
    for flags, status in ((0, "STREAM_CAPTURE_IMPLICIT"), (1, "STREAM_CAPTURE_UNSUPPORTED")):
        origin = stream(client, flags)
        begin(client, origin)
        with refused(status):
            client.cuMemcpyHtoD_v2(c_size_t(ctypes.addressof(words)), b"word", c_size_t(4))
        with refused("STREAM_CAPTURE_INVALIDATED"):
            end(client, origin)


def test_a_graph_that_is_captured_into(client: Client) -> None:
    address = client.handle("cuMemAlloc_v2", 64)
    word = c_uint.from_address(address)
    stream = c_void_p(client.handle("cuStreamCreate", 1))
    graph = c_void_p(client.handle("cuGraphCreate", 0))
    client.cuStreamBeginCaptureToGraph(stream, graph, None, None, c_size_t(0), 2)
    client.cuMemsetD32Async(c_size_t(address), 1, c_size_t(1), stream)
    with refused("INVALID_VALUE"):
        client.cuGraphDestroy(graph)
    with refused("INVALID_VALUE"):
        client.handle("cuGraphInstantiateWithFlags", graph, c_size_t(0))
    nodes = (c_size_t * 1)()
    client.cuGraphGetNodes(graph, nodes, byref(c_size_t(1)))
    client.cuGraphDestroyNode(c_size_t(nodes[0]))
    client.cuMemsetD32Async(c_size_t(address), 2, c_size_t(1), stream)
    found = c_void_p()
    client.cuStreamEndCapture(stream, byref(found))
    assert found.value == graph.value
    made = c_void_p(client.handle("cuGraphInstantiateWithFlags", graph, c_size_t(0)))
    client.cuGraphLaunch(made, None)
    client.cuStreamSynchronize(None)
    assert word.value == 2


def test_capturing_into_the_graph_of_a_node(client: Client) -> None:
    graph = c_void_p(client.handle("cuGraphCreate", 0))
    inner = c_void_p(client.handle("cuGraphCreate", 0))
    node = c_void_p(client.handle("cuGraphAddChildGraphNode", graph, None, c_size_t(0), inner))
    child, found = c_void_p(), c_void_p()
    client.cuGraphChildGraphNodeGetGraph(node, byref(child))
    stream = c_void_p(client.handle("cuStreamCreate", 1))
    client.cuStreamBeginCaptureToGraph(stream, child, None, None, c_size_t(0), 2)
    client.cuStreamEndCapture(stream, byref(found))
    with refused("INVALID_VALUE"):  # it is still the node's
        client.cuGraphDestroy(found)
    client.cuStreamBeginCaptureToGraph(stream, child, None, None, c_size_t(0), 2)
    client.cuStreamDestroy_v2(stream)
    client.cuGraphChildGraphNodeGetGraph(node, byref(found))
    assert found.value == child.value
    count = c_size_t(7)
    client.cuGraphGetNodes(child, None, byref(count))
    assert count.value == 0
