"""The cuCtx functions: making contexts, and which one a thread works in (see context.py)."""

from __future__ import annotations

from ...api import NULL
from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..streams.stream import Streams
from .context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device

__all__ = ["check_flags", "check_mode"]

FLAGS = 0xFF  # CU_CTX_FLAGS_MASK
SCHEDULES = (0, 1, 2, 4)  # what CU_CTX_SCHED_MASK may hold
SCHEDULE = 7


def check_flags(flags: int) -> None:
    """INVALID_VALUE for flags that no header has, or two ways to wait at once."""
    if flags & ~FLAGS or flags & SCHEDULE not in SCHEDULES:
        raise CudaError(status.INVALID_VALUE)


def check_mode(device: Device) -> None:
    """DEVICE_UNAVAILABLE on a device in compute mode PROHIBITED."""
    if device.compute_mode == "PROHIBITED":
        raise CudaError(status.DEVICE_UNAVAILABLE)


class Users:
    """How many have a context by cuCtxAttach, its creator among them."""

    def __init__(self, context: Context) -> None:
        self.count = 1

    def end(self) -> None:
        """They lose it."""


def _create(cuda: Cuda, flags: int, device: Device, api_version: int) -> Context:
    check_flags(flags)
    check_mode(device)
    context = Context(cuda, device, flags, api_version=api_version)
    stack = cuda.contexts.stack  # first: who may have none leaves no context behind
    cuda.contexts.begin(context)
    stack.append(context)
    return context


@implements("cuCtxCreate")
def create_32(cuda: Cuda, flags: int, dev: Device) -> Context:
    return _create(cuda, flags, dev, 3010)


@implements("cuCtxCreate_v2")
def create(cuda: Cuda, flags: int, dev: Device) -> Context:
    return _create(cuda, flags, dev, 3020)


# A part of the multiprocessors can be asked for only under MPS, which is not emulated.
@implements("cuCtxCreate_v3", nullable=("paramsArray",))
def create_with_affinity(cuda: Cuda, num_params: int, flags: int, dev: Device) -> Context:
    if num_params:
        raise CudaError(status.UNSUPPORTED_EXEC_AFFINITY)
    return _create(cuda, flags, dev, 3020)


@implements("cuCtxCreate_v4", nullable=("ctxCreateParams",))
def create_with_params(cuda: Cuda, ctx_create_params: Any, flags: int, dev: Device) -> Context:
    params = ctx_create_params
    if params is not None and params.numExecAffinityParams:
        raise CudaError(status.UNSUPPORTED_EXEC_AFFINITY)
    if params is not None and params.cigParams:
        raise CudaError(status.NOT_SUPPORTED)
    return _create(cuda, flags, dev, 3020)


# That a primary context is refused is from the reference's words ("created by cuCtxCreate").
@implements("cuCtxDestroy", "cuCtxDestroy_v2")
def destroy(cuda: Cuda, ctx: Context) -> None:
    if ctx.retained is not None:
        raise CudaError(status.INVALID_CONTEXT)
    _check_alive(ctx)
    cuda.contexts.finish(ctx)


@implements("cuCtxGetCurrent")
def get_current(cuda: Cuda) -> Any:
    stack = cuda.contexts.stack
    return stack[-1] if stack else NULL


@implements("cuCtxSetCurrent", nullable=("ctx",))
def set_current(cuda: Cuda, ctx: Optional[Context]) -> None:
    if cuda.contexts.stack:
        cuda.contexts.pop()
    if ctx is not None:
        cuda.contexts.push(ctx)


@implements("cuCtxPushCurrent", "cuCtxPushCurrent_v2")
def push_current(cuda: Cuda, ctx: Context) -> None:
    _check_alive(ctx)
    cuda.contexts.push(ctx)


@implements("cuCtxPopCurrent", "cuCtxPopCurrent_v2", nullable=("pctx",))
def pop_current(cuda: Cuda) -> Context:
    return cuda.contexts.pop()


@implements("cuCtxGetDevice")
def get_device(cuda: Cuda) -> Device:
    return cuda.contexts.current().device


@implements("cuCtxGetDevice_v2", nullable=("ctx",))
def get_device_of(cuda: Cuda, ctx: Optional[Context]) -> Device:
    return _given(cuda, ctx).device


@implements("cuCtxGetId", nullable=("ctx",))
def get_id(cuda: Cuda, ctx: Optional[Context]) -> int:
    return _given(cuda, ctx).number


@implements("cuCtxGetExecAffinity")
def get_exec_affinity(cuda: Cuda, type: int) -> Any:  # noqa: A002  (C's name)
    cuda.contexts.current()
    raise CudaError(status.UNSUPPORTED_EXEC_AFFINITY if type == 0 else status.INVALID_VALUE)


@implements("cuCtxSetFlags")
def set_flags(cuda: Cuda, flags: int) -> None:
    check_flags(flags)
    cuda.contexts.current().flags = flags


@implements("cuCtxAttach")
def attach(cuda: Cuda, flags: int) -> Context:
    """One more user of the current context; the way before primary contexts."""
    if flags:
        raise CudaError(status.INVALID_VALUE)
    context = cuda.contexts.current()
    if context.retained is not None:
        raise CudaError(status.INVALID_CONTEXT)
    context.part(Users).count += 1
    return context


@implements("cuCtxDetach")
def detach(cuda: Cuda, ctx: Context) -> None:
    """One user less: the last one's destroys it. It must be current to the calling thread."""
    if ctx.retained is not None or ctx is not cuda.contexts.current():
        raise CudaError(status.INVALID_CONTEXT)
    users = ctx.part(Users)
    users.count -= 1
    if not users.count:
        cuda.contexts.finish(ctx)


@implements("cuCtxGetFlags")
def get_flags(cuda: Cuda) -> int:
    return cuda.contexts.current().flags


@implements("cuCtxGetApiVersion", nullable=("ctx",))
def api_version(cuda: Cuda, ctx: Optional[Context]) -> int:
    return _given(cuda, ctx).api_version


@implements("cuCtxSynchronize")
def synchronize(cuda: Cuda) -> None:
    synchronize_named(cuda, cuda.contexts.current())


@implements("cuCtxSynchronize_v2", nullable=("ctx",))
def synchronize_named(cuda: Cuda, ctx: Optional[Context]) -> None:
    context = _given(cuda, ctx)
    context.check()
    streams = context.part(Streams)
    streams.synchronize()
    context.check()
    streams.legacy.schedule.waited()


def _check_alive(context: Context) -> None:
    if not context.alive:
        raise CudaError(status.CONTEXT_IS_DESTROYED)


def _given(cuda: Cuda, context: Optional[Context]) -> Context:
    """A context that may be left out: the current one."""
    found = cuda.contexts.current() if context is None else context
    _check_alive(found)
    return found
