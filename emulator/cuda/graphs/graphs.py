"""The functions that make graphs, look into them and change what comes before what."""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from .graph import Graph
from .handles import edges_at, given, put_edges, put_nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from .graph import Edge, Node

    Handles = Optional[Sequence[int]]

__all__: list[str] = []


@implements("cuGraphCreate")
def create(cuda: Cuda, flags: int) -> Graph:
    if flags:
        raise CudaError(status.INVALID_VALUE)
    return Graph(cuda)


@implements("cuGraphDestroy")
def destroy(cuda: Cuda, h_graph: Graph) -> None:
    if h_graph.is_owned:
        raise CudaError(status.INVALID_VALUE)
    h_graph.check_capture()
    with cuda.lock:
        h_graph.end()


@implements("cuGraphClone")
def clone(cuda: Cuda, original_graph: Graph) -> Graph:
    if original_graph.has_memory:
        raise CudaError(status.INVALID_VALUE)
    with cuda.lock:
        return original_graph.copy()


@implements("cuGraphNodeFindInClone")
def find_in_clone(h_original_node: Node, h_cloned_graph: Graph) -> Node:
    return h_cloned_graph.counterpart(h_original_node)


@implements("cuGraphDestroyNode")
def destroy_node(cuda: Cuda, h_node: Node) -> None:
    h_node.graph.check_deletion()
    with cuda.lock:
        h_node.graph.drop(h_node)


# ---- what is in it


@implements("cuGraphGetNodes", raw=("nodes", "numNodes"))
def get_nodes(cuda: Cuda, h_graph: Graph, nodes: int, num_nodes: int) -> None:
    _put(cuda, nodes, num_nodes, list(h_graph.nodes))


@implements("cuGraphGetRootNodes", raw=("rootNodes", "numRootNodes"))
def get_root_nodes(cuda: Cuda, h_graph: Graph, root_nodes: int, num_root_nodes: int) -> None:
    _put(cuda, root_nodes, num_root_nodes, h_graph.roots())


def _put(
    cuda: Cuda, address: int, count: int, nodes: Sequence[Node], edges: Sequence[Edge] = ()
) -> None:
    """Nodes, and where they are the ends of edges, that these say nothing."""
    if not count:
        raise CudaError(status.INVALID_VALUE)
    if address:
        put_edges(0, count, edges)
    put_nodes(cuda, count, (address, nodes))


def _put_with_data(cuda: Cuda, address: int, data: int, count: int, ends: dict[Node, Edge]) -> None:
    if not count or (data and not address):
        raise CudaError(status.INVALID_VALUE)
    if address:
        put_edges(data, count, list(ends.values()))
    put_nodes(cuda, count, (address, list(ends)))


@implements("cuGraphNodeGetDependencies", raw=("dependencies", "numDependencies"))
def get_before(cuda: Cuda, h_node: Node, dependencies: int, num_dependencies: int) -> None:
    before = h_node.before
    _put(cuda, dependencies, num_dependencies, list(before), list(before.values()))


@implements("cuGraphNodeGetDependencies_v2", raw=("dependencies", "edgeData", "numDependencies"))
def get_before_with_data(
    cuda: Cuda, h_node: Node, dependencies: int, edge_data: int, num_dependencies: int
) -> None:
    _put_with_data(cuda, dependencies, edge_data, num_dependencies, h_node.before)


@implements("cuGraphNodeGetDependentNodes", raw=("dependentNodes", "numDependentNodes"))
def get_after(cuda: Cuda, h_node: Node, dependent_nodes: int, num_dependent_nodes: int) -> None:
    after = h_node.after
    _put(cuda, dependent_nodes, num_dependent_nodes, list(after), list(after.values()))


