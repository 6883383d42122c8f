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

Not yet here: cuCtxAttach and Detach, limits, events, the memory that a context takes on its
device, and green contexts.
"""

from __future__ import annotations

from _thread import _local

from . import _status as status
from .error import CudaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__ = ["Context", "Contexts"]


class Context:
    """A context; `retained` counts the users of a primary one, and is None for any other."""

    __slots__ = ("alive", "api_version", "device", "flags", "retained")

    def __init__(
        self, device: Device, flags: int = 0, *, primary: bool = False, api_version: int = 3020
    ) -> None:
        self.device = device
        self.flags = flags
        self.api_version = api_version
        self.retained = 0 if primary else None
        self.alive = not primary

    def __str__(self) -> str:
        kind = "context" if self.retained is None else "primary context"
        return f"{kind} of GPU-{self.device.index}"


class Contexts:
    """The contexts of a process: the primary ones, and each thread's stack."""

    def __init__(self) -> None:
        self._threads = _local()
        self._primary: dict[int, Context] = {}

    @property
    def stack(self) -> list[Context]:
        """The calling thread's stack, its top last."""
        found: list[Context]
        try:
            found = self._threads.stack
        except AttributeError:
            found = self._threads.stack = []
        return found

    def primary(self, device: Device) -> Context:
        """The primary context of a device, alive or not."""
        known = self._primary.get(device.index)
        if known is None:
            known = self._primary.setdefault(device.index, Context(device, primary=True))
        return known

    def current(self) -> Context:
        """The calling thread's current context, to work in.

        Raises:
            CudaError: INVALID_CONTEXT when there is none, CONTEXT_IS_DESTROYED when it is dead.
        """
        stack = self.stack
        if not stack:
            raise CudaError(status.INVALID_CONTEXT)
        if not stack[-1].alive:
            raise CudaError(status.CONTEXT_IS_DESTROYED)
        return stack[-1]

    def push(self, context: Context) -> None:
        """Make a context current for the calling thread."""
        self.stack.append(context)

    def pop(self) -> Context:
        """Take the top off; INVALID_CONTEXT when the stack is empty."""
        if not self.stack:
            raise CudaError(status.INVALID_CONTEXT)
        return self.stack.pop()

    def destroy(self, context: Context) -> None:
        """End the life of a context that cuCtxCreate made."""
        context.alive = False
        if self.stack and self.stack[-1] is context:
            self.stack.pop()
