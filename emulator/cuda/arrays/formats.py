"""The formats of arrays: how large an element is, and what planes video formats have."""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError

__all__ = ["PLANES", "element_size"]

U8, U16 = constants.AD_FORMAT_UNSIGNED_INT8, constants.AD_FORMAT_UNSIGNED_INT16

#: All formats of the header.
FORMATS = {value for name, value in vars(constants).items() if name.startswith("AD_FORMAT_")}

#: Format -> bytes of one channel, of which an element has one, two or four.
CHANNEL = {
    U8: 1,
    U16: 2,
    constants.AD_FORMAT_UNSIGNED_INT32: 4,
    constants.AD_FORMAT_SIGNED_INT8: 1,
    constants.AD_FORMAT_SIGNED_INT16: 2,
    constants.AD_FORMAT_SIGNED_INT32: 4,
    constants.AD_FORMAT_HALF: 2,
    constants.AD_FORMAT_FLOAT: 4,
}

#: Format -> bytes of an element, whose channels the format fixes.
ELEMENT = {
    constants.AD_FORMAT_UNORM_INT8X1: (1, 1),
    constants.AD_FORMAT_UNORM_INT8X2: (2, 2),
    constants.AD_FORMAT_UNORM_INT8X4: (4, 4),
    constants.AD_FORMAT_UNORM_INT16X1: (2, 1),
    constants.AD_FORMAT_UNORM_INT16X2: (4, 2),
    constants.AD_FORMAT_UNORM_INT16X4: (8, 4),
    constants.AD_FORMAT_SNORM_INT8X1: (1, 1),
    constants.AD_FORMAT_SNORM_INT8X2: (2, 2),
    constants.AD_FORMAT_SNORM_INT8X4: (4, 4),
    constants.AD_FORMAT_SNORM_INT16X1: (2, 1),
    constants.AD_FORMAT_SNORM_INT16X2: (4, 2),
    constants.AD_FORMAT_SNORM_INT16X4: (8, 4),
    constants.AD_FORMAT_UNORM_INT_101010_2: (4, 4),
}

#: Video format -> that of its planes, by what the chroma's width and height are divided, and
#: whether both chroma channels are in one plane.
PLANES = {
    constants.AD_FORMAT_NV12: (U8, 2, 2, True),
    constants.AD_FORMAT_P010: (U16, 2, 2, True),
    constants.AD_FORMAT_P016: (U16, 2, 2, True),
    constants.AD_FORMAT_NV16: (U8, 2, 1, True),
    constants.AD_FORMAT_P210: (U16, 2, 1, True),
    constants.AD_FORMAT_P216: (U16, 2, 1, True),
    constants.AD_FORMAT_YUV444_8bit_SemiPlanar: (U8, 1, 1, True),
    constants.AD_FORMAT_YUV444_16bit_SemiPlanar: (U16, 1, 1, True),
    constants.AD_FORMAT_Y444_PLANAR8: (U8, 1, 1, False),
    constants.AD_FORMAT_Y444_PLANAR10: (U16, 1, 1, False),
    constants.AD_FORMAT_UINT8_SEMIPLANAR_420: (U8, 2, 2, True),
    constants.AD_FORMAT_UINT16_SEMIPLANAR_420: (U16, 2, 2, True),
    constants.AD_FORMAT_UINT8_SEMIPLANAR_422: (U8, 2, 1, True),
    constants.AD_FORMAT_UINT16_SEMIPLANAR_422: (U16, 2, 1, True),
    constants.AD_FORMAT_UINT8_SEMIPLANAR_444: (U8, 1, 1, True),
    constants.AD_FORMAT_UINT16_SEMIPLANAR_444: (U16, 1, 1, True),
    constants.AD_FORMAT_UINT8_PLANAR_420: (U8, 2, 2, False),
    constants.AD_FORMAT_UINT16_PLANAR_420: (U16, 2, 2, False),
    constants.AD_FORMAT_UINT8_PLANAR_422: (U8, 2, 1, False),
    constants.AD_FORMAT_UINT16_PLANAR_422: (U16, 2, 1, False),
    constants.AD_FORMAT_UINT8_PLANAR_444: (U8, 1, 1, False),
    constants.AD_FORMAT_UINT16_PLANAR_444: (U16, 1, 1, False),
}


def element_size(form: int, channels: int) -> int:
    """Bytes of an element.

    Raises:
        CudaError: INVALID_VALUE for a format that there is not, and for channels that it does not
            have; NOT_SUPPORTED for compressed and packed formats, whose elements are not all alike.
    """
    if form in CHANNEL:
        if channels not in (1, 2, 4):
            raise CudaError(status.INVALID_VALUE)
        return CHANNEL[form] * channels
    if form not in ELEMENT:
        known = form in FORMATS
        raise CudaError(status.NOT_SUPPORTED if known else status.INVALID_VALUE)
    size, fixed = ELEMENT[form]
    if channels != fixed:
        raise CudaError(status.INVALID_VALUE)
    return size
