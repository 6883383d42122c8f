"""Groups of commands."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

__all__ = ["Group", "LazyGroup"]


class Group(click.Group):
    """A group that, called without a command, shows its help and exits with 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the options before the command's name."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)


class LazyGroup(Group):
    """Imports a command's module when the command is used: `nvemu run` starts often.

    Args:
        lines: the commands, each with its line in the list.
        modules: the modules of this package that are not named like their command.
        title: of the list.
    """

    def __init__(
        self,
        *args: Any,
        lines: Mapping[str, str],
        modules: Mapping[str, str] = MappingProxyType({}),
        title: str = "Commands",
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.lines = lines
        self.modules = modules
        self.title = title

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        return sorted(self.lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in self.lines:
            return None
        module = self.modules.get(cmd_name, cmd_name)
        command: click.Command = import_module(f".{module}", __package__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in --help, without importing any."""
        with formatter.section(self.title):
            formatter.write_dl(sorted(self.lines.items()))
