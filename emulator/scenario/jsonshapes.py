"""What JSON Schemas are put together from, as plain values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "Schema",
    "any_case",
    "any_of",
    "array",
    "descriptions",
    "integer",
    "one_or_more",
    "pattern",
    "prose",
    "record",
    "ref",
    "table",
    "text",
    "words",
]

Schema = dict[str, Any]

_ENTRY = re.compile(r" {4}(\w+): (.*)")


def any_of(*schemas: Schema) -> Schema:
    """One of these or several."""
    return {"anyOf": list(schemas)}


def array(items: Schema, **more: Any) -> Schema:
    """A list."""
    return {"type": "array", "items": items, **more}


def one_or_more(schema: Schema) -> Schema:
    """A value, or a list of such that is not empty."""
    return any_of(schema, array(schema, minItems=1))


def record(properties: Mapping[str, Schema]) -> Schema:
    """A table of these keys and no others."""
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def table(values: Schema, keys: Schema) -> Schema:
    """A table of keys and values that are all alike."""
    return {"type": "object", "additionalProperties": values, "propertyNames": keys}


def ref(name: str) -> Schema:
    """What is defined once, under this name."""
    return {"$ref": f"#/$defs/{name}"}


def words(described: Mapping[str, str]) -> Schema:
    """One of certain words, each with its description."""
    return any_of(*({"const": word, "description": said} for word, said in described.items()))


def integer(least: int, most: int) -> Schema:
    """An integer in bounds."""
    return {"type": "integer", "minimum": least, "maximum": most}


def text(least: int = 0, most: int | None = None) -> Schema:
    """A string of so many characters."""
    return {"type": "string", "minLength": least} | ({} if most is None else {"maxLength": most})


def pattern(expression: str, *examples: str) -> Schema:
    """A string all of which a regular expression matches."""
    shown = {"examples": list(examples)} if examples else {}
    return {"type": "string", "pattern": f"^(?:{expression})$", **shown}


def any_case(spellings: Iterable[str]) -> str:
    """A regular expression for one of certain words, in capital or small letters."""
    return "|".join(
        "".join(f"[{c.upper()}{c.lower()}]" if c.isalpha() else c for c in spelling)
        for spelling in spellings
    )


def descriptions(kind: type) -> dict[str, str]:
    """What a class's docstring says of its attributes, by their names."""
    said: dict[str, list[str]] = {}
    entry: list[str] | None = None
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        first = _ENTRY.fullmatch(line)
        if first and first[1] in kind.__annotations__:
            entry = said[first[1]] = [first[2]]
        elif entry is not None and line.startswith(" " * 8):
            entry.append(line)
        else:
            entry = None
    return {name: _plain(" ".join(lines)) for name, lines in said.items()}


def prose(kind: type, paragraphs: int | None = None) -> str:
    """The first paragraphs of a class's docstring, or all of it."""
    return _plain(" ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[:paragraphs]))


def _plain(marked: str) -> str:
    return " ".join(marked.replace("``", "`").split())
