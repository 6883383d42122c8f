"""What the subcommands of `nvemu import` have in common: the scenario's file, and what is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..scenario import toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..imports.facts import Facts, Note
    from ..imports.making import Imported

__all__ = [
    "facts_options",
    "file_argument",
    "keep",
    "output_option",
    "scenario_from",
    "tell",
    "write_scenario",
]

STDIN = "-"


def _source(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    return "/dev/stdin" if value == STDIN else value


file_argument = click.argument("file", callback=_source)

output_option = click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The scenario's file; it goes to the standard output if not given.",
)

whole_option = click.option(
    "--whole", is_flag=True, help="Give every figure that is told, not only what differs."
)
redact_option = click.option(
    "--redact",
    is_flag=True,
    help="Replace UUIDs, serial numbers, names of hosts and programs, the same everywhere.",
)


def facts_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a source that tells figures."""
    return output_option(whole_option(redact_option(command)))


def scenario_from(
    facts: Facts, file: str, output: str | None, *, whole: bool, redact: bool, **fields: Any
) -> Imported:
    """Make the scenario of what a file tells, named as the file that it goes to.

    Raises:
        click.BadParameter: that is the file itself.
        ScenarioError: what is told contradicts itself, with the file.
    """
    from ..imports.making import scenario_of  # noqa: PLC0415  (--help needs none of it)
    from ..imports.redaction import redact_facts  # noqa: PLC0415
    from ..scenario import ScenarioError  # noqa: PLC0415

    keep(file, output)
    told = redact_facts(facts) if redact else facts
    try:
        return scenario_of(told, Path(output or file).stem, whole=whole, **fields)
    except ScenarioError as error:
        error.file = error.file or file
        raise


def keep(file: str, output: str | None) -> None:
    """Refuse to write a scenario over what it is made of.

    Raises:
        click.BadParameter: both are the same file.
    """
    if output is not None and os.path.exists(output) and os.path.samefile(file, output):
        problem = f"expected another file than the one that is read, found {output!r}"
        raise click.BadParameter(problem, param_hint="'-o'")


def write_scenario(
    made: Imported, output: str | None, beside: Mapping[Path, bytes] | None = None
) -> None:
    """Write a scenario as TOML, and what lies beside it, and say what became of what was told."""
    text = toml.dumps(made.scenario)
    if output is None:
        click.echo(text, nl=False)
    else:
        from ..testbed.replacing import write_all  # noqa: PLC0415  (`nvemu scenarios` starts often)

        write_all({**(beside or {}), Path(output): text})
    tell(made)


def tell(made: Imported) -> None:
    """Say how much was told, how much of it the profiles have otherwise, and what was left out."""
    count = len(made.scenario.gpus)
    figures = f"{_number(made.told, 'figure')} of {_number(count, 'GPU')}"
    click.echo(f"nvemu: {figures}, {len(made.differences)} other than the profiles'", err=True)
    for line in _lines(made.notes):
        click.echo(f"nvemu: {line}", err=True)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _lines(notes: Iterable[Note]) -> Iterator[str]:
    """Notes as lines; of what is said of one field of many GPUs, the first."""
    alike: dict[tuple[str, str], list[Note]] = {}
    for note in dict.fromkeys(notes):
        alike.setdefault((note.where.rpartition(", ")[2], note.text), []).append(note)
    for first, *others in alike.values():
        yield f"{first} (and {len(others)} more like this)" if others else str(first)
