"""Groups of commands."""

from __future__ import annotations

import click

__all__ = ["Group"]


class Group(click.Group):
    """A group that, called without a command, shows its help and exits with 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the options before the command's name."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)
