"""Operations that only nodes of graphs have: none, and what other graphs do."""

from __future__ import annotations

from .. import _status as status
from .._constants import GRAPH_NODE_TYPE_EMPTY, GRAPH_NODE_TYPE_GRAPH
from ..error import CudaError
from ..streams.operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..streams.stream import Stream
    from .graph import Graph

__all__ = ["ChildGraph", "Empty", "Nested"]


class Empty(Operation):
    """Nothing: a node that only has edges."""

    __slots__ = ()

    kind = GRAPH_NODE_TYPE_EMPTY

    def run(self) -> None:
        """Nothing is done."""


class Nested(Operation):
    """What graphs do that belong to this alone."""

    __slots__ = ("graphs",)

    def __init__(self, graphs: Iterable[Graph]) -> None:
        self.graphs = tuple(graphs)

    def follow(self, other: Any) -> None:
        """Take over what another one of the same kind is, but for its graphs."""

    def run(self) -> None:
        """Its parts are run one by one."""
        raise NotImplementedError


class ChildGraph(Nested):
    """All that a graph does."""

    __slots__ = ()

    kind = GRAPH_NODE_TYPE_GRAPH

    def __init__(self, graph: Graph) -> None:
        super().__init__((graph,))

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self.graphs[0]

    def enter(self, graph: Graph) -> None:
        """INVALID_VALUE where the graph would be part of itself."""
        if self.graph.holds(graph):
            raise CudaError(status.INVALID_VALUE)
        self.graph.is_owned = True

    def copied(self) -> ChildGraph:
        """With a copy of the graph."""
        return ChildGraph(self.graph.copy(is_owned=True))

    def issue(self, stream: Stream) -> Sequence[Operation]:
        """What its nodes do, in order."""
        return self.graph.issue(stream)
