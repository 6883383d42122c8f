"""Graphs: nodes that each hold an operation, and which of them come before which.

A graph belongs to the program, or to a node that holds it as a child; a copy of it does what it did
and knows of which node each of its own is a copy. The nodes keep the order in which they were
added, which breaks ties in the order in which they are done.
"""

from __future__ import annotations

from .. import _status as status
from .._constants import GRAPH_NODE_TYPE_EMPTY, GRAPH_NODE_TYPE_GRAPH
from ..error import CudaError
from ..streams.operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Optional, Union

    from ..library import Cuda
    from ..streams.stream import Stream
    from .userobjects import UserObject

    Edge = tuple[int, int, int]

__all__ = ["DEFAULT_EDGE", "ChildGraph", "Empty", "Graph", "Graphs", "Node"]

DEFAULT_EDGE = (0, 0, 0)  # from_port, to_port, type


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
        users: the user objects that it keeps alive -> how many of their references it has.
    """

    __slots__ = ("_count", "cuda", "is_owned", "nodes", "number", "original", "users")

    def __init__(self, cuda: Cuda, *, is_owned: bool = False) -> None:
        self.cuda = cuda
        self.number = cuda.part(Graphs).count()
        self.is_owned = is_owned
        self.nodes: dict[Node, None] = {}
        self.original: Optional[Graph] = None
        self.users: dict[UserObject, int] = {}
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
        if len(self.in_order()) < len(self.nodes):
            self._disconnect_all(done)
            raise CudaError(status.INVALID_VALUE)

    def disconnect(self, edges: Sequence[tuple[Node, Node, Optional[Edge]]]) -> None:
        """Take out all these edges, or none; INVALID_VALUE for one that is not there."""
        for start, end, edge in edges:
            if end not in start.after or edge not in (None, start.after[end]):
                raise CudaError(status.INVALID_VALUE)
        self._disconnect_all([(start, end) for start, end, _ in edges])

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

    def copy(self, *, is_owned: bool = False) -> Graph:
        """A graph that does the same; its nodes know their originals."""
        clone = Graph(self.cuda, is_owned=is_owned)
        clone.original = self
        copies: dict[Node, Node] = {}
        for node in self.nodes:
            copies[node] = made = clone.add(_copied(node.operation))
            made.number = node.number
            made.original = node
            made.attributes = dict(node.attributes)
        clone._count = self._count
        for start, end, edge in self.edges():
            clone._connect(copies[start], copies[end], edge)
        for user, count in self.users.items():
            user.retain(count)
            clone.users[user] = count
        return clone

    def counterpart(self, node: Node) -> Node:
        """The node here that is a copy of a node of another graph; INVALID_VALUE without one."""
        for mine in self.nodes:
            if mine.original is node:
                return mine
        raise CudaError(status.INVALID_VALUE)

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
        self.nodes = {}
        self.cuda.handles("CUgraph").drop(self)
        for user, count in self.users.items():
            user.release(count)
        self.users = {}

    def _end(self, node: Node) -> None:
        self.cuda.handles("CUgraphNode").drop(node)
        node.before, node.after = {}, {}  # no circle keeps what its operation holds
        if isinstance(node.operation, ChildGraph):
            node.operation.graph.end()


def _copied(operation: Operation) -> Operation:
    """What a copy of a node holds: operations do not change, but for a child, which has nodes."""
    if isinstance(operation, ChildGraph):
        return ChildGraph(operation.graph.copy(is_owned=True))
    return operation


class Empty(Operation):
    """Nothing: a node that only has edges."""

    __slots__ = ()

    kind = GRAPH_NODE_TYPE_EMPTY

    def run(self) -> None:
        """Nothing is done."""


class ChildGraph(Operation):
    """All that a graph does, which belongs to this alone."""

    __slots__ = ("graph",)

    kind = GRAPH_NODE_TYPE_GRAPH

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def issue(self, stream: Stream) -> Sequence[Operation]:
        """What its nodes do, in order."""
        return [step for node in self.graph.in_order() for step in node.operation.issue(stream)]

    def run(self) -> None:
        """Its parts are run one by one."""
        raise NotImplementedError


class Graphs:
    """The graphs of a process: they belong to no context."""

    def __init__(self, cuda: Cuda) -> None:
        self._count = 0

    def count(self) -> int:
        """A number that no graph of the process has had yet."""
        self._count += 1
        return self._count

    def end(self) -> None:
        """Another scenario begins: its handles are new."""
