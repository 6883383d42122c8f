"""The cuStream functions: making streams, asking about them, waiting for them (see stream.py)."""

from __future__ import annotations

from ...api import NULL
from .. import _status as status
from ..contexts.context import Context
from ..library import Cuda, CudaError, api, implements
from .stream import NON_BLOCKING, Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from .stream import Stream

__all__ = ["clamped"]

LEAST_PRIORITY = 0

# The greatest priority by the major number of the compute capability, as programs print it
# (cudaDeviceGetStreamPriorityRange): -5 since Volta, -1 before.
GREATEST_PRIORITY = -5
GREATEST_PRIORITY_BEFORE_VOLTA = -1
VOLTA = 7

ATTACH_FLAGS = (1, 2, 4)  # CU_MEM_ATTACH_GLOBAL, _HOST, _SINGLE

ACCESS_POLICY_WINDOW, SYNCHRONIZATION_POLICY, PRIORITY = 1, 3, 8
MEM_SYNC_DOMAIN_MAP, MEM_SYNC_DOMAIN = 9, 10

# Attribute of a stream -> the field of CUlaunchAttributeValue that holds it.
ATTRIBUTES = {
    ACCESS_POLICY_WINDOW: "accessPolicyWindow",
    SYNCHRONIZATION_POLICY: "syncPolicy",
    PRIORITY: "priority",
    MEM_SYNC_DOMAIN_MAP: "memSyncDomainMap",
    MEM_SYNC_DOMAIN: "memSyncDomain",
}
SYNCHRONIZATION_POLICIES = (1, 2, 3, 4)
MEM_SYNC_DOMAINS = (0, 1)


def _priorities(device: Device) -> tuple[int, int]:
    """The least and the greatest priority; both 0 where the device has none."""
    if not device.cuda_attribute("STREAM_PRIORITIES_SUPPORTED"):
        return LEAST_PRIORITY, LEAST_PRIORITY
    if device.compute_capability[0] < VOLTA:
        return LEAST_PRIORITY, GREATEST_PRIORITY_BEFORE_VOLTA
    return LEAST_PRIORITY, GREATEST_PRIORITY


def clamped(device: Device, priority: int) -> int:
    """A priority, brought into the device's range."""
    least, greatest = _priorities(device)
    return max(greatest, min(least, priority))


@implements("cuCtxGetStreamPriorityRange", nullable=("leastPriority", "greatestPriority"))
def priority_range(cuda: Cuda) -> tuple[int, int]:
    return _priorities(cuda.contexts.current().device)


@implements("cuStreamCreate")
def create(cuda: Cuda, flags: int) -> Stream:
    return create_with_priority(cuda, flags, LEAST_PRIORITY)


@implements("cuStreamCreateWithPriority")
def create_with_priority(cuda: Cuda, flags: int, priority: int) -> Stream:
    """A priority out of range is brought into it."""
    context = cuda.contexts.current()
    if flags & ~NON_BLOCKING:
        raise CudaError(status.INVALID_VALUE)
    return context.part(Streams).make(flags, clamped(context.device, priority))


@implements("cuStreamDestroy", "cuStreamDestroy_v2")
def destroy(cuda: Cuda, h_stream: Stream) -> None:
    streams = h_stream.context.part(Streams)
    if h_stream not in streams.made:  # a default stream
        raise CudaError(status.INVALID_HANDLE)
    if h_stream.capture is not None:
        h_stream.capture.lose(h_stream)
    streams.drop(h_stream)


@implements("cuStreamQuery")
def query(h_stream: Stream) -> None:
    if not h_stream.is_idle():
        raise CudaError(status.NOT_READY)
    h_stream.context.check()


@implements("cuStreamSynchronize")
def synchronize(h_stream: Stream) -> None:
    h_stream.synchronize()
    h_stream.schedule.waited()


@implements("cuStreamGetFlags")
def get_flags(h_stream: Stream) -> int:
    return h_stream.flags


@implements("cuStreamGetPriority")
def get_priority(h_stream: Stream) -> int:
    return h_stream.priority


@implements("cuStreamGetId")
def get_id(h_stream: Stream) -> int:
    return h_stream.number


@implements("cuStreamGetCtx")
def get_context(h_stream: Stream) -> Context:
    return h_stream.context


@implements("cuStreamGetCtx_v2")
def get_contexts(h_stream: Stream) -> tuple[Context, Any]:
    """The primary context beside a green one; else the second is NULL."""
    from ..contexts.green import GreenContext, primary_of

    context = h_stream.context
    return primary_of(context), context if isinstance(context, GreenContext) else NULL


@implements("cuStreamGetDevice")
def get_device(h_stream: Stream) -> Device:
    return h_stream.context.device


# What a stream is attached to tells a real device when managed memory may move. Here it does not.
@implements("cuStreamAttachMemAsync")
def attach(cuda: Cuda, h_stream: Stream, dptr: int, length: int, flags: int) -> None:
    from ..memory.space import Space

    block = cuda.part(Space).find(dptr)
    if flags not in ATTACH_FLAGS or block is None or block.kind != "managed":
        raise CudaError(status.INVALID_VALUE)
    if block.address != dptr or length not in (0, block.size):
        raise CudaError(status.INVALID_VALUE)


def _field(attribute: int) -> str:
    field = ATTRIBUTES.get(attribute)
    if field is None:
        raise CudaError(status.INVALID_VALUE)
    return field


@implements("cuStreamGetAttribute")
def get_attribute(h_stream: Stream, attr: int) -> dict[str, Any]:
    return {"pad": bytes(api.types["CUlaunchAttributeValue"].pad.size), **_value(h_stream, attr)}


def _value(stream: Stream, attribute: int) -> dict[str, Any]:
    field = _field(attribute)
    if attribute in stream.attributes:
        return {"pad": stream.attributes[attribute]}
    defaults: dict[int, Any] = {
        SYNCHRONIZATION_POLICY: SYNCHRONIZATION_POLICIES[0],
        PRIORITY: stream.priority,
        MEM_SYNC_DOMAIN_MAP: {"default_": 0, "remote": 1},
    }
    return {field: defaults[attribute]} if attribute in defaults else {}


@implements("cuStreamSetAttribute")
def set_attribute(h_stream: Stream, attr: int, value: Any) -> None:
    field = getattr(value, _field(attr))
    allowed = {
        SYNCHRONIZATION_POLICY: SYNCHRONIZATION_POLICIES,
        MEM_SYNC_DOMAIN: MEM_SYNC_DOMAINS,
    }
    if attr in allowed and field not in allowed[attr]:
        raise CudaError(status.INVALID_VALUE)
    if attr == PRIORITY:
        least, greatest = _priorities(h_stream.context.device)
        if not greatest <= field <= least:
            raise CudaError(status.INVALID_VALUE)
        h_stream.priority = field
    h_stream.attributes[attr] = bytes(value)


@implements("cuStreamCopyAttributes")
def copy_attributes(dst: Stream, src: Stream) -> None:
    dst.attributes = dict(src.attributes)
    dst.priority = src.priority
