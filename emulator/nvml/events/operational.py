"""GPU Operational Events, the structured format of Xids, and the wait that delivers both formats.

As nvml.h of CUDA 13.5 documents them. What it leaves to the source of an event (category, scope,
originator, ...) is 0.
"""

from __future__ import annotations

import ctypes

# The C side of `collections`, which imports more.
from _collections import deque  # type: ignore[import-not-found]

from ...api import NULL_PAGE
from ...machine.events import XID
from .. import _constants as constants
from .. import _status as status
from ..architectures import need
from ..library import Nvml, NvmlError, implements
from .events import LONGEST_QUEUE, NO_INSTANCE, EventSet, bit, next_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from ...machine.events import Event

__all__ = ["Operational"]

FATAL, RECOVERABLE, CORRECTED, INFORMATIONAL = 40, 30, 20, 10
LEVELS = {FATAL: 50, RECOVERABLE: 50, CORRECTED: 40, INFORMATIONAL: 30}

#: Severity of Xids, by the immediate action in NVIDIA's Xid catalog: fatal where it is to reset
#: the GPU or the machine, informational where it is to ignore it; others are recoverable.
SEVERITIES = {
    **dict.fromkeys((62, 64, 79, 95, 109, 119, 120, 140, 143), FATAL),
    **dict.fromkeys((43, 63), INFORMATIONAL),
    92: CORRECTED,
}

SOURCE = "NVRM"  # what the kernel driver signs its Xids with
FORMAT = 1  # of a context's payload, which is the Xid in 32 bits

#: What an event by its bit has none of, and an Xid of what nvml.h leaves to its source.
NOTHING = dict.fromkeys(
    (
        *("groupCursor", "instanceId", "traceId", "severity", "categoryId", "moduleEventCode"),
        *("scope", "originator", "moduleInstance", "chipletId", "logLevel", "attributes"),
        *("groupCperSize", "groupAttributes", "groupSize", "groupIndex"),
    ),
    0,
)


class Operational:
    """A set's subscriptions to GPU Operational Events.

    Attributes:
        subscriptions: device index -> least log level and severity of what is delivered.
        queue: the Xids that have happened and were not delivered yet.
    """

    def __init__(self) -> None:
        self.subscriptions: dict[int, set[tuple[int, int]]] = {}
        self.queue: deque[Event] = deque(maxlen=LONGEST_QUEUE)

    def hear(self, event: Event) -> None:
        """Queue an Xid that a subscription lets through."""
        if event.kind != XID:
            return
        severity = SEVERITIES.get(event.xid, RECOVERABLE)
        wanted = self.subscriptions.get(event.device.index, ())
        if any(LEVELS[severity] >= level and severity >= least for level, least in wanted):
            self.queue.append(event)

    def devices(self) -> set[int]:
        """The devices subscribed to, by index."""
        return {*self.subscriptions}


@implements("nvmlEventSetRegisterGpuOperationalEvents_v1")
def subscribe(nvml: Nvml, event_set: EventSet, config: Any) -> None:
    device = subject(nvml, config.uuid)
    need(device, "TURING")  # nvml.h: "For Turing or newer"
    nvml.machine.events.listen(event_set)
    if event_set.operational is None:
        event_set.operational = Operational()
    wanted = event_set.operational.subscriptions.setdefault(device.index, set())
    wanted.add((config.minLogLevel, config.minSeverity))


def subject(nvml: Nvml, uuid: bytes) -> Device:
    """The GPU of a UUID.

    Raises:
        NvmlError: INVALID_ARGUMENT: there is none; GPU_IS_LOST.
    """
    for device in nvml.devices:
        if device.uuid.encode() == uuid:
            if device.failure:
                raise NvmlError(nvml.api.codes.failed[device.failure])
            return device
    raise NvmlError(status.INVALID_ARGUMENT)


