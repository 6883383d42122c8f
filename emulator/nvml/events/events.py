"""Events: sets of them, what they are registered for, and waiting."""

from __future__ import annotations

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]

from ...machine.drivers import branch
from ...machine.events import XID, Listener
from .. import _status as status
from ..library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    from ...machine import Device
    from ...machine.events import Event
    from .operational import Operational

    Found = TypeVar("Found")

__all__ = ["LONGEST_QUEUE", "NO_INSTANCE", "EventSet", "bit", "check_open", "next_event"]

#: So many events wait in a set; the oldest is dropped for one more.
LONGEST_QUEUE = 4096

#: What has become of a device that answers nothing any more.
GONE = ("lost", "unplugged")

NO_INSTANCE = 0xFFFFFFFF  # of an event that is not of a MIG instance


#: Compute capabilities of the chips that contain errors.
CONTAINING = ((8, 0), (9, 0), (10, 0), (10, 3))


def _always(device: Device) -> bool:
    return True


def _corrects(device: Device) -> bool:
    """Nothing corrects errors, or finds them, while ECC is off."""
    return bool(device.ecc.current)


def _contains(device: Device) -> bool:
    """Errors are contained on GA100, GH100 and later chips of their kind (NVIDIA, "GPU Memory
    Error Management")."""
    return _corrects(device) and device.compute_capability in CONTAINING


def _repairs(device: Device) -> bool:
    rows, pages = device.remapped_rows.uncorrectable, device.retired_pages.double_bit
    return _corrects(device) and (rows is not None or pages is not None)


#: Kind of event of the machine -> its bit, the release branch whose nvml.h first has it (of CUDA
#: 12.6 and 12.8 those from 0x200 on), and the devices that tell of it. ECC events are of devices
#: with ECC (NVIDIA's NVML reference); the clock event, Kepler's by nvml.h, comes on later products,
#: too (leptonai/gpud, pull request 164).
TYPES: dict[str, tuple[int, int, Callable[[Device], bool]]] = {
    "single_bit_ecc": (0x1, 0, _corrects),
    "double_bit_ecc": (0x2, 0, _corrects),
    "performance_state": (0x4, 0, lambda device: device.performance_state is not None),
    XID: (0x8, 0, _always),
    "clock": (0x10, 0, lambda device: device.clocks.graphics.current is not None),
    "power_source": (0x80, 0, lambda device: device.power.source is not None),
    "mig": (0x100, 0, lambda device: device.mig.current is not None),
    "single_bit_ecc_storm": (0x200, 560, _corrects),
    "dram_retirement": (0x400, 560, _repairs),
    "dram_retirement_failure": (0x800, 560, _repairs),
    "non_fatal_poison": (0x1000, 560, _contains),
    "fatal_poison": (0x2000, 560, _contains),
    "unavailable": (0x4000, 570, _always),
    "recovery_action": (0x8000, 570, _always),
}
ALL = sum(bit for bit, _, _ in TYPES.values())
LOADED = TYPES["performance_state"][0] | TYPES["clock"][0]


def bit(event: Event) -> int:
    """The bit that stands for what an event is; 0 where there is none."""
    return TYPES[event.kind][0] if event.kind in TYPES else 0


class EventSet(Listener):
    """What nvmlEventSetCreate makes: the devices to listen to, with the events of each.

    Attributes:
        registered: device index -> bits of the events.
        queue: those that have happened and were not delivered yet.
        operational: subscriptions to GPU Operational Events, if there are any.
        last: the event that nvmlEventSetWait_v3 gave out last, and whether in structured format.
    """

    def __init__(self) -> None:
        self.registered: dict[int, int] = {}
        self.queue: deque[Event] = deque(maxlen=LONGEST_QUEUE)
        self.operational: Operational | None = None
        self.last: tuple[Event, bool] | None = None

    def hear(self, event: Event) -> None:
        """Queue an event that is registered."""
        if self.registered.get(event.device.index, 0) & bit(event):
            self.queue.append(event)
        if self.operational is not None:
            self.operational.hear(event)

    def take(self) -> Event | None:
        """The oldest event of the queue, which is not in it any more."""
        return self.queue.popleft() if self.queue else None

    def devices(self) -> set[int]:
        """The devices that it listens to, by index."""
        return {*self.registered, *(self.operational.devices() if self.operational else ())}


@implements("nvmlEventSetCreate")
def create() -> EventSet:
    return EventSet()


@implements("nvmlEventSetFree")
def free(nvml: Nvml, set: EventSet) -> None:  # noqa: A002 (the C name)
    nvml.machine.events.close(set)
    nvml.handles("nvmlEventSet_t").drop(set)


@implements("nvmlDeviceGetSupportedEventTypes")
def supported(nvml: Nvml, device: Device) -> int:
    release = branch(nvml.machine.driver)
    return sum(bit for bit, since, has in TYPES.values() if since <= release and has(device))


@implements("nvmlDeviceRegisterEvents")
def register(nvml: Nvml, device: Device, event_types: int, set: EventSet) -> None:  # noqa: A002
    """None are registered if one of them is not supported."""
    if event_types & ~ALL or set.closed:
        raise NvmlError(status.INVALID_ARGUMENT)
    if event_types & ~supported(nvml, device):
        raise NvmlError(status.NOT_SUPPORTED)
    nvml.machine.events.listen(set)
    set.registered[device.index] = set.registered.get(device.index, 0) | event_types
    set.follows_loads |= bool(event_types & LOADED)


@implements("nvmlEventSetWait")
def wait(nvml: Nvml, set: EventSet, timeoutms: int) -> dict[str, Any]:  # noqa: A002
    """Without the instances: a client of this version has a struct that ends before them."""
    event = next_event(nvml, set, timeoutms, set.take)
    return {
        "device": nvml.handles("nvmlDevice_t").give(event.device),
        "eventType": bit(event),
        "eventData": event.xid,
    }


@implements("nvmlEventSetWait_v2")
def wait_v2(nvml: Nvml, set: EventSet, timeoutms: int) -> dict[str, Any]:  # noqa: A002
    instances = {"gpuInstanceId": NO_INSTANCE, "computeInstanceId": NO_INSTANCE}
    return {**wait(nvml, set, timeoutms), **instances}


def check_open(nvml: Nvml, listener: Listener) -> None:
    """Refuse to go on waiting for a set that another thread has ended.

    Raises:
        NvmlError: TIMEOUT: it is freed; UNINITIALIZED: the library is shut down.
    """
    if listener.closed:
        raise NvmlError(status.TIMEOUT if nvml.ready else status.UNINITIALIZED)


def next_event(
    nvml: Nvml, listener: EventSet, milliseconds: int, take: Callable[[], Found | None]
) -> Found:
    """What `take` has of a set, waited for.

    When what a lost device had to tell is delivered, each wait is refused at once: so the real
    library after Xid 79 (NVIDIA/k8s-test-infra, pull request 746).

    Raises:
        NvmlError: TIMEOUT, also where the set is freed meanwhile; GPU_IS_LOST; UNINITIALIZED where
            the library is shut down.
    """
    devices = nvml.machine.devices

    def look() -> Found | None:
        found = take()
        if found is None:
            check_open(nvml, listener)
            if any(devices[index].failure in GONE for index in listener.devices()):
                raise NvmlError(status.GPU_IS_LOST)
        return found

    found = nvml.machine.events.wait(look, milliseconds / 1000)
    if found is None:
        raise NvmlError(status.TIMEOUT)
    return found
