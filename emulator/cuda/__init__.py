"""The CUDA driver API: one module of handlers for each area of the API.

A module of this package that does not start with an underscore registers its handlers when it is
imported, which is when one of them is first needed.
"""

from __future__ import annotations

from .library import Cuda as State
from .library import api

__all__ = ["State", "api"]
