"""Several copies by one call, and copies with attributes: hints that change nothing here but one,
when the source may be read."""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..streams.stream import Stream
from .copy import UNIFIED, Copy, Place, submit
from .copyparams import array_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence

__all__: list[str] = []

IN_CALL = constants.MEMCPY_SRC_ACCESS_ORDER_DURING_API_CALL
ORDERS = (constants.MEMCPY_SRC_ACCESS_ORDER_STREAM, IN_CALL, constants.MEMCPY_SRC_ACCESS_ORDER_ANY)
POINTER, OF_ARRAY = constants.MEMCPY_OPERAND_TYPE_POINTER, constants.MEMCPY_OPERAND_TYPE_ARRAY
FLAGS = constants.MEMCPY_FLAG_PREFER_OVERLAP_WITH_COMPUTE

NO_ONE = ctypes.c_size_t(-1).value  # the index of what failed, when it was none of the copies


def _flat(cuda: Cuda, dst: int, src: int, size: int, attributes: Any) -> Copy:
    _check(attributes.srcAccessOrder, attributes.flags)
    return Copy.linear(cuda, Place(UNIFIED, dst), Place(UNIFIED, src), size)


def _check(order: int, flags: int) -> None:
    if order not in ORDERS or flags & ~FLAGS:
        raise CudaError(status.INVALID_VALUE)


def _enqueue(stream: Stream, copy: Copy, order: int) -> None:
    if order == IN_CALL and stream.capture is None:
        copy.check()
        copy.stage()
    submit(stream, copy)


# The legacy default stream is refused: the reference.
def _check_stream(stream: Stream) -> None:
    if stream.is_legacy:
        raise CudaError(status.INVALID_VALUE)


@implements("cuMemcpyBatchAsync_v2")
def batch(  # noqa: PLR0913, PLR0917  (C's parameters)
    cuda: Cuda,
    dsts: Sequence[int],
    srcs: Sequence[int],
    sizes: Sequence[int],
    count: int,
    attrs: Sequence[Any],
    attrs_idxs: Sequence[int],
    num_attrs: int,
    h_stream: Stream,
) -> None:
    """Attributes i are those of the copies from `attrs_idxs[i]` to the next one's."""
    _check_stream(h_stream)
    firsts = list(attrs_idxs)
    if not count or not num_attrs or num_attrs > count or firsts[0]:
        raise CudaError(status.INVALID_VALUE)
    if firsts != sorted(set(firsts)) or firsts[-1] >= count:
        raise CudaError(status.INVALID_VALUE)
    copies = []
    for index in range(count):
        attributes = attrs[sum(first <= index for first in firsts) - 1]
        copy = _flat(cuda, dsts[index], srcs[index], sizes[index], attributes)
        if h_stream.capture is None:
            copy.check()
        copies.append((copy, attributes.srcAccessOrder))
    for copy, order in copies:
        _enqueue(h_stream, copy, order)


@implements("cuMemcpyBatchAsync", raw=("failIdx",))
def batch_v1(  # noqa: PLR0913, PLR0917  (C's parameters)
    cuda: Cuda,
    dsts: Sequence[int],
    srcs: Sequence[int],
    sizes: Sequence[int],
    count: int,
    attrs: Sequence[Any],
    attrs_idxs: Sequence[int],
    num_attrs: int,
    fail_idx: int,
    h_stream: Stream,
) -> None:
    try:
        batch(cuda, dsts, srcs, sizes, count, attrs, attrs_idxs, num_attrs, h_stream)
    except CudaError:
        _tell(fail_idx, _first_bad(cuda, zip(dsts, srcs, sizes)))
        raise


def _first_bad(cuda: Cuda, copies: Any) -> int:
    """Which of some flat copies cannot be made."""
    for index, (dst, src, size) in enumerate(copies):
        try:
            Copy.linear(cuda, Place(UNIFIED, dst), Place(UNIFIED, src), size).check()
        except CudaError:
            return int(index)
    return NO_ONE


def _tell(address: int, index: int) -> None:
    if address >= NULL_PAGE:
        ctypes.c_size_t.from_address(address).value = index


@implements("cuMemcpyWithAttributesAsync")
def with_attributes(cuda: Cuda, dst: int, src: int, size: int, attr: Any, h_stream: Stream) -> None:
    _check_stream(h_stream)
    _enqueue(h_stream, _flat(cuda, dst, src, size, attr), attr.srcAccessOrder)


# ---- boxes


def _box(cuda: Cuda, op: Any) -> Copy:
    """A copy of a box; with an array on either side, extents and offsets are in elements."""
    _check(op.srcAccessOrder, op.flags)
    element = _element(cuda, op.src) or _element(cuda, op.dst) or 1
    extent = (op.extent.width * element, op.extent.height, op.extent.depth)
    dst, src = (_side(cuda, side, extent, element) for side in (op.dst, op.src))
    return Copy(cuda, dst, src, extent)


def _array(cuda: Cuda, operand: Any) -> Any:
    array = cuda.handles("CUarray").objects.get(operand.op.array.array)
    if array is None:
        raise CudaError(status.INVALID_HANDLE)
    return array


def _element(cuda: Cuda, operand: Any) -> int:
    return _array(cuda, operand).shape.element if operand.type == OF_ARRAY else 0


def _side(cuda: Cuda, operand: Any, extent: tuple[int, int, int], element: int) -> Place:
    if operand.type == OF_ARRAY:
        offset = operand.op.array.offset
        return array_place(_array(cuda, operand), (offset.x * element, offset.y, offset.z), extent)
    if operand.type != POINTER:
        raise CudaError(status.INVALID_VALUE)
    width, height, _ = extent
    pitch = operand.op.ptr.rowLength * element or width
    rows = operand.op.ptr.layerHeight or height
    if pitch < width or rows < height:
        raise CudaError(status.INVALID_VALUE)
    return Place(UNIFIED, operand.op.ptr.ptr, pitch, pitch * rows)


@implements("cuMemcpy3DBatchAsync_v2")
def boxes(cuda: Cuda, num_ops: int, op_list: Sequence[Any], flags: int, h_stream: Stream) -> None:
    _check_stream(h_stream)
    if flags or not num_ops:
        raise CudaError(status.INVALID_VALUE)
    copies = [(_box(cuda, op), op.srcAccessOrder) for op in op_list]
    if h_stream.capture is None:
        for copy, _ in copies:
            copy.check()
    for copy, order in copies:
        _enqueue(h_stream, copy, order)


@implements("cuMemcpy3DBatchAsync", raw=("failIdx",))
def boxes_v1(
    cuda: Cuda, num_ops: int, op_list: Sequence[Any], fail_idx: int, flags: int, h_stream: Stream
) -> None:
    for index, op in enumerate(op_list):
        try:
            _box(cuda, op).check()
        except CudaError:
            _tell(fail_idx, index)
            raise
    try:
        boxes(cuda, num_ops, op_list, flags, h_stream)
    except CudaError:
        _tell(fail_idx, NO_ONE)
        raise


@implements("cuMemcpy3DWithAttributesAsync")
def box_with_attributes(cuda: Cuda, op: Any, flags: int, h_stream: Stream) -> None:
    _check_stream(h_stream)
    if flags:
        raise CudaError(status.INVALID_VALUE)
    _enqueue(h_stream, _box(cuda, op), op.srcAccessOrder)
