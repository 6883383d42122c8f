"""The emulated hardware, knowing neither NVML nor CUDA.

It runs inside foreign processes, in whatever Python they have: Python 3.9 and later, standard
library only, relative imports only, and none of the slow modules (json, re, enum, dataclasses,
typing, functools, collections, pathlib). ``TYPE_CHECKING`` is a plain name here because importing
it from typing costs more than this whole package; type checkers know it by name.
"""

from __future__ import annotations

from .clock import Clock
from .device import Device
from .drivers import DRIVERS, NEWEST
from .figures import Figures
from .machine import FORMAT, Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .processes import Process

__all__ = ["DRIVERS", "FORMAT", "NEWEST", "Clock", "Device", "Figures", "Machine", "Process"]


def __getattr__(name: str) -> object:
    """Load what is public and seldom needed on its first use."""
    if name != "Process":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .processes import Process

    return Process
