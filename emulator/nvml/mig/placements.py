"""GPU instances and compute instances: lists of them and of places, as NVML puts them out.

These arrays have no size of their own: nvml.h says that they must be large enough for what the
profile can have, and what stands in `count` before the call is not looked at.
"""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _status as status
from ..library import NvmlError, api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Sequence

__all__ = ["put_handles", "put_placements"]


def check_address(address: int) -> None:
    if address < NULL_PAGE:
        raise NvmlError(status.INVALID_ARGUMENT)


def put_count(address: int, number: int) -> None:
    check_address(address)
    ctypes.c_uint.from_address(address).value = number


def put_placements(
    type_name: str, array: int, count: int, size: int, starts: Sequence[int]
) -> None:
    """Write places of a size; without an array only how many there are."""
    put_count(count, len(starts))
    if array:
        check_address(array)
        for place, start in zip((api.types[type_name] * len(starts)).from_address(array), starts):
            place.start, place.size = start, size


def put_handles(
    array: int, count: int, give: Callable[[object], int], found: Sequence[object]
) -> None:
    """Write the handles of instances."""
    check_address(array)
    put_count(count, len(found))
    for place, each in enumerate(found):
        ctypes.c_size_t.from_address(array + 8 * place).value = give(each)
