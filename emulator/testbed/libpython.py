"""Finding a shared libpython, for programs that are not Python themselves.

The runtime needs nothing but a standard library from Python 3.9 on, so any such libpython will
do: that of nvemu's own interpreter for choice, since its bytecode is compiled already, else one
that the system has.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LibPython", "find_libpython"]

OLDEST = (3, 9)
NEWEST = (3, 14)  # 3.15 drops the interface that the stub starts Python with


@dataclass(frozen=True)
class LibPython:
    """A shared library and the prefix that its standard library is found under."""

    path: Path
    home: Path


def find_libpython() -> LibPython | None:
    """The libpython to embed; None when there is none that serves."""
    for path in _candidates():
        home = _home(path)
        if home is not None:
            return LibPython(path, home)
    return None


def _candidates() -> Iterator[Path]:
    name = "libpython{}.{}.so.1.0".format(*sys.version_info)
    folders = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"]
    folders.append(f"{folders[0]}/{sysconfig.get_config_var('MULTIARCH')}")
    for folder in folders:
        path = Path(folder or "/", name)
        if path.is_file():
            yield path.resolve()
    yield from _known_to_linker()


def _known_to_linker() -> Iterator[Path]:
    """Those in the dynamic linker's cache, newest first."""
    ldconfig = shutil.which("ldconfig", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if ldconfig is None:
        return
    listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False).stdout
    paths = set(re.findall(r"=> (/.*/libpython3\.\d+\.so\.1\.0)$", listing, re.MULTILINE))
    yield from sorted((Path(path) for path in paths), key=_version, reverse=True)


def _version(path: Path) -> tuple[int, int]:
    found = re.search(r"libpython(\d+)\.(\d+)", path.name)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _home(path: Path) -> Path | None:
    """The nearest folder above the library that has its version's standard library."""
    version = _version(path)
    if not OLDEST <= version <= NEWEST:
        return None
    for folder in path.parents:
        if (folder / "lib" / "python{}.{}".format(*version) / "ctypes" / "__init__.py").is_file():
            return folder
    return None
