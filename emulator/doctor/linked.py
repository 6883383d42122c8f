"""Functions that a program or library is linked to and that a library does not have."""

from __future__ import annotations

from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

__all__ = ["missing_symbols", "needs"]

_PREFIXES = ("nvml", "cu")


def missing_symbols(user: str, library: str) -> list[str]:
    """The functions of NVML or CUDA that `user` cannot do without and `library` does not export.

    Both are paths of files; the result is empty where one of them cannot be read, or `user` is not
    linked to a library of that name.
    """
    base = Path(library).name.partition(".so")[0] + ".so"
    if not needs(user, base):  # first, as tables of symbols may be long
        return []
    wanted, given = _symbols(user), _symbols(library)
    if not given:
        return []
    return sorted(name for name, defined in wanted.items() if not defined and not given.get(name))


def _symbols(path: str) -> dict[str, bool]:
    """Name -> whether it is defined, of the API's functions; weak references are left out."""
    try:
        with Path(path).open("rb") as file:
            table = ELFFile(file).get_section_by_name(".dynsym")
            return {
                symbol.name: symbol["st_shndx"] != "SHN_UNDEF"
                for symbol in (
                    table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
                )
                if symbol.name.startswith(_PREFIXES) and symbol["st_info"]["bind"] != "STB_WEAK"
            }
    except (OSError, ELFError):
        return {}


def needs(user: str, name: str) -> bool:
    """Whether a file is linked to a library of which the name begins so."""
    try:
        with Path(user).open("rb") as file:
            dynamic = ELFFile(file).get_section_by_name(".dynamic")
            tags = dynamic.iter_tags("DT_NEEDED") if isinstance(dynamic, DynamicSection) else ()
            return any(getattr(tag, "needed", "").startswith(name) for tag in tags)
    except (OSError, ELFError):
        return False
