"""What `nvemu compare` prints: the differences, grouped, and the fidelity figure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ..trace import printable
from .bare import FigureComparison
from .comparing import Comparison, Difference, Tally
from .following import Fatal
from .moving import IDENTITY, PLAIN, READING

__all__ = ["as_json", "as_text", "figures_as_json", "figures_as_text", "summary"]

#: Kind of difference -> its heading.
HEADINGS = {
    "code": "Another status",
    "value": "Another value",
    "missing": "No answer: the function or the device is not there",
}

WIDTH = 48  # letters of a value that are shown


def as_text(comparison: Comparison, fatal: Sequence[Fatal] = ()) -> str:
    """A table a heading: function and figure, how often, what with, recorded and found."""
    parts = []
    for kind, heading in HEADINGS.items():
        rows = [row for row in comparison.differences if row.kind == kind]
        if rows:
            parts.append("\n".join([f"{heading}:", *map(_line, _grouped(rows))]))
    if comparison.skipped:
        calls = sum(comparison.skipped.values())
        many = f"{calls} calls of {len(comparison.skipped)} functions"
        parts.append(f"Not compared, as they change something or depend on it: {many}")
    parts += [f"Did not come back: {each}" for each in fatal]
    return "\n\n".join([*parts, summary(comparison)])


def summary(comparison: Comparison) -> str:
    """`fidelity 97.4 %: 1202 of 1234 answers agree, beside 380 refusals; of 88 readings 40, of 12
    identities 3`."""
    answers, readings, identities = (comparison.tallies[k] for k in (PLAIN, READING, IDENTITY))
    return (
        f"fidelity {percent(comparison.percent)}: {_of(answers, 'answers')} agree, "
        f"beside {comparison.refusals} refusals; of {readings.all} readings {readings.agree}, "
        f"of {identities.all} identities {identities.agree}"
    )


def percent(number: float) -> str:
    """One place behind the point, and 100 only where it is all."""
    return f"{min(number, 99.9) if number < 100 else number:.1f} %"


def as_json(comparison: Comparison, fatal: Sequence[Fatal] = ()) -> str:
    """All of it, a difference by itself."""
    data = {
        "fidelity": comparison.percent,
        "answers": comparison.tallies,
        "refusals": comparison.refusals,
        "differences": comparison.differences,
        "not_compared": comparison.skipped,
        "did_not_come_back": [str(each) for each in fatal],
    }
    return json.dumps(msgspec.to_builtins(data), indent=2)


def figures_as_text(comparison: FigureComparison) -> str:
    """A line a figure that differs, and the fidelity figure."""
    lines = [
        f"  GPU-{row.gpu} {row.figure}: told {shown(row.told)}, nvemu {shown(row.ours)}"
        for row in comparison.differences
    ]
    figures, readings = (comparison.tallies[kind] for kind in (PLAIN, READING))
    last = f"fidelity {percent(figures.percent)}: {_of(figures, 'figures')} agree"
    if readings.all:
        last += f"; of {readings.all} readings {readings.agree}"
    return "\n".join([*(["Another value:", *lines, ""] if lines else []), last])


def figures_as_json(comparison: FigureComparison) -> str:
    """All of it."""
    data = {
        "fidelity": comparison.percent,
        "figures": comparison.tallies,
        "differences": comparison.differences,
    }
    return json.dumps(msgspec.to_builtins(data), indent=2)


def shown(value: Any) -> str:
    """A value in so many letters at most."""
    plain = isinstance(value, str)
    text = printable(value) if plain else json.dumps(msgspec.to_builtins(value))
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


Group = list[Difference]


def _grouped(rows: Iterable[Difference]) -> list[Group]:
    """Differences of the same figure with the same values on both sides, the most frequent first
    within a function."""
    groups: dict[tuple[str, str, str, str], Group] = {}
    for row in rows:
        key = (row.function, row.figure, shown(row.recorded), shown(row.found))
        groups.setdefault(key, []).append(row)
    return sorted(groups.values(), key=lambda group: (group[0].function, -len(group)))


def _line(group: Group) -> str:
    row = group[0]
    name = f"{row.function} {row.figure}".strip()
    asked = ", ".join(f"{name}={shown(value)}" for name, value in row.inputs.items())
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    found = "" if row.found is None else f", found {shown(row.found)}"
    return f"  {name} ({asked}){more}: recorded {shown(row.recorded)}{found}"


def _of(tally: Tally, what: str) -> str:
    return f"{tally.agree} of {tally.all} {what}"
