"""Fatbins inside of what a host's compiler makes: object files, and archives of them."""

from __future__ import annotations

from . import cubin, elf, fatbin
from .elf import Elf, malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ARCHIVE", "fatbins", "is_object", "members"]

ARCHIVE = b"!<arch>\n"
MEMBER_HEADER = 60  # bytes, of which ten from the 48th on are the size, in decimal

#: Sections with fatbins: of whole programs, and of code that is to be linked.
SECTIONS = (".nv_fatbin", "__nv_relfatbin")


def members(data: bytes) -> Iterator[bytes]:
    """Yield the files of an archive.

    Raises:
        ImageError: INVALID_IMAGE: it is none, or is cut off.
    """
    if not data.startswith(ARCHIVE):
        raise malformed("not an archive")
    place = len(ARCHIVE)
    while place < len(data):
        digits = data[place + 48 : place + 58].strip()
        start = place + MEMBER_HEADER
        if not digits.isdigit() or start > len(data):
            raise malformed("an archive is damaged")
        size = int(digits)
        if start + size > len(data):
            raise malformed("an archive is cut off")
        yield data[start : start + size]
        place = start + size + size % 2


def is_object(data: bytes) -> bool:
    """Whether it is an ELF file for a host."""
    return data.startswith(elf.MAGIC) and Elf(data).machine != cubin.CUDA


def fatbins(data: bytes) -> Iterator[bytes]:
    """Yield the fatbins of an object file; nothing of one that is for the host alone."""
    if not data.startswith(elf.MAGIC):
        return
    for section in Elf(data).sections:
        if section.name not in SECTIONS:
            continue
        place = section.data.find(fatbin.MAGIC)
        while place >= 0:
            rest = section.data[place:]
            size = fatbin.size(rest[: fatbin.HEADER]) if len(rest) >= fatbin.HEADER else 0
            if not fatbin.HEADER <= size <= len(rest):
                raise malformed("a fatbin is cut off")
            yield rest[:size]
            place = section.data.find(fatbin.MAGIC, place + size)
