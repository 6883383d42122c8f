"""Stream memory operations: waiting for a value in memory, and writing one.

Source: NVIDIA's driver API reference, "Stream Memory Operations". Those of the first version are
off unless the kernel module was told otherwise, which the device's attributes say.
"""

from __future__ import annotations

import ctypes

from .. import _status as status
from .._constants import GRAPH_NODE_TYPE_BATCH_MEM_OP
from ..error import CudaError
from ..library import Cuda, api, implements
from ..memory.space import Space
from .operation import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Callable

    from ...machine import Device
    from ..contexts.context import Context
    from .stream import Stream

__all__ = ["BatchMemOp"]

MOST = 256  # operations in a batch

GEQ, EQ, AND, NOR = range(4)
COMPARISON = 3
FLUSH = 1 << 30
NO_MEMORY_BARRIER = 1

# CUstreamBatchMemOpType
WAIT_32, WRITE_32, FLUSH_REMOTE_WRITES, WAIT_64, WRITE_64, BARRIER = range(1, 7)
WAITS = {WAIT_32: 4, WAIT_64: 8}  # bytes
WRITES = {WRITE_32: 4, WRITE_64: 8}

WORDS = {4: ctypes.c_uint32, 8: ctypes.c_uint64}

# Comparison -> whether the word in memory satisfies it; `sign` is the words' highest bit.
SATISFIED: dict[int, Callable[[int, int, int], bool]] = {
    GEQ: lambda word, value, sign: not (word - value) & sign,
    EQ: lambda word, value, sign: word == value,
    AND: lambda word, value, sign: bool(word & value),
    NOR: lambda word, value, sign: bool(~(word | value) & (2 * sign - 1)),
}


