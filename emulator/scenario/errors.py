"""The one hierarchy of errors that a user of scenarios can cause."""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "ScenarioError",
    "ScenarioFileError",
    "UnknownNameError",
    "nearest",
    "unhandled_text",
    "within",
]

Key = tuple[str | int, ...]


class ScenarioError(ValueError):
    """A scenario, or a profile, that says something it cannot mean.

    The message reads ``file:line: key: expected ..., found ...``, with the parts that are known.

    Attributes:
        problem: what was expected and what was found.
        key: the path of the key in the scenario, such as ``("gpu", 1, "memory_used")``.
        file: the file the scenario was read from, None for one written in Python.
        line: the line of the key in that file, counted from 1, if it can be told.
    """

    def __init__(
        self, problem: str, *, key: Key = (), file: str | None = None, line: int | None = None
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.key = key
        self.file = file
        self.line = line

    def __str__(self) -> str:
        place = self.file or ""
        if self.file and self.line:
            place += f":{self.line}"
        return ": ".join(part for part in (place, format_key(self.key), self.problem) if part)

    def within(self, *prefix: str | int) -> ScenarioError:
        """Put a key path before this error's own, as it rises out of a nested table."""
        self.key = (*prefix, *self.key)
        return self


class ScenarioFileError(ScenarioError):
    """A scenario file that cannot be found, read or parsed as TOML."""


class UnknownNameError(ScenarioError):
    """A name that nothing is known by: a key, a profile, a driver, a function, an error code."""


@contextmanager
def within(*prefix: str | int) -> Iterator[None]:
    """Put a key path before that of an error which rises out of the block, a nested table's."""
    try:
        yield
    except ScenarioError as error:
        raise error.within(*prefix) from None


def unhandled_text(names: Iterable[str]) -> str:
    """Return what is wrong with a program that calls functions without a handler, if strict."""
    return f"strict scenario: no handler answers {', '.join(names)}"


#: No name is longer; comparing a page of text with a thousand names would take minutes.
_LONGEST_NAME = 200


def format_key(key: Key) -> str:
    """Write a key path as a reader of TOML or Python would: ``gpu[1].memory_used``."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def nearest(name: object, known: Iterable[str]) -> str:
    """Return a hint at the known name that is meant, or at all of them if they are few, or "".

    That is the only one that begins so, or else the one that comes nearest, or else the first few
    that begin so.
    """
    names = sorted(known)
    if isinstance(name, str) and len(name) <= _LONGEST_NAME:
        by_folded = {candidate.casefold(): candidate for candidate in names}
        folded = name.casefold()
        longer = [candidate for candidate in by_folded if name and candidate.startswith(folded)]
        close = longer if len(longer) == 1 else get_close_matches(folded, by_folded, n=1)
        if close or longer:
            meant = [repr(by_folded[each]) for each in close or longer[:6]]
            return f"; did you mean {' or '.join(meant)}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 24 else ""
