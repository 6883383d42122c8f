"""What the two APIs have in common: declarations, C types, handles, handlers, errors.

Loaded into foreign processes: standard library only, and nothing that starts slowly (`json`,
`enum`, `re` and `dataclasses` each cost more than the whole cold start may).
"""

from __future__ import annotations

from .core import Api, ApiError, Codes, Handler, Library
from .ctype import NULL_PAGE, c_array, c_fields
from .declaration import Function, Parameter, snake_case
from .handle import NULL, Handles

__all__ = [
    "NULL",
    "NULL_PAGE",
    "Api",
    "ApiError",
    "Codes",
    "Function",
    "Handler",
    "Handles",
    "Library",
    "Parameter",
    "c_array",
    "c_fields",
    "snake_case",
]
