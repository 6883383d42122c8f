"""What the subcommands of `nvemu import` have in common: the scenario's file, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..scenario import toml

if TYPE_CHECKING:
    from ..imports.making import Imported

__all__ = ["output_option", "tell", "write_scenario"]

output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The scenario's file; it goes to the standard output if not given.",
)


def write_scenario(made: Imported, output: str | None) -> None:
    """Write a scenario as TOML, in one piece, and say what became of what was told."""
    text = toml.dumps(made.scenario)
    if output is None:
        click.echo(text, nl=False)
    else:
        Path(output).write_text(text, encoding="utf-8")
    tell(made)


def tell(made: Imported) -> None:
    """Say how much was told, how much of it the profiles have otherwise, and what was left out."""
    count = len(made.scenario.gpus)
    figures = f"{made.told} figures of {count} GPU{'' if count == 1 else 's'}"
    click.echo(f"nvemu: {figures}, {len(made.differences)} other than the profiles'", err=True)
    for note in dict.fromkeys(made.notes):
        click.echo(f"nvemu: {note}", err=True)
