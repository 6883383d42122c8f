"""What one release of a library's headers declares, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from stubs.generate.doxygen import Comment
from stubs.generate.releases import Release

__all__ = ["Callback", "Field", "Function", "Header", "Parameter", "Struct"]


@dataclass(frozen=True)
class Field:
    """One member: array dimensions are None for a plain one, bits for a bit-field only."""

    name: str
    type: str
    dimensions: tuple[int, ...] | None = None
    bits: int | None = None


@dataclass
class Struct:
    """A struct or union as the header lays it out."""

    kind: str
    fields: list[Field]
    size: int = 0
    version: int | None = None
    align: int | None = None
    comments: dict[str, str] = field(default_factory=dict, compare=False)


class Parameter(NamedTuple):
    """A parameter; one declared as an array has its dimension, and a pointer for a type."""

    name: str
    type: str
    dimension: int | None = None


@dataclass(frozen=True)
class Function:
    """A prototype under its exported name, with the comment above it in the header."""

    returns: str
    parameters: tuple[Parameter, ...]
    comment: Comment = field(default=Comment(), compare=False)


@dataclass(frozen=True)
class Callback:
    """The signature behind a function pointer typedef."""

    returns: str
    parameters: tuple[Parameter, ...]


@dataclass
class Header:
    """Everything that one release declares, keyed by name."""

    release: Release
    functions: dict[str, Function] = field(default_factory=dict)
    structs: dict[str, Struct] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    enums: dict[str, dict[str, int]] = field(default_factory=dict)
    handles: dict[str, str] = field(default_factory=dict)
    callbacks: dict[str, Callback] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
