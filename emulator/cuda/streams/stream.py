"""Streams: in what order a context's work is done.

Work is done at once, in the calling thread, when nothing before it has to wait; otherwise it is
left to the schedule (see schedule.py). A stream that captures makes a graph's node of it.

Each context has a legacy default stream, and a default stream for each thread. The others are made
by cuStreamCreate, and end by cuStreamDestroy; what waits in them then is still done.
"""

from __future__ import annotations

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]
from _thread import _local, allocate_lock

from .. import _status as status
from ..error import CudaError
from .schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..contexts.context import Context
    from ..library import Cuda
    from .capture import Capture
    from .operation import Operation
    from .schedule import Work

__all__ = ["LEGACY", "NON_BLOCKING", "PER_THREAD", "Stream", "Streams", "decode", "default"]

LEGACY, PER_THREAD = 1, 2  # the handles of default streams
NON_BLOCKING = 1


class Stream:
    """A stream of a context.

    Attributes:
        number: unlike that of any other stream of the process (cuStreamGetId).
        attributes: what cuStreamSetAttribute has set, by attribute.
        capture: the capture that it is part of.
        ends: while it captures, the graph's nodes that the next one depends on.
        queue: what waits in it, the schedule's to change.
        busy: locked while work is done in it that never waited.
    """

    __slots__ = (
        *("attributes", "busy", "capture", "context", "ends", "flags", "is_blocking", "is_legacy"),
        *("number", "priority", "queue", "schedule"),
    )

    def __init__(
        self, context: Context, flags: int = 0, priority: int = 0, *, is_legacy: bool = False
    ) -> None:
        self.context = context
        self.flags = flags
        self.priority = priority
        self.is_legacy = is_legacy
        self.is_blocking = not is_legacy and not flags & NON_BLOCKING
        self.schedule = context.cuda.part(Schedule)
        self.number = self.schedule.count()
        self.attributes: dict[int, bytes] = {}
        self.capture: Optional[Capture] = None
        self.ends: dict[Any, Any] = {}
        self.queue: deque[Work] = deque()
        self.busy = allocate_lock()

    def __str__(self) -> str:
        return f"stream {self.number} of GPU-{self.context.device.index}"

    def submit(self, operation: Operation) -> None:
        """Have work done after all that was submitted before it.

        Raises:
            CudaError: the stream captures, and what it captures is no longer valid; or it is the
                legacy stream, and would depend on one that captures.
        """
        schedule = self.schedule
        if schedule.captures and self._captures(operation):
            return
        can_be_done = not (schedule.pending or operation.on_worker) and operation.ready()
        if not (can_be_done and self._do(operation)):
            schedule.add(self, operation)

    def _do(self, operation: Operation) -> bool:
        """Do an operation in this thread; False if another thread is at work in this stream."""
        if not self.busy.acquire(False):
            return False
        try:
            if self.queue:
                return False
            operation.run()
        except CudaError as error:
            self.context.fail(error.code)
        finally:
            self.busy.release()
            if self.schedule.pending or self.schedule.gates:  # threads that came meanwhile
                self.schedule.stir()
        return True

    def _captures(self, operation: Operation) -> bool:
        from .capture import add

        return add(self, operation)

    def is_idle(self) -> bool:
        """Whether nothing waits in it, nor, for a legacy stream, in what it waits for.

        Raises:
            CudaError: it captures, or a capture forbids to look.
        """
        schedule = self.schedule
        self._check_waiting()
        if not schedule.pending:
            return True
        schedule.advance()
        return not schedule.unfinished(self)

    def synchronize(self) -> None:
        """Wait until everything submitted so far is done.

        Raises:
            CudaError: it captures, or a capture forbids to wait; what `Context.check` raises of
                what has become of its context meanwhile.
        """
        schedule = self.schedule
        self._check_waiting()
        if schedule.pending:
            schedule.wait_for(schedule.unfinished(self))
        self.context.check()

    def check_capture(self) -> None:
        """Raise what a call that cannot be captured answers.

        Raises:
            CudaError: STREAM_CAPTURE_UNSUPPORTED if it captures; STREAM_CAPTURE_IMPLICIT if it is
                the legacy stream, and a blocking one captures. The capture is invalid then.
        """
        if self.schedule.captures:
            from .capture import check_stream

            check_stream(self)

    def _check_waiting(self) -> None:
        """As `check_capture`; to wait, or to look, might disturb any capture."""
        if self.schedule.captures:
            from .capture import check_unsafe

            self.check_capture()
            check_unsafe(self.context.cuda)


