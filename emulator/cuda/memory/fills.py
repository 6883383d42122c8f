"""The memsets: of one row or of several, at once or in a stream."""

from __future__ import annotations

from ..library import Cuda, implements
from ..streams.stream import Stream, default
from .fill import Fill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

__all__: list[str] = []

#: Bits of an element, in the functions' names -> the C parameter of its value, and its bytes.
ELEMENTS: dict[str, dict[str, Union[str, int]]] = {
    "8": {"value": "uc", "size": 1},
    "16": {"value": "us", "size": 2},
    "32": {"value": "ui", "size": 4},
}


def _now(cuda: Cuda, per_thread: bool, fill: Fill) -> None:
    default(cuda, per_thread).synchronize()
    fill.check()
    fill.move()


def _later(stream: Stream, fill: Fill) -> None:
    if stream.capture is None:  # a graph may allocate the memory itself
        fill.check()
    stream.submit(fill)


def row_now(cuda: Cuda, per_thread: bool, dst_device: int, value: int, size: int, n: int) -> None:
    _now(cuda, per_thread, Fill(cuda, dst_device, value, size, width=n))


def row_later(cuda: Cuda, dst_device: int, value: int, size: int, n: int, h_stream: Stream) -> None:
    _later(h_stream, Fill(cuda, dst_device, value, size, width=n))


def rows_now(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    per_thread: bool,
    dst_device: int,
    dst_pitch: int,
    value: int,
    size: int,
    width: int,
    height: int,
) -> None:
    fill = Fill(cuda, dst_device, value, size, width=width, height=height, pitch=dst_pitch)
    _now(cuda, per_thread, fill)


def rows_later(  # noqa: PLR0917  (C's parameters)
    cuda: Cuda,
    dst_device: int,
    dst_pitch: int,
    value: int,
    size: int,
    width: int,
    height: int,
    h_stream: Stream,
) -> None:
    fill = Fill(cuda, dst_device, value, size, width=width, height=height, pitch=dst_pitch)
    _later(h_stream, fill)


for _bits, _given in ELEMENTS.items():
    implements(f"cuMemsetD{_bits}", f"cuMemsetD{_bits}_v2", given=_given)(row_now)
    implements(f"cuMemsetD{_bits}Async", given=_given)(row_later)
    implements(f"cuMemsetD2D{_bits}", f"cuMemsetD2D{_bits}_v2", given=_given)(rows_now)
    implements(f"cuMemsetD2D{_bits}Async", given=_given)(rows_later)
