"""Copies as structs describe them: CUDA_MEMCPY2D, CUDA_MEMCPY3D, CUDA_MEMCPY3D_PEER."""

from __future__ import annotations

from .. import _status as status
from ..error import CudaError
from ..library import api
from .copy import ARRAY, DEVICE, HOST, UNIFIED, Copy, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..arrays.array import Array
    from ..library import Cuda

__all__ = ["array_place", "read", "write"]


def read(cuda: Cuda, params: Any) -> Copy:
    """The copy that a struct describes.

    Raises:
        CudaError: INVALID_VALUE where it describes none; INVALID_HANDLE for a wrong array.
    """
    extent = (params.WidthInBytes, params.Height, getattr(params, "Depth", 1))
    if getattr(params, "reserved0", 0) or getattr(params, "reserved1", 0):
        raise CudaError(status.INVALID_VALUE)
    dst = _place(cuda, params, "dst", extent)
    src = _place(cuda, params, "src", extent)
    kind = api.types["CUDA_MEMCPY3D"]
    kept = kind.from_buffer_copy(params) if isinstance(params, kind) else None
    return Copy(cuda, dst, src, extent, kept)


def _place(cuda: Cuda, params: Any, side: str, extent: tuple[int, int, int]) -> Place:
    def field(name: str) -> int:
        return int(getattr(params, side + name, 0))

    kind = field("MemoryType")
    at = (field("XInBytes"), field("Y"), field("Z"))
    if field("LOD"):
        raise CudaError(status.INVALID_VALUE)
    if kind == ARRAY:
        array = cuda.handles("CUarray").objects.get(field("Array"))
        if array is None:
            raise CudaError(status.INVALID_HANDLE)
        return array_place(array, at, extent)
    if kind not in (HOST, DEVICE, UNIFIED):
        raise CudaError(status.INVALID_VALUE)
    x, y, z = at
    width, height, depth = extent
    pitch = field("Pitch") or x + width
    rows = field("Height") or y + height
    _check_pitch(cuda, pitch)
    if (height * depth > 1 and pitch < x + width) or (depth > 1 and rows < y + height):
        raise CudaError(status.INVALID_VALUE)
    base = field("Host" if kind == HOST else "Device")
    return Place(kind, base + x + y * pitch + z * pitch * rows, pitch, pitch * rows)


def array_place(array: Array, at: tuple[int, int, int], extent: tuple[int, int, int]) -> Place:
    """A position in an array, in bytes, rows and slices; INVALID_VALUE if a copy of `extent` does
    not fit there."""
    limits = array.extents
    if array.planes or any(start + size > limit for start, size, limit in zip(at, extent, limits)):
        raise CudaError(status.INVALID_VALUE)
    element = array.shape.element
    if at[0] % element or extent[0] % element:
        raise CudaError(status.INVALID_VALUE)
    row, rows, _ = limits
    place = Place(ARRAY, array.address + at[0] + row * (at[1] + rows * at[2]), row, row * rows)
    place.array = array
    return place


def _check_pitch(cuda: Cuda, pitch: int) -> None:
    limit = cuda.contexts.current().device.cuda_attribute("MAX_PITCH")
    if limit and pitch > limit:
        raise CudaError(status.INVALID_VALUE)


def write(copy: Copy) -> Any:
    """A copy in one piece as a CUDA_MEMCPY3D."""
    width, height, depth = copy.extent
    params = api.types["CUDA_MEMCPY3D"](WidthInBytes=width, Height=height, Depth=depth)
    for side, place in (("src", copy.src), ("dst", copy.dst)):
        setattr(params, side + "MemoryType", place.type)
        if place.array is not None:
            array = copy.cuda.handles("CUarray").give(place.array)
            setattr(params, side + "Array", array)
            setattr(params, side + "XInBytes", place.address - place.array.address)
            continue
        setattr(params, side + ("Host" if place.type == HOST else "Device"), place.address)
        setattr(params, side + "Pitch", place.pitch or width)
        setattr(params, side + "Height", height)
    return params
