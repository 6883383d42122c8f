"""What the file of a capture is called."""

from __future__ import annotations

import os

__all__ = ["SUFFIX", "is_capture"]

SUFFIX = ".capture"


def is_capture(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a capture's file."""
    return os.fspath(path).endswith(SUFFIX)
