"""Images for tests: those in images/, and such as are made by hand."""

from __future__ import annotations

import ctypes
import struct
import sys
from pathlib import Path

import pytest

from emulator.cuda.kernels.image import Image, ImageError, Target, load

__all__ = [
    "CUBIN",
    "LZ4",
    "PTX",
    "SPECIFIC",
    "ZSTD",
    "fatbin",
    "image",
    "loaded",
    "ptx",
    "refusal",
    "stored",
]

FOLDER = Path(__file__).parent / "images"
PTX, CUBIN = 1, 2

LZ4, ZSTD, SPECIFIC = 0x2000, 0x8000, 0x100000


def _unpacks_zstd() -> bool:
    try:
        ctypes.CDLL("libzstd.so.1")
    except OSError:
        return sys.version_info >= (3, 14)
    return True


UNPACKS_ZSTD = _unpacks_zstd()


def stored(name: str) -> bytes:
    """The bytes of an image of the folder, by its name without `lab.`."""
    return (FOLDER / f"lab.{name}").read_bytes()


def image(name: str) -> bytes:
    """As `stored`, for a test that loads it; skipped where it needs libzstd and has none."""
    if name.startswith("zstd") and not UNPACKS_ZSTD:
        pytest.skip("libzstd.so.1 is not here")
    return stored(name)


def ptx(body: str = "", version: str = "7.0", target: str = "sm_50") -> bytes:
    """A module of PTX."""
    head = f".version {version}\n.target {target}\n.address_size 64\n"
    return (head + body).encode()


def fatbin(*entries: tuple[int, int, bytes], flags: int = 0, size: int | None = None) -> bytes:
    """A fatbin of entries: kind, architecture and bytes; all with the same flags and size."""
    body = b""
    for kind, architecture, data in entries:
        padded = data + bytes(-len(data) % 8)
        packed = len(data) if flags & (LZ4 | ZSTD) else 0
        body += struct.pack("<HHIQII", kind, 0x101, 64, len(padded), packed, 0)
        body += struct.pack("<HHIII", 0, 1, architecture, 0, 0)
        body += struct.pack("<QQQ", flags | 0x11, 0, size or 0) + padded
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def loaded(data: bytes, device: tuple[int, int], cuda: int = 13000) -> Image:
    """What an image holds for a device of a compute capability."""
    return load(data, Target(device, cuda))


def refusal(data: bytes, device: tuple[int, int] = (8, 0), cuda: int = 13000) -> int:
    """The code that an image is refused by."""
    try:
        loaded(data, device, cuda)
    except ImageError as error:
        return error.code
    return 0
