"""Graphs: nodes that each hold an operation, and which of them come before which.

A graph belongs to the program, or to a node that holds it as a child; a copy of it does what it did
and knows of which node each of its own is a copy. The nodes keep the order in which they were
added, which breaks ties in the order in which they are done.
"""

from __future__ import annotations

import itertools

from .. import _status as status
from .._constants import (
    GRAPH_NODE_TYPE_MEM_ALLOC,
    GRAPH_NODE_TYPE_MEM_FREE,
)
from ..error import CudaError
from ..streams.schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Optional, Union

    from ..library import Cuda
    from ..streams.operation import Operation
    from ..streams.stream import Stream
    from .conditionals import Condition
    from .executable import GraphExec
    from .userobjects import UserObject

    Edge = tuple[int, int, int]

__all__ = [
    "DEFAULT_EDGE",
    "Graph",
    "Graphs",
    "Node",
    "release",
    "retain",
]

DEFAULT_EDGE = (0, 0, 0)  # from_port, to_port, type

MEMORY = frozenset((GRAPH_NODE_TYPE_MEM_ALLOC, GRAPH_NODE_TYPE_MEM_FREE))


class Node:
    """A node of a graph.

    Attributes:
        before, after: the nodes on the other ends of its edges, and what an edge says.
        number: unlike that of any other node that its graph has had.
        original: the node that it is a copy of.
        attributes: of a kernel node, what has been set, by attribute.
    """

    __slots__ = ("after", "attributes", "before", "graph", "number", "operation", "original")

    def __init__(self, graph: Graph, operation: Operation, number: int) -> None:
        self.graph = graph
        self.operation = operation
        self.number = number
        self.before: dict[Node, Edge] = {}
        self.after: dict[Node, Edge] = {}
        self.original: Optional[Node] = None
        self.attributes: dict[int, bytes] = {}

    def __str__(self) -> str:
        return f"node {self.number} of {self.graph}"


