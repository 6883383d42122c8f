"""A piece of work for a device: what a stream does in order and a graph's node holds."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..graphs.graph import Graph
    from .stream import Stream

__all__ = ["Operation"]


class Operation:
    """Work of one kind; a subclass holds its parameters.

    Attributes:
        kind: the CUgraphNodeType of a node that does it.
        on_worker: it calls the program's code, which is the worker thread's to do.
        polls: nothing says when it becomes ready: it has to be asked again and again.
        heedless: it is done also in a context that an error has ended.
        graphs: those that a node with it holds.
    """

    __slots__ = ()

    kind: int
    on_worker = False
    polls = False
    heedless = False
    graphs: tuple[Graph, ...] = ()

    def run(self) -> None:
        """Do it; a CudaError is the code that the context's calls answer from there on."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it can be done now; work behind it waits until then."""
        return True

    def issue(self, stream: Stream) -> Sequence[Operation]:
        """What one launch of a graph's node that holds this submits, in order; itself, if it has no
        state of its own."""
        return (self,)

    def enter(self, graph: Graph) -> None:
        """A graph is about to get a node that holds this; a CudaError if it cannot."""

    def copied(self) -> Operation:
        """What a copy of a node holds: this, as it does not change; graphs in it do."""
        return self

    def drop(self) -> None:
        """It will never be done: its context has ended."""
