"""Functions of the program's that a stream calls, in the order of its work.

They are called on a thread of their own (see schedule.py), and may not call CUDA there. Source:
NVIDIA's driver API reference, cuLaunchHostFunc and cuStreamAddCallback: the former is not called
in a context that an error has ended, the latter is, and told of the error.
"""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _status as status
from .._constants import GRAPH_NODE_TYPE_HOST
from ..library import Cuda, CudaError, implements
from .operation import Operation
from .stream import LEGACY, PER_THREAD, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..contexts.context import Context
    from .stream import Stream

__all__ = ["Callback", "HostCall", "call_host"]

SYNC_MODES = (0, 1)  # CU_HOST_TASK_BLOCKING, _SPINWAIT

HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
STREAM_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def call_host(function: int, user_data: int) -> None:
    """Call a CUhostFn at an address."""
    HOST_FUNCTION(function)(user_data)


class HostCall(Operation):
    """Call a CUhostFn, given as its address, with the program's data."""

    __slots__ = ("function", "user_data")

    kind = GRAPH_NODE_TYPE_HOST
    on_worker = True

    def __init__(self, function: int, user_data: int) -> None:
        self.function = function
        self.user_data = user_data

    def run(self) -> None:
        """Call it."""
        call_host(self.function, self.user_data)


class Callback(Operation):
    """Call a CUstreamCallback, which is told the stream's handle and the context's error."""

    __slots__ = ("_arguments", "_context")

    on_worker = True
    heedless = True

    def __init__(self, context: Context, callback: int, stream: int, user_data: int) -> None:
        self._context = context
        self._arguments = callback, stream, user_data

    def run(self) -> None:
        """Call it."""
        callback, stream, user_data = self._arguments
        STREAM_CALLBACK(callback)(stream, self._context.error, user_data)


@implements("cuLaunchHostFunc")
def launch_host_function(h_stream: Stream, fn: int, user_data: int) -> None:
    if fn < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)
    h_stream.submit(HostCall(fn, user_data))


@implements("cuLaunchHostFunc_v2")
def launch_host_function_v2(h_stream: Stream, fn: int, user_data: int, sync_mode: int) -> None:
    if sync_mode not in SYNC_MODES:
        raise CudaError(status.INVALID_VALUE)
    launch_host_function(h_stream, fn, user_data)


@implements("cuStreamAddCallback")
def add_callback(cuda: Cuda, h_stream: Stream, callback: int, user_data: int, flags: int) -> None:
    if callback < NULL_PAGE or flags:
        raise CudaError(status.INVALID_VALUE)
    h_stream.check_capture()
    context = h_stream.context
    h_stream.submit(Callback(context, callback, _handle(cuda, h_stream), user_data))


def _handle(cuda: Cuda, stream: Stream) -> int:
    """What the program calls a stream."""
    if stream in stream.context.part(Streams).made:
        return cuda.handles("CUstream").give(stream)
    return LEGACY if stream.is_legacy else PER_THREAD
