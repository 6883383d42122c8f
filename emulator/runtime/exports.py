"""Where the functions of a loaded library are, and which of them is where."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

__all__ = ["address_of", "name_at", "symbol_finder"]


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
        return address_of(opened[0], name)

    return find


def address_of(library: Any, name: str) -> int:
    """Where a function of a loaded library is; 0 if it has none of this name."""
    symbol = getattr(library, name, None)
    return 0 if symbol is None else ctypes.cast(symbol, ctypes.c_void_p).value or 0


def name_at(address: int) -> str:
    """The function that some library exports at exactly this address; empty if none does."""
    info = _information(address)
    return os.fsdecode(info.name) if info.name and info.address == address else ""


def _information(address: int) -> _Info:
    info = _Info()
    ctypes.CDLL(None).dladdr(ctypes.c_void_p(address), ctypes.byref(info))
    return info


def _library_at(address: int) -> Any:
    info = _information(address)
    # By the name it was loaded under: the file may be gone by now.
    return ctypes.CDLL(os.fsdecode(info.file), os.RTLD_NOLOAD | os.RTLD_LAZY)
