"""The tree of what `nvidia-smi -q` printed: elements as in its XML, also where it printed text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Node"]


@dataclass(slots=True)
class Node:
    """One element: its tag as the XML has it, its own text without space around it, its line.

    Attributes:
        line: where it stands in the file, counted from 1.
        children: the elements in it, in the order of the file; a leaf has none.
    """

    tag: str
    text: str = ""
    line: int = 0
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def all(self, path: str) -> Iterator[Node]:
        """Go through the nodes at a path below this one: "processes/process_info"."""
        first, _, rest = path.partition("/")
        for child in self.children:
            if child.tag == first:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def find(self, path: str) -> Node | None:
        """Return the first node at a path below this one, None if there is none."""
        return next(self.all(path), None)

    def told(self, path: str) -> str:
        """Return the text at a path below this one, "" if there is none."""
        node = self.find(path)
        return node.text if node else ""

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Node]]:
        """Go through the leaves below this node, each with its path from here."""
        for child in self.children:
            path = f"{prefix}{child.tag}"
            if child.children:
                yield from child.leaves(f"{path}/")
            else:
                yield path, child
