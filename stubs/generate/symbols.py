"""Symbol tables: what a library exports at one driver version, as recorded and as read from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile

from stubs.generate.paths import TABLES

__all__ = [
    "DRIVERS",
    "SONAMES",
    "Difference",
    "Symbol",
    "SymbolTable",
    "difference",
    "load_table",
    "read_library",
    "recorded_tables",
    "save_table",
    "table_path",
]

# Oldest first: "since" in an API description is the first of these that exports a function.
DRIVERS = (
    "470.256.02",
    "525.147.05",
    "535.261.03",
    "550.163.01",
    "555.58.02",
    "580.126.09",
)

SONAMES = {"nvml": "libnvidia-ml.so.1", "cuda": "libcuda.so.1"}


@dataclass(frozen=True)
class Symbol:
    """One defined dynamic symbol. The size is in bytes, and None where it means nothing."""

    name: str
    type: str
    binding: str = "GLOBAL"
    visibility: str = "DEFAULT"
    size: int | None = None


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
        lines += [f"changed: expected {old}, is {new}" for old, new in self.changed]
        return "\n".join(lines)


def read_library(path: Path) -> SymbolTable:
    """Read the defined dynamic symbols of the ELF library at `path`.

    The dynamic segment is read, not the section headers: it is what the loader goes by.
    """
    with path.open("rb") as stream:
        dynamic = _dynamic_segment(ELFFile(stream), path)
        tags: list[Any] = list(dynamic.iter_tags("DT_SONAME"))
        symbols = [
            _symbol(entry)
            for entry in dynamic.iter_symbols()
            if entry.name and entry["st_shndx"] != "SHN_UNDEF"
        ]
    soname = tags[0].soname if tags else path.name
    return SymbolTable(soname, {symbol.name: symbol for symbol in symbols})


def _dynamic_segment(elf: ELFFile, path: Path) -> DynamicSegment:
    for segment in elf.iter_segments("PT_DYNAMIC"):
        if isinstance(segment, DynamicSegment):
            return segment
    raise ValueError(f"{path} has no dynamic segment: is it a shared library?")


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


def table_path(soname: str, driver: str, folder: Path = TABLES) -> Path:
    """Where the table of `soname` (`libcuda.so.1`) at a driver version is kept."""
    return folder / f"{re.sub(r'[.][0-9]+$', '', soname)}.{driver}.tsv"


def recorded_tables(library: str, folder: Path = TABLES) -> dict[str, SymbolTable]:
    """The recorded tables of `nvml` or `cuda` by driver version, oldest first."""
    soname = SONAMES[library]
    return {driver: load_table(table_path(soname, driver, folder)) for driver in DRIVERS}


def load_table(path: Path) -> SymbolTable:
    """Read a recorded table; ValueError names the line that is not one."""
    soname, symbols = "", {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("#"):
            soname = line.removeprefix("# soname: ") if line.startswith("# soname: ") else soname
            continue
        cells = line.split("\t")
        if len(cells) != 4:
            raise ValueError(f"{path}:{number}: expected name, type, binding, size; found {line!r}")
        name, kind, binding, size = cells
        symbols[name] = Symbol(name, kind, binding, size=None if size == "-" else int(size))
    if not soname:
        raise ValueError(f"{path}: no line '# soname: ...'")
    return SymbolTable(soname, symbols)


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
