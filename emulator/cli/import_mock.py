"""`nvemu import nvml-mock`: a configuration of the NVML mock in NVIDIA's k8s-test-infra."""

from __future__ import annotations

import click

from .imported import facts_options, file_argument, scenario_from, write_scenario

__all__ = ["command"]


@click.command("nvml-mock")
@file_argument
@facts_options
def command(*, file: str, output: str | None, whole: bool, redact: bool) -> None:
    """Make a scenario of a configuration of the NVML mock.

    FILE is a YAML file as the mock in NVIDIA's k8s-test-infra takes it (MOCK_NVML_CONFIG), such as
    one of its GPU profiles. What it says that has no place in a scenario is told line by line.
    """
    from ..imports.mock.reading import read_mock  # noqa: PLC0415  (--help needs none of it)

    made = scenario_from(read_mock(file), file, output, whole=whole, redact=redact)
    write_scenario(made, output)
