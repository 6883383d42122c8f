"""Copies of bytes in one piece, between host and device, devices, and arrays."""

from __future__ import annotations

from ctypes import memmove

from .. import _status as status
from ..error import CudaError
from ..library import Cuda, implements
from ..streams.stream import Stream, default
from .copy import DEVICE, HOST, UNIFIED, Copy, Place, submit
from .mapping import READ, WRITE
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..contexts.context import Context

__all__: list[str] = []


@implements("cuMemcpyHtoD", "cuMemcpyHtoD_v2")
def to_device(
    cuda: Cuda, per_thread: bool, dst_device: int, src_host: int, byte_count: int
) -> None:
    default(cuda, per_thread).synchronize()
    if byte_count:
        space = cuda.part(Space)
        space.range(dst_device, byte_count, READ | WRITE)
        space.check(src_host, byte_count)
        memmove(dst_device, src_host, byte_count)


@implements("cuMemcpyDtoH", "cuMemcpyDtoH_v2")
def to_host(cuda: Cuda, per_thread: bool, dst_host: int, src_device: int, byte_count: int) -> None:
    default(cuda, per_thread).synchronize()
    if byte_count:
        space = cuda.part(Space)
        space.range(src_device, byte_count)
        space.check(dst_host, byte_count, READ | WRITE)
        memmove(dst_host, src_device, byte_count)


@implements("cuMemcpyDtoD", "cuMemcpyDtoD_v2")
def on_device(
    cuda: Cuda, per_thread: bool, dst_device: int, src_device: int, byte_count: int
) -> None:
    default(cuda, per_thread).synchronize()
    if byte_count:
        space = cuda.part(Space)
        space.range(src_device, byte_count)
        space.range(dst_device, byte_count, READ | WRITE)
        memmove(dst_device, src_device, byte_count)


@implements("cuMemcpy")
def anywhere(cuda: Cuda, per_thread: bool, dst: int, src: int, byte_count: int) -> None:
    default(cuda, per_thread).synchronize()
    if byte_count:
        space = cuda.part(Space)
        space.check(src, byte_count)
        space.check(dst, byte_count, READ | WRITE)
        memmove(dst, src, byte_count)


# The contexts are those that the pointers are of; with unified addresses the pointers tell.
@implements("cuMemcpyPeer")
def peer(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    per_thread: bool,
    dst_device: int,
    dst_context: Context,
    src_device: int,
    src_context: Context,
    byte_count: int,
) -> None:
    _check_alive(dst_context, src_context)
    on_device(cuda, per_thread, dst_device, src_device, byte_count)


@implements("cuMemcpyHtoDAsync", "cuMemcpyHtoDAsync_v2")
def to_device_later(
    cuda: Cuda, dst_device: int, src_host: int, byte_count: int, h_stream: Stream
) -> None:
    _later(cuda, Place(DEVICE, dst_device), Place(HOST, src_host), byte_count, h_stream)


@implements("cuMemcpyDtoHAsync", "cuMemcpyDtoHAsync_v2")
def to_host_later(
    cuda: Cuda, dst_host: int, src_device: int, byte_count: int, h_stream: Stream
) -> None:
    _later(cuda, Place(HOST, dst_host), Place(DEVICE, src_device), byte_count, h_stream)


@implements("cuMemcpyDtoDAsync", "cuMemcpyDtoDAsync_v2")
def on_device_later(
    cuda: Cuda, dst_device: int, src_device: int, byte_count: int, h_stream: Stream
) -> None:
    _later(cuda, Place(DEVICE, dst_device), Place(DEVICE, src_device), byte_count, h_stream)


@implements("cuMemcpyAsync")
def anywhere_later(cuda: Cuda, dst: int, src: int, byte_count: int, h_stream: Stream) -> None:
    _later(cuda, Place(UNIFIED, dst), Place(UNIFIED, src), byte_count, h_stream)


@implements("cuMemcpyPeerAsync")
def peer_later(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    dst_device: int,
    dst_context: Context,
    src_device: int,
    src_context: Context,
    byte_count: int,
    h_stream: Stream,
) -> None:
    _check_alive(dst_context, src_context)
    on_device_later(cuda, dst_device, src_device, byte_count, h_stream)


def _later(cuda: Cuda, dst: Place, src: Place, size: int, stream: Stream) -> None:
    submit(stream, Copy.linear(cuda, dst, src, size))


def _check_alive(*contexts: Context) -> None:
    for context in contexts:
        if not context.alive:
            raise CudaError(status.INVALID_CONTEXT)
