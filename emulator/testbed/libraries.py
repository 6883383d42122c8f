"""The libraries of a testbed as files, each copy in the state that the scenario has it in.

    lib/      the last copy of each library on the search path, for most the only one
    lib.0/    the copies before it, where a library has several
    lib.1/

A library has three names, as NVIDIA installs them: libcuda.so -> libcuda.so.1 -> the file itself,
libcuda.so.<version>. What is broken about a copy is the file; the links to it are as they should
be, also where there is none ("broken-symlink"). Only an absent library has no link either. The
version is what the scenario's driver says, also of a copy with an older driver's functions.

Whether the dynamic loader then says what the scenario means depends on the system too: see
``loading``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import filter as matching
from pathlib import Path
from typing import Any

from ..scenario.loader import PRESENT, Loader
from ..stubfiles import SONAMES, stub
from ..symbols import exported
from . import damage
from .replacing import link, write

__all__ = ["States", "lay_out", "put", "readable", "search_path"]

#: A scenario's loader states as checked.
States = Mapping[str, Any]

Maker = Callable[[str, str, Loader], bytes]


def _intact(library: str, driver: str, _: Loader) -> bytes:
    return stub(library, driver).read_bytes()


def _older(library: str, _: str, copy: Loader) -> bytes:
    return _intact(library, str(copy.driver), copy)


def _without_dependency(library: str, driver: str, copy: Loader) -> bytes:
    return damage.with_dependency(_intact(library, driver, copy), str(copy.needs))


def _without_symbols(library: str, driver: str, copy: Loader) -> bytes:
    known = exported(library, driver)
    missing = {name for pattern in copy.symbols for name in matching(known, pattern)}
    return damage.without_symbols(_intact(library, driver, copy), missing)


#: State -> what is in the file; the others have none.
_CONTENTS: dict[str, Maker] = {
    "present": _intact,
    "unreadable": _intact,
    "empty": lambda *_: damage.EMPTY,
    "wrong-class": lambda *_: damage.wrong_class(),
    "not-elf": lambda *_: damage.not_elf(),
    "missing-dependency": _without_dependency,
    "missing-symbols": _without_symbols,
    "older-table": _older,
}


def search_path(folder: Path, states: States) -> list[Path]:
    """The folders of a testbed that go on LD_LIBRARY_PATH, in this order."""
    return _folders(folder, max(map(len, states.values()), default=1))


def _folders(folder: Path, number: int) -> list[Path]:
    return [*(folder / f"lib.{n}" for n in range(number - 1)), folder / "lib"]


def lay_out(folder: Path, driver: str, states: States, version: str = "") -> None:
    """Make the libraries of a driver in a testbed's folder.

    What is there already is replaced piece by piece, each in one step.

    Args:
        folder: the testbed's, which exists.
        driver: whose libraries they are.
        states: a scenario's loader states, checked.
        version: what the driver says its version is, if not that.
    """
    path = search_path(folder, states)
    for place in path:
        place.mkdir(exist_ok=True)
    for library in SONAMES:
        entries = states.get(library, (PRESENT,))
        for place, copy in zip(path[-len(entries) :], entries, strict=True):
            if copy.state == "absent":
                continue
            make = _CONTENTS.get(copy.state)
            content = make and make(library, driver, copy)
            file = put(place, library, version or driver, content)
            if copy.state == "unreadable":
                file.chmod(0)


def put(place: Path, library: str, version: str, content: bytes | None) -> Path:
    """Put a library of this content into a folder, under all of its names; None makes the links to
    it alone. Gives the file."""
    soname = SONAMES[library]
    base = soname.removesuffix(".1")
    # The file is a copy of the stub, as real as a driver's: some programs resolve the links and
    # open what is behind.
    file = place / f"{base}.{version}"
    if content is not None:
        write(file, content, mode=0o755)
    link(place / soname, file.name)
    link(place / base, soname)
    return file


def readable(folder: Path, states: States) -> Path | None:
    """A file that was to be unreadable and that this process can read: root reads everything."""
    for place in search_path(folder, states):
        for file in place.glob("*.so.*.*"):
            if not file.stat().st_mode & 0o777 and _opens(file):
                return file
    return None


def _opens(file: Path) -> bool:
    try:
        file.open("rb").close()
    except PermissionError:
        return False
    return True
