"""Real driver libraries out of Debian's non-free packages: to record them, and to test against."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulator.symbols import (
    SONAMES,
    Difference,
    SymbolTable,
    difference,
    load_table,
    read_library,
    save_table,
    table_path,
)
from stubs.generate.apt import unpack

__all__ = ["RECORDED", "changed_tables", "fetch_driver", "read_driver", "record_driver"]


@dataclass(frozen=True)
class _Packages:
    """Where Debian has one driver version: the suite, and the packages of that driver branch."""

    suite: str
    cuda: str = "libcuda1"
    nvml: str = "libnvidia-ml1"
    smi: str = "nvidia-smi"

    @property
    def names(self) -> tuple[str, str, str]:
        return self.cuda, self.nvml, self.smi


_TESLA = ("libnvidia-tesla-cuda1", "libnvidia-tesla-ml1", "nvidia-tesla-smi")
_DEBIAN = {
    "470.256.02": _Packages("bullseye"),
    "525.147.05": _Packages("bookworm", *_TESLA),
    "535.261.03": _Packages("bookworm"),
    "550.163.01": _Packages("trixie"),
    "555.58.02": _Packages("experimental"),
}

RECORDED = tuple(_DEBIAN)
"""The driver versions that can be fetched, oldest first."""


def fetch_driver(version: str, into: Path) -> Path:
    """Return a folder with libnvidia-ml.so.1, libcuda.so.1 and nvidia-smi of one driver version.

    The folder is `into/<version>`; it is filled once, in one step. Raises ValueError for a
    version that Debian does not have, CalledProcessError where apt or dpkg-deb fails.
    """
    if version not in _DEBIAN:
        raise ValueError(f"no driver {version}; known are {', '.join(RECORDED)}")
    folder = into / version
    if not folder.is_dir():
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".fetching-") as work:
            unpacked = _download(_DEBIAN[version], version, Path(work))
            _gather(unpacked, version, Path(work) / "driver").rename(folder)
    return folder


def read_driver(version: str, cache: Path) -> dict[str, SymbolTable]:
    """The symbol tables of a driver's real libraries, keyed `nvml` and `cuda`."""
    folder = fetch_driver(version, cache)
    return {library: read_library(folder / soname) for library, soname in SONAMES.items()}


def record_driver(version: str, cache: Path) -> None:
    """Write the recorded tables of one driver version anew, from its real libraries."""
    packages = _DEBIAN[version]
    names = {"nvml": packages.nvml, "cuda": packages.cuda}
    for library, table in read_driver(version, cache).items():
        source = f"read from the library in Debian's package {names[library]} ({packages.suite})"
        save_table(table, table_path(table.soname, version), version, source)


def changed_tables(cache: Path) -> dict[str, Difference]:
    """Recorded tables that differ from the real libraries, by file name; empty if all is well."""
    changed = {}
    for version in RECORDED:
        for table in read_driver(version, cache).values():
            path = table_path(table.soname, version)
            if found := difference(load_table(path), table):
                changed[path.name] = found
    return changed


def _download(packages: _Packages, version: str, work: Path) -> Path:
    """Fetch and unpack the packages; the result is a root folder with `usr` in it."""
    # The upstream version is what matters: Debian may rebuild a package.
    wanted = [f"{name}={version}*" for name in packages.names]
    return unpack(wanted, packages.suite, "non-free", work)


def _gather(root: Path, version: str, folder: Path) -> Path:
    """Bring the three files together under the names that programs ask for."""
    folder.mkdir()
    for soname in SONAMES.values():
        name = f"{soname.removesuffix('.1')}.{version}"
        next(root.glob(f"usr/lib/**/{name}")).rename(folder / name)
        (folder / soname).symlink_to(name)
    # Elsewhere in the package other files have this name.
    next(root.glob("usr/lib/nvidia/*/nvidia-smi")).rename(folder / "nvidia-smi")
    return folder
