"""Fatbins: several images in one, each for an architecture, compressed or not.

A header of 16 bytes (magic, version, its own size, that of what follows), then entries, each with a
header of its own before its bytes. The format is not NVIDIA's to publish; it is described by
n-eiling/cuda-fatbin-decompression and jiegec/fatbinary, and was compared with what `fatbinary` of
CUDA 13 writes.
"""

from __future__ import annotations

from _struct import unpack_from

from . import lz4, zstd
from .architecture import Architecture
from .elf import malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CUBIN", "HEADER", "MAGIC", "PTX", "WRAPPER", "Entry", "entries", "size"]

MAGIC = b"\x50\xed\x55\xba"
WRAPPER = b"\xb1\x43\x62\x46"  # a struct that points to one: magic, version, pointer, pointer
HEADER = 16  # bytes
ENTRY = 64  # bytes of an entry's header, at least

PTX, CUBIN = 1, 2  # kinds of entries
IS_LZ4, IS_ZSTD, IS_SPECIFIC = 0x2000, 0x8000, 0x100000

#: What an entry may unpack to.
LARGEST = 1 << 29


class Entry:
    """One image of a fatbin, unpacked when it is asked for."""

    def __init__(self, kind: int, architecture: Architecture, flags: int, data: bytes) -> None:
        self.kind = kind
        self.architecture = architecture
        self._flags = flags
        self._data = data
        self._size = 0

    @classmethod
    def read(cls, header: bytes, data: bytes) -> Entry:
        """The entry of a header; `data` are its bytes and maybe some more."""
        (kind,) = unpack_from("<H", header)
        (packed,) = unpack_from("<I", header, 16)
        (number,) = unpack_from("<I", header, 28)
        flags, _, size = unpack_from("<QQQ", header, 40)
        specific = "a" if flags & IS_SPECIFIC else ""
        entry = cls(kind, Architecture.of_number(number, specific), flags, data)
        if flags & (IS_LZ4 | IS_ZSTD):
            if packed > len(data) or size > LARGEST:
                raise malformed("a compressed entry is outside the fatbin")
            entry._data = data[:packed]
            entry._size = size
        return entry

    def unpacked(self) -> bytes:
        """The image itself; ImageError where it is damaged or cannot be unpacked here."""
        if self._flags & IS_ZSTD:
            return zstd.decompress(self._data, self._size)
        if self._flags & IS_LZ4:
            return lz4.decompress(self._data, self._size)
        return self._data


def size(header: bytes) -> int:
    """The bytes of a fatbin by the 16 of its header."""
    _, _, own, rest = unpack_from("<IHHQ", header)
    return int(own + rest)


def entries(data: bytes) -> Iterator[Entry]:
    """The entries of a fatbin; raises INVALID_IMAGE where one is cut off."""
    if len(data) < HEADER:
        raise malformed("a fatbin is cut off")
    (place,) = unpack_from("<H", data, 6)
    end = size(data)
    if place < HEADER or end > len(data):
        raise malformed("a fatbin is cut off")
    while place + ENTRY <= end:
        own, length = unpack_from("<IQ", data, place + 4)
        start = place + own
        if own < ENTRY or start + length > end:
            raise malformed("an entry is outside the fatbin")
        yield Entry.read(data[place:start], data[start : start + length])
        place = start + length
