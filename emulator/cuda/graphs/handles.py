"""Nodes in a program's arrays: reading what it names, filling in what it asks for."""

from __future__ import annotations

import ctypes

from .. import _status as status
from ..error import CudaError
from ..library import api
from .graph import DEFAULT_EDGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Optional

    from ..library import Cuda
    from .graph import Edge, Graph, Node

__all__ = ["edges_at", "given", "put_edges", "put_nodes"]

WORD = ctypes.sizeof(ctypes.c_size_t)


def given(cuda: Cuda, graph: Graph, handles: Optional[Iterable[int]]) -> list[Node]:
    """The nodes of these handles; INVALID_VALUE for one that is no node of the graph."""
    known = cuda.handles("CUgraphNode").objects
    found = []
    for handle in handles or ():
        node = known.get(handle)
        if node is None or node.graph is not graph:
            raise CudaError(status.INVALID_VALUE)
        found.append(node)
    return found


def edges_at(data: Optional[Sequence[Any]], count: int) -> list[Edge]:
    """What `count` CUgraphEdgeData say; the default for NULL."""
    if data is None:
        return [DEFAULT_EDGE] * count
    return [(edge.from_port, edge.to_port, edge.type) for edge in data]


def put_nodes(cuda: Cuda, count: int, *lists: tuple[int, Sequence[Node]]) -> None:
    """Write nodes to a program's arrays, and how many they are to where it counts them.

    Each array is given by its address, with its nodes. There may be room for fewer; where there is
    for more, the rest is NULL. Without an array they are only counted.
    """
    total = ctypes.c_size_t.from_address(count)
    room = total.value
    give = cuda.handles("CUgraphNode").give
    for address, nodes in lists:
        total.value = len(nodes)
        if address:
            words = [give(node) for node in nodes[:room]]
            total.value = len(words)
            ctypes.memset(address + WORD * len(words), 0, WORD * (room - len(words)))
            ctypes.memmove(address, (ctypes.c_size_t * len(words))(*words), WORD * len(words))


def put_edges(address: int, count: int, edges: Sequence[Edge]) -> None:
    """Write what edges say to a program's array, as many as it has room for.

    Raises:
        CudaError: LOSSY_QUERY without an array, for edges that say anything.
    """
    if address:
        room = min(len(edges), ctypes.c_size_t.from_address(count).value)
        array = (api.types["CUgraphEdgeData"] * room).from_address(address)
        for place, (from_port, to_port, kind) in zip(array, edges):
            place.from_port, place.to_port, place.type = from_port, to_port, kind
    elif any(edge != DEFAULT_EDGE for edge in edges):
        raise CudaError(status.LOSSY_QUERY)
