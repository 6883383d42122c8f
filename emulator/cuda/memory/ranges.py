"""Free ranges of numbers, from which pieces are taken and to which they come back."""

from __future__ import annotations

from _bisect import bisect_left
from _bisect import insort_right as insort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["Ranges"]


class Ranges:
    """Free ranges; neighbours grow together, except where one begins at a number in `walls`.

    Sizes are what the callers round them to: a piece begins where a range begins.
    """

    __slots__ = ("_by_size", "_ends", "_starts", "_walls")

    def __init__(self, walls: Container[int] = ()) -> None:
        self._walls = walls
        self._by_size: list[tuple[int, int]] = []
        self._starts: dict[int, int] = {}  # first -> size
        self._ends: dict[int, int] = {}  # behind the last -> first

    def take(self, size: int) -> int:
        """The first of `size` free numbers, out of the smallest range that has them; -1: none."""
        place = bisect_left(self._by_size, (size, 0))
        if place == len(self._by_size):
            return -1
        found, start = self._by_size.pop(place)
        del self._starts[start], self._ends[start + found]
        if found > size:
            self._put(start + size, found - size)
        return start

    def give(self, start: int, size: int) -> tuple[int, int]:
        """Free a piece; the range that it is part of now, as (first, size)."""
        end = start + size
        before = self._ends.get(start)
        if before is not None and start not in self._walls:
            self._remove(before, start - before)
            start = before
        after = self._starts.get(end)
        if after is not None and end not in self._walls:
            self._remove(end, after)
            end += after
        self._put(start, end - start)
        return start, end - start

    def size_at(self, start: int) -> int:
        """The size of the free range that begins there; 0: none does."""
        return self._starts.get(start, 0)

    def drop(self, start: int, size: int) -> None:
        """Forget a whole range: it is no longer there to be taken."""
        self._remove(start, size)

    def _put(self, start: int, size: int) -> None:
        insort(self._by_size, (size, start))
        self._starts[start] = size
        self._ends[start + size] = start

    def _remove(self, start: int, size: int) -> None:
        del self._by_size[bisect_left(self._by_size, (size, start))]
        del self._starts[start], self._ends[start + size]
