"""The base of every group of figures: slots filled from the plan's table of the same shape."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, ClassVar

__all__ = [
    "Bytes",
    "Celsius",
    "Figures",
    "Megahertz",
    "Microseconds",
    "Milliwatts",
    "Nanoseconds",
    "Percent",
    "Rows",
    "read",
]

# Units, for annotations: what a scenario may write for a figure ("80 GiB", "700 W") follows from
# the unit it is declared with. All are integers.
Bytes = int
Celsius = int
Megahertz = int
Microseconds = int
Milliwatts = int
Nanoseconds = int
Percent = int


class Figures:
    """A group of figures of a device: one slot a figure, mutable, and nothing but these slots.

    The plan's table names the figures; a figure that it leaves out is ``None``, which means that
    the product does not have it. The API layers answer NOT_SUPPORTED for such a figure.

    Where a device has a list of such groups, as many as the product has, `placed` ones can be set
    one by one, by their places in the list.
    """

    __slots__ = ()
    placed = False

    def __init__(self, table: Mapping[str, Any]) -> None:
        get = table.get
        slots: tuple[str, ...] = self.__slots__
        for name in slots:
            setattr(self, name, get(name))

    def __repr__(self) -> str:
        slots: tuple[str, ...] = self.__slots__
        figures = ", ".join(f"{name}={getattr(self, name)!r}" for name in slots)
        return f"{type(self).__name__}({figures})"


class Rows(Figures):
    """A group with groups in it, which plans and changes give as tables.

    `kinds` has the names of such figures, each with the class of what it is, or a list of; `empty`
    the tables or rows that stand for None, where a product always has the figure.
    """

    __slots__ = ()
    if TYPE_CHECKING:
        kinds: ClassVar[tuple[tuple[str, type[Figures]], ...]]
        empty: ClassVar[tuple[tuple[str, Any], ...]]
    else:  # an annotation would make figures of them
        kinds = ()
        empty = ()

    def __setattr__(self, name: str, value: Any) -> None:
        """Make groups of tables."""
        if value is None:
            value = next((rows for figure, rows in self.empty if figure == name), None)
        for figure, kind in self.kinds:
            if figure == name and isinstance(value, dict):
                value = kind(value)
            elif figure == name and value is not None and not isinstance(value, kind):
                value = [row if isinstance(row, kind) else kind(row) for row in value]
        super().__setattr__(name, value)


def read(group: Any, path: Iterable[str]) -> Any:
    """What a figure of a group, or of one in it, is now; a list as it is now."""
    value = group
    for name in path:
        value = getattr(value, name)
    return list(value) if isinstance(value, list) else value
