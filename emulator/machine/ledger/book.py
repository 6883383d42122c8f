"""Closed accounts of processes, in words that processes share: a ring for each device.

The first word counts the entries ever made; entry n is in place n modulo `LONGEST`, so that a new
one goes over the oldest. Who writes holds the ledger's mutex.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    #: Process id, begin and end (nanoseconds since the scenario's start), the most bytes held, and
    #: the shares of the time in which kernels ran and memory was used, in percent.
    Closed = tuple[int, int, int, int, int | None, int | None]

__all__ = ["BOOK", "LONGEST", "append", "clear", "entries"]

LONGEST = 4096
WORDS = 6
BOOK = 1 + LONGEST * WORDS  # words of a device's ring

NONE = (1 << 64) - 1


def append(words: memoryview, book: int, entry: Sequence[int | None]) -> None:
    """Add an entry to the ring that begins at `book`."""
    count = words[book]
    begin = book + 1 + count % LONGEST * WORDS
    for place, word in enumerate(entry, begin):
        words[place] = NONE if word is None else word
    words[book] = count + 1  # last: until then there is no such entry, if we end here


def entries(words: memoryview, book: int) -> list[Closed]:
    """The entries of a ring, oldest first."""
    count = words[book]
    return [_entry(words, book + 1 + number % LONGEST * WORDS) for number in _kept(count)]


def clear(words: memoryview, book: int) -> None:
    """Have no entries in a ring."""
    words[book] = 0


def _kept(count: int) -> range:
    """The numbers of the entries that no newer one has gone over."""
    return range(max(count - LONGEST, 0), count)


def _entry(words: memoryview, begin: int) -> Closed:
    pid, since, until, most, gpu, memory = words[begin : begin + WORDS]
    return pid, since, until, most, _known(gpu), _known(memory)


def _known(word: int) -> int | None:
    return None if word == NONE else word
