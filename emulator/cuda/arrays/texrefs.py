"""The functions of texture and surface references."""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..memory.space import Space
from .array import Array, Mipmap
from .formats import element_size
from .texref import SurfaceReference, TextureReference
from .texture import ALIGNMENT, check_surface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Sequence, Union

__all__: list[str] = []

OVERRIDE = constants.TRSA_OVERRIDE_FORMAT
FLAGS = (
    constants.TRSF_READ_AS_INTEGER
    | constants.TRSF_NORMALIZED_COORDINATES
    | constants.TRSF_SRGB
    | constants.TRSF_DISABLE_TRILINEAR_OPTIMIZATION
    | constants.TRSF_SEAMLESS_CUBEMAP
)


@implements("cuTexRefCreate")
def create(cuda: Cuda) -> TextureReference:
    cuda.contexts.current()
    return TextureReference()


@implements("cuTexRefDestroy")
def destroy(cuda: Cuda, h_tex_ref: TextureReference) -> None:
    cuda.contexts.current()
    cuda.handles("CUtexref").drop(h_tex_ref)


def _bind(cuda: Cuda, reference: TextureReference, whole: Union[Array, Mipmap], flags: int) -> None:
    cuda.contexts.current()
    if flags != OVERRIDE:
        raise CudaError(status.INVALID_VALUE)
    reference.bind(whole)
    reference.format, reference.channels = whole.shape.format, whole.shape.channels


@implements("cuTexRefSetArray")
def set_array(cuda: Cuda, h_tex_ref: TextureReference, h_array: Array, flags: int) -> None:
    _bind(cuda, h_tex_ref, h_array, flags)


@implements("cuTexRefSetMipmappedArray")
def set_mipmap(
    cuda: Cuda, h_tex_ref: TextureReference, h_mipmapped_array: Mipmap, flags: int
) -> None:
    _bind(cuda, h_tex_ref, h_mipmapped_array, flags)


@implements("cuTexRefGetArray")
def get_array(h_tex_ref: TextureReference) -> Array:
    return _bound(h_tex_ref, Array)  # type: ignore[no-any-return]


@implements("cuTexRefGetMipmappedArray")
def get_mipmap(h_tex_ref: TextureReference) -> Mipmap:
    return _bound(h_tex_ref, Mipmap)  # type: ignore[no-any-return]


def _bound(reference: Union[TextureReference, SurfaceReference], kind: type) -> Any:
    if not isinstance(reference.bound, kind):
        raise CudaError(status.INVALID_VALUE)
    return reference.bound


@implements("cuTexRefSetAddress", "cuTexRefSetAddress_v2", nullable=("ByteOffset",))
def set_address(cuda: Cuda, h_tex_ref: TextureReference, dptr: int, bytes: int) -> int:  # noqa: A002
    """How far the memory lies behind the last address that a texture can begin at."""
    device = cuda.contexts.current().device
    if not dptr:
        h_tex_ref.bind(None)
        return 0
    cuda.part(Space).range(dptr, bytes)
    element = element_size(h_tex_ref.format, h_tex_ref.channels)
    limit = device.cuda_attribute("MAXIMUM_TEXTURE1D_LINEAR_WIDTH")
    if limit and bytes > limit * element:
        raise CudaError(status.INVALID_VALUE)
    h_tex_ref.bind(None, dptr)
    return dptr % (device.cuda_attribute("TEXTURE_ALIGNMENT") or ALIGNMENT)


@implements("cuTexRefSetAddress2D", "cuTexRefSetAddress2D_v2", "cuTexRefSetAddress2D_v3")
def set_rows(cuda: Cuda, h_tex_ref: TextureReference, desc: Any, dptr: int, pitch: int) -> None:
    device = cuda.contexts.current().device
    width = desc.Width * element_size(desc.Format, desc.NumChannels)
    if not width or not desc.Height or pitch < width:
        raise CudaError(status.INVALID_VALUE)
    if dptr % (device.cuda_attribute("TEXTURE_ALIGNMENT") or ALIGNMENT):
        raise CudaError(status.INVALID_VALUE)
    cuda.part(Space).range(dptr, pitch * (desc.Height - 1) + width)
    h_tex_ref.bind(None, dptr)
    h_tex_ref.format, h_tex_ref.channels = desc.Format, desc.NumChannels


