"""64-bit ELF files: sections and symbols, each access within the file's bounds."""

from __future__ import annotations

from _struct import unpack_from

from ... import _status as status
from .error import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["HEADER", "MAGIC", "Elf", "Section", "Symbol", "extent", "malformed"]

MAGIC = b"\x7fELF"
HEADER = 64  # bytes
SECTION_HEADER = 64
SYMBOL = 24
NOBITS = 8
SYMTAB = 2


def malformed(what: str) -> ImageError:
    """The error of an image that is not what it begins as."""
    return ImageError(status.INVALID_IMAGE, f"error   : {what}")


class Section:
    """A section; `data` is empty for one without bytes in the file."""

    __slots__ = ("data", "info", "link", "name", "size", "type")

    def __init__(self, type_: int, size: int, link: int, info: int, data: bytes) -> None:
        self.name = ""
        self.type = type_
        self.size = size
        self.link = link
        self.info = info
        self.data = data


class Symbol:
    """A symbol; `section` is the index of its section, 0 for one that is undefined."""

    __slots__ = ("binding", "name", "other", "section", "size", "type", "value")

    def __init__(self, name: str, info: int, other: int, section: int, place: Any) -> None:
        self.name = name
        self.type = info & 15
        self.binding = info >> 4
        self.other = other
        self.section = section
        self.value, self.size = place


class Elf:
    """An ELF file of 64 bits, little endian.

    Attributes:
        type, machine, flags: of its header.
        abi: the operating system's ABI that it names.
        sections: by index.

    Raises:
        ImageError: INVALID_IMAGE: it is cut off, or something in it lies outside.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < HEADER or data[:6] != MAGIC + b"\x02\x01":
            raise malformed("not an ELF file of 64 bits")
        self._data = data
        self.abi = data[7]
        self.type, self.machine = unpack_from("<HH", data, 16)
        (self.flags,) = unpack_from("<I", data, 48)
        (offset,) = unpack_from("<Q", data, 40)
        size, count, names = unpack_from("<HHH", data, 58)
        if count and size < SECTION_HEADER:
            raise malformed("section headers are too small")
        (programs,) = unpack_from("<Q", data, 32)
        program_size, program_count = unpack_from("<HH", data, 54)
        if programs + program_size * program_count > len(data):
            raise malformed("program headers are outside the file")
        if offset + size * count > len(data):
            raise malformed("section headers are outside the file")
        rows = [unpack_from("<IIQQQQII", data, offset + size * n) for n in range(count)]
        self.sections = [self._section(*row[1:]) for row in rows]
        if names < count:
            for section, row in zip(self.sections, rows):
                section.name = _text(self.sections[names].data, row[0])

    def _section(  # noqa: PLR0917  (the fields of the header, in its order)
        self, type_: int, flags: int, address: int, offset: int, size: int, link: int, info: int
    ) -> Section:
        if type_ in (0, NOBITS):
            return Section(type_, size, link, info, b"")
        if offset + size > len(self._data):
            raise malformed("a section is outside the file")
        return Section(type_, size, link, info, self._data[offset : offset + size])

    def symbols(self) -> list[Symbol]:
        """The symbols of its table, in order; none where it has no table."""
        tables = (section for section in self.sections if section.type == SYMTAB)
        return [symbol for table in tables for symbol in self._of(table)]

    def _of(self, table: Section) -> Iterator[Symbol]:
        if table.link >= len(self.sections):
            raise malformed("the symbols have no names")
        names = self.sections[table.link].data
        for offset in range(0, len(table.data) - SYMBOL + 1, SYMBOL):
            name, info, other, section, *place = unpack_from("<IBBHQQ", table.data, offset)
            yield Symbol(_text(names, name), info, other, section, place)


def extent(header: bytes, table: bytes) -> int:
    """How many bytes an ELF file has, of its header and its table of section headers."""
    (programs,) = unpack_from("<Q", header, 32)
    (sections,) = unpack_from("<Q", header, 40)
    program_size, program_count, size, count = unpack_from("<HHHH", header, 54)
    ends = [HEADER, programs + program_size * program_count, sections + size * count]
    for place in range(0, len(table) - SECTION_HEADER + 1, max(size, SECTION_HEADER)):
        (type_,) = unpack_from("<I", table, place + 4)
        if type_ not in (0, NOBITS):
            ends.append(sum(unpack_from("<QQ", table, place + 24)))
    return int(max(ends))


def _text(table: bytes, offset: int) -> str:
    end = table.find(b"\0", offset)
    return table[offset : end if end >= 0 else None].decode("utf-8", "replace")
