"""What the strategies have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

__all__ = ["few", "or_unusual", "some"]

T = TypeVar("T")

#: Whether there is one more.
_MORE = st.sampled_from([False, False, True])


def or_unusual(choices: Sequence[T], odds: int = 1) -> st.SearchStrategy[tuple[T, bool]]:
    """One of `choices`, and whether there is to be anything unusual about it.

    One draw, as draws are what an example's time goes into; and side by side, so that what is
    unusual about an example goes away as it shrinks.

    Args:
        choices: the simplest first.
        odds: how much more likely it is that there is not.
    """
    return st.sampled_from(
        [(choice, unusual) for choice in choices for unusual in (*[False] * odds, True)]
    )


def few(choices: Sequence[T], most: int = 2) -> st.SearchStrategy[tuple[T, ...]]:
    """Up to `most` different ones of `choices`, in most of the cases none."""
    return st.one_of(st.just(()), st.just(()), some(choices, most))


@st.composite
def some(draw: st.DrawFn, choices: Sequence[T], most: int = 2) -> tuple[T, ...]:
    """One to `most` different ones of `choices`, mostly one."""
    # By hand, as a list of unique elements takes twice the time.
    one = st.sampled_from(choices)
    chosen = [draw(one)]
    while len(chosen) < most and draw(_MORE):
        choice = draw(one)
        if choice not in chosen:
            chosen.append(choice)
    return tuple(chosen)
