"""What textures and surfaces are made of: an array, a mipmap, or memory in rows; and checks of it.

No kernel here reads a texture. What a program says of one is checked and given back.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError
from ..library import api
from ..memory.space import Space
from .array import SURFACE, Array, Mipmap
from .formats import CHANNEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..contexts.context import Context
    from ..library import Cuda

__all__ = ["SurfaceObject", "TextureObject", "Textures", "resource"]

OF_ARRAY, OF_MIPMAP = constants.RESOURCE_TYPE_ARRAY, constants.RESOURCE_TYPE_MIPMAPPED_ARRAY
LINEAR, ROWS = constants.RESOURCE_TYPE_LINEAR, constants.RESOURCE_TYPE_PITCH2D

#: What addresses and pitches are multiples of, when the device's profile does not say.
ALIGNMENT, PITCH_ALIGNMENT = 512, 32


def resource(cuda: Cuda, desc: Any) -> Any:
    """What a CUDA_RESOURCE_DESC is of: an Array, a Mipmap, or None for memory.

    Raises:
        CudaError: INVALID_HANDLE for a wrong array; INVALID_VALUE for what cannot be read so.
    """
    if desc.flags:
        raise CudaError(status.INVALID_VALUE)
    if desc.resType in (OF_ARRAY, OF_MIPMAP):
        name = "CUarray" if desc.resType == OF_ARRAY else "CUmipmappedArray"
        word = (
            desc.res.array.hArray if desc.resType == OF_ARRAY else desc.res.mipmap.hMipmappedArray
        )
        found = cuda.handles(name).objects.get(word)
        if found is None:
            raise CudaError(status.INVALID_HANDLE)
        return found
    device = cuda.contexts.current().device
    if desc.resType == LINEAR:
        memory, size = desc.res.linear, desc.res.linear.sizeInBytes
        limit = device.cuda_attribute("MAXIMUM_TEXTURE1D_LINEAR_WIDTH")
        width = size // _element(memory)
    elif desc.resType == ROWS:
        memory = desc.res.pitch2D
        width, element = memory.width, _element(memory)
        size = memory.pitchInBytes * (memory.height - 1) + width * element
        align = device.cuda_attribute("TEXTURE_PITCH_ALIGNMENT") or PITCH_ALIGNMENT
        limit = device.cuda_attribute("MAXIMUM_TEXTURE2D_LINEAR_WIDTH")
        if not width or not memory.height or memory.pitchInBytes % align:
            raise CudaError(status.INVALID_VALUE)
        if memory.pitchInBytes < width * element:
            raise CudaError(status.INVALID_VALUE)
    else:
        raise CudaError(status.INVALID_VALUE)
    align = device.cuda_attribute("TEXTURE_ALIGNMENT") or ALIGNMENT
    if not size or memory.devPtr % align or (limit and width > limit):
        raise CudaError(status.INVALID_VALUE)
    cuda.part(Space).range(memory.devPtr, size)


def _element(memory: Any) -> int:
    if memory.format not in CHANNEL or memory.numChannels not in (1, 2, 4):
        raise CudaError(status.INVALID_VALUE)
    return CHANNEL[memory.format] * int(memory.numChannels)


class TextureObject:
    """A texture object: the three structs that it was created by; the last may be None."""

    __slots__ = ("context", "resource", "texture", "view")

    def __init__(self, context: Context, resource: Any, texture: Any, view: Any) -> None:
        self.context = context
        self.resource = kept("CUDA_RESOURCE_DESC", resource)
        self.texture = kept("CUDA_TEXTURE_DESC", texture)
        self.view = view if view is None else kept("CUDA_RESOURCE_VIEW_DESC", view)


class SurfaceObject:
    """A surface object: the struct that it was created by."""

    __slots__ = ("context", "resource")

    def __init__(self, context: Context, resource: Any) -> None:
        self.context = context
        self.resource = kept("CUDA_RESOURCE_DESC", resource)


def kept(name: str, struct: Any) -> Any:
    """A copy of a client's struct."""
    return api.types[name].from_buffer_copy(struct)


def check_surface(array: Any) -> None:
    """Refuse what a surface cannot be of: arrays that were not created for it."""
    if not isinstance(array, Array) or not array.shape.flags & SURFACE:
        raise CudaError(status.INVALID_VALUE)


def check_view(view: Any, array: Any) -> None:
    """Refuse a view of what is no array, or beyond its layers and levels."""
    if array is None:
        raise CudaError(status.INVALID_VALUE)
    levels = len(array.levels) if isinstance(array, Mipmap) else 1
    layers = max(array.shape.depth, 1)
    if view.lastMipmapLevel >= levels or view.firstMipmapLevel > view.lastMipmapLevel:
        raise CudaError(status.INVALID_VALUE)
    if view.lastLayer >= layers or view.firstLayer > view.lastLayer:
        raise CudaError(status.INVALID_VALUE)


class Textures:
    """The texture and surface objects of a context."""

    def __init__(self, context: Context) -> None:
        self._cuda = context.cuda
        self._made: dict[Any, str] = {}

    def add(self, made: Any, handle_type: str) -> Any:
        """Take in an object, which ends with the context."""
        self._made[made] = handle_type
        return made

    def drop(self, made: Any) -> None:
        """End an object."""
        self._cuda.handles(self._made.pop(made)).drop(made)

    def end(self) -> None:
        """The context ends."""
        for made in list(self._made):
            self.drop(made)
