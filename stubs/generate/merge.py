"""Merging what all releases declare: the newest wins, older ones supply what it dropped.

CUDA names per-thread-stream variants with a suffix (`_ptsz`, `_ptds`) and new versions with
another (`_v2`). A variant has the prototype of its base; a version has its own, but often shares
the one documentation comment in the header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stubs.generate.declarations import Function, Header, Struct
from stubs.generate.doxygen import Comment
from stubs.generate.overrides import Overrides

__all__ = ["MergedHeaders", "base_name", "disagreements", "without_stream_suffix"]

_STREAM_SUFFIX = re.compile(r"_pt[sd][sz]$")
_VERSION_SUFFIX = re.compile(r"_v\d+$")


def without_stream_suffix(name: str) -> str:
    """`cuMemcpy_ptds` is `cuMemcpy` for the calling thread's own default stream."""
    return _STREAM_SUFFIX.sub("", name)


def base_name(name: str) -> str:
    """`cuMemcpyHtoD_v2_ptds` is a version and variant of `cuMemcpyHtoD`."""
    return _VERSION_SUFFIX.sub("", without_stream_suffix(name))


class MergedHeaders:
    """The declarations of every release of one library, newest first, with overrides applied."""

    def __init__(self, headers: Sequence[Header], overrides: Overrides) -> None:
        self._headers = headers
        self._overrides = overrides
        types = self.merged("structs", "aliases")
        self.structs = {name: kind for name, kind in types.items() if isinstance(kind, Struct)}
        aliases = {name: kind for name, kind in types.items() if isinstance(kind, str)}
        self.aliases = {name: _end_of(aliases, name) for name in aliases}
        self.functions: dict[str, Function] = self.merged("functions") | overrides.prototypes()
        self._comments = self._collect_comments()

    def merged(self, *kinds: str) -> dict[str, Any]:
        """The union of some of the releases' mappings, each name from the release that wins."""
        union: dict[str, Any] = {}
        for header in self._headers:
            for name, value in (item for kind in kinds for item in getattr(header, kind).items()):
                release = self._overrides.release_of(name)
                if release is None or release == header.release.label:
                    union.setdefault(name, value)
        return union

    def structs_by_any_name(self) -> dict[str, Struct]:
        """Every struct, under its aliases too."""
        aliased = {alias: self.structs.get(name) for alias, name in self.aliases.items()}
        return self.structs | {alias: struct for alias, struct in aliased.items() if struct}

    def function(self, name: str) -> Function | None:
        """The prototype of an exported name, or None where nothing declares it."""
        plain = without_stream_suffix(name)
        names = (plain, f"{plain}_ptsz", f"{plain}_ptds")
        variants = [self.functions[n] for n in names if n in self.functions]
        # All have the same types; the documented one has the names that the comment speaks of.
        documented = (variant for variant in variants if variant.comment.parameters)
        return next(documented, variants[0] if variants else None)

    def documentation(self, name: str) -> list[Comment]:
        """Comments that apply to an exported name, the closest first."""
        return [c for key in _documented_as(name) for c in self._comments.get(key, [])]

    def first_release(self, name: str) -> str | None:
        """The first toolkit release that declares a function."""
        names = {name, without_stream_suffix(name)}
        declaring = [h.release.toolkit for h in self._headers if names & h.functions.keys()]
        return declaring[-1] if declaring else None

    def _collect_comments(self) -> dict[str, list[Comment]]:
        found: dict[str, list[Comment]] = {}
        for header in self._headers:
            for name, function in header.functions.items():
                if function.comment.parameters or function.comment.codes:
                    for key in _documented_as(name):
                        found.setdefault(key, []).append(function.comment)
        return found


def _end_of(aliases: Mapping[str, str], name: str) -> str:
    while name in aliases:
        name = aliases[name]
    return name


def _documented_as(name: str) -> list[str]:
    plain = without_stream_suffix(name)
    return list(dict.fromkeys((name, plain, f"{base_name(name)} in any version")))


def disagreements(headers: Sequence[Header]) -> dict[str, dict[str, list[str]]]:
    """Names that releases declare differently: for each form, the releases that have it."""
    forms: dict[str, dict[str, list[str]]] = {}
    for header in headers:
        for name, form in _forms(header):
            forms.setdefault(name, {}).setdefault(form, []).append(header.release.label)
    return {name: found for name, found in sorted(forms.items()) if len(found) > 1}


def _forms(header: Header) -> Iterator[tuple[str, str]]:
    """Prototypes, layouts and aliases as text; names of parameters and fields do not count."""
    for name, function in header.functions.items():
        types = ", ".join(parameter.type for parameter in function.parameters)
        yield name, f"{function.returns} ({types})"
    for name, struct in header.structs.items():
        types = ", ".join(f"{f.type} {f.dimensions or ''}" for f in struct.fields)
        yield name, f"{struct.kind} of {struct.size} bytes: {types}"
    for name, target in header.aliases.items():
        yield name, f"alias of {target}"
