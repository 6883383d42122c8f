"""What a program says of a node, by the node's type: structs to operations and back."""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..library import api
from ..streams.callbacks import HostCall
from ..streams.event import EventRecord, EventWait
from ..streams.memops import BatchMemOp
from .nested import ChildGraph, Empty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Callable, Optional

    from ..library import Cuda
    from ..streams.event import Event
    from ..streams.operation import Operation
    from .graph import Graph

__all__ = [
    "BATCH",
    "CHILD",
    "CONDITIONAL",
    "HOST",
    "KERNEL",
    "MEMCPY",
    "MEMSET",
    "MEM_ALLOC",
    "MEM_FREE",
    "RECORD",
    "WAIT",
    "child",
    "make",
    "make_of_union",
    "params_of",
    "spelled",
    "union_of",
]

KERNEL = constants.GRAPH_NODE_TYPE_KERNEL
MEMCPY = constants.GRAPH_NODE_TYPE_MEMCPY
MEMSET = constants.GRAPH_NODE_TYPE_MEMSET
HOST = constants.GRAPH_NODE_TYPE_HOST
CHILD = constants.GRAPH_NODE_TYPE_GRAPH
EMPTY = constants.GRAPH_NODE_TYPE_EMPTY
WAIT = constants.GRAPH_NODE_TYPE_WAIT_EVENT
RECORD = constants.GRAPH_NODE_TYPE_EVENT_RECORD
MEM_ALLOC = constants.GRAPH_NODE_TYPE_MEM_ALLOC
MEM_FREE = constants.GRAPH_NODE_TYPE_MEM_FREE
BATCH = constants.GRAPH_NODE_TYPE_BATCH_MEM_OP
CONDITIONAL = constants.GRAPH_NODE_TYPE_CONDITIONAL

#: Type -> its member of CUgraphNodeParams; the last part where the struct is one further in.
MEMBERS = {
    KERNEL: ("kernel",),
    MEMCPY: ("memcpy", "copyParams"),
    MEMSET: ("memset",),
    HOST: ("host",),
    CHILD: ("graph",),
    WAIT: ("eventWait",),
    RECORD: ("eventRecord",),
    MEM_ALLOC: ("alloc",),
    MEM_FREE: ("free",),
    BATCH: ("memOp",),
    CONDITIONAL: ("conditional",),
}

#: Type -> what the functions of its own are called by, and their name for its struct where a node
#: is added, or changed in a graph that is ready.
SPELLED = {
    KERNEL: ("Kernel", "nodeParams"),
    MEMCPY: ("Memcpy", "copyParams"),
    MEMSET: ("Memset", "memsetParams"),
    HOST: ("Host", "nodeParams"),
    BATCH: ("BatchMemOp", "nodeParams"),
}

OWNERSHIP_MOVE = 1  # CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE


def spelled(form: str) -> Iterator[tuple[list[str], int, str]]:
    """The functions of this form by type: their names, the type, their name for its struct."""
    for kind, (name, params) in SPELLED.items():
        names = (form.format(name), form.format(name) + "_v2")
        yield [name for name in names if name in api.names], kind, params


def _kernel(cuda: Cuda, params: Any) -> Operation:
    from ..kernels.launch import Launch

    return Launch.from_params(cuda, params)


def _memcpy(cuda: Cuda, params: Any) -> Operation:
    from ..memory.copy import Copy

    return Copy.from_params(cuda, params)


def _memset(cuda: Cuda, params: Any) -> Operation:
    from ..memory.fill import Fill

    return Fill.from_params(cuda, params)


def _host(cuda: Cuda, params: Any) -> Operation:
    if not params.fn:
        raise CudaError(status.INVALID_VALUE)
    return HostCall(params.fn, params.userData)


def child(graph: Graph, *, move: bool = False) -> ChildGraph:
    """A copy of a graph, or with `move` the graph itself, as a child.

    Raises:
        CudaError: INVALID_VALUE: it is a child already; NOT_SUPPORTED: it allocates or frees
            memory, and is not moved.
    """
    if move:
        if graph.is_owned:
            raise CudaError(status.INVALID_VALUE)
        return ChildGraph(graph)
    if graph.has_memory:
        raise CudaError(status.NOT_SUPPORTED)
    return ChildGraph(graph.copy(is_owned=True))


def _child(cuda: Cuda, params: Any) -> Operation:
    graph = cuda.handles("CUgraph").objects.get(params.graph)
    if graph is None:
        raise CudaError(status.INVALID_VALUE)
    return child(graph, move=params.ownership == OWNERSHIP_MOVE)


