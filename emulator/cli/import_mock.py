"""`nvemu import nvml-mock`: a configuration of the NVML mock in NVIDIA's k8s-test-infra."""

from __future__ import annotations

from pathlib import Path

import click

from .imported import output_option, write_scenario

__all__ = ["command"]


@click.command("nvml-mock")
@click.argument("file")
@output_option
def command(file: str, output: str | None) -> None:
    """Make a scenario of a configuration of the NVML mock.

    FILE is a YAML file as the mock in NVIDIA's k8s-test-infra takes it (MOCK_NVML_CONFIG), such as
    one of its GPU profiles. What it says that has no place in a scenario is told line by line.
    """
    from ..imports.making import scenario_of  # noqa: PLC0415  (--help needs none of it)
    from ..imports.mock.reading import read_mock  # noqa: PLC0415
    from ..scenario import ScenarioError  # noqa: PLC0415

    try:
        made = scenario_of(read_mock(file), Path(output or file).stem)
    except ScenarioError as error:
        error.file = error.file or file
        raise
    write_scenario(made, output)
