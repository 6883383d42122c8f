"""Events: sets of them, what they are registered for, and waiting."""

from __future__ import annotations

from time import sleep

from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device

__all__ = ["EventSet"]

#: What a device can tell of: ECC errors, performance state, Xids, clocks.
BASIC = 0x1C
ECC = 0x03


class EventSet:
    """What nvmlEventSetCreate makes: the devices to listen to, with the events of each."""

    __slots__ = ("registered",)

    def __init__(self) -> None:
        self.registered: dict[int, int] = {}  # device index -> event types


def supported(device: Device) -> int:
    return BASIC | ECC if device.ecc.current is not None else BASIC


@implements("nvmlEventSetCreate")
def create() -> EventSet:
    return EventSet()


@implements("nvmlEventSetFree")
def free(nvml: Nvml, set: EventSet) -> None:  # noqa: A002 (the C name)
    nvml.handles("nvmlEventSet_t").drop(set)


@implements("nvmlDeviceRegisterEvents")
def register(device: Device, event_types: int, set: EventSet) -> None:  # noqa: A002
    if event_types & ~supported(device):
        raise NvmlError(status.NOT_SUPPORTED)
    set.registered[device.index] = set.registered.get(device.index, 0) | event_types


@implements("nvmlEventSetWait", "nvmlEventSetWait_v2")
def wait(set: EventSet, timeoutms: int) -> dict[str, Any]:  # noqa: A002
    """No machine has events of its own yet: the wait ends when its time is over."""
    sleep(timeoutms / 1000)
    raise NvmlError(status.TIMEOUT)


implements_each({"nvmlDeviceGetSupportedEventTypes": supported})
