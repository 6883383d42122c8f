"""What GPU instances and compute instances have in common: where one is placed, lists of them.

The arrays have no size of their own: nvml.h says that they must be large enough for what the
profile can have, and what stands in `count` before the call is not looked at.
"""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _status as status
from ..library import NvmlError, api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Sequence

__all__ = ["choose", "numbered", "put_handles", "put_placements", "start_of"]


def numbered(found: Sequence[Any], number: int) -> Any:
    """The instance of an id."""
    for each in found:
        if each.id == number:
            return each
    raise NvmlError(status.NOT_FOUND)


def choose(free: Sequence[int], wanted: Optional[int]) -> int:
    """The wanted place, or else the first, of those that are free."""
    if not free or wanted not in (None, *free):
        raise NvmlError(status.INSUFFICIENT_RESOURCES)
    return free[0] if wanted is None else wanted


def start_of(placement: Any, size: int, starts: Sequence[int]) -> int:
    """Where a client's placement begins, if it is one of a profile's."""
    if placement.start not in starts or placement.size != size:
        raise NvmlError(status.INVALID_ARGUMENT)
    return int(placement.start)


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
