"""Inferring which way a parameter goes.

A wrong direction makes an emulator write into what a program only lent it to read. So inference
is narrow: const-ness first, then what the documentation says in its own stock phrases, then the
patterns that both APIs keep to. Whatever remains is decided by people in the overrides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stubs.generate.declarations import Function, Struct
from stubs.generate.doxygen import Comment
from stubs.generate.lengths import is_pointer, lengths

__all__ = ["Directions"]

_IN_OUT = re.compile(r"\[in, ?out\]|\bin/out\b|\bin out\b|as an input|input/output", re.I)
_RETURNED = re.compile(r"^\[out\]|^returns?\b|^returned\b", re.I)
_OUT = re.compile(
    r"\breturned\b|\breturns?\b|in(?:to)? which|\bto (?:store|hold|receive|be filled)"
    r"|\bfilled\b|\bpopulated?\b|\boutput\b|\bwritten\b|reference to (?:an? )?unsigned int for",
    re.I,
)
_IN = re.compile(r"^\[in\]", re.I)
# Struct fields mark what the caller fills in as [in], IN:, or input.
_FIELD_IN = re.compile(r"\[in\b|\bIN\b|^input\b|\[IN\b", re.M)
# Names that CUDA keeps for one meaning. The linker writes sizes and times back into optionValues.
_NAMED_OUT = re.compile(r"_out$|Out$|^ph[A-Z]|^dstHost$|^pMilliseconds$")
_NAMED_IN_OUT = re.compile(r"^(?:o|jitO)ptions?Values$")
_SETTER = re.compile(r"(?<!Event)Set[A-Z]")
_GETTER = re.compile(r"Get|Query")


class Directions:
    """Describes parameters by what a whole library's declarations tell.

    `structs` holds every struct under its name and under its aliases.
    """

    def __init__(self, library: str, structs: Mapping[str, Struct]) -> None:
        self._library = library
        self._structs = structs

    def of(
        self, name: str, function: Function, comments: Sequence[Comment]
    ) -> list[dict[str, Any]]:
        """The parameters of one function as an API description has them, before overrides.

        A direction that nothing tells is None: the tests refuse it, and an override must decide.
        """
        inferred = lengths(self._library, function.parameters)
        described = []
        for parameter, spelled, _ in function.parameters:
            entry: dict[str, Any] = {"name": parameter, "type": spelled, "direction": "in"}
            if f"*{parameter}" in inferred.values():
                entry["direction"] = "inout"
            elif is_pointer(spelled):
                length = inferred.get(parameter)
                entry |= {"length": length} if length else {}
                if length != "opaque":
                    said = _said(parameter, comments)
                    direction = self._direction(name, parameter, spelled, said)
                    # An array with its count beside it, of which nothing says that it is filled.
                    entry["direction"] = direction or ("in" if _counted(length) else None)
            described.append(entry)
        return described

    def _direction(self, name: str, parameter: str, spelled: str, said: str) -> str | None:
        """The first of these that holds decides."""
        struct = self._structs.get(spelled.rstrip(" *"))
        lent = spelled.startswith("const ") and spelled.count("*") == 1
        setter = bool(_SETTER.search(name))
        verdicts = (
            ("in", lent or _IN.search(said)),
            ("inout", _IN_OUT.search(said) or _NAMED_IN_OUT.search(parameter)),
            ("out", _NAMED_OUT.search(parameter)),
            ("in" if setter else "inout", struct and _takes_input(struct)),
            ("out", _RETURNED.search(said)),
            ("in", setter),
            ("out", _OUT.search(said) or _GETTER.search(name)),
        )
        return next((verdict for verdict, holds in verdicts if holds), None)


def _said(parameter: str, comments: Sequence[Comment]) -> str:
    return next((c.parameters[parameter] for c in comments if parameter in c.parameters), "")


def _counted(length: str | None) -> bool:
    return length is not None and not length.startswith("*")


def _takes_input(struct: Struct) -> bool:
    """Whether a caller has to fill in some of it: a version, or fields documented as input."""
    versioned = bool(struct.fields) and struct.fields[0].name == "version"
    return versioned or any(map(_FIELD_IN.search, struct.comments.values()))