@implements("cuTexRefGetAddress", "cuTexRefGetAddress_v2")
def get_address(h_tex_ref: TextureReference) -> int:
    if not h_tex_ref.address:
        raise CudaError(status.INVALID_VALUE)
    return h_tex_ref.address


@implements("cuTexRefSetFormat")
def set_format(h_tex_ref: TextureReference, fmt: int, num_packed_components: int) -> None:
    element_size(fmt, num_packed_components)
    h_tex_ref.format, h_tex_ref.channels = fmt, num_packed_components


@implements("cuTexRefGetFormat")
def get_format(h_tex_ref: TextureReference) -> tuple[int, int]:
    return h_tex_ref.format, h_tex_ref.channels


@implements("cuTexRefSetAddressMode")
def set_address_mode(h_tex_ref: TextureReference, dim: int, am: int) -> None:
    h_tex_ref.address_modes[h_tex_ref.dimension(dim)] = am


@implements("cuTexRefGetAddressMode")
def get_address_mode(h_tex_ref: TextureReference, dim: int) -> int:
    return h_tex_ref.address_modes[h_tex_ref.dimension(dim)]


@implements("cuTexRefSetFilterMode")
def set_filter_mode(h_tex_ref: TextureReference, fm: int) -> None:
    h_tex_ref.filter_mode = fm


@implements("cuTexRefGetFilterMode")
def get_filter_mode(h_tex_ref: TextureReference) -> int:
    return h_tex_ref.filter_mode


@implements("cuTexRefSetMipmapFilterMode")
def set_mipmap_filter_mode(h_tex_ref: TextureReference, fm: int) -> None:
    h_tex_ref.mipmap_filter_mode = fm


@implements("cuTexRefGetMipmapFilterMode")
def get_mipmap_filter_mode(h_tex_ref: TextureReference) -> int:
    return h_tex_ref.mipmap_filter_mode


@implements("cuTexRefSetMipmapLevelBias")
def set_bias(h_tex_ref: TextureReference, bias: float) -> None:
    h_tex_ref.bias = bias


@implements("cuTexRefGetMipmapLevelBias")
def get_bias(h_tex_ref: TextureReference) -> float:
    return h_tex_ref.bias


@implements("cuTexRefSetMipmapLevelClamp")
def set_clamps(
    h_tex_ref: TextureReference, min_mipmap_level_clamp: float, max_mipmap_level_clamp: float
) -> None:
    h_tex_ref.clamps = (min_mipmap_level_clamp, max_mipmap_level_clamp)


@implements("cuTexRefGetMipmapLevelClamp")
def get_clamps(h_tex_ref: TextureReference) -> tuple[float, float]:
    return h_tex_ref.clamps


@implements("cuTexRefSetMaxAnisotropy")
def set_anisotropy(h_tex_ref: TextureReference, max_aniso: int) -> None:
    h_tex_ref.anisotropy = max_aniso


@implements("cuTexRefGetMaxAnisotropy")
def get_anisotropy(h_tex_ref: TextureReference) -> int:
    return h_tex_ref.anisotropy


@implements("cuTexRefSetBorderColor")
def set_border(h_tex_ref: TextureReference, p_border_color: Sequence[float]) -> None:
    h_tex_ref.border = list(p_border_color)


@implements("cuTexRefGetBorderColor")
def get_border(h_tex_ref: TextureReference) -> list[float]:
    return h_tex_ref.border


@implements("cuTexRefSetFlags")
def set_flags(h_tex_ref: TextureReference, flags: int) -> None:
    if flags & ~FLAGS:
        raise CudaError(status.INVALID_VALUE)
    h_tex_ref.flags = flags


@implements("cuTexRefGetFlags")
def get_flags(h_tex_ref: TextureReference) -> int:
    return h_tex_ref.flags


@implements("cuSurfRefSetArray")
def set_surface_array(cuda: Cuda, h_surf_ref: SurfaceReference, h_array: Array, flags: int) -> None:
    cuda.contexts.current()
    if flags:
        raise CudaError(status.INVALID_VALUE)
    check_surface(h_array)
    h_surf_ref.bound = h_array


@implements("cuSurfRefGetArray")
def get_surface_array(h_surf_ref: SurfaceReference) -> Array:
    return _bound(h_surf_ref, Array)  # type: ignore[no-any-return]
