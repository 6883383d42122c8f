"""`nvemu compare`: how faithful nvemu's own machine is to a recorded one."""

from __future__ import annotations

from pathlib import Path

import click

from ..imports.captures.format import read
from ..imports.captures.naming import is_capture
from ..plans import find_scenario
from ..recording.bare import compare_figures
from ..recording.fidelity import compared, own_machine
from ..recording.report import as_json, as_text, figures_as_json, figures_as_text
from .ending import tidied
from .options import scenario_option

__all__ = ["command"]

SAME, DIFFERENT = 0, 1  # exit statuses, as diff(1) has them


@click.command("compare")
@click.argument("file", metavar="CAPTURE")
@scenario_option
@click.option(
    "--live", is_flag=True, help="With this machine's own driver, in place of a scenario."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table for people, or JSON.",
)
def command(file: str, scenario: str | None, live: bool, form: str) -> int:
    """Compare a recorded machine with what nvemu knows of its products.

    The calls of CAPTURE (a file of `nvemu record` or `nvemu trace --capture`) are made again: of
    the same machine with the figures of nvemu's own profiles, or of --scenario, or, with --live, of
    the driver that is installed here. What is answered otherwise is listed, and the last line has
    the fidelity figure: how many of a hundred answers agree. Readings that move on their own
    (temperatures, what is in use, counters) and identities (UUIDs, serial numbers, bus ids) are
    counted apart, and what both sides refuse is not counted.

    CAPTURE may be a scenario's file (.toml), too: then each figure that it gives for a GPU is
    compared with what the GPU's profile has.

    The exit status is 0 without differences, 1 with some, 2 where there was trouble.
    """
    if live and scenario is not None:
        raise click.UsageError("--live is this machine as it is: no scenario")
    if not is_capture(file):
        return of_scenario(file, scenario is not None or live, form)
    capture = read(file)
    for note in capture.notes:
        click.echo(f"nvemu: {note}", err=True)
    machine = (
        None if live else own_machine(capture) if scenario is None else find_scenario(scenario)
    )
    with tidied():
        comparison, fatal = compared(capture, machine)
    click.echo((as_json if form == "json" else as_text)(comparison, fatal))
    return DIFFERENT if comparison.differences or fatal else SAME


def of_scenario(file: str, against: bool, form: str) -> int:
    """Compare a scenario's figures with its profiles'."""
    if against:
        raise click.UsageError("a scenario is compared with its GPUs' profiles alone")
    if Path(file).suffix != ".toml":
        raise click.BadParameter(f"expected a file that ends in .capture or .toml, found {file!r}")
    comparison = compare_figures(find_scenario(file))
    click.echo((figures_as_json if form == "json" else figures_as_text)(comparison))
    return DIFFERENT if comparison.differences else SAME
