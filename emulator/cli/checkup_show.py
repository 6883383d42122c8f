"""A checkup for people: a line for each check, and below it why and what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from ..checkup import INSTALLATION, MACHINE, STATES, Check

__all__ = ["show"]

#: State -> its mark, which says it without colour too, and its colour.
_MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "failed": ("FAILED", "bold red")}
_AREAS = {MACHINE: "This machine", INSTALLATION: "This installation of nvemu"}
_INDENT = 9  # cells for the longest mark, and the gap after it
_NARROWEST = 40  # cells below which lines are the terminal's to break


def show(checks: Sequence[Check], verbose: bool = False, console: Console | None = None) -> None:
    """Print all lines, by area. What is behind those that are ok is printed if `verbose`."""
    out = console or Console(highlight=False, markup=False, emoji=False)
    limited = out.is_terminal or os.environ.get("COLUMNS", "").isdigit()
    width = out.width if limited and out.width >= _NARROWEST else None
    for area, title in _AREAS.items():
        _print(out, 0, Text(title, style="bold"), width)
        for each in checks:
            if each.area == area:
                _show(out, each, verbose, width)
        out.print()
    _print(out, 0, Text(_summary(checks)), width)


def _show(out: Console, check: Check, verbose: bool, width: int | None) -> None:
    word, style = _MARKS[check.state]
    head = Text(word.ljust(_INDENT), style=style)
    head.append(check.name, style="bold")
    head.append(f": {check.text}", style="default not bold")
    _print(out, _INDENT, head, width)
    if check.state != "ok" or verbose:
        for line in check.details:
            _print(out, _INDENT + 2, Text(" " * _INDENT + line, style="dim"), width)
    if check.next and check.state != "ok":
        _print(out, _INDENT + 3, Text(" " * _INDENT + f"-> {check.next}"), width)


def _print(out: Console, indent: int, line: Text, width: int | None) -> None:
    """One line; where there is less room, the rest of it below, indented."""
    if width is None or line.cell_len <= width:
        out.print(line, soft_wrap=True)
        return
    first, *_ = _broken(out, line, width)
    rest = line[len(first) :]
    first.rstrip()
    out.print(first, soft_wrap=True)
    blanks = len(rest.plain) - len(rest.plain.lstrip())
    for part in _broken(out, rest[blanks:], width - indent):
        part.rstrip()
        out.print(Text(" " * indent) + part, soft_wrap=True)


def _broken(out: Console, line: Text, width: int) -> Iterable[Text]:
    return line.wrap(out, width, overflow="fold")


def _summary(checks: Sequence[Check]) -> str:
    counts = {state: sum(each.state == state for each in checks) for state in STATES}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count)
