"""What may be set of a figure: all that lies between two others."""

from __future__ import annotations

from . import _status as status
from .library import NvmlError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

__all__ = ["check_between"]


def check_between(value: int, lowest: Optional[int], highest: Optional[int]) -> None:
    """Refuse a value below the lowest or above the highest; None does not bound it.

    Raises:
        NvmlError: INVALID_ARGUMENT.
    """
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        raise NvmlError(status.INVALID_ARGUMENT)
