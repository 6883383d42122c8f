"""Capture: what streams would do becomes the nodes of a graph.

A capture begins in one stream, its origin, and takes in each stream that waits for an event
recorded in it. It ends in the origin, when all the others have been joined to it again in the same
way. What cannot be captured makes it invalid: all that comes after fails, until it is ended.

While one is under way, threads are kept from calls that might disturb it, as their capture mode
says (cuThreadExchangeStreamCaptureMode). Source: NVIDIA's driver API reference,
cuStreamBeginCapture and that function.
"""

from __future__ import annotations

import itertools
from _thread import _local, get_ident

from .. import _status as status
from ..error import CudaError
from ..graphs.graph import DEFAULT_EDGE, Graph
from .event import EventRecord, EventWait
from .schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..contexts.context import Context
    from ..graphs.graph import Edge, Node
    from ..library import Cuda
    from .event import Event
    from .operation import Operation
    from .stream import Stream

__all__ = [
    "GLOBAL",
    "RELAXED",
    "THREAD_LOCAL",
    "Capture",
    "Modes",
    "add",
    "check_context",
    "check_stream",
    "check_unsafe",
    "wait_for",
]

GLOBAL, THREAD_LOCAL, RELAXED = range(3)  # CUstreamCaptureMode


class Modes:
    """The capture mode of each thread, and the numbers of captures."""

    def __init__(self, cuda: Cuda) -> None:
        self._threads = _local()
        self.count = itertools.count(1).__next__  # what no capture has had yet

    @property
    def mode(self) -> int:
        """The calling thread's."""
        return getattr(self._threads, "mode", GLOBAL)

    @mode.setter
    def mode(self, mode: int) -> None:
        self._threads.mode = mode

    def end(self) -> None:
        """Another scenario begins."""


class Capture:
    """A capture under way.

    Attributes:
        number: unlike that of any other capture of the process.
        origin: the stream that it began in, by the thread `thread`.
        streams: those that are part of it.
        is_new: the graph was made for it, and is not the program's yet.
        valid: nothing has happened yet that could not be captured.
        shown: arrays that the program has been given the addresses of.
    """

    __slots__ = (
        *(
            "_schedule",
            "graph",
            "is_new",
            "mode",
            "number",
            "origin",
            "shown",
            "streams",
            "thread",
            "valid",
        ),
    )

    def __init__(
        self, origin: Stream, graph: Graph, mode: int, ends: Optional[dict[Node, Edge]] = None
    ) -> None:
        """Begin in a stream, after the graph's nodes `ends`; without them in a new graph."""
        self._schedule = origin.schedule
        self.number = origin.context.cuda.part(Modes).count()
        self.origin = origin
        self.graph = graph
        self.is_new = ends is None
        self.mode = mode
        self.thread = get_ident()
        self.valid = True
        self.shown: list[Any] = []
        self.streams: dict[Stream, None] = {}
        self.join(origin, ends or {})
        self._schedule.captures.append(self)

    def join(self, stream: Stream, ends: dict[Node, Edge]) -> None:
        """Take a stream in; its next node comes after `ends`."""
        self.streams[stream] = None
        stream.capture = self
        stream.ends = dict(ends)

    def is_of_this_thread(self) -> bool:
        """Whether the calling thread has begun it."""
        return self.thread == get_ident()

    def check(self) -> None:
        """STREAM_CAPTURE_INVALIDATED once it is not valid."""
        if not self.valid:
            raise CudaError(status.STREAM_CAPTURE_INVALIDATED)

    def invalidate(self) -> None:
        """Something has happened that cannot be captured."""
        self.valid = False

    def fail(self, code: int) -> None:
        """Raise the error `code`, or that it was invalid before."""
        self.check()
        self.invalidate()
        raise CudaError(code)

    def add(self, stream: Stream, operation: Operation) -> None:
        """What a stream is to do becomes a node."""
        self.check()
        operation.enter(self.graph)
        nodes = self.graph.nodes  # without those that the program has destroyed meanwhile
        ends = {node: edge for node, edge in stream.ends.items() if node in nodes}
        stream.ends = {self.graph.add(operation, ends): DEFAULT_EDGE}

    def record(self, stream: Stream, event: Event, *, external: bool) -> None:
        """An event is recorded in a stream of the capture; `external` makes a node of it."""
        self.check()
        if external:
            event.capture = None
            self.add(stream, EventRecord(event))
        else:
            event.capture = self
            event.ends = dict(stream.ends)

    def close(self) -> None:
        """It is over: its streams work again."""
        for stream in self.streams:
            stream.capture = None
            stream.ends = {}
        self._schedule.captures.remove(self)

    def lose(self, stream: Stream) -> None:
        """A stream is destroyed: without its origin there is no end to it. What another one did is
        to be joined before the end; cuda.core's graph builder joins streams and destroys them."""
        if stream is self.origin:
            self.invalidate()
            self.close()
            self.discard()

    def discard(self) -> None:
        """Nothing comes of it: a graph that was made for it goes."""
        if self.is_new:
            self.graph.end()

    def is_joined(self) -> bool:
        """Whether all nodes that no other comes after are the origin's last ones."""
        joined = set(self.origin.ends)
        todo = list(joined)
        while todo:
            before = [node for node in todo.pop().before if node not in joined]
            joined.update(before)
            todo += before
        return all(node in joined for stream in self.streams for node in stream.ends)


