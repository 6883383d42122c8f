"""`nvemu import dcgm-injection`: a machine in the format of DCGM's NVML injection."""

from __future__ import annotations

from pathlib import Path

import click

from .imported import file_argument, keep, write_scenario

__all__ = ["command"]


@click.command("dcgm-injection")
@file_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    required=True,
    help="The scenario's file; the capture comes beside it.",
)
def command(file: str, output: str) -> None:
    """Make a scenario, and a capture that it replays, of a machine in DCGM's format.

    FILE is a YAML file as DCGM's NVML injection takes it (NVML_YAML_FILE), with the answers of a
    machine's NVML. With `-o box.toml` the scenario is written there and the capture to box.capture.
    """
    from ..imports.captures.format import dumps  # noqa: PLC0415
    from ..imports.captures.naming import SUFFIX  # noqa: PLC0415
    from ..imports.captures.playing import scenario_of_capture  # noqa: PLC0415  (--help needs none of it)
    from ..imports.injection.reading import read_injection  # noqa: PLC0415
    from ..scenario import ScenarioError  # noqa: PLC0415

    beside = Path(output).with_suffix(SUFFIX)
    if beside == Path(output):
        raise click.BadParameter(f"expected a file's name other than the capture's, found {output}")
    for written in (output, str(beside)):
        keep(file, written)
    try:
        capture = read_injection(file)
        made = scenario_of_capture(capture, beside.name, Path(output).stem)
    except ScenarioError as error:
        error.file = error.file or file
        raise
    write_scenario(made, output, {beside: dumps(capture)})
