"""Texture and surface references: what a module's variable, or a program, reads memory through.

They went out of use with CUDA 12 and are still exported. What is set of one is checked and kept.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SurfaceReference", "TextureReference"]


class TextureReference:
    """A texture reference; a new one is bound to nothing.

    Attributes:
        bound: an Array or a Mipmap; None: `address` is of memory, or of nothing when it is 0.
        clamps: the least and the greatest level of a mipmap.
    """

    __slots__ = (
        *("address", "address_modes", "anisotropy", "bias", "border", "bound", "channels"),
        *("clamps", "filter_mode", "flags", "format", "mipmap_filter_mode"),
    )

    def __init__(self) -> None:
        self.bound: Any = None
        self.address = 0
        self.address_modes = [constants.TR_ADDRESS_MODE_WRAP] * 3
        self.filter_mode = self.mipmap_filter_mode = constants.TR_FILTER_MODE_POINT
        self.format, self.channels = constants.AD_FORMAT_FLOAT, 1
        self.flags = 0
        self.anisotropy = 1
        self.bias = 0.0
        self.clamps = (0.0, 0.0)
        self.border = [0.0] * 4

    def bind(self, what: Any, address: int = 0) -> None:
        """Bind an array, a mipmap or memory, in place of what was bound."""
        self.bound = what
        self.address = address

    def dimension(self, number: int) -> int:
        """A dimension that it has an address mode for; INVALID_VALUE."""
        if number not in range(3):
            raise CudaError(status.INVALID_VALUE)
        return number


class SurfaceReference:
    """A surface reference, bound to an array or to nothing."""

    __slots__ = ("bound",)

    def __init__(self) -> None:
        self.bound: Any = None
