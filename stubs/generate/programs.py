"""Monitors out of Debian's packages, to run without being installed: nvtop and btop.

They come with the libraries that they are linked with, down to the C library and its loader, so
that they run on machines whose own are older.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from stubs.generate.apt import unpack

__all__ = ["PROGRAMS", "fetch_programs"]

PROGRAMS = ("btop", "nvtop")
_SUITE = "trixie"

#: Starts a program of the root beside it; what LD_LIBRARY_PATH names is found first, as usual.
_STARTER = """\
#!/bin/sh
root=$(dirname "$(realpath "$0")")/../root/usr
exec "$root/lib64/ld-linux-x86-64.so.2" --argv0 {name} \\
    --library-path "${{LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}}$root/lib/x86_64-linux-gnu" \\
    "$root/bin/{name}" "$@"
"""


def fetch_programs(into: Path) -> Path:
    """Return `into/bin`, in which the programs can be started by their names.

    `into` is filled once, in one step. Raises CalledProcessError where apt or dpkg-deb fails.
    """
    if not into.is_dir():
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix=".fetching-") as name:
            work = Path(name)
            root = unpack(PROGRAMS, _SUITE, "main", work, dependencies=True)
            (made := work / "made").mkdir()
            root.rename(made / "root")
            _starters(made / "bin")
            made.rename(into)
    return into / "bin"


def _starters(folder: Path) -> None:
    """Write what starts each program."""
    folder.mkdir()
    for name in PROGRAMS:
        starter = folder / name
        starter.write_text(_STARTER.format(name=name))
        starter.chmod(0o755)
