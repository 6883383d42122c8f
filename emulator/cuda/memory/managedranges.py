"""What can be asked about a range of managed memory."""

from __future__ import annotations

import ctypes

from ...api import NULL_PAGE
from .. import _constants as constants
from .. import _status as status
from ..library import Cuda, CudaError, implements
from .advice import CPU, NOWHERE, UNSAID, Advice, find_advice
from .location import AT_DEVICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

__all__: list[str] = []


def _number(place: tuple[int, int]) -> int:
    """A place as those attributes tell it that know devices and the CPU only."""
    kind, number = place
    if kind == AT_DEVICE:
        return number
    return NOWHERE if place == UNSAID else CPU


def _read_mostly(advice: Advice, start: int, end: int) -> list[int]:
    return [int(all(advice.read_mostly.values(start, end)))]


def _accessed_by(advice: Advice, start: int, end: int) -> list[int]:
    lists = advice.accessed_by.values(start, end)
    found = [_number(place) for place in lists[0] if all(place in others for others in lists)]
    return sorted(found, key=lambda number: (number == CPU, number))  # as cuda-python's tests hold


def _preferred(advice: Advice, start: int, end: int) -> tuple[int, int]:
    place: tuple[int, int] = advice.preferred.common(start, end, UNSAID)
    return place


def _prefetched(advice: Advice, start: int, end: int) -> tuple[int, int]:
    place: tuple[int, int] = advice.prefetched.common(start, end, UNSAID)
    return place


#: Attribute -> its values for a range: one, but for ACCESSED_BY.
RANGE = {
    constants.MEM_RANGE_ATTRIBUTE_READ_MOSTLY: _read_mostly,
    constants.MEM_RANGE_ATTRIBUTE_ACCESSED_BY: _accessed_by,
    constants.MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION: lambda *of: [_number(_preferred(*of))],
    constants.MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION: lambda *of: [_number(_prefetched(*of))],
    constants.MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_TYPE: lambda *of: [_preferred(*of)[0]],
    constants.MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION_ID: lambda *of: [_preferred(*of)[1]],
    constants.MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_TYPE: lambda *of: [_prefetched(*of)[0]],
    constants.MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION_ID: lambda *of: [_prefetched(*of)[1]],
}


@implements("cuMemRangeGetAttribute", raw=("data",))
def range_attribute(
    cuda: Cuda, data: int, data_size: int, attribute: int, dev_ptr: int, count: int
) -> None:
    cuda.contexts.current()
    _tell(data, data_size, attribute, find_advice(cuda, dev_ptr, count), dev_ptr, count)


@implements("cuMemRangeGetAttributes")
def range_attributes(
    cuda: Cuda,
    data: Sequence[int],
    data_sizes: Sequence[int],
    attributes: Sequence[int],
    dev_ptr: int,
    count: int,
) -> None:
    cuda.contexts.current()
    advice = find_advice(cuda, dev_ptr, count)
    for place, size, attribute in zip(data, data_sizes, attributes):
        _tell(place, size, attribute, advice, dev_ptr, count)


def _tell(data: int, size: int, attribute: int, advice: Advice, start: int, count: int) -> None:
    """Write an attribute as ints; what ACCESSED_BY leaves of its room is filled with INVALID."""
    find = RANGE.get(attribute)
    room = size // 4
    many = attribute == constants.MEM_RANGE_ATTRIBUTE_ACCESSED_BY
    if find is None or data < NULL_PAGE or size % 4 or not ((many and room) or room == 1):
        raise CudaError(status.INVALID_VALUE)
    values = (find(advice, start, start + count) + [NOWHERE] * room)[:room]
    ctypes.memmove(data, (ctypes.c_int * room)(*values), size)
