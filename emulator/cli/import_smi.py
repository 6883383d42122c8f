"""`nvemu import nvidia-smi`: the machine of which `nvidia-smi -q -x` printed all that."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .ctl_show import table
from .imported import facts_options, file_argument, scenario_from, write_scenario

if TYPE_CHECKING:
    from ..imports.making import Imported
    from ..imports.smi.differences import Difference
    from ..imports.smi.reading import Output

__all__ = ["command"]

#: Seconds that nvidia-smi has.
LIMIT = 60.0


@click.command("nvidia-smi")
@file_argument
@facts_options
@click.option(
    "--verify",
    metavar="PROGRAM",
    type=click.Path(exists=True, dir_okay=False),
    help="NVIDIA's nvidia-smi, best of the same driver: what does it print under the scenario?",
)
def command(*, file: str, output: str | None, whole: bool, redact: bool, verify: str | None) -> int:
    """Make a scenario of what nvidia-smi printed.

    FILE (- for the standard input) has the output of `nvidia-smi -q -x` or, with less in it, of
    `nvidia-smi -q`, as drivers from 470 on print them, also with the text of a bug report around it
    (nvidia-bug-report.log.gz); or the line with which nvidia-smi failed. The scenario has that
    machine: its driver, GPUs, and all of their figures that differ from what nvemu knows of the
    products. What was left out is told line by line.

    With --verify the fields are listed that the program prints otherwise under the scenario. The
    exit status is 1 where the reason of one is not known.
    """
    from ..imports.smi.reading import read  # noqa: PLC0415  (--help needs none of it)

    found = read(Path(file))
    make = partial(scenario_from, found.facts, file, output, whole=whole, **found.fields)
    made = make(redact=redact)
    write_scenario(made, output)
    if verify is None:
        return 0
    return _verified(found, make(redact=False) if redact else made, verify)


def _verified(found: Output, made: Imported, program: str) -> int:
    """Compare with what a program prints under the scenario, and say so on stderr."""
    from ..imports.smi.differences import differences  # noqa: PLC0415
    from ..imports.smi.reading import tree_of  # noqa: PLC0415

    printed = _printed(made, [program, *found.view])
    if found.tree is None:
        click.echo(f"nvemu: under the scenario it prints:\n{printed}", err=True)
        return 0
    ours = tree_of(printed, program)
    if ours is None:
        lost = any(gpu.failure == "lost" for gpu in made.scenario.gpus)
        why = "a GPU is lost, so that no program that starts now gets that far" if lost else ""
        click.echo(f"nvemu: {why or 'it prints something else'}:\n{printed}", err=True)
        return 0 if lost else 1
    return _shown(differences(found.tree, ours, made.notes))


def _printed(made: Imported, command: list[str]) -> str:
    from ..testbed import Testbed  # noqa: PLC0415
    from ..testbed.asking import run  # noqa: PLC0415

    with Testbed(made.scenario) as testbed:
        done = run(command, testbed.environment(), limit=LIMIT)
    return done.out + done.err


def _shown(found: list[Difference]) -> int:
    """Print the fields that differ; 1 where one does for no known reason."""
    unknown = [each for each in found if not each.reason]
    number = "1 field differs" if len(found) == 1 else f"{len(found)} fields differ"
    click.echo(f"nvemu: {number}, {len(unknown)} for no known reason", err=True)
    if found:
        rows = [("field", "there", "here", "why")]
        rows += [(each.path, each.told, each.ours, each.reason or "?") for each in found]
        click.echo(table(rows), err=True)
    return 1 if unknown else 0