@implements("nvmlEventSetWait_v3")
def wait(nvml: Nvml, set: EventSet, params: Any) -> dict[str, Any]:  # noqa: A002 (the C name)
    """The next of either format, in the order in which they happened."""

    def take() -> tuple[Event, bool] | None:
        structured = set.operational.queue if set.operational is not None else ()
        if structured and (not set.queue or structured[0].number < set.queue[0].number):
            return structured.popleft(), True
        event = set.take()
        return None if event is None else (event, False)

    event, is_structured = next_event(nvml, set, params.timeoutMs, take)
    set.last = event, is_structured
    return {
        **NOTHING,
        "dataType": constants.EVENT_DATA_TYPE_NVML_EVENT,
        "uuid": event.device.uuid,
        "sourceModule": bytes(16),
        "eventType": bit(event),
        "eventData": event.xid,
        "timestampUsec": event.when // 1000,
        "gpuInstanceId": NO_INSTANCE,
        "computeInstanceId": NO_INSTANCE,
        **(structure(event) if is_structured else {}),
    }


def structure(event: Event) -> dict[str, Any]:
    """What the structured format says otherwise: an Xid is the one event of its group."""
    severity = SEVERITIES.get(event.xid, RECOVERABLE)
    return {
        "dataType": constants.EVENT_DATA_TYPE_GPU_OPERATIONAL_EVENT,
        "sourceModule": SOURCE.encode().ljust(16, b"\0"),
        "eventType": 0,
        "eventData": 0,
        "groupCursor": event.number,
        "instanceId": event.number,
        "severity": severity,
        "logLevel": LEVELS[severity],
        "moduleEventCode": event.xid,
        "attributes": constants.OPERATIONAL_EVENT_ATTR_PRIMARY,
        "groupSize": 1,
    }


# ---- the context of an event: of a structured one, its Xid


def contexts(set: EventSet) -> list[int]:  # noqa: A002
    """The Xids in the contexts of what `wait` gave out last.

    Raises:
        NvmlError: NOT_FOUND: it gave out nothing.
    """
    if set.last is None:
        raise NvmlError(status.NOT_FOUND)
    event, is_structured = set.last
    return [event.xid] if is_structured else []


def context(set: EventSet, index: int) -> int:  # noqa: A002
    """The Xid in a context.

    Raises:
        NvmlError: NOT_FOUND: `wait` gave out nothing; INVALID_ARGUMENT: there is no such context.
    """
    known = contexts(set)
    if index >= len(known):
        raise NvmlError(status.INVALID_ARGUMENT)
    return known[index]


@implements("nvmlEventSetGetContextCount_v1")
def context_count(set: EventSet) -> dict[str, int]:  # noqa: A002
    return {"count": len(contexts(set))}


@implements("nvmlEventSetGetContextInfo_v1")
def context_info(set: EventSet, params: Any) -> dict[str, int]:  # noqa: A002
    context(set, params.index)
    legacy = constants.GPU_OPERATIONAL_EVENT_CONTEXT_TYPE_LEGACY_XID
    return {
        "nvmlGpuOperationalEventContextType": legacy,
        "sourceEventContextType": legacy,
        "dataSize": ctypes.sizeof(ctypes.c_uint),
        "dataFormatVersion": FORMAT,
    }


@implements("nvmlEventSetGetContextData_v1")
def context_data(set: EventSet, params: Any) -> dict[str, int]:  # noqa: A002
    payload = context(set, params.index).to_bytes(ctypes.sizeof(ctypes.c_uint), "little")
    room, params.dataSize = params.dataSize, len(payload)
    if not params.data or room < len(payload):
        raise NvmlError(status.INSUFFICIENT_SIZE)
    if params.data < NULL_PAGE:
        raise NvmlError(status.INVALID_ARGUMENT)
    ctypes.memmove(params.data, payload, len(payload))
    return {}


@implements("nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1")
def context_xid(set: EventSet, params: Any) -> dict[str, int]:  # noqa: A002
    return {"xidCode": context(set, params.index)}
