"""Graphs made ready to be launched, any number of times.

What is launched is a copy of the graph as it was. Its nodes are done one after the other, each
after those that come before it; what waits in one launch is done before the next begins.
"""

from __future__ import annotations

from _thread import allocate_lock

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..streams.event import EventWait, Mark
from ..streams.operation import Operation
from .graph import Graph, Graphs, release, retain
from .memory import MemAlloc
from .nested import ChildGraph, Nested
from .update import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Optional

    from ..streams.stream import Stream
    from .graph import Node
    from .userobjects import UserObject

__all__ = ["AUTO_FREE_ON_LAUNCH", "HANDLE_UNUSED", "GraphExec", "become"]

AUTO_FREE_ON_LAUNCH = 1
FLAGS = 15

HANDLE_UNUSED = constants.GRAPH_INSTANTIATE_CONDITIONAL_HANDLE_UNUSED


class Finish(Operation):
    """Say that a launch is over, and let go of the user objects that it kept alive."""

    __slots__ = ("_mark", "_users")

    heedless = True

    def __init__(self, mark: Mark, users: dict[UserObject, int]) -> None:
        self._mark = mark
        self._users = dict(users)
        retain(users)

    def run(self) -> None:
        """It is."""
        self._mark.finish(0)
        release(self._users)

    def drop(self) -> None:
        """It never goes on."""
        self.run()


class FreeLeft(Operation):
    """Free what a graph has allocated the last time and nobody has freed."""

    __slots__ = ("_allocations",)

    def __init__(self, allocations: list[MemAlloc]) -> None:
        self._allocations = allocations

    def run(self) -> None:
        """Free it."""
        for allocation in self._allocations:
            if allocation.is_allocated:
                allocation.memory.free(allocation.block)


class GraphExec:
    """A graph that can be launched.

    Attributes:
        graph: a copy of that which it was made of, its own.
        disabled: nodes of the copy that do nothing.
    """

    __slots__ = ("_children", "_last", "_launching", "disabled", "flags", "graph", "number")

    def __init__(self, graph: Graph, flags: int) -> None:
        """INVALID_VALUE for flags that no header has, and for a second one of a graph that
        allocates memory."""
        if flags & ~FLAGS or graph.instance is not None:
            raise CudaError(status.INVALID_VALUE)
        self.graph = graph.copy(is_owned=True)
        if graph.has_memory:
            graph.instance = self
        self._children = {part.original: part for part in _parts(self.graph)}
        self._launching = allocate_lock()
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
        part = self._children.get(original.graph)
        if part is None:
            raise CudaError(status.INVALID_VALUE)
        return part.counterpart(original)

    def launch(self, stream: Stream) -> None:
        """Have a stream do all of it, or have it captured as one node.

        Raises:
            CudaError: INVALID_VALUE: memory that it allocates has not been freed since the last
                time; what `Stream.submit` raises.
        """
        if stream.capture is not None:
            stream.submit(ChildGraph(self.graph.copy(is_owned=True)))
            return
        with self._launching:  # two threads' launches come one after the other
            self._launch(stream)

    def _launch(self, stream: Stream) -> None:
        self._make_room(stream)
        if self._last is not None and not self._last.done:
            stream.submit(EventWait(None, self._last))
        for node in self.graph.in_order():
            if node not in self.disabled:
                for operation in node.operation.issue(stream):
                    stream.submit(operation)
        self._last = None
        if stream.queue:
            self._last = Mark()
            stream.submit(Finish(self._last, self.graph.users))

    def _make_room(self, stream: Stream) -> None:
        """What the last launch has allocated must be free, or is freed first."""
        if not self.graph.has_memory:
            return
        held = [
            node.operation
            for part in self._children.values()
            for node in part.nodes
            if isinstance(node.operation, MemAlloc)
        ]
        if self.flags & AUTO_FREE_ON_LAUNCH:
            stream.submit(FreeLeft(held))
        elif any(allocation.is_allocated for allocation in held):
            raise CudaError(status.INVALID_VALUE)

    def update(self, graph: Graph) -> None:
        """Do from now on what another graph of the same shape does.

        Raises:
            Difference: it has another shape; nothing is changed then.
        """
        for old, new in list(pairs(self.graph, graph)):
            become(old, new)

    def end(self) -> None:
        """It is gone."""
        original = self.graph.original
        if original is not None and original.instance is self:
            original.instance = None
        self.graph.cuda.handles("CUgraphExec").drop(self)
        self.graph.end()


def become(node: Node, other: Node) -> None:
    """Have a node do what another one does."""
    if isinstance(node.operation, Nested):
        node.operation.follow(other.operation)
    else:
        node.operation = other.operation
    node.attributes = dict(other.attributes)


def _parts(graph: Graph) -> Iterator[Graph]:
    """A graph, and those that its nodes hold."""
    yield graph
    for node in graph.nodes:
        for child in node.operation.graphs:
            yield from _parts(child)
