"""Options that several commands have."""

from __future__ import annotations

import click

from ..machine import DRIVERS

__all__ = ["driver_option"]

driver_option = click.option(
    "--driver",
    metavar="VERSION",
    type=click.Choice(list(DRIVERS)),
    help=f"Driver version: {', '.join(DRIVERS)}.",
)
