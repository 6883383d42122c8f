"""A copy: bytes of up to three dimensions, from one place to another.

Each place is what CUDA_MEMCPY3D says of it. What is checked when the call is made is checked again
when the bytes are moved: a stream may do it later, and a graph any number of times.
"""

from __future__ import annotations

from ctypes import memmove, string_at

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..streams.operation import Operation
from .mapping import READ, WRITE
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Optional

    from ..library import Cuda
    from ..streams.stream import Stream

__all__ = ["ARRAY", "DEVICE", "HOST", "UNIFIED", "Copy", "Place", "submit"]

HOST, DEVICE, ARRAY, UNIFIED = 1, 2, 3, 4  # CUmemorytype
COPY = constants.GRAPH_NODE_TYPE_MEMCPY


class Place:
    """Where a copy reads or writes: an address, or a position in an array.

    `pitch` and `slice` are the bytes from row to row and from slice to slice.
    """

    __slots__ = ("address", "array", "pitch", "slice", "type")

    def __init__(self, kind: int, address: int, pitch: int = 0, layer: int = 0) -> None:
        self.type = kind
        self.address = address
        self.pitch = pitch
        self.slice = layer
        self.array: Any = None

    def check(self, cuda: Cuda, rows: tuple[int, int, int], access: int) -> None:
        """Refuse what may not be read (or written) there: INVALID_VALUE.

        `rows` is how many bytes, rows and slices.
        """
        if self.array is not None:
            if not self.array.alive:
                raise CudaError(status.INVALID_HANDLE)
            return
        space = cuda.part(Space)
        width, height, depth = rows
        span = width + self.pitch * (height - 1) + self.slice * (depth - 1)
        if self.type == DEVICE:
            space.range(self.address, span, access)
            return
        try:
            space.check(self.address, span, access)
        except CudaError:
            if self.pitch == width or height * depth == 1:
                raise
            # What lies between rows need not be there. A wrong extent mostly shows in the last.
            space.check(self.address + span - width, width, access)
            for start in self.rows(height, depth):
                space.check(start, width, access)

    def rows(self, height: int, depth: int) -> Iterator[int]:
        """The address of each row."""
        return (
            self.address + self.slice * z + self.pitch * y
            for z in range(depth)
            for y in range(height)
        )


class Copy(Operation):
    """Moving `width` bytes of `height` rows of `depth` slices."""

    __slots__ = ("_params", "checked", "cuda", "dst", "extent", "src", "staged")

    kind = COPY

    def __init__(
        self, cuda: Cuda, dst: Place, src: Place, extent: tuple[int, int, int], params: Any = None
    ) -> None:
        """`params` is the CUDA_MEMCPY3D that it was made of, if any."""
        self.cuda = cuda
        self.dst = dst
        self.src = src
        self.extent = extent
        self.staged: Optional[bytes] = None
        self.checked = False  # a moment ago
        self._params = params

    @classmethod
    def linear(cls, cuda: Cuda, dst: Place, src: Place, size: int) -> Copy:
        """A copy of `size` bytes in one piece."""
        return cls(cuda, dst, src, (size, 1, 1))

    @classmethod
    def from_params(cls, cuda: Cuda, params: Any) -> Copy:
        """The copy that a CUDA_MEMCPY2D, CUDA_MEMCPY3D or CUDA_MEMCPY3D_PEER describes.

        Raises:
            CudaError: INVALID_VALUE where it describes none; INVALID_HANDLE for a wrong array.
        """
        from .copyparams import read

        copy: Copy = read(cuda, params)
        return copy

    def params(self) -> Any:
        """It as a CUDA_MEMCPY3D."""
        if self._params is None:
            from .copyparams import write

            self._params = write(self)
        return self._params

    def check(self) -> None:
        """Refuse what cannot be copied: INVALID_VALUE."""
        if all(self.extent):
            self.src.check(self.cuda, self.extent, READ)
            self.dst.check(self.cuda, self.extent, READ | WRITE)

    def stage(self) -> None:
        """Take the source's bytes now, as the driver does of pageable memory."""
        if self.extent[1:] == (1, 1):
            self.staged = string_at(self.src.address, self.extent[0])

    def move(self) -> None:
        """Move the bytes, which have been checked."""
        width, height, depth = self.extent
        dst, src = self.dst, self.src
        if self.staged is not None:
            memmove(dst.address, self.staged, width)
        elif not width * height * depth:
            return
        elif height * depth == 1:
            memmove(dst.address, src.address, width)
        else:
            if dst.pitch == src.pitch == width and dst.slice == src.slice == width * height:
                memmove(dst.address, src.address, width * height * depth)
                return
            for to, at in zip(dst.rows(height, depth), src.rows(height, depth)):
                memmove(to, at, width)

    def run(self) -> None:
        """Move the bytes; ILLEGAL_ADDRESS if what was there when the call came has gone."""
        if self.checked:
            self.move()
            return
        try:
            if self.staged is not None:
                self.dst.check(self.cuda, self.extent, READ | WRITE)
            else:
                self.check()
        except CudaError:
            raise CudaError(status.ILLEGAL_ADDRESS) from None
        self.move()


def submit(stream: Stream, copy: Copy) -> None:
    """Have a copy done in a stream.

    Pageable memory is read before the call returns, and written before it returns too: "API
    synchronization behavior" in the driver API reference.

    A graph under capture may allocate the memory itself: it looks when it is launched.

    Raises:
        CudaError: what `Copy.check` and `Stream.submit` raise.
    """
    if stream.capture is not None:
        stream.submit(copy)
        return
    copy.check()
    if not stream.schedule.pending:
        copy.checked = True
        stream.submit(copy)
        copy.checked = False
        return
    reads, writes = _is_pageable(copy, copy.src), _is_pageable(copy, copy.dst)
    if reads:
        copy.stage()
    stream.submit(copy)
    if writes or (reads and copy.staged is None):
        stream.synchronize()


def _is_pageable(copy: Copy, place: Place) -> bool:
    if place.array is not None or place.type == DEVICE:
        return False
    return copy.cuda.part(Space).find(place.address) is None
