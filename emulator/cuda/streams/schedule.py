"""Work that cannot be done yet, in the order of its streams, and the thread that goes on with it.

Most work is done where it is submitted, in the calling thread (`Stream.submit`). What has to wait
comes here: a value in memory that is not there yet, an event of another stream, a function of the
program's, and all that is behind one of these. It is done by whichever thread comes next: one that
submits more, one that waits, or the worker.

The worker is one thread of the process, made when it is first needed. It alone calls the program's
functions, since a program may hold a lock of its own while it enqueues one. It looks again and
again at values in memory, though only while something waits for one; else it sleeps.

A legacy default stream waits for all blocking streams of its context, and they for it.
"""

from __future__ import annotations

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]
from _signal import SIG_BLOCK, pthread_sigmask, valid_signals  # type: ignore[import-not-found]
from _thread import allocate_lock, get_ident, start_new_thread

from .. import _status as status
from ..error import CudaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Callable, Optional

    from ..contexts.context import Context
    from ..library import Cuda
    from .operation import Operation
    from .stream import Stream

__all__ = ["Schedule", "Work"]

POLL = 0.001  # seconds between two looks at a value in memory


class Work:
    """An operation in a stream's queue."""

    __slots__ = ("after", "begun", "done", "operation")

    def __init__(self, operation: Operation, after: list[Work]) -> None:
        self.operation = operation
        self.after = after  # work of other streams that comes first
        self.begun = False
        self.done = False

    def can_begin(self) -> bool:
        """Whether nothing but its operation is left to be asked."""
        return not self.begun and all(work.done for work in self.after)

    def finish(self) -> None:
        """It is done, or never will be."""
        self.begun = self.done = True
        self.after = []


class Schedule:
    """What waits in the streams of a process.

    Attributes:
        pending: the streams in which something waits.
        captures: the captures under way (see capture.py).
        after_waiting: what is called when a program has waited for a stream, an event or a context.
    """

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self.pending: dict[Stream, None] = {}
        self.captures: list[Any] = []
        self.after_waiting: list[Callable[[], None]] = []
        self._polling = False
        self._gates: list[Any] = []  # locks on which threads wait for any work to be done
        self._calls: deque[Any] = deque()  # the worker's to make: functions and their arguments
        self._wake = allocate_lock()  # released when the worker is to look
        self._wake.acquire()
        self._worker = 0  # the thread's ident
        self._ended = False
        self._count = 0

    def count(self) -> int:
        """A number that no stream of the process has had yet."""
        self._count += 1
        return self._count

    def end(self) -> None:
        """Another scenario begins: nothing goes on."""
        with self.cuda.lock:
            self._ended = True
            for stream in list(self.pending):
                self.cancel(stream)
            self._calls.clear()
            self._rouse()

    # ---- work

    def add(self, stream: Stream, operation: Operation, after: Sequence[Work] = ()) -> None:
        """Put an operation at the end of a stream's queue, and do what can be done."""
        with self.cuda.lock:
            stream.queue.append(Work(operation, [*after, *self.before(stream)]))
            self.pending[stream] = None
        self.advance()

    def before(self, stream: Stream) -> list[Work]:
        """The work of other streams that what comes next in this one has to wait for."""
        if not (stream.is_legacy or stream.is_blocking):
            return []
        return [
            other.queue[-1]
            for other in self.pending
            if (other.is_blocking if stream.is_legacy else other.is_legacy)
            and other.context is stream.context
        ]

    def unfinished(self, stream: Stream) -> list[Work]:
        """What is to be done until a stream is idle: of a legacy one, also what it waits for."""
        with self.cuda.lock:
            return [*list(stream.queue)[-1:], *(self.before(stream) if stream.is_legacy else ())]

    def advance(self) -> None:
        """Do all that can be done now; the program's functions go to the worker."""
        while True:
            with self.cuda.lock:
                found = self._take()
            if found is None:
                return
            self._do(*found)

    def _take(self) -> Optional[tuple[Stream, Work]]:
        """The next work that can be done in this thread, begun."""
        polling = False
        for stream in list(self.pending):
            work = stream.queue[0]
            operation = work.operation
            if not work.can_begin() or stream.busy.locked():
                continue
            if not self._is_ready(stream, operation):
                polling = polling or operation.polls
                continue
            work.begun = True
            if not operation.on_worker:
                return stream, work
            self.call(self._do, stream, work)
        if polling and not self._polling:
            self._polling = True
            self._rouse()
        self._polling = polling
        return None

    @staticmethod
    def _is_ready(stream: Stream, operation: Operation) -> bool:
        """An error lets nothing wait; one in asking is the context's."""
        try:
            return bool(stream.context.error) or operation.ready()
        except CudaError as error:
            stream.context.error = error.code
            return True

    def _do(self, stream: Stream, work: Work) -> None:
        try:
            perform(stream.context, work.operation)
        finally:
            with self.cuda.lock:
                work.finish()
                if stream.queue and stream.queue[0] is work:
                    stream.queue.popleft()
                    if not stream.queue:
                        self.pending.pop(stream, None)
                self._open_gates()

    def cancel(self, stream: Stream) -> None:
        """Forget what waits in a stream whose context has ended."""
        with self.cuda.lock:
            for work in stream.queue:
                if not work.begun:
                    work.operation.drop()
                work.finish()
            stream.queue.clear()
            self.pending.pop(stream, None)
            self._open_gates()

    # ---- waiting

    def wait(self, until: Callable[[], bool], *, polls: bool = False) -> None:
        """Wait until something holds that work of some stream brings about; `polls` if it may be
        another process's."""
        while True:
            self.advance()
            with self.cuda.lock:
                if until():
                    return
                gate = allocate_lock()
                gate.acquire()
                self._gates.append(gate)
                seconds = POLL if polls or self._polling else -1
            try:
                gate.acquire(True, seconds)
            finally:
                with self.cuda.lock:
                    if gate in self._gates:
                        self._gates.remove(gate)

    def waited(self) -> None:
        """A program has waited for a stream, an event or a context."""
        for call in self.after_waiting:
            call()

    def _open_gates(self) -> None:
        for gate in self._gates:
            gate.release()
        self._gates = []

    # ---- the worker

    def refuse_worker(self) -> None:
        """NOT_PERMITTED to a function of the program's that calls CUDA."""
        if self._worker and get_ident() == self._worker:
            raise CudaError(status.NOT_PERMITTED)

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the worker call a function, after those that it was given before."""
        with self.cuda.lock:
            self._calls.append((function, arguments))
            self._rouse()

    def _rouse(self) -> None:
        """Wake the worker, or make it."""
        if self._worker:
            if self._wake.locked():
                self._wake.release()
        elif not self._ended:
            self._worker = -1  # until it knows its own
            start_new_thread(self._work, ())

    def _work(self) -> None:
        """The worker's life. Signals are for the program's own threads."""
        self._worker = get_ident()
        pthread_sigmask(SIG_BLOCK, valid_signals())
        self.cuda.contexts.refuse(status.NOT_PERMITTED)
        while not self._ended:
            try:
                while self._calls:
                    function, arguments = self._calls.popleft()
                    function(*arguments)
                self.advance()
            except Exception as error:  # else all that comes later waits for ever
                self.cuda.say_once(f"internal error in pending work: {error!r}")
            if not self._calls:
                self._wake.acquire(True, POLL if self._polling else -1)


def perform(context: Context, operation: Operation) -> None:
    """Do an operation; its error becomes the context's."""
    try:
        if not context.error or operation.heedless:
            operation.run()
    except CudaError as error:
        context.error = error.code
