"""`nvemu doctor`: why a program did not find its GPU; without a program, what is wrong here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from ..checkup import as_data, check, failed
from ..doctor import VERDICTS, Report, examine, judge, report
from ..doctor.page import page
from ..testbed.program import ProgramError, Relay
from .doctor_show import shown
from .ending import refuse
from .launching import Launch, launch_options

__all__ = ["command"]

STATUSES = "\n".join(f"    {kind.status:3}  {kind.title}" for kind in VERDICTS.values())


def in_a_folder(ctx: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    """Refuse what could not be written, before the program runs."""
    if file is not None and str(file).startswith("-"):
        raise click.BadParameter(f"expected a file, found {str(file)!r}", ctx, parameter)
    if file is not None and not file.exists() and not os.access(file.parent, os.W_OK):
        raise click.BadParameter(f"{file}: {file.parent} cannot be written to", ctx, parameter)
    return file


@click.command(
    "doctor",
    context_settings={"allow_interspersed_args": False},
    epilog="Exit statuses of a run:\n\n\b\n" + STATUSES,
)
@launch_options
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End PROGRAM and all that it started after so long.",
)
@click.option(
    "--strace",
    "with_strace",
    is_flag=True,
    help="Have strace look at the system calls of what is linked statically.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; PROGRAM's output goes to stderr."
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=in_a_folder,
    metavar="FILE",
    help="Write a page, too.",
)
@click.option("-v", "--verbose", is_flag=True, help="All details; of a run, its time line.")
@click.argument("program", nargs=-1, type=click.UNPROCESSED)
def command(  # noqa: PLR0917  (one for each option)
    launch: Launch,
    timeout: float | None,
    with_strace: bool,
    as_json: bool,
    html: Path | None,
    verbose: bool,
    program: tuple[str, ...],
) -> int:
    """Say why PROGRAM did not find its GPU.

    Runs PROGRAM as `nvemu run` does, watches every search for NVML and CUDA and every call, in it
    and in all that it starts, and ends with one verdict, the evidence for it and what to do next:

        nvemu doctor --gpus rtx-4090 -- ./server --listen 8080

    A server is ended with Ctrl-C, or by --timeout. The exit status is the verdict's, whatever
    PROGRAM's was; 126 and 127 when it could not be started.

    Without PROGRAM it checks this machine and this installation: 1 when something is wrong.
    """
    if not program:
        if launch != Launch() or timeout or with_strace or html:
            raise click.UsageError("expected a PROGRAM, found only options that are about one")
        return check_machine(as_json, verbose)
    try:
        with output_elsewhere(as_json):
            made = run(launch, program, timeout, with_strace)
    except ProgramError as error:
        refuse(str(error), error.status)
    if html is not None:
        write_page(made, html)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(made), indent=2))
    else:
        click.echo(shown(made, verbose))
    return made.status


def run(
    launch: Launch, program: tuple[str, ...], timeout: float | None, with_strace: bool
) -> Report:
    """Run the program and put the report together."""
    with Relay() as relay, launch.testbed(trace=True, begun=True, watch=True) as testbed:
        evidence = examine(testbed, relay, program, timeout=timeout, with_strace=with_strace)
        verdict = judge(evidence)
        return report(evidence, verdict, testbed.scenario.name, testbed.scenario.reported_driver)


@contextmanager
def output_elsewhere(wanted: bool) -> Iterator[None]:
    """Within the block, what programs write to stdout goes to stderr."""
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def write_page(made: Report, file: Path) -> None:
    """Write the page.

    Raises:
        click.BadParameter: it cannot be written.
    """
    try:
        file.write_text(page(made), "utf-8")
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}", param_hint="'--html'") from None


def check_machine(as_json: bool, verbose: bool) -> int:
    """Check this machine; 1 when something is wrong."""
    checks = check()
    if as_json:
        click.echo(json.dumps(as_data(checks), indent=2))
    else:
        from .checkup_show import show  # noqa: PLC0415  (rich takes its time)

        show(checks, verbose)
    return 1 if failed(checks) else 0
