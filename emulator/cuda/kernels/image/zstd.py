"""Zstandard frames, by Python's own module (from 3.14 on) or the system's library."""

from __future__ import annotations

from ... import _status as status
from .elf import malformed
from .error import ImageError

__all__ = ["decompress"]

LACKING = "the image is compressed by zstd, and neither libzstd.so.1 nor Python 3.14 is here"


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that a frame holds.

    Raises:
        ImageError: INVALID_IMAGE: it is damaged, or nothing here can read it.
    """
    made = _by_python(data) if _has_python() else _by_library(data, size)
    if made is None or len(made) != size:
        raise malformed("compressed code is damaged")
    return made


def _has_python() -> bool:
    from sys import version_info

    return version_info >= (3, 14)


def _by_python(data: bytes) -> bytes | None:
    try:
        from _zstd import ZstdDecompressor, ZstdError  # type: ignore[import-not-found]
    except ImportError:  # a Python that was built without it
        raise ImageError(status.INVALID_IMAGE, f"error   : {LACKING}", LACKING) from None
    try:
        return ZstdDecompressor().decompress(data)  # type: ignore[no-any-return]
    except (ZstdError, EOFError):
        return None


def _by_library(data: bytes, size: int) -> bytes | None:
    import ctypes

    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        raise ImageError(status.INVALID_IMAGE, f"error   : {LACKING}", LACKING) from None
    call = library.ZSTD_decompress
    call.restype = ctypes.c_size_t
    call.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    made = ctypes.create_string_buffer(max(size, 1))
    written = call(made, size, data, len(data))
    return made.raw[:written] if written == size else None
