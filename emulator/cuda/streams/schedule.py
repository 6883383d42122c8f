"""Work that cannot be done yet, in the order of its streams, and the threads that go on with it.

Most work is done where it is submitted, in the calling thread (`Stream.submit`). What has to wait
comes here: a value in memory that is not there yet, an event of another stream, a function of the
program's, and all that is behind one of these. It is done by whichever thread comes next: one that
submits more, one that waits, or one of two of our own, each made when it is first needed.

The caller alone calls the program's functions, since a program may hold a lock of its own while it
enqueues one. Such a function may wait for what other streams do; so another thread, the poller,
looks again and again at values in memory, though only while something waits for one.

A legacy default stream waits for all blocking streams of its context, and they for it.
"""

from __future__ import annotations

import itertools

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]
from _thread import allocate_lock

from .. import _status as status
from ..error import CudaError
from .worker import FOREVER, Worker

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
    """An operation in a stream's queue; `dropped`: it is done with, and never was done."""

    __slots__ = ("after", "begun", "done", "dropped", "operation")

    def __init__(self, operation: Operation, after: list[Work]) -> None:
        self.operation = operation
        self.after = after  # work of other streams that comes first
        self.begun = self.done = self.dropped = False

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
        gates: locks on which threads wait for any work to be done.
        captures: the captures under way (see capture.py).
        after_waiting: what is called when a program has waited for a stream, an event or a context.
    """

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self.pending: dict[Stream, None] = {}
        self.captures: list[Any] = []
        self.after_waiting: list[Callable[[], None]] = []
        self._polling = False
        self.gates: list[Any] = []
        self._calls: deque[Any] = deque()  # the caller's to make: functions and their arguments
        self._caller = Worker(self._call, cuda.say_once)
        self._poller = Worker(self._poll, cuda.say_once)
        self.count = itertools.count(1).__next__  # what no stream has had yet

    def end(self) -> None:
        """Another scenario begins: nothing goes on."""
        with self.cuda.lock:
            for stream in list(self.pending):
                self._cancel(stream)
            self._calls.clear()
            self._caller.end()
            self._poller.end()

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
            last = [stream.queue[-1]] if stream.queue else []
            return [*last, *(self.before(stream) if stream.is_legacy else ())]

    def advance(self) -> None:
        """Do all that can be done now; the program's functions go to the caller."""
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
            self._poller.wake()
        self._polling = polling
        return None

    @staticmethod
    def _is_ready(stream: Stream, operation: Operation) -> bool:
        """An error lets nothing wait; one in asking is the context's."""
        try:
            return bool(stream.context.error) or operation.ready()
        except CudaError as error:
            stream.context.fail(error.code)
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

    def stop(self, context: Context) -> None:
        """Forget what waits in a context whose life ends, and wait for what threads are doing in
        it: its memory is about to go. The program's functions are not waited for."""
        if not self._is_stopped(context):
            self.wait(lambda: self._is_stopped(context))

    def _is_stopped(self, context: Context) -> bool:
        with self.cuda.lock:
            for stream in [stream for stream in self.pending if stream.context is context]:
                self._cancel(stream)
            return not any(stream.context is context for stream in self.pending)

    def _cancel(self, stream: Stream) -> None:
        """Forget what waits in a stream, but for what a thread of ours or the program's is doing.

        The streams of other contexts may have waited for it.
        """
        under_way = [work for work in stream.queue if work.begun and not work.operation.on_worker]
        for work in stream.queue:
            if work not in under_way:
                if not work.begun:
                    work.dropped = True
                    work.operation.drop()
                work.finish()
        stream.queue.clear()
        stream.queue.extend(under_way)
        if not under_way:
            self.pending.pop(stream, None)
        if self.pending:
            self._poller.wake()
        self._open_gates()

    # ---- waiting

    def wait(self, until: Callable[[], bool], *, polls: bool = False) -> None:
        """Wait until something holds that work of some stream brings about; `polls` if it may be
        another process's."""
        while True:
            self.advance()
            if self._caller.is_missing:  # at a Python program's end
                self._make_calls()
            gate = allocate_lock()
            gate.acquire()
            with self.cuda.lock:
                self.gates.append(gate)
                seconds = POLL if polls or self._polling else FOREVER
            try:
                if until():  # asked after the gate is there: `stir` looks the other way round
                    return
                gate.acquire(True, seconds)
            finally:
                with self.cuda.lock:
                    if gate in self.gates:
                        self.gates.remove(gate)

    def wait_for(self, last: Sequence[Work]) -> None:
        """Wait until these are done; CONTEXT_IS_DESTROYED if one never will be."""
        self.wait(lambda: all(work.done for work in last))
        if any(work.dropped for work in last):
            raise CudaError(status.CONTEXT_IS_DESTROYED)

    def stir(self) -> None:
        """Something was done that never came here, but others may wait for."""
        with self.cuda.lock:
            self._open_gates()
        self.advance()

    def waited(self) -> None:
        """A program has waited for a stream, an event or a context."""
        for call in self.after_waiting:
            call()

    def _open_gates(self) -> None:
        for gate in self.gates:
            gate.release()
        self.gates = []

    # ---- the program's functions

    def refuse_caller(self) -> None:
        """NOT_PERMITTED to a function of the program's, or of the scenario's, that calls CUDA."""
        if self._caller.is_current() or self.cuda.contexts.is_closed():
            raise CudaError(status.NOT_PERMITTED)

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have the caller call a function, after those that it was given before."""
        with self.cuda.lock:
            self._calls.append((function, arguments))
            self._caller.wake()

    def _call(self) -> float:
        """The caller's turn."""
        self.cuda.contexts.refuse(status.NOT_PERMITTED)
        self._make_calls()
        return FOREVER

    def _make_calls(self) -> None:
        while self._calls:
            function, arguments = self._calls.popleft()
            function(*arguments)
            self.advance()

    def _poll(self) -> float:
        """The poller's turn."""
        self.advance()
        return POLL if self._polling else FOREVER


def perform(context: Context, operation: Operation) -> None:
    """Do an operation; its error becomes the context's."""
    try:
        if not context.error or operation.heedless:
            operation.run()
    except CudaError as error:
        context.fail(error.code)
