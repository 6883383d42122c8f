"""`nvemu import`: scenarios out of what others wrote down of their machines."""

from __future__ import annotations

import click

from .groups import LazyGroup

__all__ = ["command"]

SOURCES = {
    "dcgm-injection": "The YAML of DCGM's NVML injection.",
    "nvidia-smi": "The output of `nvidia-smi -q -x` or `nvidia-smi -q`.",
    "nvml-mock": "The YAML of the NVML mock in NVIDIA's k8s-test-infra.",
}

MODULES = {
    "dcgm-injection": "import_injection",
    "nvidia-smi": "import_smi",
    "nvml-mock": "import_mock",
}


@click.group("import", cls=LazyGroup, lines=SOURCES, modules=MODULES, title="Sources")
def command() -> None:
    """Make a scenario of what somebody wrote down of a machine."""
