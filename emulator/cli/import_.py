"""`nvemu import`: scenarios out of what others wrote down of their machines."""

from __future__ import annotations

from importlib import import_module

import click

from .groups import Group

__all__ = ["command"]

#: Subcommand -> the module that has it, and its line in the list.
SOURCES = {
    "dcgm-injection": ("import_injection", "The YAML of DCGM's NVML injection."),
    "nvidia-smi": ("import_smi", "The output of `nvidia-smi -q -x` or `nvidia-smi -q`."),
    "nvml-mock": ("import_mock", "The YAML of the NVML mock in NVIDIA's k8s-test-infra."),
}


class Sources(Group):
    """Imports a source's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The sources' names."""
        return sorted(SOURCES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of this name."""
        if cmd_name not in SOURCES:
            return None
        module, _ = SOURCES[cmd_name]
        found: click.Command = import_module(f".{module}", __package__).command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of subcommands in --help, without importing any."""
        with formatter.section("Sources"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(SOURCES.items())])


@click.group("import", cls=Sources)
def command() -> None:
    """Make a scenario of what somebody wrote down of a machine."""
