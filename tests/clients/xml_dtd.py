"""An XML text beside the document type that stands in it.

The declarations of nvidia-smi's are ambiguous in XML's sense, (a | a) and (a, b | a, b, c), so that
validators that take the standard at its word refuse the type itself. A regular expression does not.
"""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat
from xml.parsers.expat import model

__all__ = ["departures"]

_QUANTIFIERS = {
    model.XML_CQUANT_NONE: "",
    model.XML_CQUANT_OPT: "?",
    model.XML_CQUANT_REP: "*",
    model.XML_CQUANT_PLUS: "+",
}


def _pattern(declared: tuple[int, int, str | None, tuple[Any, ...]]) -> str:
    """A content model as a regular expression over names, each with a space behind it."""
    kind, quantifier, name, parts = declared
    inner = [_pattern(part) for part in parts]
    if kind == model.XML_CTYPE_MIXED:
        return "(?:" + "|".join(inner) + ")*"
    if kind == model.XML_CTYPE_NAME:
        inner = [re.escape(f"{name} ")]
    between = "|" if kind == model.XML_CTYPE_CHOICE else ""
    return f"(?:{between.join(inner)}){_QUANTIFIERS[quantifier]}"


def departures(text: str) -> list[str]:
    """Where elements hold others than the text's own document type says; it must have one."""
    patterns: dict[str, str] = {}
    path: list[tuple[str, list[str]]] = []
    found: list[str] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        if path:
            path[-1][1].append(name)
        path.append((name, []))

    def end(name: str) -> None:
        _, children = path.pop()
        inside = "".join(f"{child} " for child in children)
        if name not in patterns:
            found.append(f"{name} is not declared")
        elif not re.fullmatch(patterns[name], inside):
            found.append(f"{name} holds {inside or 'nothing'}")

    parser = expat.ParserCreate()
    parser.ElementDeclHandler = lambda name, declared: patterns.setdefault(name, _pattern(declared))
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.Parse(text, True)
    assert patterns, "there is no document type in it"
    return found
