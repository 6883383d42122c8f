"""The functions that add nodes to graphs."""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from ..streams.event import EventRecord, EventWait
from .handles import edges_at, given
from .nested import Empty
from .nodekinds import (
    CONDITIONAL,
    MEM_ALLOC,
    child,
    make,
    make_of_union,
    spelled,
    union_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from ..streams.event import Event
    from ..streams.operation import Operation
    from .graph import Edge, Graph, Node

    Handles = Optional[Sequence[int]]

__all__: list[str] = []

NULLABLE = ("dependencies",)
WRITTEN = (MEM_ALLOC, CONDITIONAL)


def _before(
    cuda: Cuda, graph: Graph, handles: Handles, count: int, data: Optional[Sequence[Any]] = None
) -> dict[Node, Edge]:
    """What a new node comes after; INVALID_VALUE for a node twice, or of another graph."""
    if count and handles is None:
        raise CudaError(status.INVALID_VALUE)
    nodes = given(cuda, graph, handles)
    before = dict(zip(nodes, edges_at(data, len(nodes))))
    if len(before) < len(nodes):
        raise CudaError(status.INVALID_VALUE)
    return before


def _added(graph: Graph, operation: Operation, before: dict[Node, Edge]) -> Node:
    with graph.cuda.lock:
        operation.enter(graph)
        return graph.add(operation, before)


@implements("cuGraphAddEmptyNode", nullable=NULLABLE)
def add_empty(cuda: Cuda, h_graph: Graph, dependencies: Handles, num_dependencies: int) -> Node:
    return _added(h_graph, Empty(), _before(cuda, h_graph, dependencies, num_dependencies))


def add_struct(
    cuda: Cuda,
    h_graph: Graph,
    dependencies: Handles,
    num_dependencies: int,
    kind: int,
    params: Any,
) -> Node:
    before = _before(cuda, h_graph, dependencies, num_dependencies)
    return _added(h_graph, make(cuda, kind, params), before)


for _names, _kind, _params in spelled("cuGraphAdd{}Node"):
    implements(*_names, nullable=NULLABLE, given={"kind": _kind, "params": _params})(add_struct)


@implements("cuGraphAddChildGraphNode", nullable=NULLABLE)
def add_child(
    cuda: Cuda, h_graph: Graph, dependencies: Handles, num_dependencies: int, child_graph: Graph
) -> Node:
    before = _before(cuda, h_graph, dependencies, num_dependencies)
    return _added(h_graph, child(child_graph), before)


@implements("cuGraphAddEventRecordNode", nullable=NULLABLE)
def add_record(
    cuda: Cuda, h_graph: Graph, dependencies: Handles, num_dependencies: int, event: Event
) -> Node:
    before = _before(cuda, h_graph, dependencies, num_dependencies)
    return _added(h_graph, EventRecord(event), before)


@implements("cuGraphAddEventWaitNode", nullable=NULLABLE)
def add_wait(
    cuda: Cuda, h_graph: Graph, dependencies: Handles, num_dependencies: int, event: Event
) -> Node:
    before = _before(cuda, h_graph, dependencies, num_dependencies)
    return _added(h_graph, EventWait(event), before)


# There are no external semaphores here: what a program names is none (see external.py).
@implements(
    "cuGraphAddExternalSemaphoresSignalNode",
    "cuGraphAddExternalSemaphoresWaitNode",
    nullable=NULLABLE,
)
def add_semaphores() -> Node:
    raise CudaError(status.INVALID_VALUE)


@implements("cuGraphAddMemAllocNode", nullable=NULLABLE)
def add_allocation(
    cuda: Cuda, h_graph: Graph, dependencies: Handles, num_dependencies: int, node_params: Any
) -> tuple[Node, dict[str, int]]:
    node = add_struct(cuda, h_graph, dependencies, num_dependencies, MEM_ALLOC, node_params)
    return node, {"dptr": node_params.dptr}


@implements("cuGraphAddMemFreeNode", nullable=NULLABLE)
def add_free(
    cuda: Cuda, h_graph: Graph, dependencies: Handles, num_dependencies: int, dptr: int
) -> Node:
    from .memory import MemFree

    if not dptr:
        raise CudaError(status.INVALID_VALUE)
    before = _before(cuda, h_graph, dependencies, num_dependencies)
    return _added(h_graph, MemFree(cuda, dptr), before)


@implements("cuGraphAddNode", nullable=NULLABLE, given={"dependency_data": None})
@implements("cuGraphAddNode_v2", "cuGraphAddNode_v3", nullable=(*NULLABLE, "dependencyData"))
def add(
    cuda: Cuda,
    h_graph: Graph,
    dependencies: Handles,
    dependency_data: Optional[Sequence[Any]],
    num_dependencies: int,
    node_params: Any,
) -> tuple[Node, dict[str, Any]]:
    """What the node is given (an allocation's address, a condition's graphs) is written back."""
    before = _before(cuda, h_graph, dependencies, num_dependencies, dependency_data)
    operation = make_of_union(cuda, node_params)
    node = _added(h_graph, operation, before)
    written = union_of(cuda, operation) if operation.kind in WRITTEN else {}
    return node, written
