"""Arrays: memory for textures and surfaces, of one to three dimensions, layers, levels or planes.

How a device lays them out is its secret; here elements lie row by row, without gaps.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..memory.heap import Heap
from .formats import PLANES, element_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..contexts.context import Context
    from ..memory.space import Block

__all__ = ["Array", "Arrays", "Mipmap"]

LAYERED, CUBE = constants.ARRAY3D_LAYERED, constants.ARRAY3D_CUBEMAP
SURFACE, GATHER = constants.ARRAY3D_SURFACE_LDST, constants.ARRAY3D_TEXTURE_GATHER
# Sparse arrays and those that get memory later are refused, since nothing here samples textures;
# the device attributes say what the product's say all the same.
DEFERRED = constants.ARRAY3D_SPARSE | constants.ARRAY3D_DEFERRED_MAPPING
KNOWN = (
    *(LAYERED, CUBE, SURFACE, GATHER, constants.ARRAY3D_DEPTH_TEXTURE),
    *(constants.ARRAY3D_COLOR_ATTACHMENT, constants.ARRAY3D_VIDEO_ENCODE_DECODE),
    *(constants.ARRAY3D_SPARSE, constants.ARRAY3D_DEFERRED_MAPPING),
)

#: Kind of array -> the device attributes that limit its width, height and depth.
LIMITS = {
    "1D": ("1D_WIDTH",),
    "2D": ("2D_WIDTH", "2D_HEIGHT"),
    "3D": ("3D_WIDTH", "3D_HEIGHT", "3D_DEPTH"),
    "1D layered": ("1D_LAYERED_WIDTH", "", "1D_LAYERED_LAYERS"),
    "2D layered": ("2D_LAYERED_WIDTH", "2D_LAYERED_HEIGHT", "2D_LAYERED_LAYERS"),
    "cubemap": ("CUBEMAP_WIDTH",),
    "cubemap layered": ("CUBEMAP_LAYERED_WIDTH", "", "CUBEMAP_LAYERED_LAYERS"),
}
FACES = 6


class Shape:
    """What an array's descriptor says: extents in elements, 0 for a dimension that it lacks."""

    __slots__ = ("channels", "depth", "element", "flags", "format", "height", "width")

    def __init__(
        self, width: int, height: int, depth: int, form: int, channels: int, flags: int
    ) -> None:
        self.width = width
        self.height = height
        self.depth = depth
        self.format = form
        self.channels = channels
        self.flags = flags
        self.element = 1 if form in PLANES else element_size(form, channels)

    @property
    def kind(self) -> str:
        """Which of `LIMITS` it is; INVALID_VALUE where its extents make none."""
        width, height, depth, layered = self.width, self.height, self.depth, self.flags & LAYERED
        if self.flags & CUBE:
            fits = width == height and depth > 0 and depth % FACES == 0
            kind = "cubemap layered" if layered else "cubemap"
            fits = fits and (bool(layered) or depth == FACES)
        elif layered:
            fits, kind = bool(depth), "2D layered" if height else "1D layered"
        else:
            fits = bool(height) or not depth
            kind = "3D" if depth else "2D" if height else "1D"
        if not width or not fits or (self.flags & GATHER and kind != "2D"):
            raise CudaError(status.INVALID_VALUE)
        return kind

    def check(self, context: Context) -> None:
        """Refuse what a device has no room or no way for: INVALID_VALUE, NOT_SUPPORTED."""
        limits = LIMITS[self.kind]
        if self.flags & ~sum(KNOWN):
            raise CudaError(status.INVALID_VALUE)
        if self.flags & DEFERRED:
            raise CudaError(status.NOT_SUPPORTED)
        for use in ("TEXTURE", "SURFACE") if self.flags & SURFACE else ("TEXTURE",):
            for extent, name in zip((self.width, self.height, self.depth), limits):
                limit = name and context.device.cuda_attribute(f"MAXIMUM_{use}{name}")
                if limit and extent > limit:
                    raise CudaError(status.INVALID_VALUE)

    def level(self, number: int) -> Shape:
        """The shape of a level of a mipmap: each extent halved so often, layers not."""
        layers = self.flags & (LAYERED | CUBE)
        return Shape(
            max(self.width >> number, 1),
            self.height and max(self.height >> number, 1),
            self.depth if layers else self.depth and max(self.depth >> number, 1),
            self.format,
            self.channels,
            self.flags,
        )

    def planes(self) -> list[Shape]:
        """The shapes of a video format's planes; of any other format, none."""
        if self.format not in PLANES:
            return []
        form, across, down, together = PLANES[self.format]
        chroma = (self.width // across, self.height // down)
        rest = [(*chroma, 2)] if together else [(*chroma, 1)] * 2
        return [
            Shape(width, height, 0, form, channels, self.flags)
            for width, height, channels in [(self.width, self.height, 1), *rest]
        ]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        planes = self.planes()
        if planes:
            return sum(plane.size for plane in planes)
        return self.width * max(self.height, 1) * max(self.depth, 1) * self.element


class Array:
    """An array at an address; `whole` is what it is a level or a plane of."""

    __slots__ = ("address", "alive", "context", "planes", "shape", "whole")

    def __init__(self, context: Context, shape: Shape, address: int, whole: Any = None) -> None:
        self.context = context
        self.shape = shape
        self.address = address
        self.whole = whole
        self.alive = True
        self.planes: list[Array] = []
        for plane in shape.planes():
            self.planes.append(Array(context, plane, address, self))
            address += plane.size

    @property
    def extents(self) -> tuple[int, int, int]:
        """Bytes of a row, rows, slices."""
        shape = self.shape
        return shape.width * shape.element, max(shape.height, 1), max(shape.depth, 1)


class Mipmap:
    """An array in several sizes, its levels."""

    __slots__ = ("alive", "levels", "shape")

    def __init__(self, context: Context, shape: Shape, count: int, address: int) -> None:
        self.shape = shape
        self.alive = True
        self.levels: list[Array] = []
        for number in range(count):
            level = shape.level(number)
            self.levels.append(Array(context, level, address, self))
            address += level.size


class Arrays:
    """The arrays and mipmaps of a context, and the memory of each."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._blocks: dict[Any, Optional[Block]] = {}

    def make(self, shape: Shape) -> Array:
        """A new array; OUT_OF_MEMORY."""
        shape.check(self._context)
        block = self._allocate(shape.size)
        array = Array(self._context, shape, block.address)
        self._blocks[array] = block
        return array

    def make_mipmap(self, shape: Shape, count: int) -> Mipmap:
        """A new mipmap of at most `count` levels, down to a single element."""
        shape.check(self._context)
        if shape.planes():
            raise CudaError(status.INVALID_VALUE)
        spans = [shape.width, shape.height]
        if not shape.flags & (LAYERED | CUBE):
            spans.append(shape.depth)
        count = max(min(count, max(spans).bit_length()), 1)
        block = self._allocate(sum(shape.level(number).size for number in range(count)))
        mipmap = Mipmap(self._context, shape, count, block.address)
        self._blocks[mipmap] = block
        return mipmap

    def _allocate(self, size: int) -> Block:
        block = self._context.part(Heap).allocate(size, "array")
        block.access = 0  # no pointer's to read or write
        return block

    def free(self, whole: Any) -> None:
        """Free an array or a mipmap with all that is part of it."""
        block = self._blocks.pop(whole, None)
        if block is not None:
            block.owner.free(block)
        self._forget(whole)

    def _forget(self, whole: Any) -> None:
        handles = self._context.cuda.handles
        whole.alive = False
        handles("CUmipmappedArray" if isinstance(whole, Mipmap) else "CUarray").drop(whole)
        for part in whole.levels if isinstance(whole, Mipmap) else whole.planes:
            self._forget(part)

    def end(self) -> None:
        """The context ends, and its heap frees their memory."""
        for whole in self._blocks:
            self._forget(whole)
        self._blocks.clear()
