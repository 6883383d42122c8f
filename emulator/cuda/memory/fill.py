"""A memset: one value, written over elements of one, two or four bytes in rows."""

from __future__ import annotations

from ctypes import memmove, memset

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..library import api
from ..streams.operation import Operation
from .mapping import READ, WRITE
from .space import Space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..library import Cuda

__all__ = ["Fill"]


class Fill(Operation):
    """Filling `height` rows of `width` elements.

    Attributes:
        dst: the address of the first element, a multiple of `element` bytes, as `pitch` is.
        pitch: the bytes from row to row; of no account with one row.
    """

    __slots__ = ("cuda", "dst", "element", "height", "pitch", "value", "width")

    kind = constants.GRAPH_NODE_TYPE_MEMSET

    def __init__(
        self,
        cuda: Cuda,
        dst: int,
        value: int,
        element: int,
        *,
        width: int,
        height: int = 1,
        pitch: int = 0,
    ) -> None:
        self.cuda = cuda
        self.dst = dst
        self.value = value & (1 << 8 * element) - 1
        self.element = element
        self.width = width
        self.height = height
        self.pitch = pitch

    @classmethod
    def from_params(cls, cuda: Cuda, params: Any) -> Fill:
        """The memset that a CUDA_MEMSET_NODE_PARAMS describes; INVALID_VALUE if it does none."""
        if params.elementSize not in (1, 2, 4):
            raise CudaError(status.INVALID_VALUE)
        return cls(
            cuda,
            params.dst,
            params.value,
            params.elementSize,
            width=params.width,
            height=params.height,
            pitch=params.pitch,
        )

    def params(self) -> Any:
        """It as a CUDA_MEMSET_NODE_PARAMS."""
        return api.types["CUDA_MEMSET_NODE_PARAMS"](
            dst=self.dst,
            pitch=self.pitch,
            value=self.value,
            elementSize=self.element,
            width=self.width,
            height=self.height,
        )

    def check(self) -> None:
        """Refuse what cannot be filled: INVALID_VALUE."""
        width, height, pitch = self.width * self.element, self.height, self.pitch
        if not width * height:
            return
        if self.dst % self.element or (height > 1 and (pitch < width or pitch % self.element)):
            raise CudaError(status.INVALID_VALUE)
        self.cuda.part(Space).range(self.dst, width + (height - 1) * pitch, READ | WRITE)

    def move(self) -> None:
        """Write the bytes, which have been checked."""
        width = self.width * self.element
        if not width:
            return
        pattern = self.value.to_bytes(self.element, "little")
        if self.height > 1 and self.pitch == width:
            _fill(self.dst, pattern, width * self.height)
            return
        for row in range(self.height):
            _fill(self.dst + row * self.pitch, pattern, width)

    def run(self) -> None:
        """Write the bytes; ILLEGAL_ADDRESS if what was there when the call came has gone."""
        try:
            self.check()
        except CudaError:
            raise CudaError(status.ILLEGAL_ADDRESS) from None
        self.move()


def _fill(address: int, pattern: bytes, size: int) -> None:
    """Write a pattern over `size` bytes, a multiple of its length: each copy doubles what is
    there, up to what a cache holds."""
    if pattern.count(pattern[0]) == len(pattern):
        memset(address, pattern[0], size)
        return
    done = len(pattern)
    memmove(address, pattern, done)
    while done < size:
        step = min(done, size - done, 1 << 20)
        memmove(address + done, address, step)
        done += step
