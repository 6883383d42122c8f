"""Copies in one piece into arrays and out of them; offsets are in bytes."""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from ..memory.copy import ARRAY, DEVICE, HOST, Copy, Place, submit
from ..streams.stream import Stream, default
from .array import Array

__all__: list[str] = []


def _place(array: Array, offset: int, size: int) -> Place:
    if offset + size > array.shape.size:
        raise CudaError(status.INVALID_VALUE)
    place = Place(ARRAY, array.address + offset)
    place.array = array
    return place


def _now(cuda: Cuda, per_thread: bool, dst: Place, src: Place, size: int) -> None:
    default(cuda, per_thread).synchronize()
    copy = Copy.linear(cuda, dst, src, size)
    copy.check()
    copy.move()


@implements("cuMemcpyHtoA", "cuMemcpyHtoA_v2")
def from_host(
    cuda: Cuda, per_thread: bool, dst_array: Array, dst_offset: int, src_host: int, byte_count: int
) -> None:
    place = _place(dst_array, dst_offset, byte_count)
    _now(cuda, per_thread, place, Place(HOST, src_host), byte_count)


@implements("cuMemcpyAtoH", "cuMemcpyAtoH_v2")
def to_host(
    cuda: Cuda, per_thread: bool, dst_host: int, src_array: Array, src_offset: int, byte_count: int
) -> None:
    place = _place(src_array, src_offset, byte_count)
    _now(cuda, per_thread, Place(HOST, dst_host), place, byte_count)


@implements("cuMemcpyDtoA", "cuMemcpyDtoA_v2")
def from_device(
    cuda: Cuda,
    per_thread: bool,
    dst_array: Array,
    dst_offset: int,
    src_device: int,
    byte_count: int,
) -> None:
    place = _place(dst_array, dst_offset, byte_count)
    _now(cuda, per_thread, place, Place(DEVICE, src_device), byte_count)


@implements("cuMemcpyAtoD", "cuMemcpyAtoD_v2")
def to_device(
    cuda: Cuda,
    per_thread: bool,
    dst_device: int,
    src_array: Array,
    src_offset: int,
    byte_count: int,
) -> None:
    place = _place(src_array, src_offset, byte_count)
    _now(cuda, per_thread, Place(DEVICE, dst_device), place, byte_count)


# Elements of both must be of one size, and only whole ones are copied: the reference.
@implements("cuMemcpyAtoA", "cuMemcpyAtoA_v2")
def between(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    per_thread: bool,
    dst_array: Array,
    dst_offset: int,
    src_array: Array,
    src_offset: int,
    byte_count: int,
) -> None:
    element = src_array.shape.element
    if element != dst_array.shape.element or byte_count % element:
        raise CudaError(status.INVALID_VALUE)
    dst, src = _place(dst_array, dst_offset, byte_count), _place(src_array, src_offset, byte_count)
    _now(cuda, per_thread, dst, src, byte_count)


@implements("cuMemcpyHtoAAsync", "cuMemcpyHtoAAsync_v2")
def from_host_later(
    cuda: Cuda, dst_array: Array, dst_offset: int, src_host: int, byte_count: int, h_stream: Stream
) -> None:
    place = _place(dst_array, dst_offset, byte_count)
    submit(h_stream, Copy.linear(cuda, place, Place(HOST, src_host), byte_count))


@implements("cuMemcpyAtoHAsync", "cuMemcpyAtoHAsync_v2")
def to_host_later(
    cuda: Cuda, dst_host: int, src_array: Array, src_offset: int, byte_count: int, h_stream: Stream
) -> None:
    place = _place(src_array, src_offset, byte_count)
    submit(h_stream, Copy.linear(cuda, Place(HOST, dst_host), place, byte_count))
