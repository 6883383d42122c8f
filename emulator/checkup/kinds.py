"""Whose library a file is: NVIDIA's, a stub of nvemu or of the CUDA toolkit, or another's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..stubfiles import SONAMES, stub_driver
from ..symbols import (
    SymbolsError,
    SymbolTable,
    nearest,
    read_library,
    recorded_tables,
    version_in_name,
)

__all__ = ["FOREIGN", "REAL", "STUB", "TOOLKIT", "UNKNOWN", "Kind", "kind"]

REAL, STUB, TOOLKIT, FOREIGN = "real", "stub", "toolkit stub", "foreign"
UNKNOWN = "unknown"

#: What the toolkit's stub of NVML prints when it is called.
_TOOLKIT_TEXT = b"You should always run with libnvidia-ml.so"
_VERSION = r"\d{3}\.\d{2,3}(?:\.\d{2})?"
#: Where it is written: alone, behind CUDA's major version, or in the name of another library.
_WRITTEN = rf"(?:\0|\.so\.)(?:\d\d\.)?({_VERSION})(?=\0)".encode()


@dataclass(frozen=True)
class Kind:
    """What a library is (`name`), its driver version where it has one, and a line about it."""

    name: str
    text: str
    driver: str | None = None


def kind(library: str, path: Path) -> Kind:
    """Whose library a file is that was loaded as `nvml` or `cuda`."""
    try:
        driver = stub_driver(path)
        if driver is not None:
            return Kind(STUB, f"a stub of nvemu, of driver {driver}", driver)
        return _told_by_symbols(library, path, read_library(path))
    except (OSError, SymbolsError) as error:
        return Kind(UNKNOWN, f"cannot be looked into: {error}")


def _told_by_symbols(library: str, path: Path, found: SymbolTable) -> Kind:
    """Who a library is that is not nvemu's.

    NVIDIA's have the driver version in them and most of what the nearest recorded driver exports.
    """
    driver = nearest(library, found)
    expected = set(recorded_tables(library)[driver].of_type("FUNC"))
    lacks = len(expected - found.symbols.keys())
    content = path.read_bytes()
    version = _version(path, content)
    if _TOOLKIT_TEXT in content or "stubs" in path.resolve().parts:
        return Kind(TOOLKIT, "the CUDA toolkit's stub, which is there to link with")
    if version and lacks * 2 < len(expected):
        return Kind(REAL, f"NVIDIA's, of driver {version}", version)
    lacking = f"lacks {lacks} of the {len(expected)} functions of {SONAMES[library]} {driver}"
    return Kind(FOREIGN, f"not NVIDIA's: {'no driver version in it, ' * (not version)}{lacking}")


def _version(path: Path, content: bytes) -> str | None:
    """The driver version that a library has in it; that of its file's name for choice."""
    named = version_in_name(path)
    if named and named.encode() in content:
        return named
    written = re.findall(_WRITTEN, content)
    # Those of older drivers are in there too: the real 550.163.01 also has 470.57.01.
    return max((found.decode() for found in written), key=_parts, default=None)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
