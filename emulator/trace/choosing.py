"""Which calls of a trace are wanted: by function, library and result.

A kernel's launch is recorded as the function ``kernel NAME``, and is wanted by just what a trace
shows: `kernel saxpy`, `kernel lab::*` or, for all of them, `kernel*`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from ..cuda.kernels.mangling import fits
from ..scenario import UnknownNameError
from ..scenario.errors import nearest
from ..vocabulary import vocabulary

__all__ = ["Choice", "Functions", "failed"]

LAUNCH = "kernel "  # what the function of a launch's record begins with
LAUNCHES = "kernel"  # a pattern for all of them


def failed(record: Mapping[str, Any]) -> bool:
    """Whether a call returned an error, or has not returned."""
    return "status" in record and record["code"] != 0


class Functions:
    """The functions, and kernels, that names, globs and groups ("getters") mean.

    Args:
        patterns: the names; "kernel" and a kernel's name, plain or mangled, for its launches.
        library: where they are looked for; None for both libraries.

    Raises:
        UnknownNameError: one means none.
    """

    def __init__(self, patterns: Iterable[str], library: str | None = None) -> None:
        given = list(patterns)
        launches = [pattern for pattern in given if library != "nvml" and _is_of_launches(pattern)]
        named = [pattern for pattern in given if pattern not in launches or pattern == "*"]
        self._names = frozenset[str]().union(*(_named(pattern, library) for pattern in named))
        self._launches = launches
        self._known: dict[str, bool] = {}

    def __contains__(self, function: str) -> bool:
        """Whether a record's function is among them."""
        if not self._launches or not function.startswith(LAUNCH):
            return function in self._names
        if function not in self._known:
            self._known[function] = any(_launches(each, function) for each in self._launches)
        return self._known[function]


def _is_of_launches(pattern: str) -> bool:
    if pattern in (LAUNCHES, "*") or pattern.startswith(LAUNCH):
        return True
    return pattern.startswith(LAUNCHES) and any(letter in pattern for letter in "*?[")


def _launches(pattern: str, function: str) -> bool:
    """Whether a pattern means the launches of a record's function, `kernel NAME`."""
    if pattern.startswith(LAUNCH):
        return fits(pattern[len(LAUNCH) :].strip(), function[len(LAUNCH) :])
    return pattern == LAUNCHES or fnmatchcase(function, pattern)


@cache
def _named(pattern: str, library: str | None) -> frozenset[str]:
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
        self._wanted = Functions(wanted, library) if wanted else None
        others = (pattern[1:] for pattern in given if pattern[:1] == "!")
        self._others = Functions(others, library)
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
