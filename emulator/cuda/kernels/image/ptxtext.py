"""PTX as text: its statements at the outermost level, without comments and strings."""

from __future__ import annotations

from ... import _status as status
from .error import ImageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Optional

__all__ = ["Statement", "declared", "mentions", "plain", "statements", "syntax_error", "tokens"]

SEPARATORS = "()[],=<>:"


class Statement:
    """A statement of a module: its words, and what stands in braces behind them.

    Attributes:
        words: of all before the braces or the semicolon.
        block: a function's body; None for a declaration.
        initial: an initialiser's text; "" for none.
        is_ended: whether a semicolon or braces end it; the rest of the text is not.
    """

    __slots__ = ("block", "initial", "is_ended", "words")

    def __init__(
        self, words: list[str], block: Optional[str], initial: str = "", *, is_ended: bool = True
    ) -> None:
        self.is_ended = is_ended
        self.words = words
        self.block = block
        self.initial = initial


def syntax_error(near: str, line: int = 1) -> ImageError:
    """What a driver answers to PTX that it cannot read."""
    text = f"ptxas application ptx input, line {line}; fatal   : Parsing error near '{near}'"
    return ImageError(status.INVALID_PTX, f"{text}: syntax error")


class _Finder:
    """Where the next of each of some marks is; each part of the text is searched once for each."""

    __slots__ = ("_next", "_text")

    def __init__(self, text: str, marks: Sequence[str]) -> None:
        self._text = text
        self._next = dict.fromkeys(marks, -1)

    def first(self, place: int) -> tuple[int, str]:
        """The first mark from a place on and where it is: the end of the text and "" for none."""
        best, found = len(self._text), ""
        for mark, known in self._next.items():
            where = known
            if where < place:
                where = self._text.find(mark, place)
                where = len(self._text) if where < 0 else where
                self._next[mark] = where
            if where < best:
                best, found = where, mark
        return best, found


#: What begins a comment or a string -> what ends it, and what is left of it.
SKIPPED = {"//": ("\n", "\n"), "/*": ("*/", " "), '"': ('"', '""')}


def plain(text: str) -> str:
    """The text with comments taken out and strings emptied."""
    kept = []
    finder = _Finder(text, tuple(SKIPPED))
    place = 0
    while True:
        start, mark = finder.first(place)
        kept.append(text[place:start])
        if not mark:
            return "".join(kept)
        close, left = SKIPPED[mark]
        end = text.find(close, start + len(mark))
        kept.append(left)
        place = len(text) if end < 0 else end + len(close)


def tokens(text: str) -> list[str]:
    """Words and separators."""
    for separator in SEPARATORS:
        if separator in text:
            text = text.replace(separator, f" {separator} ")
    return text.split()


def statements(text: str) -> Iterator[Statement]:
    """Yield the statements of a module that has no comments.

    Raises:
        ImageError: INVALID_PTX where a brace has no other.
    """
    place = 0
    finder, braces = _Finder(text, "{;"), _Finder(text, "{}")
    while True:
        brace, mark = finder.first(place)
        words = tokens(text[place:brace])
        if not mark:
            yield Statement(words, None, is_ended=False)
            return
        if mark == ";":
            yield _assignment(words) if "=" in words else Statement(words, None)
            place = brace + 1
            continue
        close = _closing(braces, brace)
        if words[-1:] == ["="]:
            yield Statement(words[:-1], None, text[brace + 1 : close])
            end = text.find(";", close)
            if end < 0 or text[close + 1 : end].strip():
                raise syntax_error("}")
            place = end + 1
        else:
            yield Statement(words, text[brace + 1 : close])
            place = close + 1


def declared(body: str, space: str) -> Iterator[list[str]]:
    """Yield the words of each declaration in a state space (".shared") of a body."""
    place = body.find(space)
    while place >= 0:
        behind = place + len(space)
        if body[place - 1 : place] in "\n\t ;{}" and body[behind : behind + 1] in "\n\t ":
            end = body.find(";", behind)
            yield tokens(body[place : end if end >= 0 else None])
        place = body.find(space, behind)


def mentions(body: str, name: str) -> bool:
    """Whether a name occurs as a word."""
    place = body.find(name)
    while place >= 0:
        around = body[place - 1 : place] + body[place + len(name) : place + len(name) + 1]
        if not any(letter.isalnum() or letter in "_$%" for letter in around):
            return True
        place = body.find(name, place + 1)
    return False


def _assignment(words: list[str]) -> Statement:
    place = words.index("=")
    return Statement(words[:place], None, " ".join(words[place + 1 :]))


def _closing(braces: _Finder, brace: int) -> int:
    """Where the brace is that closes one."""
    depth, place = 1, brace
    while depth:
        place, mark = braces.first(place + 1)
        if not mark:
            raise syntax_error("{")
        depth += 1 if mark == "{" else -1
    return place
