"""The memsets: of one row or of several, at once or in a stream."""

from __future__ import annotations

from ..library import Cuda, implements
from ..streams.stream import Stream, default
from .fill import Fill

__all__: list[str] = []


def _now(cuda: Cuda, per_thread: bool, fill: Fill) -> None:
    default(cuda, per_thread).synchronize()
    fill.check()
    fill.move()


def _later(stream: Stream, fill: Fill) -> None:
    if stream.capture is None:  # a graph may allocate the memory itself
        fill.check()
    stream.submit(fill)


@implements("cuMemsetD8", "cuMemsetD8_v2")
def bytes_now(cuda: Cuda, per_thread: bool, dst_device: int, uc: int, n: int) -> None:
    _now(cuda, per_thread, Fill(cuda, dst_device, uc, 1, width=n))


@implements("cuMemsetD16", "cuMemsetD16_v2")
def shorts_now(cuda: Cuda, per_thread: bool, dst_device: int, us: int, n: int) -> None:
    _now(cuda, per_thread, Fill(cuda, dst_device, us, 2, width=n))


@implements("cuMemsetD32", "cuMemsetD32_v2")
def words_now(cuda: Cuda, per_thread: bool, dst_device: int, ui: int, n: int) -> None:
    _now(cuda, per_thread, Fill(cuda, dst_device, ui, 4, width=n))


@implements("cuMemsetD8Async")
def bytes_later(cuda: Cuda, dst_device: int, uc: int, n: int, h_stream: Stream) -> None:
    _later(h_stream, Fill(cuda, dst_device, uc, 1, width=n))


@implements("cuMemsetD16Async")
def shorts_later(cuda: Cuda, dst_device: int, us: int, n: int, h_stream: Stream) -> None:
    _later(h_stream, Fill(cuda, dst_device, us, 2, width=n))


@implements("cuMemsetD32Async")
def words_later(cuda: Cuda, dst_device: int, ui: int, n: int, h_stream: Stream) -> None:
    _later(h_stream, Fill(cuda, dst_device, ui, 4, width=n))


@implements("cuMemsetD2D8", "cuMemsetD2D8_v2")
def rows_of_bytes_now(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda, per_thread: bool, dst_device: int, dst_pitch: int, uc: int, width: int, height: int
) -> None:
    _now(
        cuda, per_thread, Fill(cuda, dst_device, uc, 1, width=width, height=height, pitch=dst_pitch)
    )


@implements("cuMemsetD2D16", "cuMemsetD2D16_v2")
def rows_of_shorts_now(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda, per_thread: bool, dst_device: int, dst_pitch: int, us: int, width: int, height: int
) -> None:
    _now(
        cuda, per_thread, Fill(cuda, dst_device, us, 2, width=width, height=height, pitch=dst_pitch)
    )


@implements("cuMemsetD2D32", "cuMemsetD2D32_v2")
def rows_of_words_now(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda, per_thread: bool, dst_device: int, dst_pitch: int, ui: int, width: int, height: int
) -> None:
    _now(
        cuda, per_thread, Fill(cuda, dst_device, ui, 4, width=width, height=height, pitch=dst_pitch)
    )


@implements("cuMemsetD2D8Async")
def rows_of_bytes_later(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda, dst_device: int, dst_pitch: int, uc: int, width: int, height: int, h_stream: Stream
) -> None:
    _later(h_stream, Fill(cuda, dst_device, uc, 1, width=width, height=height, pitch=dst_pitch))


@implements("cuMemsetD2D16Async")
def rows_of_shorts_later(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda, dst_device: int, dst_pitch: int, us: int, width: int, height: int, h_stream: Stream
) -> None:
    _later(h_stream, Fill(cuda, dst_device, us, 2, width=width, height=height, pitch=dst_pitch))


@implements("cuMemsetD2D32Async")
def rows_of_words_later(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda, dst_device: int, dst_pitch: int, ui: int, width: int, height: int, h_stream: Stream
) -> None:
    _later(h_stream, Fill(cuda, dst_device, ui, 4, width=width, height=height, pitch=dst_pitch))
