"""A value of a YAML file that knows its line and its key."""

from __future__ import annotations

import re
from typing import Any

from ...scenario import ScenarioFileError
from ...scenario.errors import format_key

__all__ = ["Key", "Node"]

_NULL = ("", "~", "null", "Null", "NULL")
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[+-]?(0x[0-9a-fA-F]+|0o?[0-7]+|[1-9]\d*|0)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_KINDS = {"table": "a table", "list": "a list", "text": "one value"}

#: Longer ones are no numbers: to make one of a page of digits takes minutes.
_LONGEST = 40

Key = tuple[str | int, ...]


class Node:
    """A value of a YAML file: text, a list or a table, and where it stands.

    Attributes:
        kind: "text", "list" or "table".
        value: the text, the list's nodes, or the table's nodes by key.
        file: the file's name, for errors.
        line: counted from 1.
        key: the path to it in the file.
        plain: whether text is without quotes.
    """

    __slots__ = ("file", "key", "kind", "line", "plain", "value")

    def __init__(self, kind: str, file: str, line: int, key: Key) -> None:
        self.kind = kind
        self.file = file
        self.line = line
        self.key = key
        self.plain = False
        self.value: Any = {} if kind == "table" else []

    @property
    def where(self) -> str:
        """Its place for a reader: "line 12, devices[0].uuid"."""
        name = format_key(self.key)
        return f"line {self.line}, {name}" if name else f"line {self.line}"

    @property
    def is_null(self) -> bool:
        """Whether nothing is given: an empty value, or "null"."""
        return self.kind == "text" and self.plain and self.value in _NULL

    def error(self, problem: str) -> ScenarioFileError:
        """The error that something is wrong with it."""
        return ScenarioFileError(problem, key=self.key, file=self.file, line=self.line)

    def table(self) -> dict[str, Node]:
        """Its nodes by key; none where nothing is given.

        Raises:
            ScenarioFileError: it is no table.
        """
        found: dict[str, Node] = {} if self.is_null else self._of_kind("table")
        return found

    def given(self) -> dict[str, Node]:
        """Its nodes by key, without those of which nothing is given.

        Raises:
            ScenarioFileError: it is no table.
        """
        return {name: node for name, node in self.table().items() if not node.is_null}

    def list(self, most: int | None = None) -> list[Node]:
        """Its nodes in order; none where nothing is given.

        Raises:
            ScenarioFileError: it is no list, or has more than `most` rows.
        """
        found: list[Node] = [] if self.is_null else self._of_kind("list")
        if most is not None and len(found) > most:
            raise self.error(f"expected at most {most} rows, found {len(found)}")
        return found

    def text(self) -> str:
        """Its text, also that of a number.

        Raises:
            ScenarioFileError: it is no text of one line.
        """
        text = str(self._of_kind("text"))
        if not text.isprintable():
            raise self.error(f"expected printable text in one line, found {text[:80]!r}")
        return text

    def integer(self, least: int = 0, most: int = (1 << 64) - 1) -> int:
        """Its number, in decimal, hexadecimal or octal digits.

        Raises:
            ScenarioFileError: it is no integer, or out of bounds.
        """
        text = self._of_kind("text")
        if not _INTEGER.fullmatch(text) or len(text) > _LONGEST:
            raise self.error(f"expected an integer, found {text[:80]!r}")
        digits = text.lstrip("+-")
        octal = digits[0] == "0" and digits[1:].isdigit()
        number = int(text.replace("0", "0o", 1) if octal else text, 0)
        if not least <= number <= most:
            raise self.error(f"expected {least} to {most}, found {text}")
        return number

    def number(self) -> float:
        """Its number, maybe with a fraction.

        Raises:
            ScenarioFileError: it is no number.
        """
        text = self._of_kind("text")
        if not _NUMBER.fullmatch(text) or len(text) > _LONGEST:
            raise self.error(f"expected a number, found {text[:80]!r}")
        return float(text)

    def truth(self) -> bool:
        """Whether it says true.

        Raises:
            ScenarioFileError: it is neither true nor false.
        """
        text = self._of_kind("text")
        if text.lower() not in _TRUTHS:
            raise self.error(f"expected true or false, found {text[:80]!r}")
        return _TRUTHS[text.lower()]

    def _of_kind(self, kind: str) -> Any:
        if self.kind != kind:
            raise self.error(f"expected {_KINDS[kind]}, found {_KINDS[self.kind]}")
        return self.value
