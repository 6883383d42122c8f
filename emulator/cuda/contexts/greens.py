"""The functions of green contexts and of the resources that they are made of (see green.py)."""

from __future__ import annotations

from ...api import NULL
from .. import _status as status
from .._constants import DEV_RESOURCE_TYPE_SM
from ..library import Cuda, CudaError, implements
from ..streams.event import EventRecord
from ..streams.stream import NON_BLOCKING, Streams
from ..streams.streams import clamped
from .green import Description, GreenContext, primary_of
from .multiprocessors import NOTHING, Multiprocessors, Splits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device
    from ..streams.event import Event
    from ..streams.stream import Stream
    from .context import Context

__all__: list[str] = []

DEFAULT_STREAM = 1
FLAG_NEEDED_BEFORE = 13010  # CUDA 13.1 has the flag 0


def _check_type(kind: int) -> None:
    if kind != DEV_RESOURCE_TYPE_SM:
        raise CudaError(status.INVALID_RESOURCE_TYPE)


def _resource(cuda: Cuda, context: Context) -> dict[str, Any]:
    if isinstance(context, GreenContext):
        return context.multiprocessors.shown()
    return Multiprocessors.of(cuda, context.device).shown()


@implements("cuDeviceGetDevResource")
def of_device(cuda: Cuda, device: Device, type: int) -> dict[str, Any]:  # noqa: A002
    _check_type(type)
    return Multiprocessors.of(cuda, device).shown()


@implements("cuCtxGetDevResource", "cuGreenCtxGetDevResource")
def of_context(cuda: Cuda, h_ctx: Context, type: int) -> dict[str, Any]:  # noqa: A002
    _check_type(type)
    h_ctx.check()
    return _resource(cuda, h_ctx)


@implements("cuStreamGetDevResource")
def of_stream(cuda: Cuda, h_stream: Stream, type: int) -> dict[str, Any]:  # noqa: A002
    _check_type(type)
    return _resource(cuda, h_stream.context)


# `result` may be NULL: then the number of groups is all that is asked for.
@implements("cuDevSmResourceSplitByCount", sizes=True, nullable=("remainder",))
def split_by_count(
    cuda: Cuda,
    result: int,
    nb_groups: int,
    input: Any,  # noqa: A002  (the declaration's)
    flags: int,
    min_count: int,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    source = Multiprocessors.read(cuda, input)
    possible, size = source.by_count(min_count, flags)
    number = min(possible, nb_groups) if result else possible
    split = cuda.part(Splits).next()
    groups = [source.part(size, split).shown() for _ in range(number)]
    return groups, source.part(source.count - size * number, split, True).shown()


@implements("cuDevSmResourceSplit", nullable=("result", "remainder"))
def split_by_params(
    cuda: Cuda,
    result: Any,
    input: Any,  # noqa: A002  (the declaration's)
    flags: int,
    group_params: Any,
) -> tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, int]]]:
    if flags:
        raise CudaError(status.INVALID_VALUE)
    source = Multiprocessors.read(cuda, input)
    sizes = source.by_params(group_params)
    if result is not None and 0 in sizes:
        raise CudaError(status.INVALID_RESOURCE_CONFIGURATION)
    split = cuda.part(Splits).next()
    groups = [source.part(size, split).shown() if size else NOTHING for size in sizes]
    rest = source.part(source.count - sum(sizes), split, True).shown()
    return groups, rest, [{"smCount": size} for size in sizes]


@implements("cuDevResourceGenerateDesc")
def describe(cuda: Cuda, resources: Any, nb_resources: int) -> Description:
    if not nb_resources:
        raise CudaError(status.INVALID_VALUE)
    return Description([Multiprocessors.read(cuda, resource) for resource in resources])


@implements("cuGreenCtxCreate")
def create(cuda: Cuda, desc: Description, dev: Device, flags: int) -> GreenContext:
    needed = DEFAULT_STREAM if cuda.machine.cuda_version < FLAG_NEEDED_BEFORE else 0
    if flags & ~DEFAULT_STREAM or flags & needed != needed:
        raise CudaError(status.INVALID_VALUE)
    if cuda.devices[desc.ordinal] is not dev:
        raise CudaError(status.INVALID_DEVICE)
    context = GreenContext(cuda, dev, desc)
    with cuda.lock:
        cuda.contexts.begin(context)
    return context


@implements("cuGreenCtxDestroy")
def destroy(cuda: Cuda, h_ctx: GreenContext) -> None:
    if not h_ctx.alive:
        raise CudaError(status.CONTEXT_IS_DESTROYED)
    cuda.contexts.finish(h_ctx)


@implements("cuCtxFromGreenCtx")
def as_context(h_ctx: GreenContext) -> GreenContext:
    h_ctx.check()
    return h_ctx


@implements("cuGreenCtxGetId", nullable=("greenCtx",))
def get_id(cuda: Cuda, green_ctx: Optional[GreenContext]) -> int:
    context = cuda.contexts.current() if green_ctx is None else green_ctx
    if not isinstance(context, GreenContext):
        raise CudaError(status.INVALID_CONTEXT)
    context.check()
    return context.number


@implements("cuGreenCtxStreamCreate")
def create_stream(green_ctx: GreenContext, flags: int, priority: int) -> Stream:
    green_ctx.check()
    if flags != NON_BLOCKING:
        raise CudaError(status.INVALID_VALUE)
    return green_ctx.part(Streams).make(flags, clamped(green_ctx.device, priority))


@implements("cuStreamGetGreenCtx")
def of_which_stream(h_stream: Stream) -> Any:
    return h_stream.context if isinstance(h_stream.context, GreenContext) else NULL


@implements("cuGreenCtxRecordEvent")
def record_event(h_ctx: GreenContext, h_event: Event) -> None:
    h_ctx.check()
    if primary_of(h_event.context) is not h_ctx.primary:
        raise CudaError(status.INVALID_HANDLE)
    streams = h_ctx.part(Streams)
    streams.check_capture()
    h_event.capture = None
    streams.submit_last(EventRecord(h_event, h_event.put()))
