"""A device's multiprocessors as a resource: how many there are, and dividing them into groups.

A CUdevResource is the client's memory. Its fields are for the client to read; what a split needs
to know stands in the padding, in nvemu's own layout: the mark, the device's ordinal, the number of
the split that it is from (0: none), whether it is a remainder, the number of multiprocessors.

How many a group needs at least, and what its size is a multiple of, is from the reference's table
by compute capability. Where the SMs lie is not modelled: any multiple fits.
"""

from __future__ import annotations

from _struct import Struct

from .. import _status as status
from .._constants import DEV_RESOURCE_TYPE_INVALID, DEV_RESOURCE_TYPE_SM
from ..error import CudaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..library import Cuda

__all__ = ["NOTHING", "Multiprocessors", "Splits"]

# Major compute capability, from which on -> the least group, and what groups are a multiple of.
GRANULARITY = {6: (1, 1), 7: (2, 2), 8: (4, 2), 9: (8, 8)}
IGNORE_COSCHEDULING = 1
IGNORED = 2  # the granularity then
SPLIT_FLAGS = 3

BACKFILL = 1
MOST_COSCHEDULED = {6: 2, 9: 32}

MARK = b"nvemu SM"
_identity = Struct("8siQII")

NOTHING: dict[str, Any] = {"type": DEV_RESOURCE_TYPE_INVALID}


class Splits:
    """How often this process has split a resource."""

    def __init__(self, cuda: Cuda) -> None:
        self.count = 0

    def next(self) -> int:
        """The number of a split."""
        self.count += 1
        return self.count

    def end(self) -> None:
        """Nothing is held."""


class Multiprocessors:
    """Some of a device's multiprocessors.

    Attributes:
        ordinal: the device's.
        split: the split that they are from; 0 for those of a device or a context.
    """

    __slots__ = ("count", "is_remainder", "major", "ordinal", "split")

    def __init__(
        self, ordinal: int, major: int, count: int, split: int = 0, is_remainder: bool = False
    ) -> None:
        self.ordinal = ordinal
        self.major = major
        self.count = count
        self.split = split
        self.is_remainder = is_remainder

    @classmethod
    def of(cls, cuda: Cuda, device: Any) -> Multiprocessors:
        """All of a device."""
        ordinal = cuda.devices.index(device)
        return cls(ordinal, device.compute_capability[0], device.processor.multiprocessors)

    @classmethod
    def read(cls, cuda: Cuda, resource: Any) -> Multiprocessors:
        """What a client's CUdevResource stands for.

        Raises:
            CudaError: INVALID_RESOURCE_TYPE; INVALID_RESOURCE_CONFIGURATION for one that no
                function of this process has made.
        """
        if resource.type != DEV_RESOURCE_TYPE_SM:
            raise CudaError(status.INVALID_RESOURCE_TYPE)
        mark, ordinal, split, is_remainder, count = _identity.unpack_from(
            resource._internal_padding
        )
        if mark != MARK or not 0 <= ordinal < len(cuda.devices):
            raise CudaError(status.INVALID_RESOURCE_CONFIGURATION)
        major = cuda.devices[ordinal].compute_capability[0]
        return cls(ordinal, major, count, split, bool(is_remainder))

    def shown(self) -> dict[str, Any]:
        """The CUdevResource, by fields."""
        if not self.count:
            return NOTHING
        least, alignment = self.granularity()
        identity = _identity.pack(MARK, self.ordinal, self.split, self.is_remainder, self.count)
        sm = {
            "smCount": self.count,
            "minSmPartitionSize": least,
            "smCoscheduledAlignment": alignment,
        }
        return {
            "type": DEV_RESOURCE_TYPE_SM,
            "_internal_padding": identity,
            "_anonymous0": {"sm": sm},
        }

    def granularity(self, flags: int = 0) -> tuple[int, int]:
        """The least group, and what the size of each is a multiple of."""
        least, alignment = _by_major(GRANULARITY, self.major)
        if flags & IGNORE_COSCHEDULING:
            return min(least, IGNORED), min(alignment, IGNORED)
        return least, alignment

    def part(self, count: int, split: int, is_remainder: bool = False) -> Multiprocessors:
        """Some of these."""
        return Multiprocessors(self.ordinal, self.major, count, split, is_remainder)

    def by_count(self, least: int, flags: int) -> tuple[int, int]:
        """How many groups there can be of at least so many, and how many each then has.

        Raises:
            CudaError: INVALID_VALUE for flags that do not exist, and more than there are;
                INVALID_RESOURCE_CONFIGURATION where not one group fits, and for a group of a split,
                which has to be a green context's first.
        """
        if flags & ~SPLIT_FLAGS or least > self.count:
            raise CudaError(status.INVALID_VALUE)
        minimum, alignment = self.granularity(flags)
        size = -(-max(least, minimum) // alignment) * alignment
        if size > self.count or (self.split and not self.is_remainder):
            raise CudaError(status.INVALID_RESOURCE_CONFIGURATION)
        return self.count // size, size

    def by_params(self, params: Sequence[Any]) -> list[int]:
        """How many each CU_DEV_SM_RESOURCE_GROUP_PARAMS gets, in order; 0 where none are left.

        Raises:
            CudaError: INVALID_VALUE for numbers that cannot be meant;
                INVALID_RESOURCE_CONFIGURATION for those that cannot be had.
        """
        left = self.count
        sizes = []
        for wanted in params:
            size = self._size(wanted, left)
            left -= size
            sizes.append(size)
        return sizes

    def _size(self, wanted: Any, left: int) -> int:
        together = wanted.coscheduledSmCount or self.granularity()[1]
        most = _by_major(MOST_COSCHEDULED, self.major)
        odd = wanted.smCount % IGNORED or wanted.coscheduledSmCount % IGNORED
        if odd or wanted.flags & ~BACKFILL or wanted.coscheduledSmCount > most:
            raise CudaError(status.INVALID_VALUE)
        step = IGNORED if wanted.flags & BACKFILL else together
        if not wanted.smCount:
            return left - left % step if left >= together else 0
        if wanted.smCount % step or not together <= wanted.smCount <= left:
            raise CudaError(status.INVALID_RESOURCE_CONFIGURATION)
        return int(wanted.smCount)


def _by_major(table: dict[int, Any], major: int) -> Any:
    """The value of the newest architecture that is not newer."""
    return table[max(since for since in table if since <= max(major, min(table)))]
