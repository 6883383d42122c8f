"""The functions that make graphs ready, launch them, and change what is ready."""

from __future__ import annotations

import ctypes

from ...api import NULL
from .. import _status as status
from ..error import CudaError
from ..library import Cuda, api, implements
from ..streams.event import EventRecord, EventWait
from ..streams.stream import decode
from .executable import HANDLE_UNUSED, GraphExec, become
from .nested import Nested
from .nodekinds import (
    CHILD,
    CONDITIONAL,
    KERNEL,
    MEMCPY,
    MEMSET,
    RECORD,
    WAIT,
    make,
    make_of_union,
    spelled,
)
from .nodeparams import check_kind
from .update import Difference, change, pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..streams.event import Event
    from ..streams.operation import Operation
    from ..streams.stream import Stream
    from .graph import Graph, Node

__all__: list[str] = []

UPLOAD = 2  # CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD

# Types whose nodes can be disabled.
SWITCHED = frozenset((KERNEL, MEMCPY, MEMSET))


def _instantiate(cuda: Cuda, graph: Graph, flags: int) -> GraphExec:
    """INVALID_VALUE for a condition that no node has, under capture, and as `GraphExec`."""
    graph.check_capture()
    if graph.unused:
        raise CudaError(status.INVALID_VALUE)
    with cuda.lock:
        return GraphExec(graph, flags)


@implements("cuGraphInstantiate", "cuGraphInstantiate_v2", nullable=("phErrorNode", "logBuffer"))
def instantiate_with_log(cuda: Cuda, h_graph: Graph) -> tuple[GraphExec, Any, str]:
    return _instantiate(cuda, h_graph, 0), NULL, ""


@implements("cuGraphInstantiateWithFlags")
def instantiate(cuda: Cuda, h_graph: Graph, flags: int) -> GraphExec:
    return _instantiate(cuda, h_graph, flags)


@implements("cuGraphInstantiateWithParams")
def instantiate_with_params(
    cuda: Cuda, h_graph: Graph, instantiate_params: Any, per_thread: bool
) -> tuple[GraphExec, dict[str, int]]:
    if instantiate_params.flags & UPLOAD:
        decode(cuda, instantiate_params.hUploadStream, per_thread)
    if h_graph.unused:
        instantiate_params.result_out = HANDLE_UNUSED
    made = _instantiate(cuda, h_graph, instantiate_params.flags)
    return made, {"hErrNode_out": 0, "result_out": 0}


@implements("cuGraphUpload")
def upload(h_graph_exec: GraphExec, h_stream: Stream) -> None:
    """What a launch needs is here already."""
    h_stream.check_capture()


@implements("cuGraphLaunch")
def launch(h_graph_exec: GraphExec, h_stream: Stream) -> None:
    h_graph_exec.launch(h_stream)


@implements("cuGraphExecDestroy")
def destroy(cuda: Cuda, h_graph_exec: GraphExec) -> None:
    with cuda.lock:
        h_graph_exec.end()


@implements("cuGraphExecGetFlags")
def get_flags(h_graph_exec: GraphExec) -> int:
    return h_graph_exec.flags


@implements("cuGraphExecGetId")
def get_id(h_graph_exec: GraphExec) -> int:
    return h_graph_exec.number


# ---- becoming another graph


def _update(cuda: Cuda, made: GraphExec, graph: Graph) -> Difference:
    """How it went: a difference with result 0 when there is none."""
    try:
        with cuda.lock:
            made.update(graph)
    except Difference as difference:
        return difference
    return Difference(0)


def _handle(cuda: Cuda, node: Any) -> int:
    return 0 if node is None else cuda.handles("CUgraphNode").give(node)


@implements("cuGraphExecUpdate", raw=("hErrorNode_out", "updateResult_out"))
def update_before_cuda_12(
    cuda: Cuda,
    h_graph_exec: GraphExec,
    h_graph: Graph,
    h_error_node_out: int,
    update_result_out: int,
) -> None:
    """The outputs are written also when it fails."""
    if not h_error_node_out or not update_result_out:
        raise CudaError(status.INVALID_VALUE)
    found = _update(cuda, h_graph_exec, h_graph)
    ctypes.c_size_t.from_address(h_error_node_out).value = _handle(cuda, found.node)
    ctypes.c_int.from_address(update_result_out).value = found.result
    if found.result:
        raise CudaError(status.GRAPH_EXEC_UPDATE_FAILURE)


