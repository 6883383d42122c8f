"""A piece of work for a device: what a stream does in order and a graph's node holds."""

from __future__ import annotations

__all__ = ["Operation"]


class Operation:
    """Work of one kind; a subclass holds its parameters.

    Attributes:
        kind: the CUgraphNodeType of a node that does it.
    """

    __slots__ = ()

    kind: int

    def run(self) -> None:
        """Do it; a CudaError is the code that the context's calls answer from there on."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it can be done now; work behind it waits until then."""
        return True
