"""Tensor maps: what a kernel's bulk copies read of a tensor, checked and put into 128 bytes.

NVIDIA does not publish the layout of a CUtensorMap, so it is nvemu's own: the mark, the kind of
map, and what was asked in the order of the declaration. The checks are those of the driver API
reference, in the order of the parameters; each is refused with INVALID_VALUE.
"""

from __future__ import annotations

import ctypes
from _struct import Struct

from ...api import NULL_PAGE
from .. import _constants as c
from .. import _status as status
from ..library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__: list[str] = []

U4_ALIGN8, U4_ALIGN16, U6_ALIGN16 = 13, 14, 15  # CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B and on
PACKED = (U4_ALIGN8, U4_ALIGN16, U6_ALIGN16)
PADDED = (U4_ALIGN16, U6_ALIGN16)
# CUtensorMapDataType -> bytes of an element; packed ones have fewer bits than a byte.
ELEMENT = (1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4)
FLOATS = (6, 7, 8, 9, 10, 11, 12)

NONE, INTERLEAVE_32 = c.TENSOR_MAP_INTERLEAVE_NONE, c.TENSOR_MAP_INTERLEAVE_32B
# CUtensorMapSwizzle -> the most bytes of the box's inner dimension.
SWIZZLE = (None, 32, 64, 128, 128, 128, 128)
SWIZZLE_32 = c.TENSOR_MAP_SWIZZLE_32B
PACKED_SWIZZLES = {U6_ALIGN16: (0, 3, 4, 6), U4_ALIGN16: (0, 3, 4)}
PACKED_BOX = 128

RANK, DIM, STRIDE, BOX, ELEMENT_STRIDE, PIXELS = 5, 1 << 31, 1 << 40, 256, 8, 1024
# Rank -> how far a corner of the pixel box may be off, in each dimension but channel and batch.
CORNERS = {3: 1 << 15, 4: 1 << 7, 5: 1 << 4}

MARK = b"nvemuTM"
TILED, IM2COL, IM2COL_WIDE = range(3)
# The mark, the kind, the data type, the rank, the modes; the address; the rest as it comes.
_head = Struct("7sBBBBBBBBBQ")
ADDRESS = 16  # where in it the address is
SIZE, ALIGNMENT = 128, 64

_Q, _I, _i = ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int


def _require(*conditions: bool) -> None:
    if not all(conditions):
        raise CudaError(status.INVALID_VALUE)


def _array(kind: Any, address: int, length: int) -> list[int]:
    _require(address >= NULL_PAGE)
    return list((kind * length).from_address(address))


def _alignment(interleave: int, data_type: int) -> int:
    """What addresses and strides are a multiple of."""
    return 32 if interleave == INTERLEAVE_32 or data_type in PADDED else 16


