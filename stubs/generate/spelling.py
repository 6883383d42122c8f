"""Spelling C types and evaluating array dimensions, from pycparser's nodes."""

from __future__ import annotations

from typing import Any

from pycparser import c_ast
from pycparser.c_generator import CGenerator

from stubs.generate.compiler import HeaderSet

__all__ = ["Speller", "aggregate_in_place", "in_place", "tag"]

_CANONICAL = {"unsigned": "unsigned int", "signed long long": "long long"}


class Speller:
    """Spells types; knows which name stands for which struct, union and enum tag."""

    def __init__(self, headers: HeaderSet) -> None:
        self._headers = headers
        self.tags: dict[str, str] = {}

    def spell(self, node: Any) -> str:
        """A type as one canonical string: `const char *`, `void **`, `CUdevice`."""
        match node:
            case c_ast.PtrDecl(type=c_ast.FuncDecl()):
                return "void *"
            case c_ast.PtrDecl():
                inner = self.spell(node.type)
                pointer = "*" if inner.endswith("*") else " *"
                return inner + pointer + "".join(f" {word}" for word in node.quals)
            case c_ast.TypeDecl():
                return " ".join([*node.quals, self.spell(node.type)])
            case c_ast.IdentifierType():
                written = " ".join(node.names)
                return _CANONICAL.get(written, written)
            case c_ast.Struct() | c_ast.Union() | c_ast.Enum():
                return self.tags.get(tag(node)) or f"struct {node.name}"
        raise TypeError(f"{node.coord}: cannot spell {type(node).__name__}")

    def number(self, node: Any) -> int:
        """An array dimension or a bit width; what is no literal is left to the compiler."""
        if isinstance(node, c_ast.Constant):
            return int(node.value.rstrip("uUlL"), 0)
        return self._headers.values({"number": _text(node)})["number"]


def aggregate_in_place(node: Any) -> Any | None:
    """The struct or union that a member declares as its own type, or None."""
    inner = node.type if isinstance(node, c_ast.TypeDecl) else node
    is_aggregate = isinstance(inner, (c_ast.Struct, c_ast.Union)) and inner.decls is not None
    return inner if is_aggregate else None


def in_place(node: Any) -> str:
    """How C refers to a struct that is declared inside another: by tag, or else by its text."""
    kind = "union" if isinstance(node, c_ast.Union) else "struct"
    return f"{kind} {node.name}" if node.name else _text(node)


def tag(node: Any) -> str:
    """The tag of a struct, union or enum, or something unique where it has none."""
    return node.name or f"anonymous at {id(node)}"


def _text(node: Any) -> str:
    return " ".join(CGenerator().visit(node).split())
