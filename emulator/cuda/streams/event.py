"""Events: marks in the order of a stream's work, and when that work was done.

To record an event puts a mark behind what a stream has to do; who waits for the event waits for
the mark that it got last. Work here takes no time of its own, so a mark's time is the clock's when
the work before it is done.

An event between processes (CU_EVENT_INTERPROCESS) counts its marks in memory that they share: how
many were put, and the number of the last one that is done.
"""

from __future__ import annotations

from .. import _status as status
from .._constants import GRAPH_NODE_TYPE_EVENT_RECORD, GRAPH_NODE_TYPE_WAIT_EVENT
from ..error import CudaError
from .operation import Operation
from .schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Optional

    from ..contexts.context import Context
    from .capture import Capture
    from .shared import Shared
    from .stream import Stream

__all__ = [
    "DISABLE_TIMING",
    "INTERPROCESS",
    "Event",
    "EventRecord",
    "EventWait",
    "Events",
]

BLOCKING_SYNC, DISABLE_TIMING, INTERPROCESS = 1, 2, 4
FLAGS = BLOCKING_SYNC | DISABLE_TIMING | INTERPROCESS


class Mark:
    """A place in a stream's work.

    Attributes:
        done: whether all before it is done.
        time: when that was, in nanoseconds since the epoch.
    """

    __slots__ = ("done", "time")

    polls = False

    def __init__(self) -> None:
        self.done = False
        self.time = 0

    def finish(self, time: int) -> None:
        """All before it is done."""
        self.time = time
        self.done = True


class Event:
    """An event of a context.

    Attributes:
        capture, ends: the capture that it was recorded in last, and the graph's nodes then.
        memory: where the counts of an event between processes are.
    """

    __slots__ = ("_mark", "capture", "context", "ends", "flags", "memory")

    def __init__(self, context: Context, flags: int) -> None:
        self.context = context
        self.flags = flags
        self.capture: Optional[Capture] = None
        self.ends: dict[Any, Any] = {}
        self.memory: Optional[Shared] = None
        self._mark: Optional[Mark] = None

    def __str__(self) -> str:
        return f"event of GPU-{self.context.device.index}"

    @property
    def mark(self) -> Any:
        """The mark that it got last; None before the first."""
        if self.memory is None:
            return self._mark
        return self.memory.mark()

    def put(self) -> Any:
        """A new mark, which stands for the event from here on."""
        if self.memory is None:
            self._mark = Mark()
            return self._mark
        return self.memory.put()

    def check(self) -> None:
        """Raise what a call with this event answers, if it is so far.

        Raises:
            CudaError: NOT_PERMITTED to a function that a stream has called; CAPTURED_EVENT when it
                was recorded last in a capture; what `Context.check` raises.
        """
        self.context.cuda.part(Schedule).refuse_caller()
        self.context.check()
        if self.capture is not None:
            raise CudaError(status.CAPTURED_EVENT)


class EventRecord(Operation):
    """Finish a mark of an event."""

    __slots__ = ("event", "mark")

    kind = GRAPH_NODE_TYPE_EVENT_RECORD
    heedless = True  # else who waits for it in another context would for ever

    def __init__(self, event: Event, mark: Optional[Any] = None) -> None:
        self.event = event
        self.mark = mark

    def issue(self, stream: Stream) -> Sequence[Operation]:
        """Each launch of a graph puts a mark of its own."""
        return (EventRecord(self.event, self.event.put()),)

    def run(self) -> None:
        """It is done now."""
        assert self.mark is not None
        self.mark.finish(self.event.context.cuda.machine.clock.now())

    def drop(self) -> None:
        """Nobody waits for what never comes."""
        self.run()


class EventWait(Operation):
    """Wait for a mark of an event; for none, when it was never recorded."""

    __slots__ = ("event", "mark")

    kind = GRAPH_NODE_TYPE_WAIT_EVENT

    def __init__(self, event: Optional[Event], mark: Optional[Any] = None) -> None:
        """`event` may be None for a mark that is no event's."""
        self.event = event
        self.mark = mark

    @property
    def polls(self) -> bool:  # type: ignore[override]
        """Whether another process may finish the mark."""
        return self.mark is not None and self.mark.polls

    def issue(self, stream: Stream) -> Sequence[Operation]:
        """Each launch of a graph waits for the mark that is the last one then."""
        assert self.event is not None
        return (EventWait(self.event, self.event.mark),)

    def ready(self) -> bool:
        """Whether the mark is done."""
        return self.mark is None or self.mark.done

    def run(self) -> None:
        """Waiting was all."""


class Events:
    """The events of a context that have a handle."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[Event, None] = {}

    def make(self, flags: int) -> Event:
        """A new event.

        Raises:
            CudaError: INVALID_VALUE for flags that no header has, or for one between processes
                that would take times.
        """
        between = flags & INTERPROCESS
        if flags & ~FLAGS or (between and not flags & DISABLE_TIMING):
            raise CudaError(status.INVALID_VALUE)
        if between:
            from .shared import make

            return self.share(make(), flags)
        return self._add(Event(self._context, flags))

    def share(self, memory: Shared, flags: int) -> Event:
        """A new event with counts that other processes have, too."""
        event = Event(self._context, flags)
        event.memory = memory
        return self._add(event)

    def _add(self, event: Event) -> Event:
        self._made[event] = None
        return event

    def drop(self, event: Event) -> None:
        """End an event's handle; who waits for its last mark still does."""
        self._made.pop(event, None)
        if event.memory is not None:
            event.memory.close()
        self._context.cuda.handles("CUevent").drop(event)

    def end(self) -> None:
        """The context has ended."""
        for event in list(self._made):
            self.drop(event)
