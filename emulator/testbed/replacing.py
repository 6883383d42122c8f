"""Files that are replaced in one step: programs may be using them, and others writing them too."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["link", "write"]


def write(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Give a file a content, unless it has it, and a mode, of which the umask takes its part."""
    data = content.encode() if isinstance(content, str) else content
    if _has(path, data):
        return
    fresh = _beside(path)
    fresh.unlink(missing_ok=True)  # left by a process of the same id that was killed
    with open(fresh, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
    fresh.replace(path)


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
