"""Graphs made ready to be launched, any number of times.

What is launched is a copy of the graph as it was. Its nodes are done one after the other, each
after those that come before it; what waits in one launch is done before the next begins.
"""

from __future__ import annotations

from .. import _status as status
from .._constants import GRAPH_NODE_TYPE_MEM_ALLOC, GRAPH_NODE_TYPE_MEM_FREE
from ..error import CudaError
from ..streams.event import EventWait, Mark
from ..streams.operation import Operation
from .graph import ChildGraph, Graph, Graphs
from .memory import MemAlloc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Optional

    from ..streams.stream import Stream
    from .graph import Node

__all__ = ["AUTO_FREE_ON_LAUNCH", "Difference", "GraphExec"]

AUTO_FREE_ON_LAUNCH = 1
FLAGS = 15

# CUgraphExecUpdateResult
TOPOLOGY_CHANGED, NODE_TYPE_CHANGED, FUNCTION_CHANGED, NOT_SUPPORTED = 2, 3, 4, 6

#: Types whose nodes cannot be exchanged for others.
FIXED = frozenset((GRAPH_NODE_TYPE_MEM_ALLOC, GRAPH_NODE_TYPE_MEM_FREE))


class Difference(Exception):  # noqa: N818  (it is an answer, and no error in all cases)
    """Why a graph cannot take another's place: a CUgraphExecUpdateResult, and the nodes."""

    def __init__(self, result: int, node: Optional[Node] = None, old: Optional[Node] = None):
        super().__init__(result)
        self.result = result
        self.node = node
        self.old = old


class Finish(Operation):
    """Say that a launch is over."""

    __slots__ = ("_mark",)

    heedless = True

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def run(self) -> None:
        """It is."""
        self._mark.finish(0)

    def drop(self) -> None:
        """It never goes on."""
        self._mark.finish(0)


class GraphExec:
    """A graph that can be launched.

    Attributes:
        graph: a copy of that which it was made of, its own.
        disabled: nodes of the copy that do nothing.
    """

    __slots__ = ("_last", "disabled", "flags", "graph", "number")

    def __init__(self, graph: Graph, flags: int) -> None:
        """INVALID_VALUE for flags that no header has."""
        if flags & ~FLAGS:
            raise CudaError(status.INVALID_VALUE)
        self.graph = graph.copy(is_owned=True)
        self.flags = flags
        self.number = graph.cuda.part(Graphs).count()
        self.disabled: set[Node] = set()
        self._last: Optional[Mark] = None

    def __str__(self) -> str:
        return f"executable {self.number} of {self.graph.original}"

    def node(self, original: Node) -> Node:
        """The node that stands for one of the graph that this was made of, or of a child of it.

        Raises:
            CudaError: INVALID_VALUE without one.
        """
        for node in _all_nodes(self.graph):
            if node.original is original:
                return node
        raise CudaError(status.INVALID_VALUE)

    def launch(self, stream: Stream) -> None:
        """Have a stream do all of it, or have it captured as one node.

        Raises:
            CudaError: INVALID_VALUE: memory that it allocates has not been freed since the last
                time; what `Stream.submit` raises.
        """
        if stream.capture is not None:
            stream.submit(ChildGraph(self.graph.copy(is_owned=True)))
            return
        self._make_room()
        if self._last is not None and not self._last.done:
            stream.submit(EventWait(None, self._last))
        for operation in self._operations(stream):
            stream.submit(operation)
        self._last = None
        if stream.queue:
            self._last = Mark()
            stream.submit(Finish(self._last))

    def _operations(self, stream: Stream) -> Iterator[Operation]:
        for node in self.graph.in_order():
            if node not in self.disabled:
                yield from node.operation.issue(stream)

    def _make_room(self) -> None:
        """What the last launch has allocated must be free, or is freed now."""
        for node in self.graph.nodes:
            allocation = node.operation
            if isinstance(allocation, MemAlloc) and allocation.is_allocated:
                if not self.flags & AUTO_FREE_ON_LAUNCH:
                    raise CudaError(status.INVALID_VALUE)
                allocation.memory.free(allocation.block)

    def update(self, graph: Graph) -> None:
        """Do from now on what another graph of the same shape does.

        Raises:
            Difference: it has another shape; nothing is changed then.
        """
        pairs = list(_pairs(self.graph, graph))
        for old, new in pairs:
            if not isinstance(new.operation, ChildGraph):
                old.operation = new.operation
                old.attributes = dict(new.attributes)

    def end(self) -> None:
        """It is gone."""
        self.graph.cuda.handles("CUgraphExec").drop(self)
        self.graph.end()


def _all_nodes(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        if isinstance(node.operation, ChildGraph):
            yield from _all_nodes(node.operation.graph)


def _pairs(mine: Graph, other: Graph) -> Iterator[tuple[Node, Node]]:
    """The nodes of two graphs of the same shape that stand for each other.

    Raises:
        Difference: they are not of the same shape.
    """
    if len(mine.nodes) != len(other.nodes):
        raise Difference(TOPOLOGY_CHANGED)
    stands_for = dict(zip(mine.in_order(), other.in_order()))
    for old, new in stands_for.items():
        if old.operation.kind != new.operation.kind:
            raise Difference(NODE_TYPE_CHANGED, new, old)
        if {stands_for[node]: edge for node, edge in old.before.items()} != new.before:
            raise Difference(TOPOLOGY_CHANGED, new, old)
        if old.operation.kind in FIXED and old.operation is not new.operation:
            raise Difference(NOT_SUPPORTED, new, old)
        yield old, new
        if isinstance(old.operation, ChildGraph) and isinstance(new.operation, ChildGraph):
            yield from _pairs(old.operation.graph, new.operation.graph)
