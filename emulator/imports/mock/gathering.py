"""What a reader has found so far of one GPU and of the whole file, and the walk through a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...machine.words import WORDS
from ..facts import Note, Told
from ..figures import may_lack
from ..yaml.node import Node

__all__ = [
    "Gathering",
    "Row",
    "absent",
    "ask",
    "counted",
    "follows",
    "left",
    "number",
    "part",
    "rows",
    "told",
    "truth",
    "walk",
    "word",
]

Path = tuple[str, ...]

#: A list that is longer is of no machine; what one stands for is made of its rows.
MOST_ROWS = 4096

#: What such formats write for what a product does not have.
_ABSENT = ("", "n/a", "[n/a]", "none")


class Gathering:
    """The figures that are told of a GPU, and what could not be carried over.

    The notes are shared by all GPUs of a file, and each is there once: what is said of all GPUs is
    looked at for each.
    """

    def __init__(self, notes: dict[Note, None]) -> None:
        self.notes = notes
        self.figures: dict[Path, Told] = {}

    def tell(self, path: Path, value: Any, node: Node) -> None:
        """Take a figure; what is told later counts."""
        if value is None and not may_lack(path):
            self.note(node, "every product has this: it is as the profile has it")
            return
        self.figures[path] = Told(path, value, where=node.where)

    def value(self, *path: str) -> Any:
        """What is told of a figure so far."""
        known = self.figures.get(path)
        return None if known is None else known.value

    def note(self, node: Node, text: str) -> None:
        """Say that something is not carried over as it stands."""
        self.notes.setdefault(Note(node.where, text))


#: What is to be done with the value of a key.
Row = Callable[[Node, Gathering], None]

#: The keys of a table, and of the tables in it.
Rows = Mapping[str, "Row | Rows"]


def walk(node: Node, rows: Rows, found: Gathering) -> None:
    """Take what a table says, by key; of a key that nobody knows there is a note.

    Raises:
        ScenarioFileError: a value is of the wrong type.
    """
    for name, value in node.given().items():
        row = rows.get(name)
        if row is None:
            found.note(value, "no key of this format that nvemu knows")
        elif isinstance(row, Mapping):
            walk(value, row, found)
        else:
            row(value, found)


def part(table: Mapping[str, Node], name: str) -> dict[str, Node]:
    """The table that stands in another; an empty one where none is given."""
    return table[name].given() if name in table else {}


def rows(table: Mapping[str, Node], name: str) -> list[Node]:
    """The rows of the list that stands in a table; none where none is given."""
    return table[name].list(MOST_ROWS) if name in table else []


def number(table: Mapping[str, Node], name: str, most: int, default: int = 0) -> int:
    """The number from 0 on that stands in a table, or another where none is given."""
    return table[name].integer(0, most) if name in table else default


def absent(node: Node) -> bool:
    """Whether it says that a product does not have something."""
    return node.kind == "text" and node.value.strip().lower() in _ABSENT


def ask(node: Node, read: Callable[[Node], Any]) -> Any:
    """What a node says; None for 'N/A'."""
    return None if absent(node) else read(node)


def told(*paths: Path, read: Callable[[Node], Any] = Node.integer, scale: int = 1) -> Row:
    """The row of a key whose value is that of figures: so many of the machine's units each."""

    def take(node: Node, found: Gathering) -> None:
        value = ask(node, read)
        for path in paths:
            found.tell(path, value * scale if scale != 1 and value is not None else value, node)

    return take


def counted(path: Path, read: Callable[[Node], Any] = Node.integer) -> Row:
    """The row of what is nothing by default: zeros of it say nothing that a product does not."""

    def take(node: Node, found: Gathering) -> None:
        if value := ask(node, read):
            found.tell(path, value, node)

    return take


def word(path: Path, kind: str, words: Mapping[str, str | None] | None = None) -> Row:
    """The row of one of the words of a kind, in any case, or by other names of these."""
    other = words or {}

    def take(node: Node, found: Gathering) -> None:
        text = node.text().strip()
        name = other.get(text.lower(), text.upper().replace(" ", "_").replace("-", "_"))
        if name is None or name in WORDS[kind]:
            found.tell(path, name, node)
        else:
            found.note(node, f"nvemu has no {text!r} here: it is as the profile has it")

    return take


def truth(path: Path) -> Row:
    """The row of what is "enabled" or "disabled"."""

    def take(node: Node, found: Gathering) -> None:
        found.tell(path, ask(node, switch), node)

    return take


def switch(node: Node) -> bool:
    """What "enabled" and "disabled" mean, and true and false.

    Raises:
        ScenarioFileError: it is none of these.
    """
    said = {"enabled": True, "disabled": False}.get(node.text().strip().lower())
    if said is not None:
        return said
    try:
        return node.truth()
    except ValueError:
        raise node.error(f"expected 'enabled' or 'disabled', found {node.value!r}") from None


def follows(node: Node, found: Gathering) -> None:
    """The row of what follows from other figures."""


def left(why: str, *harmless: str) -> Row:
    """The row of what has no place in a scenario: noted, but for values that say nothing."""

    def take(node: Node, found: Gathering) -> None:
        if node.kind != "text" or node.value.lower() not in harmless:
            found.note(node, why)

    return take