def add(stream: Stream, operation: Operation) -> bool:
    """Whether what a stream is to do is captured.

    Raises:
        CudaError: STREAM_CAPTURE_IMPLICIT where the legacy stream would wait for a capture.
    """
    if stream.capture is not None:
        stream.capture.add(stream, operation)
        return True
    _check_implicit(stream)
    return False


def _check_implicit(stream: Stream) -> None:
    if stream.is_legacy:
        for capture in stream.schedule.captures:
            if any(s.is_blocking and s.context is stream.context for s in capture.streams):
                capture.fail(status.STREAM_CAPTURE_IMPLICIT)


def check_stream(stream: Stream) -> None:
    """What a call that no stream can capture answers.

    Raises:
        CudaError: STREAM_CAPTURE_UNSUPPORTED where it captures; STREAM_CAPTURE_IMPLICIT where it is
            the legacy one, and a blocking one of its context captures.
    """
    if stream.capture is not None:
        stream.capture.fail(status.STREAM_CAPTURE_UNSUPPORTED)
    _check_implicit(stream)


def check_context(context: Context) -> None:
    """STREAM_CAPTURE_UNSUPPORTED where a stream of a context captures."""
    for capture in context.cuda.part(Schedule).captures:
        if any(stream.context is context for stream in capture.streams):
            capture.fail(status.STREAM_CAPTURE_UNSUPPORTED)


def check_unsafe(cuda: Cuda) -> None:
    """Refuse a call that might disturb a capture, in a thread that is kept from such calls.

    Raises:
        CudaError: STREAM_CAPTURE_UNSUPPORTED; the captures that forbid it are invalid then.
    """
    captures = cuda.part(Schedule).captures
    if not captures:
        return
    mode = cuda.part(Modes).mode
    if mode == RELAXED:
        return
    thread = get_ident()
    forbidding = [
        capture
        for capture in captures
        if (capture.thread == thread and capture.mode != RELAXED)
        or (mode == GLOBAL and capture.mode == GLOBAL)
    ]
    for capture in forbidding:
        capture.invalidate()
    if forbidding:
        raise CudaError(status.STREAM_CAPTURE_UNSUPPORTED)


def wait_for(stream: Stream, event: Event, *, external: bool) -> None:
    """A stream of a capture waits for an event, or any stream for an event of a capture.

    Raises:
        CudaError: STREAM_CAPTURE_MERGE for an event of another capture than the stream's;
            STREAM_CAPTURE_ISOLATION for one that was recorded in none; STREAM_CAPTURE_IMPLICIT for
            the legacy stream; STREAM_CAPTURE_INVALIDATED.
    """
    mine, other = stream.capture, event.capture
    if mine is not None and external:
        mine.add(stream, EventWait(event))
        return
    if mine is None:
        _begin_to_capture(stream, event)
        return
    mine.check()
    if other is None:
        if event.mark is not None:
            mine.fail(status.STREAM_CAPTURE_ISOLATION)
        return
    if other is not mine:
        other.invalidate()
        mine.fail(status.STREAM_CAPTURE_MERGE)
    stream.ends.update(event.ends)


def _begin_to_capture(stream: Stream, event: Event) -> None:
    """A stream that waits for an event of a capture becomes part of it."""
    capture = event.capture
    assert capture is not None
    if capture not in stream.schedule.captures:  # it has ended since
        raise CudaError(status.CAPTURED_EVENT)
    capture.check()
    if stream.is_legacy:
        capture.fail(status.STREAM_CAPTURE_IMPLICIT)
    capture.join(stream, event.ends)
