"""What a mangled C++ name says to a reader: `lab::saxpy` of `_ZN3lab5saxpyIfEEvT_`."""

from __future__ import annotations

__all__ = ["fits", "plain_name"]

INTERNAL = "L"  # before a name with internal linkage
UNNAMED, UNNAMED_TEXT = "_GLOBAL__N_", "(anonymous namespace)"


def plain_name(mangled: str) -> str:
    """The name without types and template arguments; itself if it is not mangled.

    Of the Itanium ABI's grammar the part that names of kernels begin with: each length and so many
    letters, in `N...` one after the other.
    """
    if not mangled.startswith("_Z"):
        return mangled
    place = 2
    while mangled[place : place + 1] and mangled[place] in "NLKV":
        place += 1
    parts = []
    while mangled[place : place + 1].isdecimal():
        end = place
        while mangled[end : end + 1].isdecimal():
            end += 1
        length = int(mangled[place:end][:6])
        part = mangled[end : end + length]
        parts.append(UNNAMED_TEXT if part.startswith(UNNAMED) else part)
        place = end + length
        if mangled[2:3] != "N":
            break
        if mangled[place : place + 1] == INTERNAL:
            place += 1
    return "::".join(parts) or mangled


def fits(pattern: str, mangled: str) -> bool:
    """Whether a name or a glob is a kernel's, by its mangled name or by its plain one."""
    names = {mangled, plain_name(mangled)}
    if not any(letter in "*?[" for letter in pattern):
        return pattern in names
    from fnmatch import fnmatchcase  # here, as it brings re

    return any(fnmatchcase(name, pattern) for name in names)
