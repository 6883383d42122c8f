"""The libraries of this machine's real driver, and a testbed's stubs that stand in front of them.

A program then asks the real libraries, by way of nvemu, which traces the calls: see
`emulator.runtime.forwarding`. It must find what it would find without nvemu, so a stub exports what
the real library does, as far as any recorded driver's stub has it, and a library that the machine
lacks has no stub.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..stubfiles import SONAMES, stub, stub_driver
from ..symbols import SymbolsError, nearest, read_library, recorded_tables, version_in_name
from . import damage
from .libraries import put
from .loading import LoadingError, ask
from .replacing import link

__all__ = ["NoRealDriverError", "RealLibrary", "find_real", "lay_out_real", "links"]


class NoRealDriverError(RuntimeError):
    """This machine has no driver to forward calls to."""


@dataclass(frozen=True)
class RealLibrary:
    """A library of the real driver.

    Attributes:
        library: `nvml` or `cuda`.
        path: the file that the dynamic loader finds, links resolved.
        version: the driver version that the file is named after; empty if it is not.
        driver: the driver version whose stub stands in front of it.
        lacking: the symbols of that stub which this library does not have.
        hidden: the functions of this library which the stub does not have, sorted.
    """

    library: str
    path: Path
    version: str
    driver: str
    lacking: frozenset[str]
    hidden: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What a user has to know of it, as a sentence; empty if it is nothing."""
        if not self.hidden:
            return ""
        number = len(self.hidden)
        what = "1 function" if number == 1 else f"{number} functions"
        return (
            f"{self.path} has {what} that nvemu does not know ({self.hidden[0]}"
            f"{', ...' if number > 1 else ''}): the program does not find them"
        )


def find_real(path: str) -> list[RealLibrary]:
    """The real libraries that the dynamic loader finds along the search path `path` and in the
    system's folders; one of the two may be missing.

    Raises:
        NoRealDriverError: it finds neither, or stubs of nvemu.
    """
    try:
        said = dict(zip(SONAMES, ask(list(SONAMES.values()), path), strict=True))
    except LoadingError as error:
        problem = f"the libraries of this driver cannot be loaded: {error}"
        raise NoRealDriverError(problem) from None
    found = {library: Path(text) for library, (kind, text) in said.items() if kind == "path"}
    if not found:
        raise NoRealDriverError(
            "no NVIDIA driver is installed that calls could be forwarded to: "
            + "; ".join(text for _, text in said.values())
        )
    return [_describe(library, path) for library, path in found.items()]


def links(folder: Path, found: Iterable[RealLibrary]) -> dict[str, Path]:
    """By which path in a testbed each real library is loaded.

    By one of nvemu's own, so that it can be told from a library that the program asks for, and is
    not given the stub in its place (`audit`).
    """
    return {real.library: folder / "real" / SONAMES[real.library] for real in found}


def lay_out_real(folder: Path, found: Sequence[RealLibrary]) -> None:
    """Put a stub for each real library into a testbed's folder, and a link to the library."""
    place = folder / "lib"
    place.mkdir(exist_ok=True)
    (folder / "real").mkdir(exist_ok=True)
    for real, path in zip(found, links(folder, found).values(), strict=True):
        link(path, str(real.path))
        content = stub(real.library, real.driver).read_bytes()
        if real.lacking:
            content = damage.without_symbols(content, real.lacking)
        put(place, real.library, real.version or real.driver, content)


def _describe(library: str, path: Path) -> RealLibrary:
    if stub_driver(path) is not None:
        raise NoRealDriverError(f"{path} is nvemu's own stub: no call can be forwarded to it")
    try:
        found = read_library(path)
    except SymbolsError as error:
        raise NoRealDriverError(str(error)) from None
    driver = nearest(library, found)
    known = recorded_tables(library)[driver].symbols.keys()
    hidden = (n for n, each in found.symbols.items() if each.type == "FUNC" and n not in known)
    return RealLibrary(
        library=library,
        path=path,
        version=version_in_name(path) or "",
        driver=driver,
        lacking=frozenset(known - found.symbols.keys()),
        hidden=tuple(sorted(hidden)),
    )
