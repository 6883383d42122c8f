"""What a mangled C++ name says to a reader: `lab::saxpy` of `_ZN3lab5saxpyIfEEvT_`."""

from __future__ import annotations

__all__ = ["plain_name"]


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
        parts.append(mangled[end : end + length])
        place = end + length
        if mangled[2:3] != "N":
            break
    return "::".join(parts) or mangled