class _Map:
    """What all three kinds of a map have in common."""

    def __init__(
        self, kind: int, data_type: int, rank: int, address: int, modes: Sequence[int]
    ) -> None:
        self.kind = kind
        self.data_type = data_type
        self.rank = rank
        self.address = address
        self.interleave, self.swizzle, self.promotion, self.fill = modes
        self.rest = b""
        _require(rank <= RANK, rank >= (1 if kind == TILED and self.interleave == NONE else 3))
        self.alignment = _alignment(self.interleave, data_type)
        _require(address >= NULL_PAGE, address % self.alignment == 0)

    def add(self, kind: Any, numbers: Sequence[int]) -> None:
        """Take a parameter down."""
        self.rest += bytes((kind * len(numbers))(*numbers))

    def check_tensor(self, dims: Sequence[int], strides: Sequence[int]) -> None:
        _require(*(0 < dim <= DIM for dim in dims))
        if self.data_type in PADDED:
            _require(dims[0] % PACKED_BOX == 0)
        elif self.data_type == U4_ALIGN8:
            _require(dims[0] % 2 == 0)
        step = self.alignment
        _require(*(stride % step == 0 and stride < STRIDE for stride in strides))

    def check_steps(self, steps: Sequence[int]) -> None:
        """The first is not looked at without interleaving."""
        looked_at = steps[1:] if self.interleave == NONE else steps
        _require(*(0 < step <= ELEMENT_STRIDE for step in looked_at))

    def check_modes(self, inner: int) -> None:
        """`inner` is how many elements of the innermost dimension one copy takes."""
        widest = SWIZZLE[self.swizzle]
        if self.interleave == NONE:
            size = self._size(inner)
            _require(widest is None or size <= widest)
        elif self.interleave == INTERLEAVE_32:
            _require(self.swizzle == SWIZZLE_32)
        _require(self.swizzle in PACKED_SWIZZLES.get(self.data_type, range(len(SWIZZLE))))
        _require(self.data_type != U6_ALIGN16 or self.interleave == NONE)
        _require(not self.fill or self.data_type in FLOATS)

    def _size(self, elements: int) -> int:
        if self.data_type in PADDED:
            return elements  # 16 values lie in 16 bytes
        return elements // 2 if self.data_type == U4_ALIGN8 else elements * ELEMENT[self.data_type]

    def check_inner(self, box: int) -> None:
        """A box's first dimension, where nothing is interleaved."""
        if self.data_type in PADDED:
            _require(box == PACKED_BOX)
        elif self.interleave == NONE:
            _require(self._size(box) % 16 == 0)

    def write(self, address: int) -> None:
        """Write the CUtensorMap."""
        modes = (self.interleave, self.swizzle, self.promotion, self.fill)
        head = _head.pack(MARK, self.kind, self.data_type, self.rank, *modes, 0, 0, self.address)
        ctypes.memmove(address, (head + self.rest)[:SIZE].ljust(SIZE, b"\0"), SIZE)


def _begin(cuda: Cuda, address: int) -> None:
    """What is looked at first: the context, its device, where the map is to lie."""
    device = cuda.contexts.current().device
    if not device.cuda_attribute("TENSOR_MAP_ACCESS_SUPPORTED"):
        raise CudaError(status.NOT_SUPPORTED)
    _require(address >= NULL_PAGE, address % ALIGNMENT == 0)


@implements("cuTensorMapEncodeTiled", raw=("tensorMap",))
def encode_tiled(  # noqa: PLR0913, PLR0917  (the declaration's)
    cuda: Cuda,
    tensor_map: int,
    tensor_data_type: int,
    tensor_rank: int,
    global_address: int,
    global_dim: Any,
    global_strides: int,
    box_dim: Any,
    element_strides: Any,
    interleave: int,
    swizzle: int,
    l2_promotion: int,
    oob_fill: int,
) -> None:
    _begin(cuda, tensor_map)
    modes = (interleave, swizzle, l2_promotion, oob_fill)
    made = _Map(TILED, tensor_data_type, tensor_rank, global_address, modes)
    strides = _array(_Q, global_strides, tensor_rank - 1) if tensor_rank > 1 else []
    made.check_tensor(global_dim, strides)
    _require(*(0 < box <= BOX for box in box_dim))
    made.check_inner(box_dim[0])
    made.check_steps(element_strides)
    made.check_modes(box_dim[0])
    made.add(_Q, strides)
    made.add(_I, [dim & 0xFFFFFFFF for dim in global_dim])
    made.add(_I, box_dim)
    made.add(ctypes.c_uint8, element_strides)
    made.write(tensor_map)


@implements("cuTensorMapEncodeIm2col", raw=("tensorMap",))
def encode_im2col(  # noqa: PLR0913, PLR0917
    cuda: Cuda,
    tensor_map: int,
    tensor_data_type: int,
    tensor_rank: int,
    global_address: int,
    global_dim: Any,
    global_strides: int,
    pixel_box_lower_corner: int,
    pixel_box_upper_corner: int,
    channels_per_pixel: int,
    pixels_per_column: int,
    element_strides: Any,
    interleave: int,
    swizzle: int,
    l2_promotion: int,
    oob_fill: int,
) -> None:
    _begin(cuda, tensor_map)
    modes = (interleave, swizzle, l2_promotion, oob_fill)
    made = _Map(IM2COL, tensor_data_type, tensor_rank, global_address, modes)
    lower = _array(_i, pixel_box_lower_corner, tensor_rank - 2)
    upper = _array(_i, pixel_box_upper_corner, tensor_rank - 2)
    strides = _array(_Q, global_strides, tensor_rank - 1)
    far = CORNERS[tensor_rank]
    made.check_tensor(global_dim, strides)
    _require(*(-far <= offset < far for offset in (*lower, *upper)))
    _check_area(global_dim, lower, upper)
    _check_columns(made, channels_per_pixel, pixels_per_column)
    made.check_steps(element_strides)
    made.check_modes(channels_per_pixel)
    made.add(_Q, strides)
    made.add(_I, [channels_per_pixel, pixels_per_column])
    made.add(ctypes.c_int16, [*lower, *upper])
    made.write(tensor_map)


