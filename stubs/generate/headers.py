"""Reading one release's headers into plain data, with pycparser and the C compiler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pycparser import CParser, c_ast

from stubs.generate.compiler import HeaderSet
from stubs.generate.declarations import Callback, Field, Function, Header, Parameter, Struct
from stubs.generate.doxygen import comment_above, read_comment, trailing_comment
from stubs.generate.fetch import fetch_headers
from stubs.generate.measures import evaluate, measure
from stubs.generate.releases import PROFILER, Release
from stubs.generate.spelling import Speller, aggregate_in_place, in_place, tag

__all__ = ["read_header"]

# cudaVDPAU.h leaves it to the program to include vdpau.h first.
_CUDA_HEADERS = (
    "cuda.h",
    "cudaGL.h",
    "cudaEGL.h",
    "vdpau/vdpau.h",
    "cudaVDPAU.h",
    "cudaProfiler.h",
)


def read_header(release: Release, cache: Path) -> Header:
    """Read the headers of `release`, fetching them into `cache` first where they are missing."""
    if "cuda" in release.package:
        folders = (fetch_headers(release, cache), fetch_headers(PROFILER, cache))
        headers = HeaderSet(_CUDA_HEADERS, folders)
    else:
        headers = HeaderSet(("nvml.h",), (fetch_headers(release, cache),))
    return _Reader(release, headers).read()


class _Reader:
    """Walks the declarations of one release."""

    def __init__(self, release: Release, headers: HeaderSet) -> None:
        self.header = Header(release)
        self.headers = headers
        self.speller = Speller(headers)
        self.enumerators: dict[str, list[str]] = {}
        self.in_place: dict[str, str] = {}

    def read(self) -> Header:
        declarations = CParser().parse(self.headers.preprocessed()).ext
        self._name_tags(declarations)
        for node in declarations:
            if isinstance(node, c_ast.Typedef):
                self._typedef(node.name, node.type)
            else:
                self._declaration(node)
        self._settle_aliases()
        evaluate(self.header, self.headers, self.enumerators)
        measure(self.header, self.headers, self.in_place)
        return self.header

    def _name_tags(self, declarations: list[Any]) -> None:
        """Let the first typedef of a tagged struct, union or enum stand for it."""
        for node in declarations:
            if isinstance(node, c_ast.Typedef) and isinstance(node.type, c_ast.TypeDecl):
                inner = node.type.type
                if isinstance(inner, (c_ast.Struct, c_ast.Union, c_ast.Enum)) and inner.name:
                    self.speller.tags.setdefault(inner.name, node.name)

    def _declaration(self, node: Any) -> None:
        match node.type:
            case c_ast.FuncDecl():
                self.header.functions[node.name] = self._function(node)
            case c_ast.Struct() | c_ast.Union() | c_ast.Enum():
                self._aggregate(self.speller.tags.get(tag(node.type), node.type.name), node.type)

    def _typedef(self, name: str, node: Any) -> None:
        header = self.header
        match node:
            case c_ast.PtrDecl(type=c_ast.FuncDecl()):
                header.handles[name] = "pointer"
                header.callbacks[name] = self._callback(node.type)
            case c_ast.PtrDecl():
                header.handles[name] = "pointer"
            case c_ast.FuncDecl():
                header.callbacks[name] = self._callback(node)
            case c_ast.TypeDecl(type=c_ast.IdentifierType()):
                target = self.speller.spell(node.type)
                header.handles[name] = header.handles.get(target, target)
            case c_ast.TypeDecl():
                self._typedef_of_aggregate(name, node.type)
            case _:
                raise TypeError(f"{node.coord}: what is the typedef {name}?")

    def _typedef_of_aggregate(self, name: str, node: Any) -> None:
        known = self.speller.tags.get(tag(node), name)
        if known == name:
            self._aggregate(name, node)
        else:
            self.header.aliases[name] = known

    def _settle_aliases(self) -> None:
        """A typedef of a typedef may come before the struct or callback that it ends at."""
        header = self.header
        for name, target in list(header.handles.items()):
            if target in header.structs or target in header.aliases:
                header.aliases[name] = header.handles.pop(name)
            elif target in header.callbacks:
                header.handles[name] = "pointer"
                header.callbacks[name] = header.callbacks[target]

    def _aggregate(self, name: str | None, node: Any) -> None:
        if isinstance(node, c_ast.Enum):
            if node.values:
                names = [enumerator.name for enumerator in node.values.enumerators]
                self.enumerators.setdefault(name or "", []).extend(names)
        elif node.decls is not None and name:
            self._struct(name, node)

    def _struct(self, name: str, node: Any) -> None:
        """Record a struct under `name`, and those declared inside it under invented names."""
        struct = Struct("union" if isinstance(node, c_ast.Union) else "struct", [])
        unnamed = 0
        for member in node.decls:
            if member.name is None:
                member.name = f"_anonymous{unnamed}"
                unnamed += 1
            self._member(name, struct, member)
        self.header.structs[name] = struct

    def _member(self, outer: str, struct: Struct, node: Any) -> None:
        dimensions, inner = [], node.type
        while isinstance(inner, c_ast.ArrayDecl):
            dimensions.append(self.speller.number(inner.dim))
            inner = inner.type
        if nested := aggregate_in_place(inner):
            invented = f"{outer}__{node.name}"
            # The text first: naming the members of a nested struct would show in it.
            self.in_place[invented] = in_place(nested)
            self.speller.tags[tag(nested)] = invented
            self._struct(invented, nested)
        bits = self.speller.number(node.bitsize) if node.bitsize else None
        spelled = self.speller.spell(inner)
        struct.fields.append(Field(node.name, spelled, tuple(dimensions) or None, bits))
        for align in getattr(node, "align", None) or ():
            struct.align = max(struct.align or 0, self.speller.number(align.alignment))
        if node.coord:
            said = trailing_comment(Path(node.coord.file), node.coord.line)
            struct.comments[node.name] = said

    def _function(self, node: Any) -> Function:
        block = comment_above(Path(node.coord.file), node.coord.line)
        parameters = tuple(self._parameters(node.type))
        return Function(self.speller.spell(node.type.type), parameters, read_comment(block))

    def _callback(self, node: Any) -> Callback:
        return Callback(self.speller.spell(node.type), tuple(self._parameters(node)))

    def _parameters(self, function: Any) -> Iterator[Parameter]:
        declared = function.args.params if function.args else []
        for index, node in enumerate(declared):
            kind, dimension = node.type, None
            if isinstance(kind, c_ast.ArrayDecl):
                dimension = self.speller.number(kind.dim) if kind.dim else None
                kind = c_ast.PtrDecl([], kind.type)
            spelled = self.speller.spell(kind)
            if spelled != "void":
                yield Parameter(node.name or f"argument{index}", spelled, dimension)