@implements("cuGraphExecUpdate_v2", raw=("resultInfo",))
def update(cuda: Cuda, h_graph_exec: GraphExec, h_graph: Graph, result_info: int) -> None:
    """The result is written also when it fails."""
    if not result_info:
        raise CudaError(status.INVALID_VALUE)
    found = _update(cuda, h_graph_exec, h_graph)
    info = api.types["CUgraphExecUpdateResultInfo"].from_address(result_info)
    info.result = found.result
    info.errorNode = _handle(cuda, found.node)
    info.errorFromNode = _handle(cuda, found.start)
    if found.result:
        raise CudaError(status.GRAPH_EXEC_UPDATE_FAILURE)


# ---- one node


def _set(made: GraphExec, original: Node, kind: int, operation: Operation) -> None:
    """INVALID_VALUE for what an update may not change either, and copies and fills of nothing."""
    check_kind(original, kind)
    node = made.node(original)
    if change(node.operation, operation) or _is_refused(node.operation, operation):
        raise CudaError(status.INVALID_VALUE)
    node.operation = operation


def _is_refused(old: Any, new: Any) -> bool:
    """Copies must be of one dimension, and neither they nor fills of nothing: the reference's
    words for cuGraphExecMemcpyNodeSetParams and its like."""
    if new.kind == MEMSET:
        return not new.width * new.height
    if new.kind == MEMCPY:
        rows = [copy.extent[1:] for copy in (old, new)]
        return rows != [(1, 1)] * 2 or not new.extent[0]
    return False


def set_struct(cuda: Cuda, h_graph_exec: GraphExec, h_node: Node, kind: int, params: Any) -> None:
    _set(h_graph_exec, h_node, kind, make(cuda, kind, params))


for _names, _kind, _params in spelled("cuGraphExec{}NodeSetParams"):
    implements(*_names, given={"kind": _kind, "params": _params})(set_struct)


@implements("cuGraphExecEventRecordNodeSetEvent")
def set_recorded(h_graph_exec: GraphExec, h_node: Node, event: Event) -> None:
    _set(h_graph_exec, h_node, RECORD, EventRecord(event))


@implements("cuGraphExecEventWaitNodeSetEvent")
def set_awaited(h_graph_exec: GraphExec, h_node: Node, event: Event) -> None:
    _set(h_graph_exec, h_node, WAIT, EventWait(event))


@implements("cuGraphExecChildGraphNodeSetParams")
def set_child(cuda: Cuda, h_graph_exec: GraphExec, h_node: Node, child_graph: Graph) -> None:
    """The child may do other things, in the same shape."""
    check_kind(h_node, CHILD)
    _set_child(cuda, h_graph_exec.node(h_node), child_graph)


def _set_child(cuda: Cuda, node: Node, new: Graph) -> None:
    child = node.operation
    assert isinstance(child, Nested)
    try:
        with cuda.lock:
            for pair in list(pairs(child.graphs[0], new)):
                become(*pair)
    except Difference:
        raise CudaError(status.INVALID_VALUE) from None


# No node has external semaphores: there are none (see external.py).
@implements(
    "cuGraphExecExternalSemaphoresSignalNodeSetParams",
    "cuGraphExecExternalSemaphoresWaitNodeSetParams",
)
def set_semaphores(h_graph_exec: GraphExec, h_node: Node) -> None:
    raise CudaError(status.INVALID_VALUE)


@implements("cuGraphExecNodeSetParams")
def set_params(cuda: Cuda, h_graph_exec: GraphExec, h_node: Node, node_params: Any) -> None:
    """A conditional node cannot be changed: reference, cuGraphExecUpdate."""
    check_kind(h_node, node_params.type)
    if node_params.type == CONDITIONAL:
        raise CudaError(status.INVALID_VALUE)
    operation = make_of_union(cuda, node_params)
    if isinstance(operation, Nested):
        _set_child(cuda, h_graph_exec.node(h_node), operation.graphs[0])
    else:
        _set(h_graph_exec, h_node, node_params.type, operation)


@implements("cuGraphNodeSetEnabled")
def set_enabled(h_graph_exec: GraphExec, h_node: Node, is_enabled: int) -> None:
    node = _switched(h_graph_exec, h_node)
    if is_enabled:
        h_graph_exec.disabled.discard(node)
    else:
        h_graph_exec.disabled.add(node)


@implements("cuGraphNodeGetEnabled")
def get_enabled(h_graph_exec: GraphExec, h_node: Node) -> int:
    return int(_switched(h_graph_exec, h_node) not in h_graph_exec.disabled)


def _switched(made: GraphExec, original: Node) -> Node:
    if original.operation.kind not in SWITCHED:
        raise CudaError(status.INVALID_VALUE)
    return made.node(original)
