"""Symbol tables: what a library exports at one driver version, as recorded and as read from it.

The recorded ones are kept as text, one file for each library and driver version. An installed
nvemu has them as `emulator/_symbols`, a source tree as `stubs/symbols`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .machine import DRIVERS
from .stubfiles import SONAMES

if TYPE_CHECKING:
    from elftools.elf.dynamic import DynamicSegment
    from elftools.elf.elffile import ELFFile

__all__ = [
    "exported",
    "DRIVERS",
    "SONAMES",
    "TABLES",
    "Difference",
    "Symbol",
    "SymbolTable",
    "SymbolsError",
    "difference",
    "load_table",
    "nearest",
    "read_library",
    "recorded_tables",
    "save_table",
    "table_path",
    "version_in_name",
]

_HERE = Path(__file__).resolve().parent
_INSTALLED, _IN_TREE = _HERE / "_symbols", _HERE.parent / "stubs" / "symbols"

#: The folder with the recorded tables.
TABLES = _INSTALLED if _INSTALLED.is_dir() else _IN_TREE


class SymbolsError(ValueError):
    """A file that is no library, or no recorded table; the message names it."""


@dataclass(frozen=True)
class Symbol:
    """One defined dynamic symbol. The size is in bytes, and None where it means nothing."""

    name: str
    type: str
    binding: str = "GLOBAL"
    visibility: str = "DEFAULT"
    size: int | None = None

    @property
    def kind(self) -> str:
        """All but the name, as a reader wants it: `GLOBAL OBJECT, 8 bytes`."""
        hidden = "" if self.visibility == "DEFAULT" else f" {self.visibility}"
        size = "" if self.size is None else f", {self.size} bytes"
        return f"{self.binding}{hidden} {self.type}{size}"


@dataclass(frozen=True)
class SymbolTable:
    """The exported dynamic symbols of the library `soname`, by name."""

    soname: str
    symbols: Mapping[str, Symbol]

    def of_type(self, kind: str) -> list[str]:
        """The sorted names of the symbols of one ELF type, such as `FUNC`."""
        return sorted(symbol.name for symbol in self.symbols.values() if symbol.type == kind)


@dataclass(frozen=True)
class Difference:
    """How one symbol table departs from another; falsy where it does not."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    changed: tuple[tuple[Symbol, Symbol], ...]
    soname: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.changed or self.soname)

    def __str__(self) -> str:
        lines = [f"soname: expected {self.soname[0]}, is {self.soname[1]}"] if self.soname else []
        lines += [f"missing: {name}" for name in self.missing]
        lines += [f"extra: {name}" for name in self.extra]
        lines += [
            f"changed: {old.name}: expected {old.kind}, is {new.kind}" for old, new in self.changed
        ]
        return "\n".join(lines)


def read_library(path: Path) -> SymbolTable:
    """Read the defined dynamic symbols of the ELF library at `path`.

    The dynamic segment is read, not the section headers: it is what the loader goes by.

    Raises:
        SymbolsError: the file is not an ELF library, or is damaged.
        OSError: it cannot be read.
    """
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415  (takes longer than all the rest)

    content = BytesIO(path.read_bytes())
    try:
        return _table(_dynamic_segment(ELFFile(content), path), path.name)
    except SymbolsError:
        raise
    except Exception as error:  # whatever a parser stumbles over in a file that is not what it says
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SymbolsError(f"{path} is not an ELF library, or is damaged: {reason}") from None


def _dynamic_segment(elf: ELFFile, path: Path) -> DynamicSegment:
    from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415

    for segment in elf.iter_segments("PT_DYNAMIC"):
        if isinstance(segment, DynamicSegment):
            return segment
    raise SymbolsError(f"{path} has no dynamic segment: is it a shared library?")


def _table(dynamic: DynamicSegment, name: str) -> SymbolTable:
    tags: list[Any] = list(dynamic.iter_tags("DT_SONAME"))
    symbols = [
        _symbol(entry)
        for entry in dynamic.iter_symbols()
        if entry.name and entry["st_shndx"] != "SHN_UNDEF"
    ]
    soname = tags[0].soname if tags else name
    return SymbolTable(soname, {symbol.name: symbol for symbol in symbols})


