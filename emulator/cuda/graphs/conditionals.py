"""Conditional nodes: graphs that are done if a value says so, or as often, or one of several.

A value is set by code on a device, and none runs here: it stays what it is at a launch. So the
default decides, if the handle says that it is assigned; else the value is 0. What a WHILE node
would do for ever is done once, and the program is told.
"""

from __future__ import annotations

import ctypes

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from .graph import Graph
from .nested import Nested

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..contexts.context import Context
    from ..streams.operation import Operation
    from ..streams.stream import Stream

__all__ = ["Condition", "Conditional"]

IF, WHILE = constants.GRAPH_COND_TYPE_IF, constants.GRAPH_COND_TYPE_WHILE
SWITCH = constants.GRAPH_COND_TYPE_SWITCH
ASSIGN_DEFAULT = constants.GRAPH_COND_ASSIGN_DEFAULT

#: Type -> the most graphs of a node: one more with IF for "else".
MOST = {IF: 2, WHILE: 1, SWITCH: (1 << 32) - 1}

FOREVER = "a WHILE node of a graph: no code runs on a device to end it, so it is done once"


class Condition:
    """What a handle stands for: the value that decides what a node of a graph does."""

    __slots__ = ("context", "graph", "value")

    def __init__(self, graph: Graph, context: Context, value: int) -> None:
        self.graph = graph
        self.context = context
        self.value = value


class Conditional(Nested):
    """Doing one of some graphs, or none.

    Attributes:
        type: a CUgraphConditionalNodeType.
    """

    __slots__ = ("_array", "condition", "type")

    kind = constants.GRAPH_NODE_TYPE_CONDITIONAL

    def __init__(self, condition: Condition, kind: int, graphs: Sequence[Graph]) -> None:
        super().__init__(graphs)
        self.condition = condition
        self.type = kind
        self._array: Any = None

    @classmethod
    def from_params(cls, cuda: Cuda, params: Any) -> Conditional:
        """Of a CUDA_CONDITIONAL_NODE_PARAMS; its graphs are empty.

        Raises:
            CudaError: INVALID_VALUE: a wrong handle, type or size, or another context.
        """
        condition = cuda.handles("CUgraphConditionalHandle").objects.get(params.handle)
        context = cuda.handles("CUcontext").objects.get(params.ctx)
        if condition is None or context not in (None, condition.context):
            raise CudaError(status.INVALID_VALUE)
        if not 0 < params.size <= MOST.get(params.type, 0):
            raise CudaError(status.INVALID_VALUE)
        graphs = [Graph(cuda, is_owned=True) for _ in range(params.size)]
        return cls(condition, params.type, graphs)

    def params(self) -> dict[str, int]:
        """The fields of a CUDA_CONDITIONAL_NODE_PARAMS; its array is good as long as this is."""
        cuda = self.condition.graph.cuda
        if self._array is None:
            give = cuda.handles("CUgraph").give
            self._array = (ctypes.c_size_t * len(self.graphs))(*map(give, self.graphs))
        return {
            "handle": cuda.handles("CUgraphConditionalHandle").give(self.condition),
            "type": self.type,
            "size": len(self.graphs),
            "phGraph_out": ctypes.addressof(self._array),
            "ctx": cuda.handles("CUcontext").give(self.condition.context),
        }

    def enter(self, graph: Graph) -> None:
        """INVALID_VALUE in another graph than the handle is for, or for a handle that has a node
        already."""
        if self.condition not in graph.unused:
            raise CudaError(status.INVALID_VALUE)
        del graph.unused[self.condition]

    def copied(self) -> Conditional:
        """With copies of the graphs."""
        copies = [graph.copy(is_owned=True) for graph in self.graphs]
        return Conditional(self.condition, self.type, copies)

    def follow(self, other: Any) -> None:
        """Take over the value."""
        self.condition = other.condition

    def issue(self, stream: Stream) -> Sequence[Operation]:
        """What the graph does that the value chooses."""
        value = self.condition.value
        chosen = value if self.type == SWITCH else int(not value)
        if chosen >= len(self.graphs):
            return ()
        if self.type == WHILE:
            stream.context.cuda.say_once(FOREVER)
        return self.graphs[chosen].issue(stream)


@implements("cuGraphConditionalHandleCreate")
def create(h_graph: Graph, ctx: Context, default_launch_value: int, flags: int) -> Condition:
    if flags & ~ASSIGN_DEFAULT:
        raise CudaError(status.INVALID_VALUE)
    condition = Condition(h_graph, ctx, default_launch_value if flags else 0)
    h_graph.unused[condition] = None
    return condition
