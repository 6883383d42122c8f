"""Contexts: what a program works in on a device. The theory, and the state that follows it.

A context is a device, flags and a life. There are two kinds:

- cuCtxCreate makes one and makes it current; cuCtxDestroy ends its life. A destroyed context never
  comes back.
- Each device has one primary context, which all who retain it share. It lives from the first
  retain to the last release, or to a reset; the next retain revives it, under the same handle.

Each thread has a stack of contexts, and its top is current:

- cuCtxCreate and cuCtxPushCurrent put one on top, cuCtxPopCurrent takes the top off;
- cuCtxSetCurrent replaces the top; given NULL it takes it off;
- cuCtxDestroy takes the context off the calling thread's stack if it is the top there. Wherever
  else it is it stays, dead;
- releasing and resetting a primary context touch no stack.

So the current context may be dead. It can be asked for and popped, but nothing can be done in it:
CONTEXT_IS_DESTROYED. With an empty stack that is INVALID_CONTEXT.

A forked child has its parent's memory and not its driver: nothing here is reached there, because
the child's library is never ready (`Cuda.forked`).

Sources: NVIDIA's driver API reference, "Context Management" and "Primary Context Management". A
primary context's handle stays the same, and stays current through a reset: traced on a real
driver by lupinemachines/lupine, pull request 846. Where a handler rests on less, it says so.

What a program has in a context (memory, streams, modules, ...) are its parts, each kept by the
module that it is the business of. They end with the context's life.

A context takes memory on its device, which all processes of the machine see. An error that a
context does not survive (STICKY) is answered to every later call in it, until its life ends; so is
the failure of its device.
"""

from __future__ import annotations

import itertools
from _thread import _local

from ...machine.ledger.ledger import TakenError
from .. import _status as status
from ..error import CudaError
from ..streams.schedule import Schedule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    from ...machine import Device
    from ..library import Cuda

    Part = TypeVar("Part")

__all__ = ["STICKY", "Context", "Contexts", "Parts"]

#: After these "the context cannot be used": the reference's words for each of them.
STICKY = frozenset(
    (
        *(status.ECC_UNCORRECTABLE, status.NVLINK_UNCORRECTABLE, status.CONTAINED),
        *(status.ILLEGAL_ADDRESS, status.LAUNCH_TIMEOUT, status.ASSERT),
        *(status.HARDWARE_STACK_ERROR, status.ILLEGAL_INSTRUCTION, status.MISALIGNED_ADDRESS),
        *(status.INVALID_ADDRESS_SPACE, status.INVALID_PC, status.LAUNCH_FAILED),
        *(status.TENSOR_MEMORY_LEAK, status.EXTERNAL_DEVICE, status.MPS_CLIENT_TERMINATED),
    )
)

#: What a call answers in a context whose device has failed: public reports, not seen on hardware.
FAILED = status.UNKNOWN


class Parts:
    """What belongs to something that may end, one of each class, made when first asked for."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: dict[Any, Any] = {}

    def part(self, kind: Callable[[Any], Part]) -> Part:
        """The part of this class, made with `self` as its only argument."""
        found = self._parts.get(kind)
        if found is None:
            found = self._parts.setdefault(kind, kind(self))
        return found  # type: ignore[no-any-return]

    def has(self, kind: Callable[[Any], Part]) -> bool:
        """Whether the part of this class has been made."""
        return kind in self._parts

    def end_parts(self) -> None:
        """Have each part give back what it holds (its `end`), the newest first."""
        while self._parts:
            _, part = self._parts.popitem()
            part.end()


class Context(Parts):
    """A context; `retained` counts the users of a primary one, and is None for any other.

    Attributes:
        number: unlike that of any other context of the process (`cuCtxGetId`).
        error: the sticky error that each call in it answers; 0 while there is none.
    """

    __slots__ = (
        *("alive", "api_version", "cuda", "device", "error", "flags", "number", "retained"),
        *("_memory", "_outages"),
    )

    def __init__(
        self,
        cuda: Cuda,
        device: Device,
        flags: int = 0,
        *,
        primary: bool = False,
        api_version: int = 3020,
    ) -> None:
        super().__init__()
        self.cuda = cuda
        self.device = device
        self.flags = flags
        self.api_version = api_version
        self.retained = 0 if primary else None
        self.number = cuda.contexts.count()
        self.error = 0
        self.alive = False
        self._memory = 0
        self._outages = 0

    def __str__(self) -> str:
        kind = "context" if self.retained is None else "primary context"
        return f"{kind} of GPU-{self.device.index}"

    def begin(self) -> None:
        """Come to life.

        Raises:
            CudaError: OUT_OF_MEMORY where the device has no room for a context;
                DEVICE_UNAVAILABLE where its mode gives it to another process alone; UNKNOWN while
                it is lost.
        """
        if self.alive:
            return
        if self.device.failure:
            raise CudaError(FAILED)
        self._memory = self.device.context_memory
        try:
            room = self.cuda.machine.ledger.enter(self.device, self._memory)
        except TakenError:
            raise CudaError(status.DEVICE_UNAVAILABLE) from None
        if not room:
            raise CudaError(status.OUT_OF_MEMORY)
        self.error = 0
        self._outages = self.device.outages
        self.alive = True

    def ending(self) -> tuple[Context, ...]:
        """The contexts whose life ends with this one's."""
        return (self,)

    def end(self) -> None:
        """End its life: everything in it goes."""
        if self.alive:
            self.alive = False
            self.end_parts()
            self.cuda.machine.ledger.leave(self.device, self._memory)

    def check(self) -> None:
        """Raise what every call in this context answers, if it is so far.

        Raises:
            CudaError: CONTEXT_IS_DESTROYED; its sticky error; UNKNOWN from the loss of its device
                on, which it does not survive either.
        """
        if not self.alive:
            raise CudaError(status.CONTEXT_IS_DESTROYED)
        if self.error:
            raise CudaError(self.error)
        if self.device.outages != self._outages:
            raise CudaError(FAILED)

    def fail(self, code: int) -> None:
        """Answer a sticky error from here on; a memory error is counted, as NVML shows."""
        if code == status.ECC_UNCORRECTABLE and self.error != code:
            self.device.ecc.fail()
        self.error = code


