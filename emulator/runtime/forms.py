"""C types as plain values and back, exactly: what captures hold of structs, arrays and text.

A struct is a table without `version` and padding, a union a table of its widest member, text what
stands before its NUL. What is an address, or a handle, has no value: see `is_address`.
"""

from __future__ import annotations

import ctypes

from ..api import c_array, c_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from ..api import Api

    #: A C value as ctypes gives it -> the plain value.
    Read = Callable[[Any], Any]

__all__ = [
    "as_c",
    "fields_of",
    "has_address",
    "holds_address",
    "is_address",
    "reader",
    "struct_reader",
]

#: Types that are addresses, though the header makes them numbers.
ADDRESSES = ("CUdeviceptr", "CUdeviceptr_v1", "CUdeviceptr_v2")

#: Structs whose arrays of char are bytes, and no text.
BYTES = (
    *("CUuuid", "CUipcMemHandle_v1", "CUipcEventHandle_v1"),
    *("nvmlVgpuMetadata_t", "nvmlVgpuPgpuMetadata_t"),
)

#: Structs in whose padding the library keeps what it knows them by.
MARKED = ("CUdevResource_v1",)

#: What the names of fields begin with that nobody fills in, and those that are so called only.
PADDING = ("reserved", "pad", "internal_pad", "oversize")
TOLD = (("nvmlMemory_v2_t", "reserved"),)

#: The types of a union's member that has all of its bits, if one of them has its size.
WHOLE = ("unsigned char", "unsigned short", "unsigned int", "unsigned long", "unsigned long long")

_readers: dict[tuple[str, str], Read] = {}


def is_address(api: Api, spelling: str) -> bool:
    """Whether a type's value means something in its own process alone: a pointer, a handle."""
    return spelling in ADDRESSES or spelling in api.handle_types or api.types.is_pointer(spelling)


def has_address(api: Api, struct: str) -> bool:
    """Whether a struct has an address in it, at any depth, or marks of the library's own."""
    return api.types.resolve(struct) in MARKED or any(
        has_address(api, element) if api.types.is_struct(element) else is_address(api, element)
        for element in (c_array(spelling)[0] for _, spelling in c_fields(api.types.row(struct)))
    )


def holds_address(api: Api, struct: Any) -> bool:
    """Whether one of the addresses that a client's struct has room for is there."""
    for name, spelling in c_fields(api.types.row(type(struct).__name__)):
        element, dimensions, _ = c_array(spelling)
        held = getattr(struct, name)
        if api.types.is_struct(element):
            parts = held if dimensions else [held]
            if any(holds_address(api, part) for part in parts):
                return True
        elif is_address(api, element) and any(held if dimensions else [held]):
            return True
    return False


def fields_of(api: Api, struct: str) -> list[tuple[str, str]]:
    """The (name, type spelling) pairs of a struct that are told: of a union, its widest member."""
    row = api.types.row(struct)
    told = [
        (name, spelling)
        for name, spelling in c_fields(row)
        if not _is_padding(api, struct, name) and not is_address(api, c_array(spelling)[0])
    ]
    if not row.startswith("union") or not told:
        return told
    kind = api.types[struct]
    sizes = {name: (getattr(kind, name).size, _wholeness(spelling)) for name, spelling in told}
    return [max(told, key=lambda field: sizes[field[0]])]


def _is_padding(api: Api, struct: str, field: str) -> bool:
    if (api.types.resolve(struct), field) in TOLD:
        return False
    return field == "version" or field.lstrip("_").startswith(PADDING)


def _wholeness(spelling: str) -> int:
    return WHOLE.index(spelling) if spelling in WHOLE else -1


def reader(api: Api, spelling: str) -> Optional[Read]:
    """What makes a plain value of one of this type; None where it is plain already."""
    element, dimensions, _ = c_array(spelling)
    if element == "char":
        return _char_reader(len(dimensions))
    read: Optional[Read] = None
    if api.types.is_struct(element):
        read = struct_reader(api, element)
    elif api.types.resolve(element) in ("float", "double"):
        read = _number
    for _ in dimensions:
        read = _array_reader(read)
    return read


def _number(value: float) -> Any:
    """Infinity, and what is no number, as text: JSON has neither."""
    return value if value - value == 0 else repr(value)


def _char_reader(dimensions: int) -> Read:
    if not dimensions:
        return lambda value: value[0]
    read: Read = _text
    for _ in range(dimensions - 1):
        read = _array_reader(read)
    return read


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _array_reader(read: Optional[Read]) -> Read:
    if read is None:
        return list
    return lambda value: [read(element) for element in value]


def struct_reader(api: Api, struct: str) -> Read:
    """What makes a table of a struct."""
    name = api.types.resolve(struct)
    known = _readers.get((api.name, name))
    if known is None:
        known = _readers[api.name, name] = _made(api, name)
    return known


def _made(api: Api, struct: str) -> Read:
    kind = api.types[struct]
    fields = []
    for name, spelling in fields_of(api, struct):
        bare = struct in BYTES and c_array(spelling)[0] == "char"
        read = _bytes_at(getattr(kind, name)) if bare else None
        fields.append((name, read, None if bare else reader(api, spelling)))

    def read_struct(value: Any) -> dict[str, Any]:
        found = {}
        for name, whole, read in fields:
            if whole is not None:
                found[name] = whole(value)
            else:
                held = getattr(value, name)
                found[name] = held if read is None else read(held)
        return found

    return read_struct


def _bytes_at(field: Any) -> Read:
    """All bytes of an array of char, of which ctypes gives those before the first NUL."""

    def read(struct: Any) -> list[int]:
        return list(ctypes.string_at(ctypes.addressof(struct) + field.offset, field.size))

    return read


# ---- the way back


def as_c(kind: Any, value: Any) -> Any:
    """A plain value as the functions that fill a client's memory take it, for a ctypes class.

    What an older version of a struct lacks, and what an array has no room for, is dropped.
    """
    if isinstance(value, dict):
        known = {name: held for name, held, *_ in getattr(kind, "_fields_", ())}
        return {name: as_c(known[name], each) for name, each in value.items() if name in known}
    if kind is ctypes.c_char:
        return value.encode()[:1] or b"\0" if isinstance(value, str) else bytes([value])
    if issubclass(kind, ctypes.Array):
        return _as_array(kind, value)
    return float(value) if kind in (ctypes.c_float, ctypes.c_double) else value


def _as_array(kind: Any, value: Any) -> Any:
    if kind._type_ is not ctypes.c_char:
        return [as_c(kind._type_, each) for each in value[: kind._length_]]
    # Not as text, which would be cut off for a NUL that it need not have had.
    data = value.encode() + b"\0" if isinstance(value, str) else bytes(value)
    return data[: kind._length_]
