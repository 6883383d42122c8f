"""Where the functions of a loaded stub are."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

__all__ = ["symbol_finder"]


class _Info(ctypes.Structure):
    """`Dl_info` of dladdr(3)."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def symbol_finder(address: int) -> Callable[[str], int]:
    """A function from symbol names to addresses in the library that `address` lies in.

    It gives 0 for a name that this library does not export, whatever other libraries do.
    """
    opened: list[Any] = []

    def find(name: str) -> int:
        if not opened:
            opened.append(_library_at(address))
        symbol = getattr(opened[0], name, None)
        return 0 if symbol is None else ctypes.cast(symbol, ctypes.c_void_p).value or 0

    return find


def _library_at(address: int) -> Any:
    info = _Info()
    ctypes.CDLL(None).dladdr(ctypes.c_void_p(address), ctypes.byref(info))
    # By the name it was loaded under: the file may be gone by now.
    return ctypes.CDLL(os.fsdecode(info.file), os.RTLD_NOLOAD | os.RTLD_LAZY)
