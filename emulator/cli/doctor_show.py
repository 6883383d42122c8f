"""A report of doctor for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from ..doctor import Report
from ..doctor.tree import tree
from ..trace import printable

__all__ = ["shown"]

#: Lines of a part, unless all are asked for.
MOST = 12


def shown(made: Report, verbose: bool) -> str:
    """The report: one screen, or all details."""
    return "\n".join(map(printable, _lines(made, verbose)))


def _lines(made: Report, verbose: bool) -> Iterator[str]:
    yield ""  # the program's last line may have no end
    yield f"nvemu doctor: {made.headline}"
    parts = {"": made.why, "Next": made.advice, "Also": made.notes}
    if verbose:
        parts |= {"Processes": list(_processes(made)), "Time line": list(_timeline(made))}
    for title, texts in parts.items():
        if texts:
            yield ""
        if title and texts:
            yield f"{title}:"
        yield from (f"  {text}" for text in (texts if verbose else _shortened(texts)))


def _processes(made: Report) -> Iterator[str]:
    """The processes, each below the one that started it."""
    for process, depth in tree(made.processes):
        calls = f"  ({process.calls} calls)" if process.calls else ""
        yield f"{'  ' * depth}{process.pid} {' '.join(process.argv)}{calls}"


def _timeline(made: Report) -> Iterator[str]:
    """What happened, with milliseconds since the beginning and the process."""
    for moment in made.timeline:
        yield f"{moment.t / 1e6:10.3f} {moment.pid} {moment.text}"


def _shortened(texts: list[str]) -> list[str]:
    """The first and last of many lines."""
    if len(texts) <= MOST:
        return texts
    rest = len(texts) - MOST
    return [*texts[: MOST - 2], f"... {rest} more (-v shows them) ...", *texts[-2:]]
