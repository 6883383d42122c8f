"""Files that are replaced in one step: programs may be using them, and others writing them too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["link", "write", "write_all"]


def write(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Give a file a content, unless it has it, and a mode, of which the umask takes its part."""
    write_all({path: content}, mode)


def write_all(contents: Mapping[Path, bytes | str], mode: int = 0o644) -> None:
    """As `write`, several files: where one cannot be written, none is.

    What is no regular file (a pipe, /dev/null) is written to, and stays what it is.

    Raises:
        OSError: with the name of the file.
    """
    fresh: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            data = content.encode() if isinstance(content, str) else content
            if path.exists() and not path.is_file():
                path.write_bytes(data)
            elif not _has(path, data):
                fresh[path] = _beside(path)
                _make(fresh[path], path, data, mode)
        for path, made in fresh.items():
            made.replace(path)
    finally:
        for made in fresh.values():
            made.unlink(missing_ok=True)


def _make(fresh: Path, path: Path, data: bytes, mode: int) -> None:
    fresh.unlink(missing_ok=True)  # left by a process of the same id that was killed
    try:
        with open(fresh, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
    except OSError as error:
        error.filename = os.fspath(path)  # a full disk has none, and the fresh name tells nothing
        raise


def link(path: Path, target: str) -> None:
    """Make a symbolic link."""
    _beside(path).unlink(missing_ok=True)
    _beside(path).symlink_to(target)
    _beside(path).replace(path)


def _beside(path: Path) -> Path:
    """A name next to `path` that only this process uses."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def _has(path: Path, data: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == data
