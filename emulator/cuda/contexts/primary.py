"""The primary context of a device, which all its users in a process share (see context.py)."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements
from .contexts import check_flags, check_mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...machine import Device
    from .context import Context

__all__: list[str] = []


@implements("cuDevicePrimaryCtxRetain")
def retain(cuda: Cuda, dev: Device) -> Context:
    check_mode(dev)
    context = cuda.contexts.primary(dev)
    with cuda.lock:
        cuda.contexts.begin(context)
        context.retained = (context.retained or 0) + 1
    return context


@implements("cuDevicePrimaryCtxRelease", "cuDevicePrimaryCtxRelease_v2")
def release(cuda: Cuda, dev: Device) -> None:
    context = cuda.contexts.primary(dev)
    with cuda.lock:
        if not context.retained:
            raise CudaError(status.INVALID_CONTEXT)
        context.retained -= 1
    if not context.retained:
        cuda.contexts.finish(context, unretained=True)


# After a reset the context is inactive, whoever retains it; a release still to come is not an
# error, as CUDAdrv.jl (pull request 45) found.
@implements("cuDevicePrimaryCtxReset", "cuDevicePrimaryCtxReset_v2")
def reset(cuda: Cuda, dev: Device) -> None:
    cuda.contexts.finish(cuda.contexts.primary(dev))


@implements("cuDevicePrimaryCtxGetState")
def get_state(cuda: Cuda, dev: Device) -> tuple[int, int]:
    context = cuda.contexts.primary(dev)
    return context.flags, int(context.alive)


@implements("cuDevicePrimaryCtxSetFlags")
def set_flags_while_inactive(cuda: Cuda, dev: Device, flags: int) -> None:
    """The form before CUDA 11: the flags of an active context stay as they are."""
    context = cuda.contexts.primary(dev)
    if context.alive and flags != context.flags:
        raise CudaError(status.PRIMARY_CONTEXT_ACTIVE)
    set_flags(cuda, dev, flags)


@implements("cuDevicePrimaryCtxSetFlags_v2")
def set_flags(cuda: Cuda, dev: Device, flags: int) -> None:
    check_flags(flags)
    cuda.contexts.primary(dev).flags = flags