@implements(
    "cuGraphNodeGetDependentNodes_v2", raw=("dependentNodes", "edgeData", "numDependentNodes")
)
def get_after_with_data(
    cuda: Cuda, h_node: Node, dependent_nodes: int, edge_data: int, num_dependent_nodes: int
) -> None:
    _put_with_data(cuda, dependent_nodes, edge_data, num_dependent_nodes, h_node.after)


@implements("cuGraphGetEdges", raw=("from", "to", "numEdges"))
def get_edges(cuda: Cuda, h_graph: Graph, from_: int, to: int, num_edges: int) -> None:
    get_edges_with_data(cuda, h_graph, from_, to, 0, num_edges)


@implements("cuGraphGetEdges_v2", raw=("from", "to", "edgeData", "numEdges"))
def get_edges_with_data(
    cuda: Cuda, h_graph: Graph, from_: int, to: int, edge_data: int, num_edges: int
) -> None:
    if not num_edges or bool(from_) != bool(to) or (edge_data and not from_):
        raise CudaError(status.INVALID_VALUE)
    edges = h_graph.edges()
    if from_:
        put_edges(edge_data, num_edges, [edge for _, _, edge in edges])
    put_nodes(cuda, num_edges, (from_, [a for a, _, _ in edges]), (to, [b for _, b, _ in edges]))


# ---- what comes before what


def _edges(
    cuda: Cuda, graph: Graph, starts: Handles, ends: Handles, count: int
) -> list[tuple[Node, Node]]:
    if count and (starts is None or ends is None):
        raise CudaError(status.INVALID_VALUE)
    return list(zip(given(cuda, graph, starts), given(cuda, graph, ends)))


@implements("cuGraphAddDependencies", nullable=("from", "to"), given={"edge_data": None})
@implements("cuGraphAddDependencies_v2", nullable=("from", "to", "edgeData"))
def connect(
    cuda: Cuda,
    h_graph: Graph,
    from_: Handles,
    to: Handles,
    edge_data: Optional[Sequence[Any]],
    num_dependencies: int,
) -> None:
    pairs = _edges(cuda, h_graph, from_, to, num_dependencies)
    data = edges_at(edge_data, len(pairs))
    with cuda.lock:
        h_graph.connect([(start, end, edge) for (start, end), edge in zip(pairs, data)])


@implements("cuGraphRemoveDependencies", nullable=("from", "to"))
def disconnect(
    cuda: Cuda, h_graph: Graph, from_: Handles, to: Handles, num_dependencies: int
) -> None:
    pairs = _edges(cuda, h_graph, from_, to, num_dependencies)
    with cuda.lock:
        h_graph.disconnect([(start, end, None) for start, end in pairs])


@implements("cuGraphRemoveDependencies_v2", nullable=("from", "to", "edgeData"))
def disconnect_with_data(
    cuda: Cuda,
    h_graph: Graph,
    from_: Handles,
    to: Handles,
    edge_data: Optional[Sequence[Any]],
    num_dependencies: int,
) -> None:
    pairs = _edges(cuda, h_graph, from_, to, num_dependencies)
    data = edges_at(edge_data, len(pairs))
    with cuda.lock:
        h_graph.disconnect([(start, end, edge) for (start, end), edge in zip(pairs, data)])


# ---- what it is called


@implements("cuGraphGetId")
def get_id(h_graph: Graph) -> int:
    return h_graph.number


@implements("cuGraphNodeGetContainingGraph")
def get_containing_graph(h_node: Node) -> Graph:
    return h_node.graph


@implements("cuGraphNodeGetLocalId")
def get_local_id(h_node: Node) -> int:
    return h_node.number


@implements("cuGraphNodeGetToolsId")
def get_tools_id(h_node: Node) -> int:
    return h_node.graph.number << 32 | h_node.number


@implements("cuGraphDebugDotPrint")
def print_dot(h_graph: Graph, path: str, flags: int) -> None:
    from .dot import text

    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text(h_graph))
    except OSError:
        raise CudaError(status.OPERATING_SYSTEM) from None
