"""Creating arrays and mipmapped arrays, and what they can be asked."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements
from ..memory.allocations import check_capture
from .array import Array, Arrays, Mipmap, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device

__all__: list[str] = []


def _shape(descriptor: Any) -> Shape:
    return Shape(
        descriptor.Width,
        descriptor.Height,
        getattr(descriptor, "Depth", 0),
        descriptor.Format,
        descriptor.NumChannels,
        getattr(descriptor, "Flags", 0),
    )


def _fields(shape: Shape) -> dict[str, int]:
    return {
        "Width": shape.width,
        "Height": shape.height,
        "Depth": shape.depth,
        "Format": shape.format,
        "NumChannels": shape.channels,
        "Flags": shape.flags,
    }


@implements("cuArrayCreate", "cuArrayCreate_v2", "cuArray3DCreate", "cuArray3DCreate_v2")
def create(cuda: Cuda, p_allocate_array: Any) -> Array:
    arrays = cuda.contexts.current().part(Arrays)
    check_capture(cuda)
    return arrays.make(_shape(p_allocate_array))


# One that is part of another goes with that one.
@implements("cuArrayDestroy")
def destroy(cuda: Cuda, h_array: Array) -> None:
    cuda.contexts.current()
    if h_array.whole is not None:
        raise CudaError(status.INVALID_VALUE)
    check_capture(cuda)
    h_array.context.part(Arrays).free(h_array)


@implements("cuArray3DGetDescriptor", "cuArray3DGetDescriptor_v2")
def descriptor(cuda: Cuda, h_array: Array) -> dict[str, int]:
    cuda.contexts.current()
    return _fields(h_array.shape)


# It cannot tell of more than two dimensions: the reference leaves those to the 3D form.
@implements("cuArrayGetDescriptor", "cuArrayGetDescriptor_v2")
def descriptor_2d(cuda: Cuda, h_array: Array) -> dict[str, int]:
    return descriptor(cuda, h_array)


@implements("cuArrayGetPlane")
def plane(cuda: Cuda, h_array: Array, plane_idx: int) -> Array:
    cuda.contexts.current()
    if plane_idx >= len(h_array.planes):
        raise CudaError(status.INVALID_VALUE)
    return h_array.planes[plane_idx]


# Both are only for arrays without memory of their own, which are not emulated.
@implements("cuArrayGetSparseProperties")
def sparse_properties(array: Array) -> dict[str, int]:
    raise CudaError(status.INVALID_VALUE)


@implements("cuArrayGetMemoryRequirements")
def memory_requirements(array: Array, device: Device) -> dict[str, int]:
    raise CudaError(status.INVALID_VALUE)


@implements("cuMipmappedArrayGetSparseProperties")
def mipmap_sparse_properties(mipmap: Mipmap) -> dict[str, int]:
    raise CudaError(status.INVALID_VALUE)


@implements("cuMipmappedArrayGetMemoryRequirements")
def mipmap_memory_requirements(mipmap: Mipmap, device: Device) -> dict[str, int]:
    raise CudaError(status.INVALID_VALUE)


@implements("cuMipmappedArrayCreate")
def create_mipmap(cuda: Cuda, p_mipmapped_array_desc: Any, num_mipmap_levels: int) -> Mipmap:
    arrays = cuda.contexts.current().part(Arrays)
    check_capture(cuda)
    return arrays.make_mipmap(_shape(p_mipmapped_array_desc), num_mipmap_levels)


@implements("cuMipmappedArrayDestroy")
def destroy_mipmap(cuda: Cuda, h_mipmapped_array: Mipmap) -> None:
    cuda.contexts.current()
    check_capture(cuda)
    h_mipmapped_array.levels[0].context.part(Arrays).free(h_mipmapped_array)


@implements("cuMipmappedArrayGetLevel")
def level(cuda: Cuda, h_mipmapped_array: Mipmap, level: int) -> Array:
    cuda.contexts.current()
    if level >= len(h_mipmapped_array.levels):
        raise CudaError(status.INVALID_VALUE)
    return h_mipmapped_array.levels[level]
