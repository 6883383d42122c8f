"""User objects: what a program keeps alive for as long as its graphs may need it.

When the last reference goes, the program's destructor is called, on the thread on which streams
call the program's functions.
"""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..streams.callbacks import call_host
from ..streams.schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["UserObject"]

NO_DESTRUCTOR_SYNC = 1  # "indicates the destructor execution is not synchronized": must be set
MOVE = 1  # CU_GRAPH_USER_OBJECT_MOVE
MOST = (1 << 31) - 1


class UserObject:
    """A user object, and how many references to it there are: a graph's, and the program's."""

    __slots__ = ("_cuda", "_destroy", "_pointer", "_references")

    def __init__(self, cuda: Cuda, pointer: int, destroy: int, references: int) -> None:
        self._cuda = cuda
        self._pointer = pointer
        self._destroy = destroy
        self._references = references

    def retain(self, count: int) -> None:
        """Add references."""
        with self._cuda.lock:
            self._references += count

    def release(self, count: int) -> None:
        """Give references back; INVALID_VALUE for more than there are."""
        with self._cuda.lock:
            if count > self._references:
                raise CudaError(status.INVALID_VALUE)
            self._references -= count
            if not self._references:
                self._cuda.handles("CUuserObject").drop(self)
                self._cuda.part(Schedule).call(call_host, self._destroy, self._pointer)


def _check_count(count: int) -> None:
    if not 0 < count <= MOST:
        raise CudaError(status.INVALID_VALUE)


@implements("cuUserObjectCreate")
def create(cuda: Cuda, ptr: int, destroy: int, initial_refcount: int, flags: int) -> UserObject:
    if not destroy or flags != NO_DESTRUCTOR_SYNC:
        raise CudaError(status.INVALID_VALUE)
    _check_count(initial_refcount)
    return UserObject(cuda, ptr, destroy, initial_refcount)


@implements("cuUserObjectRetain")
def retain(object: UserObject, count: int) -> None:  # noqa: A002  (the parameter's name in C)
    _check_count(count)
    object.retain(count)


@implements("cuUserObjectRelease")
def release(object: UserObject, count: int) -> None:  # noqa: A002
    _check_count(count)
    object.release(count)


@implements("cuGraphRetainUserObject")
def retain_by_graph(graph: Graph, object: UserObject, count: int, flags: int) -> None:  # noqa: A002
    """The references are new ones, or moved from the program's."""
    _check_count(count)
    if flags & ~MOVE:
        raise CudaError(status.INVALID_VALUE)
    if not flags:
        object.retain(count)
    graph.users[object] = graph.users.get(object, 0) + count


@implements("cuGraphReleaseUserObject")
def release_by_graph(graph: Graph, object: UserObject, count: int) -> None:  # noqa: A002
    _check_count(count)
    held = graph.users.get(object, 0)
    if count > held:
        raise CudaError(status.INVALID_VALUE)
    if held == count:
        del graph.users[object]
    else:
        graph.users[object] = held - count
    object.release(count)
