"""Supported clocks: from the long list that nvidia-smi prints to the rows that a machine keeps.

A row is a memory clock, the highest and the lowest graphics clock that go with it, and the step
between. What is printed are whole megahertz of what may be fractions (1530, 1522, 1515: steps of
7.5), so the step is sought that makes the printed list.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from math import ceil

from ...machine.clocks import Clocks
from ...scenario.profiles import profile, profiles
from .answers import NOTHING, plain
from .tellings import Telling
from .trees.tree import Node
from .units import megahertz

__all__ = ["supported_clocks"]

Row = tuple[float, float, float, float]


def supported_clocks(telling: Telling, node: Node) -> None:
    """Tell the rows of supported clocks; "N/A": they cannot be chosen."""
    if not node.children:
        if plain(node.text) in NOTHING:
            telling.tell("clocks.steps", None, node.tag, node)
        return
    rows: list[Row] = []
    for element in node.all("supported_mem_clock"):
        memory, listed = _listed(telling, element)
        row = _row(memory, listed, rows[0][3] if rows else 1)
        if Clocks({"steps": [row]}).supported_graphics(memory) != listed:
            telling.note(
                f"the graphics clocks of {memory} MHz are not at equal steps: they are taken as "
                f"{listed[-1]} to {listed[0]} MHz in steps of {row[3]:g}",
                node.tag,
                element,
            )
        rows.append(row)
    telling.tell("clocks.steps", list(map(list, rows)), node.tag, node)


def _listed(telling: Telling, element: Node) -> tuple[int, list[int]]:
    """A memory clock, and the graphics clocks that go with it, in MHz."""
    value = element.find("value")
    leaves = list(element.all("supported_graphics_clock"))
    if value is None or not leaves:
        telling.refuse("expected a memory clock and its graphics clocks", element)
    return (
        telling.read(megahertz, value.text, value)[0],
        [telling.read(megahertz, leaf.text, leaf)[0] for leaf in leaves],
    )


def _row(memory: int, listed: list[int], usual: float) -> Row:
    """The row that makes the list, or one that comes near it; `usual`: the step of other rows."""
    if len(listed) == 1:
        only = _multiple(listed[0], usual)
        return memory, only, only, usual
    for highest, step in _candidates(listed):
        row = (memory, highest, highest - (len(listed) - 1) * step, step)
        if Clocks({"steps": [row]}).supported_graphics(memory) == listed:
            return row
    step = (listed[0] - listed[-1]) / (len(listed) - 1)
    return memory, listed[0], listed[-1], max(round(step, 3), 1)


def _multiple(clock: int, step: float) -> float:
    """The multiple of a step that a printed clock is the whole part of, or else the clock."""
    multiple = ceil(clock / step) * step
    return multiple if int(multiple) == clock else clock


def _candidates(listed: list[int]) -> Iterator[tuple[float, float]]:
    """Highest clocks and steps that may make a list; a chip's clocks are multiples of its step."""
    even = Fraction(listed[0] - listed[-1], len(listed) - 1)
    if even.denominator == 1:
        yield listed[0], int(even)
    for step in _usual():
        yield _multiple(listed[0], step), step
    yield from _fitting(listed)


@cache
def _usual() -> list[float]:
    """The steps of the catalogue's products."""
    clocks = [profile(name).figures.get("clocks", {}) for name in profiles()]
    return sorted({row[3] for each in clocks for row in each.get("steps") or ()})


def _fitting(listed: list[int]) -> list[tuple[float, float]]:
    """Highest clocks, in eighths, and steps that each listed clock is the whole part of."""
    found = []
    for part in range(8):
        top = listed[0] + Fraction(part, 8)
        lows = [(top - each - 1) / place for place, each in enumerate(listed) if place]
        highs = [(top - each) / place for place, each in enumerate(listed) if place]
        if max(lows) < min(highs):
            step = (max(lows) + min(highs)) / 2
            found.append((float(top), float(step)))
    return found
