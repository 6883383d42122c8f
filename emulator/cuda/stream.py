"""Streams: in what order a context's work is done."""

from __future__ import annotations

from . import _status as status
from .error import CudaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context
    from .library import Cuda
    from .operation import Operation

__all__ = ["Stream", "Streams", "decode", "default"]

LEGACY, PER_THREAD = 1, 2


class Stream:
    """A stream of a context."""

    def __init__(self, context: Context, flags: int = 0, priority: int = 0) -> None:
        self.context = context
        self.flags = flags
        self.priority = priority

    def submit(self, operation: Operation) -> None:
        """Have work done after all that was submitted before it."""
        operation.run()

    def synchronize(self) -> None:
        """Wait until everything submitted is done."""


class Streams:
    """The streams of a context."""

    def __init__(self, context: Context) -> None:
        self.legacy = Stream(context)

    def end(self) -> None:
        """Nothing is left to do."""


def default(cuda: Cuda, per_thread: bool) -> Stream:
    """The current context's default stream."""
    return cuda.contexts.current().part(Streams).legacy


def decode(cuda: Cuda, word: int, per_thread: bool) -> Stream:
    """The stream of a handle; INVALID_HANDLE where there is none."""
    if word in (0, LEGACY, PER_THREAD):
        return default(cuda, per_thread or word == PER_THREAD)
    found = cuda.handles("CUstream").objects.get(word)
    if found is None:
        raise CudaError(status.INVALID_HANDLE)
    return found  # type: ignore[no-any-return]
