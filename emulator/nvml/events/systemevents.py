"""System events: GPUs that the driver is bound to, and unbound from."""

from __future__ import annotations

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]

from ...api import NULL_PAGE
from ...machine.events import Listener
from .. import _status as status
from ..library import Nvml, NvmlError, api, implements
from .events import LONGEST_QUEUE, check_open

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from ...machine.events import Event

__all__ = ["SystemEventSet"]

#: Kind of event of the machine -> nvmlSystemEventTypeGpuDriver*.
TYPES = {"unbound": 0x1, "bound": 0x2}


class SystemEventSet(Listener):
    """What nvmlSystemEventSetCreate makes: the types of events, and those that have happened."""

    def __init__(self) -> None:
        self.types = 0
        self.queue: deque[Event] = deque(maxlen=LONGEST_QUEUE)

    def hear(self, event: Event) -> None:
        """Queue an event that is registered."""
        if TYPES.get(event.kind, 0) & self.types:
            self.queue.append(event)

    def take(self, most: int) -> list[Event] | None:
        """The oldest events, which are not in the queue any more; None if there are none."""
        taken = [self.queue.popleft() for _ in range(min(most, len(self.queue)))]
        return taken or None


def set_of(nvml: Nvml, request: Any) -> SystemEventSet:
    """The set that a request names.

    Raises:
        NvmlError: INVALID_ARGUMENT: there is no such set.
    """
    found = nvml.handles("nvmlSystemEventSet_t").objects.get(request.set)
    if found is None:
        raise NvmlError(status.INVALID_ARGUMENT)
    return found  # type: ignore[no-any-return]


@implements("nvmlSystemEventSetCreate")
def create(nvml: Nvml) -> dict[str, int]:
    return {"set": nvml.handles("nvmlSystemEventSet_t").give(SystemEventSet())}


@implements("nvmlSystemEventSetFree")
def free(nvml: Nvml, request: Any) -> None:
    found = set_of(nvml, request)
    nvml.machine.events.close(found)
    nvml.handles("nvmlSystemEventSet_t").drop(found)


@implements("nvmlSystemRegisterEvents")
def register(nvml: Nvml, request: Any) -> None:
    found = set_of(nvml, request)
    if request.eventTypes & ~sum(TYPES.values()):
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.events.listen(found)
    found.types |= request.eventTypes


@implements("nvmlSystemEventSetWait")
def wait(nvml: Nvml, request: Any) -> dict[str, int]:
    """As many as there is room for; who is given as many as there was room for asks again."""
    found = set_of(nvml, request)
    if not request.dataSize or request.data < NULL_PAGE:
        raise NvmlError(status.INVALID_ARGUMENT)
    kind = api.types["nvmlSystemEventData_v1_t"]

    def look() -> list[Event] | None:
        check_open(nvml, found)
        return found.take(request.dataSize)

    taken = nvml.machine.events.wait(look, request.timeoutms / 1000)
    if taken is None:
        request.numEvent = 0
        raise NvmlError(status.TIMEOUT)
    for entry, event in zip((kind * len(taken)).from_address(request.data), taken):
        entry.eventType = TYPES[event.kind]
        entry.gpuId = gpu_id(event.device)
    return {"numEvent": len(taken)}


def gpu_id(device: Device) -> int:
    """Domain, bus and device in one number (gpuGenerate32BitId in NVIDIA's open kernel modules)."""
    pci = device.pci
    return pci.domain << 16 | pci.bus << 8 | pci.device
