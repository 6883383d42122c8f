"""One line of a checkup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["INSTALLATION", "MACHINE", "STATES", "Check", "worst"]

#: From the best to the worst.
STATES = ("ok", "warning", "failed")

MACHINE, INSTALLATION = "machine", "installation"


@dataclass(frozen=True)
class Check:
    """What was looked at (`name`), how it is (`state`), and why, as a line of text.

    `details` are the lines behind it, such as all places that were looked at; `next` is what to do
    where it is not ok; `area` is what it belongs to, this machine or this installation of nvemu.
    """

    name: str
    state: str
    text: str
    details: tuple[str, ...] = ()
    next: str = ""
    area: str = MACHINE

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise ValueError(f"{self.state!r} is none of {STATES}")


def worst(states: Iterable[str]) -> str:
    """The worst of some states; ok where there is none."""
    return max(states, key=STATES.index, default="ok")
