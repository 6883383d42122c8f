"""Writing cubins: the kernels and variables of an image, without code.

That is what a linker here puts out.
"""

from __future__ import annotations

from _struct import pack

from . import cubin, info
from .elf import HEADER, MAGIC, NOBITS, SECTION_HEADER, SYMTAB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .architecture import Architecture
    from .model import Image, Kernel, Variable

__all__ = ["write"]

OLD_ABI = 0x33
VERSION_OF_ABI = 7
EXECUTABLE = 2  # e_type
PROGBITS, STRTAB, NVIDIA_INFO = 1, 3, 0x70000000  # types of sections
GLOBAL = 1 << 4  # binding, in a symbol's info
GLOBALS = ".nv.global.init"


class _Writer:
    """The sections and symbols of a file that is being made; numbers are fixed once given."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, bytes, int, int, int]] = [("", 0, b"", 0, 0, 0)]
        self.symbols = [bytes(24)]
        self.names = b"\0"

    def section(
        self, name: str, type_: int, data: bytes, size: int = -1, link: int = 0, about: int = 0
    ) -> int:
        """Add a section; its index."""
        self.rows.append((name, type_, data, len(data) if size < 0 else size, link, about))
        return len(self.rows) - 1

    def symbol(self, name: str, type_: int, other: int, section: int, value: int, size: int) -> int:
        """Add a global symbol; its index."""
        place = len(self.names)
        self.names += name.encode() + b"\0"
        self.symbols.append(pack("<IBBHQQ", place, GLOBAL | type_, other, section, value, size))
        return len(self.symbols) - 1

    def file(self, flags: int) -> bytes:
        """The whole file."""
        strings = self.section(".strtab", STRTAB, self.names)
        self.section(".symtab", SYMTAB, b"".join(self.symbols), link=strings, about=1)
        names = b"\0".join(row[0].encode() for row in self.rows) + b"\0.shstrtab\0"
        last = self.section(".shstrtab", STRTAB, names)
        body, table, place = b"", b"", 0
        for name, type_, data, size, link, about in self.rows:
            row = (place, type_, 0, 0, HEADER + len(body), size, link, about)
            table += pack("<IIQQQQIIQQ", *row, 8, 24 if type_ in (SYMTAB, cubin.RELA) else 0)
            body += data + bytes(-len(data) % 8)
            place += len(name.encode()) + 1
        ident = MAGIC + bytes((2, 1, 1, OLD_ABI, VERSION_OF_ABI)) + bytes(7)
        header = pack("<HHIQQQ", EXECUTABLE, cubin.CUDA, 0x81, 0, 0, HEADER + len(body))
        header += pack("<IHHHHHH", flags, HEADER, 0, 0, SECTION_HEADER, last + 1, last)
        return ident + header + body + table


def write(image: Image, architecture: Architecture) -> bytes:
    """A cubin for an architecture."""
    writer = _Writer()
    rows = b""
    for kernel in image.kernels.values():
        text = writer.section(".text." + kernel.name, PROGBITS, b"")
        symbol = writer.symbol(kernel.name, cubin.FUNCTION, cubin.ENTRY, text, 0, 0)
        rows += _long(info.REGISTERS, pack("<II", symbol, kernel.registers))
        rows += _long(info.FRAME_SIZE, pack("<II", symbol, kernel.local))
        writer.section(".nv.info." + kernel.name, NVIDIA_INFO, _described(kernel))
        writer.section(".nv.shared." + kernel.name, NOBITS, b"", kernel.shared)
    writer.section(".nv.info", NVIDIA_INFO, rows)
    placed: dict[str, tuple[int, int, int]] = {}
    for name, is_constant in ((GLOBALS, False), (cubin.USER_CONSTANTS, True)):
        variables = [v for v in image.variables.values() if v.constant == is_constant]
        if variables:
            _place(writer, name, variables, placed)
    _point(writer, image, placed)
    flags = architecture.number | 0x500 | architecture.number << 16
    specific = cubin.OLD_SPECIFIC if architecture.kind == "a" else 0
    return writer.file(flags | specific)


def _place(
    writer: _Writer,
    section: str,
    variables: list[Variable],
    placed: dict[str, tuple[int, int, int]],
) -> None:
    """Write a section of variables, and into `placed` the symbol, section and offset of each."""
    data = b""
    index = len(writer.rows)
    for variable in variables:
        data += bytes(-len(data) % max(variable.align, 1))
        other = cubin.MANAGED if variable.managed else 0
        symbol = writer.symbol(variable.name, cubin.OBJECT, other, index, len(data), variable.size)
        placed[variable.name] = symbol, index, len(data)
        data += variable.data.ljust(variable.size, b"\0")
    writer.section(section, PROGBITS, data)


def _point(writer: _Writer, image: Image, placed: dict[str, tuple[int, int, int]]) -> None:
    """Write where addresses of variables stand in others."""
    rows: dict[int, bytes] = {}
    for variable in image.variables.values():
        _, section, start = placed[variable.name]
        for offset, name, addend in variable.addresses:
            if name in placed:
                row = pack("<QIIq", start + offset, cubin.ADDRESSES[0], placed[name][0], addend)
                rows[section] = rows.get(section, b"") + row
    for section, data in rows.items():
        writer.section(".rela" + writer.rows[section][0], cubin.RELA, data, about=section)


def _described(kernel: Kernel) -> bytes:
    """The .nv.info section of a kernel."""
    rows = b"".join(
        _long(info.PARAMETER_V2, pack("<IHHI", 0, number, each.offset, each.size))
        for number, each in enumerate(kernel.parameters)
    )
    if kernel.block is not None:
        rows += _long(info.REQUIRED_THREADS, pack("<III", *kernel.block))
    elif kernel.max_threads:
        rows += _long(info.MAX_THREADS, pack("<III", kernel.max_threads, 1, 1))
    if kernel.cluster is not None:
        rows += _long(info.CLUSTER, pack("<III", *kernel.cluster))
    if kernel.max_cluster:
        rows += _long(info.MAX_CLUSTER_RANK, pack("<I", kernel.max_cluster))
    return rows


def _long(what: int, value: bytes) -> bytes:
    return pack("<BBH", info.LONG, what, len(value)) + value