class Contexts:
    """The contexts of a process: the primary ones, and each thread's stack."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._threads = _local()
        self._primary: dict[Any, Context] = {}
        self._alive: dict[Context, None] = {}
        self.count = itertools.count(1).__next__  # what no context has had yet

    @property
    def stack(self) -> list[Context]:
        """The calling thread's stack, its top last."""
        found: list[Context]
        try:
            found = self._threads.stack
        except AttributeError:
            if getattr(self._threads, "refused", 0):
                raise CudaError(self._threads.refused) from None
            found = self._threads.stack = []
        return found

    def refuse(self, code: int) -> None:
        """Answer whoever asks for a context in the calling thread with `code` from here on."""
        self._threads.refused = code

    def is_closed(self) -> bool:
        """Whether the calling thread is in a function to which CUDA is closed."""
        return bool(getattr(self._threads, "refused", 0))

    def closed(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """Call a function of the scenario's, which is part of a stream's work: whatever it asks of
        CUDA is NOT_PERMITTED, as it might wait for the stream that waits for it."""
        if self.is_closed():
            return function(argument)
        stack = self.stack
        del self._threads.stack
        self.refuse(status.NOT_PERMITTED)
        try:
            return function(argument)
        finally:
            self.refuse(0)
            self._threads.stack = stack

    def primary(self, device: Device) -> Context:
        """The primary context of a device, alive or not."""
        known = self._primary.get(device)
        if known is None:
            with self._cuda.lock:
                known = self._primary.get(device)
                if known is None:
                    known = self._primary[device] = Context(self._cuda, device, primary=True)
        return known

    def current(self) -> Context:
        """The calling thread's current context, to work in.

        Raises:
            CudaError: INVALID_CONTEXT when there is none; what `Context.check` raises.
        """
        stack = self.stack
        if not stack:
            raise CudaError(status.INVALID_CONTEXT)
        context = stack[-1]
        context.check()
        return context

    def begin(self, context: Context) -> None:
        """Begin the life of a context."""
        context.begin()
        self._alive[context] = None

    def push(self, context: Context) -> None:
        """Make a context current for the calling thread."""
        self.stack.append(context)

    def pop(self) -> Context:
        """Take the top off; INVALID_CONTEXT when the stack is empty."""
        if not self.stack:
            raise CudaError(status.INVALID_CONTEXT)
        return self.stack.pop()

    def finish(self, context: Context, *, unretained: bool = False) -> None:
        """End the life of a context; the calling thread's stack loses it if it is the top there
        and cuCtxCreate made it. `unretained`: not if another thread has retained it meanwhile."""
        stack = self.stack if context.retained is None else []  # first: it may be refused
        for ended in context.ending():
            self._cuda.part(Schedule).stop(ended)
        with self._cuda.lock:
            if unretained and context.retained:
                return
            self._alive.pop(context, None)
            context.end()
        if stack and stack[-1] is context:
            stack.pop()

    def fail(self, code: int) -> None:
        """Answer a sticky error in the calling thread's current context, if it has one."""
        stack = getattr(self._threads, "stack", None)
        if stack:
            stack[-1].fail(code)

    def alive(self) -> list[Context]:
        """The contexts that live, in the order in which they began."""
        return list(self._alive)

    def end(self) -> None:
        """End the lives of all contexts: another scenario begins."""
        for context in list(self._alive):
            self.finish(context)
