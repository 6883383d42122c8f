"""The command `nvemu`: one module for each command, imported when it is used."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from ..version import __version__

__all__ = ["cli", "main"]

COMMANDS = {
    "devices": "Show the GPUs that a program finds here through NVML and CUDA.",
    "run": "Run a program on a machine with scripted GPUs.",
    "scenarios": "List, show and check scenarios.",
    "stubs": "Where the stub libraries are.",
    "symbols": "Compare a library's exported symbols with a recorded driver's.",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is used: `nvemu run` starts often."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __name__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in --help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup)
@click.version_option(__version__, prog_name="nvemu")
def cli() -> None:
    """Scripted NVIDIA GPUs on machines that have none."""


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit status 2."""
    from ..scenario import ScenarioError  # noqa: PLC0415  (after click, for --help's sake)
    from ..stubfiles import StubsMissingError  # noqa: PLC0415

    try:
        cli()
    except (ScenarioError, StubsMissingError) as error:
        click.echo(f"nvemu: {error}", err=True)
        sys.exit(2)
