"""The cuEvent functions, and a stream's or a context's part in them (see event.py)."""

from __future__ import annotations

from .. import _status as status
from ..contexts.context import Context
from ..library import Cuda, CudaError, implements
from .event import DISABLE_TIMING, Event, EventRecord, Events, EventWait
from .schedule import Schedule
from .stream import Stream, Streams

__all__: list[str] = []

EXTERNAL = 1  # CU_EVENT_RECORD_EXTERNAL, CU_EVENT_WAIT_EXTERNAL
NANOSECONDS = 1e6  # in a millisecond


@implements("cuEventCreate")
def create(cuda: Cuda, flags: int) -> Event:
    return cuda.contexts.current().part(Events).make(flags)


@implements("cuEventDestroy", "cuEventDestroy_v2")
def destroy(h_event: Event) -> None:
    h_event.context.check()
    h_event.context.part(Events).drop(h_event)


@implements("cuEventRecord")
def record(h_event: Event, h_stream: Stream) -> None:
    record_with_flags(h_event, h_stream, 0)


@implements("cuEventRecordWithFlags")
def record_with_flags(h_event: Event, h_stream: Stream, flags: int) -> None:
    if flags & ~EXTERNAL:
        raise CudaError(status.INVALID_VALUE)
    if h_event.context is not h_stream.context:
        _check_shared(h_event, h_stream)
    if h_stream.capture is not None:
        h_stream.capture.record(h_stream, h_event, external=bool(flags))
        return
    if flags:  # only a capture can make a node of it
        raise CudaError(status.INVALID_VALUE)
    h_stream.check_capture()
    h_event.capture = None
    h_stream.submit(EventRecord(h_event, h_event.put()))


def _check_shared(event: Event, stream: Stream) -> None:
    """INVALID_HANDLE for an event of another context, unless a green one shares it."""
    from ..contexts.green import primary_of

    if primary_of(stream.context) is not primary_of(event.context):
        raise CudaError(status.INVALID_HANDLE)


@implements("cuStreamWaitEvent")
def wait(h_stream: Stream, h_event: Event, flags: int) -> None:
    if flags & ~EXTERNAL:
        raise CudaError(status.INVALID_VALUE)
    h_event.context.check()
    if h_stream.capture is not None or (h_event.capture is not None and not flags):
        from .capture import wait_for

        wait_for(h_stream, h_event, external=bool(flags))
        return
    if flags:
        raise CudaError(status.INVALID_VALUE)
    h_stream.submit(EventWait(h_event, h_event.mark))


def _check_waiting(cuda: Cuda, event: Event) -> None:
    """To look at an event might disturb a capture: so PyTorch's watchdog found, which relaxes its
    mode for cudaEventQuery."""
    event.check()
    if cuda.part(Schedule).captures:
        from .capture import check_unsafe

        check_unsafe(cuda)


@implements("cuEventQuery")
def query(cuda: Cuda, h_event: Event) -> None:
    _check_waiting(cuda, h_event)
    mark = h_event.mark
    if mark is not None and not mark.done:
        cuda.part(Schedule).advance()
        if not mark.done:
            raise CudaError(status.NOT_READY)
        h_event.context.check()


@implements("cuEventSynchronize")
def synchronize(cuda: Cuda, h_event: Event) -> None:
    _check_waiting(cuda, h_event)
    mark = h_event.mark
    if mark is not None and not mark.done:
        cuda.part(Schedule).wait(lambda: bool(mark.done), polls=mark.polls)
        h_event.context.check()
    cuda.part(Schedule).waited()


@implements("cuEventElapsedTime", "cuEventElapsedTime_v2")
def elapsed_time(cuda: Cuda, h_start: Event, h_end: Event) -> float:
    for event in (h_start, h_end):
        event.check()
        if event.flags & DISABLE_TIMING or event.mark is None:
            raise CudaError(status.INVALID_HANDLE)
    if h_start.context is not h_end.context:
        raise CudaError(status.INVALID_HANDLE)
    start, end = h_start.mark, h_end.mark
    if not (start.done and end.done):
        cuda.part(Schedule).advance()
        if not (start.done and end.done):
            raise CudaError(status.NOT_READY)
    return (end.time - start.time) / NANOSECONDS  # type: ignore[no-any-return]


@implements("cuCtxRecordEvent")
def record_in_context(h_ctx: Context, h_event: Event) -> None:
    h_ctx.check()
    if h_event.context is not h_ctx:
        raise CudaError(status.INVALID_HANDLE)
    streams = h_ctx.part(Streams)
    streams.check_capture()
    h_event.capture = None
    streams.submit_last(EventRecord(h_event, h_event.put()))


@implements("cuCtxWaitEvent", "cuGreenCtxWaitEvent")
def wait_in_context(h_ctx: Context, h_event: Event) -> None:
    h_ctx.check()
    h_event.check()
    streams = h_ctx.part(Streams)
    streams.check_capture()
    streams.hold(EventWait(h_event, h_event.mark))