class Streams:
    """The streams of a context.

    Attributes:
        made: those by cuStreamCreate that still have a handle.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.legacy = Stream(context, is_legacy=True)
        self.made: dict[Stream, None] = {}
        self._threads = _local()
        self._held: Optional[Operation] = None

    def of_thread(self) -> Stream:
        """The calling thread's default stream."""
        found: Stream
        try:
            found = self._threads.stream
        except AttributeError:
            found = self._threads.stream = Stream(self.context)
        return found

    def make(self, flags: int, priority: int) -> Stream:
        """A new stream."""
        stream = Stream(self.context, flags, priority)
        self.made[stream] = None
        self._hold(stream)
        return stream

    def drop(self, stream: Stream) -> None:
        """End a stream's handle; what waits in it is still done."""
        self.made.pop(stream, None)
        self.context.cuda.handles("CUstream").drop(stream)

    def synchronize(self) -> None:
        """Wait until all work of the context submitted so far is done.

        Raises:
            CudaError: a stream of it captures; the error that the context has got meanwhile.
        """
        self.check_capture()
        schedule = self.legacy.schedule
        if schedule.pending:
            schedule.wait_for(self._unfinished())
        if self.context.error:
            raise CudaError(self.context.error)

    def check_capture(self) -> None:
        """STREAM_CAPTURE_UNSUPPORTED, and its end, to a capture in this context."""
        if self.legacy.schedule.captures:
            from .capture import check_context

            check_context(self.context)

    def submit_last(self, operation: Operation) -> None:
        """Have work done after all of the context that was submitted so far."""
        after = Stream(self.context, NON_BLOCKING)
        after.schedule.add(after, operation, self._unfinished())

    def hold(self, wait: Operation) -> None:
        """Have all that is submitted to the context from here on wait until `wait` is ready."""
        self._held = None if wait.ready() else wait
        for stream in (self.legacy, *self.made):
            self._hold(stream)

    def _hold(self, stream: Stream) -> None:
        """Blocking streams wait for the legacy one, which waits."""
        if self._held is not None and not stream.is_blocking:
            stream.submit(self._held)

    def _unfinished(self) -> list[Work]:
        with self.context.cuda.lock:
            pending = self.legacy.schedule.pending
            return [stream.queue[-1] for stream in pending if stream.context is self.context]

    def end(self) -> None:
        """The context has ended (its work was stopped before, see Schedule.stop)."""
        schedule = self.legacy.schedule
        for capture in list(schedule.captures):
            if capture.origin.context is self.context:
                capture.lose(capture.origin)
        for stream in list(self.made):
            self.drop(stream)


def default(cuda: Cuda, per_thread: bool) -> Stream:
    """The current context's default stream."""
    streams = cuda.contexts.current().part(Streams)
    return streams.of_thread() if per_thread else streams.legacy


def decode(cuda: Cuda, word: int, per_thread: bool) -> Stream:
    """The stream of a handle.

    Raises:
        CudaError: INVALID_HANDLE where there is none; NOT_PERMITTED to a function of the program's
            that a stream has called; what `Contexts.current` raises, for a default stream; what
            `Context.check` raises, for another.
    """
    if word <= PER_THREAD:
        return default(cuda, per_thread if not word else word == PER_THREAD)
    found: Optional[Stream] = cuda.handles("CUstream").objects.get(word)
    if found is None:
        raise CudaError(status.INVALID_HANDLE)
    found.schedule.refuse_caller()
    found.context.check()
    return found