class Graph:
    """A graph.

    Attributes:
        number: unlike that of any other graph of the process.
        is_owned: it is a node's child or under capture: not the program's to destroy.
        original, copies: the graph that it is a copy of, and the copies of that one's nodes.
        users: the user objects that it keeps alive -> how many of their references it has.
        unused: the conditions of nodes that are still to be added.
        freed: the addresses of memory that its nodes free.
        has_memory: nodes of it allocate or free memory: "nodes and edges of the graph cannot be
            deleted", "the graph cannot be cloned" and "only one instantiation of the graph may
            exist at any point in time" (reference, cuGraphAddMemAllocNode).
        instance: that one.
    """

    __slots__ = (
        *("_count", "copies", "cuda", "freed", "has_memory", "instance", "is_owned", "nodes"),
        *("number", "original", "unused", "users"),
    )

    def __init__(self, cuda: Cuda, *, is_owned: bool = False) -> None:
        self.cuda = cuda
        self.number = cuda.part(Graphs).count()
        self.is_owned = is_owned
        self.nodes: dict[Node, None] = {}
        self.original: Optional[Graph] = None
        self.copies: dict[Node, Node] = {}
        self.users: dict[UserObject, int] = {}
        self.unused: dict[Condition, None] = {}
        self.freed: set[int] = set()
        self.has_memory = False
        self.instance: Optional[GraphExec] = None
        self._count = 0

    def __str__(self) -> str:
        return f"graph {self.number}"

    def add(
        self, operation: Operation, before: Union[Iterable[Node], dict[Node, Edge]] = ()
    ) -> Node:
        """A new node, which comes after those of `before`."""
        edges = before if isinstance(before, dict) else dict.fromkeys(before, DEFAULT_EDGE)
        node = Node(self, operation, self._count)
        self._count += 1
        self.nodes[node] = None
        if operation.kind in MEMORY or any(graph.has_memory for graph in operation.graphs):
            self.has_memory = True
        for other, edge in edges.items():
            self._connect(other, node, edge)
        return node

    def connect(self, edges: Sequence[tuple[Node, Node, Edge]]) -> None:
        """Put in all these edges, or none.

        Raises:
            CudaError: INVALID_VALUE for one that is there already, or that closes a circle.
        """
        done: list[tuple[Node, Node]] = []
        for start, end, edge in edges:
            if end in start.after or start is end:
                self._disconnect_all(done)
                raise CudaError(status.INVALID_VALUE)
            self._connect(start, end, edge)
            done.append((start, end))
        if _have_circle(end for _, end in done):
            self._disconnect_all(done)
            raise CudaError(status.INVALID_VALUE)

    def disconnect(self, edges: Sequence[tuple[Node, Node, Optional[Edge]]]) -> None:
        """Take out all these edges, or none; INVALID_VALUE for one that is not there, or fixed."""
        self.check_deletion()
        for start, end, edge in edges:
            if end not in start.after or edge not in (None, start.after[end]):
                raise CudaError(status.INVALID_VALUE)
        self._disconnect_all([(start, end) for start, end, _ in edges])

    def check_capture(self) -> None:
        """INVALID_VALUE while a stream captures into it."""
        if any(capture.graph is self for capture in self.cuda.part(Schedule).captures):
            raise CudaError(status.INVALID_VALUE)

    def check_deletion(self) -> None:
        """INVALID_VALUE where no node nor edge can be deleted."""
        if self.has_memory:
            raise CudaError(status.INVALID_VALUE)

    @staticmethod
    def _connect(start: Node, end: Node, edge: Edge) -> None:
        start.after[end] = edge
        end.before[start] = edge

    @staticmethod
    def _disconnect_all(edges: Iterable[tuple[Node, Node]]) -> None:
        for start, end in edges:
            start.after.pop(end, None)
            end.before.pop(start, None)

    def edges(self) -> list[tuple[Node, Node, Edge]]:
        """All edges, by the nodes that they begin at."""
        return [(node, end, edge) for node in self.nodes for end, edge in node.after.items()]

    def roots(self) -> list[Node]:
        """The nodes that come after no other."""
        return [node for node in self.nodes if not node.before]

    def in_order(self) -> list[Node]:
        """The nodes, each after all that come before it; those on a circle are missing."""
        left = {node: len(node.before) for node in self.nodes}
        ready = [node for node in self.nodes if not left[node]]
        for node in ready:
            for other in node.after:
                left[other] -= 1
                if not left[other]:
                    ready.append(other)
        return ready

    def issue(self, stream: Stream) -> list[Operation]:
        """What one launch of it submits, in order."""
        return [step for node in self.in_order() for step in node.operation.issue(stream)]

    def copy(self, *, is_owned: bool = False) -> Graph:
        """A graph that does the same; its nodes know their originals."""
        clone = Graph(self.cuda, is_owned=is_owned)
        clone.original = self
        copies = clone.copies
        for node in self.nodes:
            copies[node] = made = clone.add(node.operation.copied())
            made.number = node.number
            made.original = node
            made.attributes = dict(node.attributes)
        clone._count = self._count
        for node, made in copies.items():  # the order of edges counts in an update
            made.before = {copies[other]: edge for other, edge in node.before.items()}
            made.after = {copies[other]: edge for other, edge in node.after.items()}
        clone.users = dict(self.users)
        retain(clone.users)
        return clone

    def counterpart(self, node: Node) -> Node:
        """The node here that is a copy of a node of another graph; INVALID_VALUE without one."""
        found = self.copies.get(node)
        if found is None or found not in self.nodes:
            raise CudaError(status.INVALID_VALUE)
        return found

    def holds(self, other: Graph) -> bool:
        """Whether a graph is this one, or part of one of its nodes."""
        return other is self or any(
            child.holds(other) for node in self.nodes for child in node.operation.graphs
        )

    def drop(self, node: Node) -> None:
        """Take a node out, with its edges; its handle is none from here on."""
        self._disconnect_all([(other, node) for other in list(node.before)])
        self._disconnect_all([(node, other) for other in list(node.after)])
        del self.nodes[node]
        self._end(node)

    def end(self) -> None:
        """It is gone: its nodes' handles, those of its children, and what it kept alive."""
        for node in self.nodes:
            self._end(node)
        self.nodes, self.copies = {}, {}
        self.cuda.handles("CUgraph").drop(self)
        release(self.users)
        self.users = {}

    def _end(self, node: Node) -> None:
        self.cuda.handles("CUgraphNode").drop(node)
        node.before, node.after = {}, {}  # no circle keeps what its operation holds
        for child in node.operation.graphs:
            child.end()


def _have_circle(nodes: Iterable[Node]) -> bool:
    """Whether a way leads from one of these nodes back to it.

    Only what comes after them is looked at, so that a graph may be put together edge by edge.
    """
    done: set[Node] = set()
    way: dict[Node, Iterator[Node]] = {}
    for first in nodes:
        if first not in done:
            way[first] = iter(first.after)
        while way:
            node, ends = next(reversed(way.items()))
            end = next(ends, None)
            if end is None:
                done.add(node)
                del way[node]
            elif end in way:
                return True
            elif end not in done:
                way[end] = iter(end.after)
    return False


def retain(users: dict[UserObject, int]) -> None:
    """Add references to user objects."""
    for user, count in users.items():
        user.retain(count)


def release(users: dict[UserObject, int]) -> None:
    """Give references to user objects back."""
    for user, count in users.items():
        user.release(count)


class Graphs:
    """The graphs of a process: they belong to no context."""

    def __init__(self, cuda: Cuda) -> None:
        self.count = itertools.count(1).__next__  # what no graph has had yet

    def end(self) -> None:
        """Another scenario begins: its handles are new."""
