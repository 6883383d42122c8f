"""Fetching the pinned header wheels into a cache folder.

NVIDIA's headers are read at generation and never committed; this is where they come from.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from stubs.generate.releases import Release

__all__ = ["DEFAULT_CACHE", "fetch_headers"]

DEFAULT_CACHE = Path(".cache/headers")

# What a description or the procaddress oracle reads; a CUDA runtime wheel holds hundreds more.
_WANTED = re.compile(
    r"/include/(nvml|cuda|cudaTypedefs|cudaProfiler|cuda(?:GL|EGL|VDPAU)(?:Typedefs)?)\.h$"
)


def fetch_headers(release: Release, cache: Path = DEFAULT_CACHE) -> Path:
    """Return the folder that holds the headers of `release`, downloading its wheel if need be."""
    folder = cache / release.folder
    if not folder.is_dir():
        _unpack(_wheel(release, cache / "wheels"), folder)
    return folder


def _wheel(release: Release, wheels: Path) -> Path:
    pattern = f"{release.package.replace('-', '_')}-{release.version}-*.whl"
    if not list(wheels.glob(pattern)):
        wheels.mkdir(parents=True, exist_ok=True)
        pin = f"{release.package}=={release.version}"
        pip = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
        # A source distribution of these packages is a placeholder without headers.
        only = ["--only-binary", ":all:", "--dest", str(wheels), pin]
        subprocess.run(pip + only, check=True)
    return next(wheels.glob(pattern))


def _unpack(wheel: Path, folder: Path) -> None:
    """Copy the wanted headers out of the wheel, into place in one step."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    unfinished.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if _WANTED.search(name):
                (unfinished / Path(name).name).write_bytes(archive.read(name))
    unfinished.rename(folder)
