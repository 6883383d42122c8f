"""Green contexts: some of a device's multiprocessors, to work on with the primary context's rest.

A green context keeps the primary context of its device alive, and shares all with it but the
streams: memory, modules and errors are the primary one's. As a CUcontext it can be made current.
"""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from ..streams.stream import Streams
from .context import Context
from .multiprocessors import Multiprocessors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Callable

    from ...machine import Device
    from ..library import Cuda
    from .context import Part

__all__ = ["Description", "GreenContext", "primary_of"]


class Description:
    """What a green context is to be made of."""

    def __init__(self, groups: Sequence[Multiprocessors]) -> None:
        """INVALID_RESOURCE_CONFIGURATION for groups that do not go together."""
        first = groups[0]
        alike = all((g.ordinal, g.split) == (first.ordinal, first.split) for g in groups)
        if not alike or (len(groups) > 1 and not first.split):
            raise CudaError(status.INVALID_RESOURCE_CONFIGURATION)
        self.ordinal = first.ordinal
        self.multiprocessors = Multiprocessors(
            first.ordinal, first.major, sum(group.count for group in groups)
        )


class GreenContext(Context):
    """A context on some of its device's multiprocessors.

    Attributes:
        primary: the primary context of the device.
        multiprocessors: what it works on.
    """

    __slots__ = ("multiprocessors", "primary")

    def __init__(self, cuda: Cuda, device: Device, description: Description) -> None:
        self.primary = cuda.contexts.primary(device)
        super().__init__(cuda, device, self.primary.flags)
        self.multiprocessors = description.multiprocessors
        self.retained = 1  # so that cuCtxDestroy refuses it

    def __str__(self) -> str:
        return f"green context of GPU-{self.device.index}"

    @property
    def error(self) -> int:
        """The primary context's."""
        return self.primary.error

    @error.setter
    def error(self, code: int) -> None:
        if code:  # a new green context does not mend the primary one
            self.primary.error = code

    def part(self, kind: Callable[[Any], Part]) -> Part:
        """Its own streams; everything else is the primary context's."""
        return super().part(kind) if kind is Streams else self.primary.part(kind)

    def begin(self) -> None:
        """Come to life, and keep the primary context alive."""
        self.cuda.contexts.begin(self.primary)
        self.primary.retained = (self.primary.retained or 0) + 1
        self._outages = self.device.outages
        self.alive = True

    def ending(self) -> tuple[Context, ...]:
        """The primary one with its last user."""
        return (self, self.primary) if self.primary.retained == 1 else (self,)

    def end(self) -> None:
        """End its life: its streams go, and maybe the primary context."""
        if not self.alive:
            return
        self.alive = False
        self.end_parts()
        if self.primary.retained:
            self.primary.retained -= 1
            if not self.primary.retained:
                self.cuda.contexts.finish(self.primary)

    def check(self) -> None:
        """What `Context.check` raises, of this one or the primary one."""
        super().check()
        self.primary.check()


def primary_of(context: Context) -> Context:
    """The context that memory, modules and events are of."""
    return context.primary if isinstance(context, GreenContext) else context
