"""The private table that nvidia-smi uses, called as nvidia-smi calls it."""

from __future__ import annotations

import ctypes
from typing import Any

from nvml_client import library

from emulator.nvml.private import IDENTIFIER

__all__ = ["call_slot", "table"]

_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 5)


def table() -> Any:
    """The table's words: its size in bytes, then its functions' addresses."""
    address = ctypes.c_void_p()
    assert library().nvmlInternalGetExportTable(ctypes.byref(address), IDENTIFIER) == 0
    size = ctypes.c_size_t.from_address(address.value or 0).value
    return (ctypes.c_size_t * (size // 8)).from_address(address.value or 0)


def call_slot(number: int, *words: Any) -> int:
    """Call a function of the table; its code."""
    padded = [*words, *[None] * (5 - len(words))]
    return _FUNCTION(table()[number])(*(ctypes.cast(w, ctypes.c_void_p) for w in padded))
