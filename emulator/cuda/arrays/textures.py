"""Texture and surface objects."""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .formats import element_size
from .texture import (
    SurfaceObject,
    TextureObject,
    Textures,
    check_surface,
    check_view,
    resource,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device

__all__: list[str] = []

KNOWN_FLAGS = (
    constants.TRSF_READ_AS_INTEGER
    | constants.TRSF_NORMALIZED_COORDINATES
    | constants.TRSF_SRGB
    | constants.TRSF_DISABLE_TRILINEAR_OPTIMIZATION
    | constants.TRSF_SEAMLESS_CUBEMAP
)
ADDRESS_MODES, FILTER_MODES = range(4), range(2)


@implements("cuTexObjectCreate", nullable=("pResViewDesc",))
def create(cuda: Cuda, p_res_desc: Any, p_tex_desc: Any, p_res_view_desc: Any) -> TextureObject:
    context = cuda.contexts.current()
    array = resource(cuda, p_res_desc)
    modes = [p_tex_desc.filterMode, p_tex_desc.mipmapFilterMode]
    if any(mode not in ADDRESS_MODES for mode in p_tex_desc.addressMode):
        raise CudaError(status.INVALID_VALUE)
    if any(mode not in FILTER_MODES for mode in modes) or p_tex_desc.flags & ~KNOWN_FLAGS:
        raise CudaError(status.INVALID_VALUE)
    if p_res_view_desc is not None:
        check_view(p_res_view_desc, array)
    made = TextureObject(context, p_res_desc, p_tex_desc, p_res_view_desc)
    return context.part(Textures).add(made, "CUtexObject")  # type: ignore[no-any-return]


@implements("cuTexObjectDestroy")
def destroy(cuda: Cuda, tex_object: TextureObject) -> None:
    cuda.contexts.current()
    tex_object.context.part(Textures).drop(tex_object)


@implements("cuTexObjectGetResourceDesc", raw=("pResDesc",))
def get_resource(p_res_desc: int, tex_object: TextureObject) -> None:
    _tell(p_res_desc, tex_object.resource)


@implements("cuTexObjectGetTextureDesc", raw=("pTexDesc",))
def get_texture(p_tex_desc: int, tex_object: TextureObject) -> None:
    _tell(p_tex_desc, tex_object.texture)


@implements("cuTexObjectGetResourceViewDesc", raw=("pResViewDesc",))
def get_view(p_res_view_desc: int, tex_object: TextureObject) -> None:
    """INVALID_VALUE for one that was created without: the reference."""
    if tex_object.view is None:
        raise CudaError(status.INVALID_VALUE)
    _tell(p_res_view_desc, tex_object.view)


@implements("cuSurfObjectCreate")
def create_surface(cuda: Cuda, p_res_desc: Any) -> SurfaceObject:
    context = cuda.contexts.current()
    check_surface(resource(cuda, p_res_desc))
    made = SurfaceObject(context, p_res_desc)
    return context.part(Textures).add(made, "CUsurfObject")  # type: ignore[no-any-return]


@implements("cuSurfObjectDestroy")
def destroy_surface(cuda: Cuda, surf_object: SurfaceObject) -> None:
    cuda.contexts.current()
    surf_object.context.part(Textures).drop(surf_object)


@implements("cuSurfObjectGetResourceDesc", raw=("pResDesc",))
def get_surface_resource(p_res_desc: int, surf_object: SurfaceObject) -> None:
    _tell(p_res_desc, surf_object.resource)


def _tell(address: int, struct: Any) -> None:
    if address < NULL_PAGE:
        raise CudaError(status.INVALID_VALUE)
    ctypes.memmove(address, ctypes.addressof(struct), ctypes.sizeof(struct))


@implements("cuDeviceGetTexture1DLinearMaxWidth")
def largest_width(format: int, num_channels: int, dev: Device) -> int:  # noqa: A002  (C's name)
    """As many elements as the device's profile says; no more than its memory has."""
    element = element_size(format, num_channels)
    limit = dev.cuda_attribute("MAXIMUM_TEXTURE1D_LINEAR_WIDTH")
    room = dev.memory.usable // element
    return min(limit, room) if limit else room