class MemOp(Operation):
    """What is done with one word of memory, of 4 or 8 bytes.

    Attributes:
        codes: its CUstreamBatchMemOpType, with a word of 4 bytes and of 8.
    """

    __slots__ = ("address", "flags", "size", "space", "value")

    kind = GRAPH_NODE_TYPE_BATCH_MEM_OP
    codes: tuple[int, int]

    def __init__(self, space: Space, address: int, size: int, value: int, flags: int) -> None:
        if address % size:
            raise CudaError(status.INVALID_VALUE)
        space.range(address, size)
        self.space = space
        self.address = address
        self.size = size
        self.flags = flags
        self.value = value & (1 << 8 * size) - 1

    def word(self) -> Any:
        """The word, in place; ILLEGAL_ADDRESS once the memory is freed."""
        try:
            self.space.range(self.address, self.size)
        except CudaError:
            raise CudaError(status.ILLEGAL_ADDRESS) from None
        return WORDS[self.size].from_address(self.address)

    def describe(self, params: Any) -> None:
        """Fill in a CUstreamBatchMemOpParams."""
        params.operation = self.codes[self.size // 8]
        params.writeValue.address = self.address  # it lies as in waitValue
        params.writeValue._anonymous0.value64 = self.value
        params.writeValue.flags = self.flags


class WaitValue(MemOp):
    """Wait until a word compares with a value as it should."""

    __slots__ = ()

    codes = WAIT_32, WAIT_64
    polls = True

    def ready(self) -> bool:
        """Whether it does now."""
        sign = 1 << 8 * self.size - 1
        return SATISFIED[self.flags & COMPARISON](self.word().value, self.value, sign)

    def run(self) -> None:
        """Waiting was all."""


class WriteValue(MemOp):
    """Write a value to a word."""

    __slots__ = ()

    codes = WRITE_32, WRITE_64

    def run(self) -> None:
        """Write it."""
        self.word().value = self.value


class BatchMemOp(Operation):
    """Several of these, one after the other: what a graph's node holds."""

    __slots__ = ("_array", "context", "steps")

    kind = GRAPH_NODE_TYPE_BATCH_MEM_OP

    def __init__(self, context: Context, steps: Sequence[MemOp]) -> None:
        self.context = context
        self.steps = steps
        self._array: Any = None

    def issue(self, stream: Stream) -> Sequence[Operation]:
        """Each is submitted by itself."""
        return self.steps

    @classmethod
    def from_params(cls, cuda: Cuda, params: Any) -> BatchMemOp:
        """Of a CUDA_BATCH_MEM_OP_NODE_PARAMS."""
        context = cuda.handles("CUcontext").objects.get(params.ctx)
        if context is None or not params.paramArray:
            raise CudaError(status.INVALID_VALUE)
        kind = api.types["CUstreamBatchMemOpParams"] * min(params.count, MOST + 1)
        batch = kind.from_address(params.paramArray)
        return cls(context, Maker(cuda, context.device).steps(batch, params.flags))

    def params(self) -> dict[str, int]:
        """The fields of a CUDA_BATCH_MEM_OP_NODE_PARAMS; its array is good as long as this is."""
        if self._array is None:
            self._array = (api.types["CUstreamBatchMemOpParams"] * len(self.steps))()
            for place, step in zip(self._array, self.steps):
                step.describe(place)
        context = self.context.cuda.handles("CUcontext").give(self.context)
        array = ctypes.addressof(self._array)
        return {"ctx": context, "count": len(self.steps), "paramArray": array, "flags": 0}


class Maker:
    """Makes operations for a device, as functions of this version of them ask for."""

    def __init__(self, cuda: Cuda, device: Device, version: int = 2) -> None:
        self._space = cuda.part(Space)
        self._device = device
        self._version = version

    def wait(self, address: int, size: int, value: int, flags: int) -> WaitValue:
        """Waiting for a word of `size` bytes."""
        if flags & ~(COMPARISON | FLUSH):
            raise CudaError(status.INVALID_VALUE)
        self._check(size, flags)
        return WaitValue(self._space, address, size, value, flags)

    def write(self, address: int, size: int, value: int, flags: int) -> WriteValue:
        """Writing a word of `size` bytes."""
        if flags & ~NO_MEMORY_BARRIER:
            raise CudaError(status.INVALID_VALUE)
        self._check(size, 0)
        return WriteValue(self._space, address, size, value, flags)

    def steps(self, batch: Sequence[Any], flags: int) -> Sequence[MemOp]:
        """Of CUstreamBatchMemOpParams; barriers and flushes have nothing to order here."""
        if flags or not 0 < len(batch) <= MOST:
            raise CudaError(status.INVALID_VALUE)
        steps: list[MemOp] = []
        for params in batch:
            if params.operation in WAITS:
                size, what = WAITS[params.operation], params.waitValue
                steps.append(self.wait(what.address, size, _value(what, size), what.flags))
            elif params.operation in WRITES:
                size, what = WRITES[params.operation], params.writeValue
                steps.append(self.write(what.address, size, _value(what, size), what.flags))
            elif params.operation == FLUSH_REMOTE_WRITES:
                self._check(0, FLUSH)
            elif params.operation != BARRIER:
                raise CudaError(status.INVALID_VALUE)
        return steps

    def _check(self, size: int, flags: int) -> None:
        """NOT_SUPPORTED where an attribute of the device says so."""
        suffix = "_V1" if self._version == 1 else ""
        needed = ["CAN_USE_STREAM_MEM_OPS_V1"] if suffix else []
        if size == WAITS[WAIT_64]:
            needed.append("CAN_USE_64_BIT_STREAM_MEM_OPS" + suffix)
        if flags & COMPARISON == NOR:
            needed.append("CAN_USE_STREAM_WAIT_VALUE_NOR" + suffix)
        if flags & FLUSH:
            needed.append("CAN_FLUSH_REMOTE_WRITES")
        if not all(self._device.cuda_attribute(name) for name in needed):
            raise CudaError(status.NOT_SUPPORTED)


def _value(params: Any, size: int) -> int:
    either = params._anonymous0
    return int(either.value if size == WAITS[WAIT_32] else either.value64)


def _submit(stream: Stream, steps: Sequence[MemOp]) -> None:
    """One node of a capture; else one after the other."""
    if stream.capture is not None:
        stream.submit(BatchMemOp(stream.context, steps))
        return
    for step in steps:
        stream.submit(step)


def _maker(cuda: Cuda, stream: Stream, version: int = 2) -> Maker:
    return Maker(cuda, stream.context.device, version)


@implements("cuStreamWaitValue32")
def wait_32_before_cuda_12(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream, 1).wait(addr, 4, value, flags)])


@implements("cuStreamWaitValue64")
def wait_64_before_cuda_12(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream, 1).wait(addr, 8, value, flags)])


@implements("cuStreamWriteValue32")
def write_32_before_cuda_12(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream, 1).write(addr, 4, value, flags)])


@implements("cuStreamWriteValue64")
def write_64_before_cuda_12(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream, 1).write(addr, 8, value, flags)])


@implements("cuStreamBatchMemOp")
def batch_before_cuda_12(
    cuda: Cuda, stream: Stream, param_array: Sequence[Any], flags: int
) -> None:
    _submit(stream, _maker(cuda, stream, 1).steps(param_array, flags))


@implements("cuStreamWaitValue32_v2")
def wait_32(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream).wait(addr, 4, value, flags)])


@implements("cuStreamWaitValue64_v2")
def wait_64(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream).wait(addr, 8, value, flags)])


@implements("cuStreamWriteValue32_v2")
def write_32(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream).write(addr, 4, value, flags)])


@implements("cuStreamWriteValue64_v2")
def write_64(cuda: Cuda, stream: Stream, addr: int, value: int, flags: int) -> None:
    _submit(stream, [_maker(cuda, stream).write(addr, 8, value, flags)])


@implements("cuStreamBatchMemOp_v2")
def batch(cuda: Cuda, stream: Stream, param_array: Sequence[Any], flags: int) -> None:
    _submit(stream, _maker(cuda, stream).steps(param_array, flags))
