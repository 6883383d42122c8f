"""Symbol tables of drivers that no library was read of: what the headers of their time declare.

Such a driver exports what the one before it does, and the functions that the headers add. Which
private names it has besides, nobody knows.
"""

from __future__ import annotations

from pathlib import Path

from emulator.machine.drivers import DRIVERS, FROM_HEADERS, cuda_version
from emulator.symbols import (
    SONAMES,
    Symbol,
    SymbolTable,
    load_table,
    save_table,
    table_path,
)
from stubs.generate.fetch import DEFAULT_CACHE
from stubs.generate.headers import read_header
from stubs.generate.releases import LIBRARIES, Release

__all__ = ["BEFORE", "write_tables"]

#: A driver from headers -> the one before it. NVIDIA's bindings nvidia-ml-py 13.615.71 are of the
#: driver that came with CUDA 13.5, whose headers are the newest.
BEFORE = dict(zip(FROM_HEADERS, ("580.126.09",), strict=True))


def write_tables(cache: Path = DEFAULT_CACHE) -> None:
    """Write the tables of these drivers anew, out of the newest headers."""
    for driver, before in BEFORE.items():
        for library, soname in SONAMES.items():
            newest, earlier = LIBRARIES[library][0], _release(library, before)
            known = load_table(table_path(soname, before)).symbols
            # What earlier headers declare and no driver exports is of other systems.
            declared, old = (read_header(each, cache).functions for each in (newest, earlier))
            added = {name: Symbol(name, "FUNC") for name in declared.keys() - old.keys()}
            source = f"from headers: what {before} exports, and what {newest.label} adds"
            table = SymbolTable(soname, {**known, **added})
            save_table(table, table_path(soname, driver), driver, source)


def _release(library: str, driver: str) -> Release:
    """The headers of the CUDA version that a driver reports."""
    version = cuda_version(DRIVERS[driver])
    return next(each for each in LIBRARIES[library] if each.toolkit == version)
