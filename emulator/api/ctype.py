"""C types as ctypes: scalars by their spelling, structs and enums by their row in the tables.

A struct's row is one line, made into a class when it is first asked for:

    struct 2(version: unsigned int, total: unsigned long long, name: char[64])

where the number is its version in NVML's `size | version << 24` tag, 0 when it has none.
A bit-field is `name: unsigned int:3`.
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["NULL_PAGE", "Types", "c_array", "c_fields"]

NULL_PAGE = 4096  # no address below it is ever mapped

SCALARS = {
    "char": ctypes.c_char,
    "signed char": ctypes.c_byte,
    "unsigned char": ctypes.c_ubyte,
    "short": ctypes.c_short,
    "unsigned short": ctypes.c_ushort,
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "long": ctypes.c_long,
    "unsigned long": ctypes.c_ulong,
    "long long": ctypes.c_longlong,
    "unsigned long long": ctypes.c_ulonglong,
    "size_t": ctypes.c_size_t,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    # Pointers are plain words here: None for NULL would need a branch on every call.
    "pointer": ctypes.c_size_t,
    "void": ctypes.c_ubyte,
}


def c_fields(row: str) -> list[tuple[str, str]]:
    """The (name, type spelling) pairs inside a struct's row."""
    inside = row[row.index("(") + 1 : -1]
    fields = (field.partition(": ") for field in inside.split(", "))
    return [(name, spelling) for name, _, spelling in fields]


def c_array(spelling: str) -> tuple[str, list[int], int]:
    """A field's element type, its dimensions (none: no array), and its bits if it is a bit-field:
    `("char", [64], 0)` of `char[64]`."""
    spelling, _, bits = spelling.partition(":")
    element, *dimensions = spelling.replace("]", "").split("[")
    return element, [int(dimension) for dimension in dimensions], int(bits or 0)


class Types:
    """The types of one API, built on demand out of its generated tables."""

    def __init__(
        self, names: dict[str, str], structs: dict[str, str], enums: dict[str, str]
    ) -> None:
        self._names = names
        self._structs = structs
        self._enums = enums
        self._classes: dict[str, Any] = dict(SCALARS)
        self._members: dict[str, dict[str, int]] = {}

    def is_struct(self, name: str) -> bool:
        """Whether a type is a struct or a union, maybe by another name."""
        return self.resolve(name) in self._structs

    def is_enum(self, name: str) -> bool:
        """Whether a type is an enum."""
        return name in self._enums

    def is_pointer(self, name: str) -> bool:
        """Whether a type is a pointer, maybe by another name."""
        return name.endswith("*") or self._names.get(self.resolve(name)) == "pointer"

    def resolve(self, name: str) -> str:
        """Follow typedefs from `name` to a struct, an enum, a handle or a scalar's spelling."""
        while name in self._names and self._names[name] != "pointer":
            name = self._names[name]
        return name

    def members(self, name: str) -> dict[str, int]:
        """An enum's names and values."""
        if name not in self._members:
            pairs = (pair.split("=") for pair in self._enums[name].split())
            self._members[name] = {key: int(value) for key, value in pairs}
        return self._members[name]

    def row(self, name: str) -> str:
        """The row of a struct, maybe by another name."""
        return self._structs[self.resolve(name)]

    def version(self, name: str) -> int:
        """The number in a struct's version tag; 0 when the header gives it none."""
        return int(self.row(name).partition("(")[0].split()[1])

    def tag(self, name: str) -> int:
        """What NVML expects in the `version` field of a struct: `size | version << 24`."""
        return ctypes.sizeof(self[name]) | self.version(name) << 24

    def versions(self, names: list[str]) -> dict[int, Any]:
        """Tag -> class, for those of the structs `names` that bear a tag."""
        return {
            self.tag(name): self[name]
            for name in names
            if self.version(name) and hasattr(self[name], "version")
        }

    def __getitem__(self, spelling: str) -> Any:
        """The ctypes class of a type's spelling: `unsigned int`, `nvmlMemory_t`, `char *`."""
        known = self._classes.get(spelling)
        if known is None:
            known = self._classes[spelling] = self._make(spelling)
        return known

    def _make(self, spelling: str) -> Any:
        if spelling.endswith("*"):
            return ctypes.c_size_t
        if spelling in self._structs:
            return self._make_struct(spelling)
        if spelling in self._enums:
            negative = min(self.members(spelling).values()) < 0
            return ctypes.c_int if negative else ctypes.c_uint
        return self[self._names[spelling]]

    def _make_struct(self, name: str) -> Any:
        row = self._structs[name]
        base = ctypes.Union if row.startswith("union") else ctypes.Structure
        fields = [self._field(*field) for field in c_fields(row)]
        return type(name, (base,), {"_fields_": fields})

    def _field(self, name: str, spelling: str) -> tuple[Any, ...]:
        element, dimensions, bits = c_array(spelling)
        made = self[element]
        for dimension in reversed(dimensions):
            made = made * dimension
        return (name, made, bits) if bits else (name, made)
