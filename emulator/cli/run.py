"""`nvemu run`: a program on a machine with scripted GPUs."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
from pathlib import Path

import click
import msgspec

from ..machine import DRIVERS
from ..plans import find_scenario
from ..scenario import Scenario, parse_gpus
from ..testbed import ProgramError, Testbed
from .tracing import Follower

__all__ = ["command"]

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # a shell's exit statuses


@click.command(
    "run",
    help="Run PROGRAM on a machine with scripted GPUs. Its exit status is nvemu's.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--scenario", metavar="NAME|FILE", help="What it finds; see `nvemu scenarios list`.")
@click.option("--gpus", metavar="PROFILE[:N],...", help="Its GPUs, in place of the scenario's.")
@click.option("--driver", type=click.Choice(list(DRIVERS)), help="Driver version.")
@click.option("--trace", metavar="FILE|-", help="Write the calls to FILE as JSON lines; -: stderr.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    scenario: str | None,
    gpus: str | None,
    driver: str | None,
    trace: str | None,
    program: tuple[str, ...],
) -> None:
    """Run the program, then end as it ended."""
    with Testbed(chosen(scenario, gpus, driver), trace=trace is not None) as testbed:
        try:
            with Follower(testbed.trace_file, trace):
                status = testbed.run(program)
        except ProgramError as error:
            click.echo(f"nvemu: {error.strerror}", err=True)
            found = shutil.which(program[0], mode=os.F_OK)
            status = NOT_EXECUTABLE if found or Path(program[0]).exists() else NOT_FOUND
    end_like(status)


def chosen(scenario: str | None, gpus: str | None, driver: str | None) -> Scenario:
    """The scenario that the options describe."""
    found = find_scenario(scenario)
    changes: dict[str, object] = {}
    if gpus is not None:
        changes["gpus"] = parse_gpus(gpus)
    if driver is not None:
        changes["driver"] = driver
    return msgspec.structs.replace(found, **changes) if changes else found


def end_like(status: int) -> None:
    """Exit with the program's status, or die of the signal that it died of."""
    if status >= 0:
        sys.exit(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core that matters is the program's
    if -status not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
    sys.exit(128 - status)