@implements("cuTensorMapEncodeIm2colWide", raw=("tensorMap",))
def encode_im2col_wide(  # noqa: PLR0913, PLR0917
    cuda: Cuda,
    tensor_map: int,
    tensor_data_type: int,
    tensor_rank: int,
    global_address: int,
    global_dim: Any,
    global_strides: int,
    pixel_box_lower_corner_width: int,
    pixel_box_upper_corner_width: int,
    channels_per_pixel: int,
    pixels_per_column: int,
    element_strides: Any,
    interleave: int,
    mode: int,
    swizzle: int,
    l2_promotion: int,
    oob_fill: int,
) -> None:
    _begin(cuda, tensor_map)
    modes = (interleave, swizzle, l2_promotion, oob_fill)
    made = _Map(IM2COL_WIDE, tensor_data_type, tensor_rank, global_address, modes)
    strides = _array(_Q, global_strides, tensor_rank - 1)
    corners = (pixel_box_lower_corner_width, pixel_box_upper_corner_width)
    far = CORNERS[3]
    made.check_tensor(global_dim, strides)
    _require(*(-far <= offset < far for offset in corners))
    _check_area(global_dim[:3], corners[:1], corners[1:])
    # The number of pixels is not looked at where a column has 128 of them.
    fixed = mode == c.TENSOR_MAP_IM2COL_WIDE_MODE_W128
    _check_columns(made, channels_per_pixel, 1 if fixed else pixels_per_column)
    made.check_steps(element_strides)
    made.check_modes(channels_per_pixel)
    made.add(_Q, strides)
    made.add(_I, [channels_per_pixel, pixels_per_column, mode])
    made.add(ctypes.c_int16, corners)
    made.write(tensor_map)


def _check_area(dims: Sequence[int], lower: Sequence[int], upper: Sequence[int]) -> None:
    """The box, from one corner's offset to the other's, has a pixel in each dimension.

    The corners are in the order {D, H, W}, the tensor's dimensions from C and W on.
    """
    widths = list(dims)[1 : 1 + len(lower)]
    for width, low, high in zip(reversed(widths), lower, upper):
        _require(width + high - low > 0)


def _check_columns(made: _Map, channels: int, pixels: int) -> None:
    _require(0 < channels <= BOX, 0 < pixels <= PIXELS)
    _require(made.data_type not in PADDED or channels == PACKED_BOX)


@implements("cuTensorMapReplaceAddress", raw=("tensorMap",))
def replace_address(cuda: Cuda, tensor_map: int, global_address: int) -> None:
    _begin(cuda, tensor_map)
    mark, _, data_type, _, interleave, *_ = _head.unpack(ctypes.string_at(tensor_map, _head.size))
    _require(mark == MARK)
    _require(global_address >= NULL_PAGE, global_address % _alignment(interleave, data_type) == 0)
    _Q.from_address(tensor_map + ADDRESS).value = global_address


@implements("cuTensorMapSetAllocationClass", nullable=("outAllocClass",), raw=("tensorMap",))
def set_allocation_class(cuda: Cuda, tensor_map: int, alloc_class: int) -> int:
    """The map stays as it is: what copies cost is not modelled."""
    _begin(cuda, tensor_map)
    _require(ctypes.string_at(tensor_map, len(MARK)) == MARK)
    return alloc_class or c.TENSOR_MAP_ALLOC_CLASS_SMALL
