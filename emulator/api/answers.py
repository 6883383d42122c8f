"""What Python functions of a scenario may answer: a status code by its name or number."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .core import Api

__all__ = ["code_of"]

#: A code has 32 bits, with a sign or without.
LEAST, MOST = -(1 << 31), (1 << 32) - 1

#: Type of what a function that is no plain one returns -> what such a function is called.
NOT_PLAIN = {
    "async_generator": "an async function with `yield`",
    "coroutine": "an async function",
    "generator": "a function with `yield`",
}


def code_of(api: Api, found: Any, expected: str) -> int:
    """The code that a function returned.

    Raises:
        ValueError: it is none; the message begins with `expected`.
    """
    if isinstance(found, int) and not isinstance(found, bool) and LEAST <= found <= MOST:
        return int(found)
    if isinstance(found, str):
        for name, code in api.types.members(api.status).items():
            if found.upper() in (name, api.short(name)):
                return code
    kind = NOT_PLAIN.get(type(found).__name__)
    if kind is None:
        raise ValueError(f"{expected}, found {found!r}")
    if hasattr(found, "close"):
        found.close()  # else Python complains that nobody has awaited it
    raise ValueError(f"{expected}, found {kind}")
