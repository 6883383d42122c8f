"""Where in a TOML file a key stands, for messages: tomllib does not say."""

from __future__ import annotations

import re

from msgspec import Struct

from .errors import Key, ScenarioError

__all__ = ["Source"]

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PATH = rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*"
_HEADER = re.compile(rf"\s*(\[\[?){_PATH}\]")
_ENTRY = re.compile(rf"{_PATH}=")


class Source(Struct, frozen=True):
    """The text that a scenario was read from, and the name of its file.

    `replaced` are the keys whose values are not from there any more.
    """

    file: str
    text: str
    replaced: frozenset[str] = frozenset()

    def locate(self, error: ScenarioError) -> ScenarioError:
        """Give an error its file and, as near as it can be told, the line of its key."""
        lines = _key_lines(self.text)
        keys = (error.key[:length] for length in range(len(error.key), 0, -1))
        error.file = self.file
        error.line = error.line or next((lines[key] for key in keys if key in lines), None)
        return error


def _key_lines(text: str) -> dict[Key, int]:
    """Return the line of each key and table header that stands at the beginning of a line.

    Not a parser: it is only asked about text that tomllib has read, and only for a hint. Keys
    within inline tables have no line of their own; ``locate`` falls back on the one around them.
    """
    lines: dict[Key, int] = {}
    arrays: dict[Key, int] = {}
    table: Key = ()
    closing = ""
    for number, line in enumerate(text.split("\n"), 1):
        if closing:
            closing = "" if closing in line else closing
        elif header := _HEADER.match(line):
            table = _enter(_parts(header[2]), header[1] == "[[", arrays)
            _note(lines, table, number)
        elif entry := _ENTRY.match(line):
            _note(lines, (*table, *_parts(entry[1])), number)
            closing = _opened(line[entry.end() :])
    return lines


def _note(lines: dict[Key, int], key: Key, number: int) -> None:
    """Take down the line of a key, and of the tables that its dots bring with it."""
    for length in range(1, len(key) + 1):
        lines.setdefault(key[:length], number)


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, path)]


def _enter(path: list[str], is_array: bool, arrays: dict[Key, int]) -> Key:
    """Return the key of a table by its header; each ``[[name]]`` counts one further."""
    key: Key = ()
    for depth, part in enumerate(path, 1):
        key = (*key, part)
        if is_array and depth == len(path):
            arrays[key] = arrays.get(key, -1) + 1
        if key in arrays:
            key = (*key, arrays[key])
    return key


def _opened(value: str) -> str:
    """Return the quotes that will close a multi-line string begun in this value, or ""."""
    for quotes in ('"""', "'''"):
        if value.lstrip().startswith(quotes) and value.count(quotes) == 1:
            return quotes
    return ""
