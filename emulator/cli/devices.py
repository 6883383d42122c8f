"""`nvemu devices`: the GPUs that a program finds here, with or without nvemu."""

from __future__ import annotations

import dataclasses
import json

import click

from . import cuda_client, nvml_client
from .findings import Finding, Pair, pairs

__all__ = ["command"]


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of a table.")
def command(as_json: bool) -> int:
    """Show the GPUs that a program finds here through NVML and CUDA.

    This is a program like any other: it asks whatever libnvidia-ml.so.1 and libcuda.so.1 the
    dynamic linker finds, real ones or nvemu's (`nvemu run nvemu devices`). What the two libraries
    say of a GPU stands side by side; "!=" marks where they contradict each other. Memory may
    differ: CUDA leaves out what the driver keeps for itself.

    The exit status is 0 when at least one GPU was found by both, as CUDA programs need; else 1.
    """
    nvml, cuda = nvml_client.find(), cuda_client.find()
    found = pairs(nvml.gpus, cuda.gpus)
    if as_json:
        click.echo(json.dumps(as_data(nvml, cuda, found), indent=2))
    else:
        from .devices_table import show  # noqa: PLC0415  (rich takes its time)

        show(nvml, cuda, found)
    return 0 if any(pair.nvml and pair.cuda for pair in found) else 1


def as_data(nvml: Finding, cuda: Finding, found: list[Pair]) -> dict[str, object]:
    """All that was found, for JSON; `same` pairs the indices of GPUs that both found."""
    return {
        "nvml": dataclasses.asdict(nvml),
        "cuda": dataclasses.asdict(cuda),
        "same": [[pair.nvml.index, pair.cuda.index] for pair in found if pair.nvml and pair.cuda],
    }
