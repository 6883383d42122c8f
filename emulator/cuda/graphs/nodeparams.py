"""The functions that read and change what a node does."""

from __future__ import annotations

import ctypes

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, api, implements
from ..streams.event import EventRecord, EventWait
from .nodekinds import (
    CHILD,
    KERNEL,
    MEM_ALLOC,
    MEM_FREE,
    RECORD,
    WAIT,
    make,
    make_of_union,
    params_of,
    spelled,
    union_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..streams.event import Event
    from .graph import Graph, Node

__all__ = ["check_kind"]

#: Attributes of kernel nodes: CUlaunchAttributeID.
ATTRIBUTES = frozenset((1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16))


def check_kind(node: Node, kind: int) -> None:
    """INVALID_VALUE for a node of another type."""
    if node.operation.kind != kind:
        raise CudaError(status.INVALID_VALUE)


def get_struct(cuda: Cuda, h_node: Node, kind: int) -> dict[str, Any]:
    check_kind(h_node, kind)
    return params_of(cuda, h_node.operation)


def set_struct(cuda: Cuda, h_node: Node, kind: int, node_params: Any) -> None:
    check_kind(h_node, kind)
    h_node.operation = make(cuda, kind, node_params)


for _names, _kind, _ in spelled("cuGraph{}NodeGetParams"):
    implements(*_names, given={"kind": _kind})(get_struct)
for _names, _kind, _ in spelled("cuGraph{}NodeSetParams"):
    implements(*_names, given={"kind": _kind})(set_struct)


@implements("cuGraphMemAllocNodeGetParams")
def get_allocation(cuda: Cuda, h_node: Node) -> dict[str, Any]:
    return get_struct(cuda, h_node, MEM_ALLOC)


@implements("cuGraphMemFreeNodeGetParams")
def get_free(cuda: Cuda, h_node: Node) -> int:
    return int(get_struct(cuda, h_node, MEM_FREE)["dptr"])


@implements("cuGraphChildGraphNodeGetGraph")
def get_child(h_node: Node) -> Graph:
    check_kind(h_node, CHILD)
    return h_node.operation.graph  # type: ignore[attr-defined, no-any-return]


@implements("cuGraphEventRecordNodeGetEvent")
def get_recorded(h_node: Node) -> Event:
    check_kind(h_node, RECORD)
    return h_node.operation.event  # type: ignore[attr-defined, no-any-return]


@implements("cuGraphEventRecordNodeSetEvent")
def set_recorded(h_node: Node, event: Event) -> None:
    check_kind(h_node, RECORD)
    h_node.operation = EventRecord(event)


@implements("cuGraphEventWaitNodeGetEvent")
def get_awaited(h_node: Node) -> Event:
    check_kind(h_node, WAIT)
    return h_node.operation.event  # type: ignore[attr-defined, no-any-return]


@implements("cuGraphEventWaitNodeSetEvent")
def set_awaited(h_node: Node, event: Event) -> None:
    check_kind(h_node, WAIT)
    h_node.operation = EventWait(event)


# No node has external semaphores: there are none (see external.py).
@implements(
    "cuGraphExternalSemaphoresSignalNodeGetParams",
    "cuGraphExternalSemaphoresSignalNodeSetParams",
    "cuGraphExternalSemaphoresWaitNodeGetParams",
    "cuGraphExternalSemaphoresWaitNodeSetParams",
)
def semaphores(h_node: Node) -> Any:
    raise CudaError(status.INVALID_VALUE)


@implements("cuGraphNodeGetParams")
def get(cuda: Cuda, h_node: Node) -> dict[str, Any]:
    return union_of(cuda, h_node.operation)


@implements("cuGraphNodeSetParams", "cuGraphNodeSetParams_v2")
def set_params(cuda: Cuda, h_node: Node, node_params: Any) -> None:
    """A node's graphs are its own from the beginning."""
    check_kind(h_node, node_params.type)
    if h_node.operation.graphs:
        raise CudaError(status.INVALID_VALUE)
    h_node.operation = make_of_union(cuda, node_params)


@implements("cuGraphNodeGetType")
def get_type(h_node: Node) -> int:
    return h_node.operation.kind


@implements("cuGraphKernelNodeGetAttribute")
def get_attribute(h_node: Node, attr: int) -> dict[str, bytes]:
    check_kind(h_node, KERNEL)
    if attr not in ATTRIBUTES:
        raise CudaError(status.INVALID_VALUE)
    given: dict[int, bytes] = h_node.operation.attributes  # type: ignore[attr-defined]
    empty = bytes(ctypes.sizeof(api.types["CUlaunchAttributeValue"]))
    return {"pad": {**given, **h_node.attributes}.get(attr, empty)}


@implements("cuGraphKernelNodeSetAttribute")
def set_attribute(h_node: Node, attr: int, value: Any) -> None:
    check_kind(h_node, KERNEL)
    if attr not in ATTRIBUTES:
        raise CudaError(status.INVALID_VALUE)
    h_node.attributes[attr] = bytes(value)


@implements("cuGraphKernelNodeCopyAttributes")
def copy_attributes(dst: Node, src: Node) -> None:
    check_kind(dst, KERNEL)
    check_kind(src, KERNEL)
    dst.attributes = dict(src.attributes)
