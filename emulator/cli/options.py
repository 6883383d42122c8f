"""Options that several commands have."""

from __future__ import annotations

import click

from ..machine import DRIVERS

__all__ = ["driver_option", "gpus_option", "scenario_option"]


def known(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Check the value of `--driver`."""
    if value is not None and value not in DRIVERS:
        from ..scenario.errors import nearest  # noqa: PLC0415  (`symbols` knows no scenarios)

        problem = f"expected a driver version that nvemu knows, found {value!r}"
        raise click.BadParameter(problem + nearest(value, DRIVERS), ctx, parameter)
    return value


driver_option = click.option(
    "--driver",
    metavar="VERSION",
    callback=known,
    help=f"Driver version: {', '.join(DRIVERS)}.",
)

scenario_option = click.option(
    "--scenario", metavar="NAME|FILE", help="What it finds; see `nvemu scenarios list`."
)

gpus_option = click.option(
    "--gpus", metavar="PROFILE[:N],...", help="Its GPUs, in place of the scenario's."
)
