"""What holds of parts of a range: values by address, neighbours with the same value as one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Marks"]


class Marks:
    """Values of the addresses from `start` to `end`; at first all have `value`."""

    __slots__ = ("_parts",)

    def __init__(self, start: int, end: int, value: Any) -> None:
        self._parts: list[tuple[int, int, Any]] = [(start, end, value)]

    def put(self, start: int, end: int, value: Any) -> None:
        """Let a part have another value."""
        kept = []
        for first, last, old in self._parts:
            if first < start:
                kept.append((first, min(last, start), old))
            if last > end:
                kept.append((max(first, end), last, old))
        self._parts = sorted([*kept, (start, end, value)], key=lambda part: part[0])

    def values(self, start: int, end: int) -> list[Any]:
        """The values that parts of a range have, in order."""
        return [value for first, last, value in self._parts if first < end and last > start]

    def common(self, start: int, end: int, otherwise: Any) -> Any:
        """The value that a whole range has, if it has one."""
        found = self.values(start, end)
        same = found and all(value == found[0] for value in found)
        return found[0] if same else otherwise
