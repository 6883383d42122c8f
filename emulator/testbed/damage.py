"""What is in a library's file in each loader state, made from the stub as it should be.

ELF's layout is that of elf.h, for 64-bit little-endian machines, which all of nvemu's are.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

__all__ = ["EMPTY", "not_elf", "with_dependency", "without_symbols", "wrong_class"]

EMPTY = b""

#: What stands in a `lib*.so` that is meant for the link editor, such as /usr/lib/libc.so. Longer
#: than an ELF header: of a shorter file the loader says that it is too short.
_LINKER_SCRIPT = b"""\
/* GNU ld script
   The shared library is in the folder of the driver. */
OUTPUT_FORMAT(elf64-little)
GROUP ( AS_NEEDED ( libnvidia.so ) )
"""

#: Machine -> e_machine of its 32-bit libraries.
_MACHINES_32 = {"x86_64": 3, "aarch64": 40}

_SYMBOL, _VERSION, _WORD, _DYNAMIC = 24, 2, 4, 16  # sizes in bytes
_DT_NEEDED = 1


def not_elf() -> bytes:
    """A text file: "invalid ELF header", says the loader."""
    return _LINKER_SCRIPT


def wrong_class() -> bytes:
    """A 32-bit shared object without any symbol: "wrong ELF class: ELFCLASS32"."""
    ident = b"\x7fELF" + bytes([1, 1, 1]) + bytes(9)
    machine = _MACHINES_32.get(os.uname().machine, 3)
    header = struct.pack("<HHIIIIIHHHHHH", 3, machine, 1, 0, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, 0, 0, 4096, 4096, 4, 4096)
    return (ident + header + segment).ljust(4096, b"\0")


def without_symbols(library: bytes, missing: Collection[str]) -> bytes:
    """A library that does not export the functions `missing`, nor mention them in its table."""
    content = bytearray(library)
    _drop(content, _open(library), set(missing))
    return bytes(content)


def with_dependency(library: bytes, needs: str) -> bytes:
    """A library that also needs `needs`: where that is not there, it cannot be loaded.

    The name takes the place of a function's, the longest, which the library then lacks; and the
    place of the last library that is needed now.
    """
    content, elf = bytearray(library), _open(library)
    symbols, strings = _section(elf, ".dynsym"), _section(elf, ".dynstr")
    longest = max(symbols.iter_symbols(), key=lambda symbol: len(symbol.name))
    _drop(content, elf, {longest.name})
    name = needs.encode() + b"\0"
    if len(name) > len(longest.name) + 1:
        raise ValueError(f"no room for a name of {len(needs)} bytes")
    offset = longest["st_name"]
    _put(content, strings["sh_offset"] + offset, name)
    dynamic = _section(elf, ".dynamic")
    tags = [
        number for number, tag in enumerate(dynamic.iter_tags()) if tag.entry.d_tag == "DT_NEEDED"
    ]
    place = dynamic["sh_offset"] + tags[-1] * _DYNAMIC
    _put(content, place, struct.pack("<QQ", _DT_NEEDED, offset))
    return bytes(content)


def _open(library: bytes) -> ELFFile:
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415  (few scenarios need it)

    return ELFFile(BytesIO(library))


def _section(elf: ELFFile, name: str) -> Any:
    return elf.get_section_by_name(name)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content[offset : offset + len(data)] = data


def _drop(content: bytearray, elf: ELFFile, missing: set[str]) -> None:
    """Take symbols out of the dynamic symbol table, and what lies in parallel to it.

    What is exported stands at its end, from `first` on, in the order of the hash table's buckets.
    Its Bloom filter may keep the bits of what is gone.
    """
    symbols, hashes = _section(elf, ".dynsym"), _section(elf, ".gnu.hash")
    buckets, first, filters = struct.unpack_from("<III", content, hashes["sh_offset"])
    names = [symbol.name for symbol in symbols.iter_symbols()]
    kept = [n for n, name in enumerate(names) if n < first or name not in missing]
    for table, size in ((symbols, _SYMBOL), (_section(elf, ".gnu.version"), _VERSION)):
        _keep(content, table, size, kept)
        _resize(content, elf, table, len(kept) * size)
    start = hashes["sh_offset"] + 16 + filters * 8
    words = _hash_words([names[n] for n in kept[first:]], first, buckets)
    words += [0] * (len(names) - len(kept))
    _put(content, start, struct.pack(f"<{len(words)}I", *words))


def _keep(content: bytearray, section: Any, size: int, kept: list[int]) -> None:
    start = section["sh_offset"]
    rows = [bytes(content[start + n * size : start + (n + 1) * size]) for n in kept]
    _put(content, start, b"".join(rows).ljust(section["sh_size"], b"\0"))


def _resize(content: bytearray, elf: ELFFile, section: Any, size: int) -> None:
    number = elf.get_section_index(section.name)
    header = elf["e_shoff"] + number * elf["e_shentsize"]
    _put(content, header + 32, struct.pack("<Q", size))  # sh_size


def _hash_words(names: list[str], first: int, buckets: int) -> list[int]:
    """The buckets and chains of a GNU hash table of names that are in the buckets' order.

    A bucket holds the number of its first symbol, 0 for none; a chain holds each symbol's hash,
    whose lowest bit marks the bucket's last.
    """
    hashes = [_gnu_hash(name) for name in names]
    heads, chains = [0] * buckets, []
    for number, value in enumerate(hashes):
        heads[value % buckets] = heads[value % buckets] or first + number
        last = number + 1 == len(hashes) or hashes[number + 1] % buckets != value % buckets
        chains.append(value & ~1 | last)
    return heads + chains


def _gnu_hash(name: str) -> int:
    value = 5381
    for byte in name.encode():
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value
