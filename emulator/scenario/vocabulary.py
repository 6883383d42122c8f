"""The names that faults may use, as the two APIs know them.

Scenarios know neither NVML nor CUDA; whoever resolves one hands their names in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from fnmatch import filter as matching
from typing import Any

from msgspec import Struct

__all__ = ["Signature", "Vocabulary"]


class Signature(Struct, frozen=True):
    """What a fault must know of a function.

    Attributes:
        returns_status: whether it returns a status code, and not a text or a number.
        names_device: whether a call says which device it is about.
    """

    returns_status: bool
    names_device: bool


_ANY = Signature(returns_status=True, names_device=True)


class Vocabulary(Struct, frozen=True):
    """Functions and codes by library ("nvml", "cuda").

    Attributes:
        functions: library -> names of the functions that the library exports.
        codes: library -> code name as the header has it ("NVML_ERROR_GPU_IS_LOST") -> number.
        prefixes: library -> what code names may be written without, the longest first.
        groups: name of a group ("getters") -> library -> its functions.
        exported: library, driver version -> the functions that its library exports.
        signature: library, function -> what it is like.
        outputs: library, function -> the C parameters that it writes to, each with the shape of
            what it takes: "integer", "number", "text", a table of fields, or a list with the shape
            of its elements and, where the header has it, how many there are at most.
    """

    functions: Mapping[str, Collection[str]]
    codes: Mapping[str, Mapping[str, int]]
    prefixes: Mapping[str, Collection[str]] = {}
    groups: Mapping[str, Mapping[str, Collection[str]]] = {}
    exported: Callable[[str, str], Collection[str]] = lambda library, driver: ()
    signature: Callable[[str, str], Signature] = lambda library, function: _ANY
    outputs: Callable[[str, str], Mapping[str, Any]] = lambda library, function: {}

    def named(self, library: str, pattern: str) -> set[str]:
        """Return the functions of a library that a name, a glob or a group means."""
        if pattern in self.groups:
            return set(self.groups[pattern][library])
        names = self.functions[library]
        if not any(character in pattern for character in "*?["):
            return {pattern} if pattern in names else set()
        return set(matching(names, pattern))

    def short(self, library: str, code: str) -> str:
        """Return a code's name without its prefix."""
        for prefix in self.prefixes.get(library, ()):
            if code.startswith(prefix):
                return code[len(prefix) :]
        return code