def _event(cuda: Cuda, handle: int) -> Event:
    """The event of a handle in a struct; INVALID_VALUE without one."""
    event: Optional[Event] = cuda.handles("CUevent").objects.get(handle)
    if event is None:
        raise CudaError(status.INVALID_VALUE)
    return event


def _wait(cuda: Cuda, params: Any) -> Operation:
    return EventWait(_event(cuda, params.event))


def _record(cuda: Cuda, params: Any) -> Operation:
    return EventRecord(_event(cuda, params.event))


def _mem_alloc(cuda: Cuda, params: Any) -> Operation:
    from .memory import MemAlloc

    return MemAlloc.from_params(cuda, params)


def _mem_free(cuda: Cuda, params: Any) -> Operation:
    from .memory import MemFree

    return MemFree(cuda, params.dptr)


def _conditional(cuda: Cuda, params: Any) -> Operation:
    from .conditionals import Conditional

    return Conditional.from_params(cuda, params)


#: Type -> what makes an operation of the struct that a program has filled in.
MAKERS: dict[int, Callable[[Cuda, Any], Operation]] = {
    KERNEL: _kernel,
    MEMCPY: _memcpy,
    MEMSET: _memset,
    HOST: _host,
    CHILD: _child,
    WAIT: _wait,
    RECORD: _record,
    MEM_ALLOC: _mem_alloc,
    MEM_FREE: _mem_free,
    BATCH: BatchMemOp.from_params,
    CONDITIONAL: _conditional,
}


def make(cuda: Cuda, kind: int, params: Any) -> Operation:
    """The operation that the struct of a node's type describes.

    Raises:
        CudaError: INVALID_VALUE and others: it describes none.
    """
    return MAKERS[kind](cuda, params)


def make_of_union(cuda: Cuda, params: Any) -> Operation:
    """The operation that a CUgraphNodeParams describes.

    Raises:
        CudaError: as `make`; INVALID_VALUE for a node with external semaphores, of which there are
            none.
    """
    if params.type == EMPTY:
        return Empty()
    if params.type not in MEMBERS:
        raise CudaError(status.INVALID_VALUE)
    return make(cuda, params.type, _member(params, params.type))


def _member(params: Any, kind: int) -> Any:
    found = params._anonymous0
    for name in MEMBERS[kind]:
        found = getattr(found, name)
    return found


#: Type -> the fields of its struct that say what an operation does.
FIELDS: dict[int, Callable[[Cuda, Any], Any]] = {
    KERNEL: lambda cuda, operation: operation.params(),
    MEMCPY: lambda cuda, operation: _fields(operation.params()),
    MEMSET: lambda cuda, operation: _fields(operation.params()),
    HOST: lambda cuda, operation: {"fn": operation.function, "userData": operation.user_data},
    CHILD: lambda cuda, operation: {"graph": cuda.handles("CUgraph").give(operation.graph)},
    WAIT: lambda cuda, operation: {"event": cuda.handles("CUevent").give(operation.event)},
    RECORD: lambda cuda, operation: {"event": cuda.handles("CUevent").give(operation.event)},
    MEM_ALLOC: lambda cuda, operation: _fields(operation.params()),
    MEM_FREE: lambda cuda, operation: {"dptr": operation.address},
    BATCH: lambda cuda, operation: operation.params(),
    CONDITIONAL: lambda cuda, operation: operation.params(),
}


def _fields(struct: Any) -> dict[str, Any]:
    """The numbers in a struct, those of structs in it as dicts."""
    found = {}
    for name, kind, *_ in struct._fields_:
        value = getattr(struct, name)
        if hasattr(kind, "_fields_"):
            found[name] = _fields(value)
        elif not hasattr(kind, "_length_"):
            found[name] = value
    return found


def params_of(cuda: Cuda, operation: Operation) -> dict[str, Any]:
    """The fields of the struct of a node's type that describe an operation."""
    fields: dict[str, Any] = FIELDS[operation.kind](cuda, operation)
    return fields


def union_of(cuda: Cuda, operation: Operation) -> dict[str, Any]:
    """The fields of the CUgraphNodeParams that describe an operation."""
    fields: dict[str, Any] = {}
    if operation.kind in MEMBERS:
        fields = params_of(cuda, operation)
        for name in reversed(MEMBERS[operation.kind]):
            fields = {name: fields}
    return {"type": operation.kind, "_anonymous0": fields}