def _symbol(entry: Any) -> Symbol:
    info = entry["st_info"]
    kind = info["type"].removeprefix("STT_")
    # The size of a function is its code's: it differs from build to build and means nothing here.
    size = entry["st_size"] if kind == "OBJECT" else None
    return Symbol(
        name=entry.name,
        type=kind,
        binding=info["bind"].removeprefix("STB_"),
        visibility=entry["st_other"]["visibility"].removeprefix("STV_"),
        size=size,
    )


def difference(expected: SymbolTable, actual: SymbolTable) -> Difference:
    """What `actual` lacks, adds and has otherwise than `expected`."""
    old, new = expected.symbols, actual.symbols
    return Difference(
        missing=tuple(sorted(old.keys() - new.keys())),
        extra=tuple(sorted(new.keys() - old.keys())),
        changed=tuple((old[n], new[n]) for n in sorted(old.keys() & new) if old[n] != new[n]),
        soname=None if expected.soname == actual.soname else (expected.soname, actual.soname),
    )


def version_in_name(path: Path) -> str | None:
    """The driver version that the file behind a library's links is named after."""
    match = re.search(r"\.so\.(\d+\.\d+(?:\.\d+)*)$", path.resolve().name)
    return match[1] if match else None


def nearest(library: str, found: SymbolTable) -> str:
    """The recorded driver whose table has most of a library's symbols, then the one with least
    besides: the library's own driver, if it is recorded."""
    tables = {name: table.symbols.keys() for name, table in recorded_tables(library).items()}
    own = found.symbols.keys()
    return max(tables, key=lambda name: (len(tables[name] & own), -len(tables[name])))


def table_path(soname: str, driver: str, folder: Path = TABLES) -> Path:
    """Where the table of `soname` (`libcuda.so.1`) at a driver version is kept."""
    return folder / f"{re.sub(r'[.][0-9]+$', '', soname)}.{driver}.tsv"


def recorded_tables(library: str, folder: Path = TABLES) -> dict[str, SymbolTable]:
    """The recorded tables of `nvml` or `cuda` by driver version, oldest first."""
    soname = SONAMES[library]
    return {driver: load_table(table_path(soname, driver, folder)) for driver in DRIVERS}


@cache
def exported(library: str, driver: str) -> tuple[str, ...]:
    """The functions that `nvml` or `cuda` exports at a driver version."""
    return tuple(load_table(table_path(SONAMES[library], driver)).of_type("FUNC"))


def load_table(path: Path) -> SymbolTable:
    """Read a recorded table; SymbolsError names the line that is not one."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise SymbolsError(f"{path} is not a recorded table: it is not text") from None
    head = [line.removeprefix("# soname: ") for line in lines if line.startswith("# soname: ")]
    rows = [(n, line) for n, line in enumerate(lines, 1) if not line.startswith("#")]
    symbols = [_row(f"{path}:{number}", line) for number, line in rows]
    if not head:
        raise SymbolsError(f"{path}: no line '# soname: ...'")
    return SymbolTable(head[0], {symbol.name: symbol for symbol in symbols})


def save_table(table: SymbolTable, path: Path, driver: str, source: str) -> None:
    """Write a table, sorted by name, under a head that says where it is from."""
    head = [
        f"# soname: {table.soname}",
        f"# driver: {driver}, x86-64",
        *(f"# source: {line}" for line in source.splitlines()),
        "# columns: name, type, binding, size in bytes (data objects only)",
    ]
    rows = [
        f"{s.name}\t{s.type}\t{s.binding}\t{'-' if s.size is None else s.size}"
        for _, s in sorted(table.symbols.items())
    ]
    path.write_text("\n".join(head + rows) + "\n", encoding="utf-8")


def _row(place: str, line: str) -> Symbol:
    cells = line.split("\t")
    if len(cells) != 4 or not (cells[3] == "-" or cells[3].isdecimal()):
        raise SymbolsError(f"{place}: expected name, type, binding, size; found {line!r}")
    name, kind, binding, size = cells
    return Symbol(name, kind, binding, size=None if size == "-" else int(size))
