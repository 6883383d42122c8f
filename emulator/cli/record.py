"""`nvemu record`: this machine's driver and GPUs as a scenario and a capture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from ..recording.calls import Question, unasked
from ..recording.following import Caller
from ..recording.saving import Saved, files_of, save
from ..testbed import Testbed
from .ending import tidied

__all__ = ["command"]


@click.command("record")
@click.option("-o", "file", metavar="FILE.toml", help="The scenario to write.")
@click.option(
    "--redact",
    is_flag=True,
    help="Replace UUIDs, serial numbers, names of hosts and programs, the same everywhere.",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option(
    "--list", "only_list", is_flag=True, help="Only say what would be called, and what not and why."
)
def command(file: str | None, redact: bool, force: bool, only_list: bool) -> None:
    """Record what this machine's NVIDIA driver answers.

    Every function of NVML that only answers is called, for each GPU and with all that it can be
    asked for, and of CUDA what needs no context. Nothing is set, reset, created or written, and no
    GPU memory is taken. It takes some seconds.

    FILE.toml is a scenario of this machine for `nvemu run --scenario`, and FILE.capture beside it
    the answers, which are then given to the same calls again. Send both along with a report: they
    hold UUIDs, serial numbers and the names of programs that use the GPUs, unless --redact.

    A call that the driver does not survive, or does not come back from in a minute, is left out and
    named. After five that do not come back, no more are made.
    """
    if only_list:
        with tidied():
            text = listing()
        click.echo(text)
        return
    if file is None:
        raise click.UsageError("expected -o FILE.toml, or --list")
    scenario, capture = files_of(file)
    if not force:
        for path in (scenario, capture):
            if path.exists():
                problem = f"{path} is there already; --force writes over it"
                raise click.BadParameter(problem, param_hint="'-o'")
    with tidied():
        saved = record(scenario, capture, redact)
    click.echo(f"{scenario}: {said_of(saved)}")


def record(scenario: Path, capture: Path, redact: bool) -> Saved:
    """Record this machine, with what a user must know of it on stderr."""
    with Testbed(real=True, trace=True, capture=True) as testbed:
        saved = save(testbed, scenario, capture, redact)
    for text in saved.remarks:
        click.echo(f"nvemu: {text}", err=True)
    return saved


def said_of(saved: Saved) -> str:
    """One line of what was recorded."""
    gpus = "1 GPU" if saved.gpus == 1 else f"{saved.gpus} GPUs"
    driver = f"driver {saved.driver}" if saved.driver else "a driver of unknown version"
    return f"{driver}, {gpus}, {saved.calls} calls in {saved.capture}"


def listing() -> str:
    """What would be called here, a function a line, and what not."""
    with Testbed(real=True, trace=True) as testbed:
        caller = Caller(testbed)
        calls = caller.questions()
    asked = Counter((call.library, call.function) for call in calls)
    lines = [f"{len(calls)} calls of {len(asked)} functions:"]
    lines += [_line(number, _first(calls, name)) for (_, name), number in asked.items()]
    rows = unasked()
    lines += ["", f"Not called, {len(rows)} functions:"]
    lines += [f"  {row.function}: {row.reason}" for row in rows]
    lines += [f"  {each}" for each in caller.fatal]
    return "\n".join(lines)


def _first(calls: Iterable[Question], name: str) -> Question:
    return next(call for call in calls if call.function == name)


def _line(number: int, call: Question) -> str:
    return f"  {number:>6}  {call.text}" + (", ..." if number > 1 else "")
