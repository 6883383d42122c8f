"""Which calls of a trace are wanted: by function, library and result."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

from ..scenario import UnknownNameError
from ..scenario.errors import nearest
from ..vocabulary import vocabulary

__all__ = ["Choice", "failed", "functions_named"]


def failed(record: Mapping[str, Any]) -> bool:
    """Whether a call returned an error, or has not returned."""
    return "status" in record and record["code"] != 0


@cache
def functions_named(pattern: str, library: str | None = None) -> frozenset[str]:
    """The functions that a name, a glob or a group ("getters") means, in one library or in both.

    Raises:
        UnknownNameError: it means none.
    """
    known = vocabulary()
    libraries = [library] if library else [*known.functions]
    found = frozenset().union(*(known.named(name, pattern) for name in libraries))
    if not found:
        where = " or ".join(name.upper() for name in libraries)
        everything = frozenset().union(*(known.functions[name] for name in libraries))
        problem = f"expected a function of {where}, found {pattern!r}"
        raise UnknownNameError(problem + nearest(pattern, everything))
    return found


class Choice:
    """Says of a record whether it is wanted.

    Args:
        patterns: which functions, each as in a fault; with a "!" before it, which not. With none
            but such, all others are wanted.
        library: "nvml" or "cuda"; None for both.
        only_failed: whether only calls are wanted that returned an error or have not returned.

    Raises:
        UnknownNameError: a pattern means no function.
    """

    def __init__(
        self,
        patterns: Iterable[str] = (),
        library: str | None = None,
        only_failed: bool = False,
    ) -> None:
        given = list(patterns)
        wanted = [pattern for pattern in given if not pattern.startswith("!")]
        self._wanted = _all(wanted, library) if wanted else None
        self._others = _all((pattern[1:] for pattern in given if pattern[:1] == "!"), library)
        self._library = library
        self._only_failed = only_failed

    def __call__(self, record: Mapping[str, Any]) -> bool:
        """Whether this record is wanted."""
        name = record["function"]
        return (
            (self._wanted is None or name in self._wanted)
            and name not in self._others
            and self._library in (None, record["library"])
            and not (self._only_failed and not failed(record))
        )


def _all(patterns: Iterable[str], library: str | None) -> Collection[str]:
    return frozenset().union(*(functions_named(pattern, library) for pattern in patterns))
