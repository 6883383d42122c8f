"""`nvemu ctl`: what programs under nvemu find, looked at and changed while they run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..control import Control
from ..scenario import Change, Fault, ScenarioError, UnknownNameError
from ..scenario.errors import nearest
from ..testbed import running
from . import ctl_show as showing
from .ctl_words import device_of, fault_fields, fault_options, figures_of
from .groups import Group

__all__ = ["command"]

testbed_option = click.option(
    "-t",
    "--testbed",
    metavar="ID|FOLDER|PID",
    envvar="NVEMU_TESTBED",
    help="Which of several running testbeds: see `nvemu ctl list`.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("ctl", cls=Group)
def command() -> None:
    """Look at what programs find while they run, and change it.

    These commands act on a testbed: what the programs of one `nvemu run`, or of one `Testbed` in
    Python, find. With several at work, -t says which. A program that nvemu runs means its own.
    """


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the testbeds at work, and the programs that have loaded their libraries."""
    found = running.every()
    if as_json:
        click.echo(json.dumps([showing.brief(each) for each in found], indent=2))
    elif found:
        click.echo(showing.listed(found, time.time_ns()))
    else:
        click.echo("nvemu: no testbed is running", err=True)


@command.command("clean")
def clean() -> None:
    """Remove the folders of testbeds whose launchers were killed.

    A folder that programs still use stays.
    """
    removed, used = running.clean()
    for folder in removed:
        click.echo(f"removed {folder}")
    for folder in used:
        click.echo(f"nvemu: {folder} stays, as programs still use it", err=True)


@command.command("show")
@testbed_option
@json_option
def show(testbed: str | None, as_json: bool) -> None:
    """Show the machine as programs find it now.

    That is the scenario and what happened to it since: by its own changes, and by live control.
    Changes by a scenario's Python functions are left out, since this does not run them.
    """
    found = running.find(testbed)
    if as_json:
        click.echo(json.dumps(showing.as_data(found), indent=2))
    else:
        click.echo(showing.as_text(found))


@command.command("set")
@testbed_option
@click.argument("device")
@click.argument("figures", metavar="FIGURE=VALUE...", nargs=-1, required=True)
def set_(testbed: str | None, device: str, figures: tuple[str, ...]) -> None:
    """Set figures of DEVICE: an index, a UUID, a profile, several with commas, or "all".

    A figure is named as in a scenario, or with the dots of its tables:

        nvemu ctl set 0 memory.used="10 GiB" temperature=95 failure=lost

    `nvemu scenarios show PROFILE` prints what there is; "N/A" is a figure that the GPU lacks.
    """
    made = figures_of(figures)
    picked, _ = change(testbed, device, lambda it, which: it.change(Change(device=which, set=made)))
    click.echo(f"{picked}: {', '.join(figures)}")


@command.command("kill")
@testbed_option
@click.argument("device")
def kill(testbed: str | None, device: str) -> None:
    """Have DEVICE fall off the bus."""
    picked, _ = change(testbed, device, Control.kill)
    click.echo(f"{picked}: lost")


@command.command("xid")
@testbed_option
@click.argument("device")
@click.argument("number", type=int)
def xid(testbed: str | None, device: str, number: int) -> None:
    """Have the driver report Xid NUMBER of DEVICE.

    Programs that wait for events get it; no figure changes. `kill` reports Xid 79 by itself.

        nvemu ctl xid 0 48
    """
    picked, _ = change(testbed, device, lambda it, which: it.xid(which, number))
    click.echo(f"{picked}: Xid {number}")


@command.command("restore")
@testbed_option
@click.argument("device")
def restore(testbed: str | None, device: str) -> None:
    """Have DEVICE work again, whatever had become of it."""
    picked, several = change(testbed, device, Control.restore)
    click.echo(f"{picked}: {'work' if several else 'works'} again")


@command.command("fail")
@testbed_option
@click.argument("function", nargs=-1, required=True)
@fault_options
def fail(testbed: str | None, function: tuple[str, ...], **given: Any) -> None:
    """Add a fault to calls of FUNCTION: names, globs, "getters", "setters".

    It stands before all faults there are. The options mean what the fields of a fault mean in a
    scenario; those that may be a list there may be given several times here.

        nvemu ctl fail 'nvmlInit*' --returns DRIVER_NOT_LOADED --calls 1-3
    """
    found = running.find(testbed)
    with as_written("fault"):
        fault = Fault(function[0] if len(function) == 1 else function, **fault_fields(given))
        name = found.control.fail(fault)
    click.echo(f"added the fault {name}")


@command.command("clear")
@testbed_option
@click.argument("name", required=False)
def clear(testbed: str | None, name: str | None) -> None:
    """Drop the faults of a NAME, or all, the scenario's too; calls that they block go on."""
    names = on_faults(testbed, name, Control.clear)
    click.echo(f"cleared {names}" if names else "there is no fault to clear")


@command.command("release")
@testbed_option
@click.argument("name", required=False)
def release(testbed: str | None, name: str | None) -> None:
    """Let go of the calls that the faults of a NAME, or all, block at this moment."""
    names = on_faults(testbed, name, Control.release)
    click.echo(f"released what {names} blocks" if names else "there is no fault")


@command.command("advance", context_settings={"ignore_unknown_options": True})  # such as -3
@testbed_option
@click.argument("duration")
def advance(testbed: str | None, duration: str) -> None:
    """Put the scenario's clock forward by DURATION: seconds, or a time such as "1.5 min"."""
    found = running.find(testbed)
    found.control.advance(duration)
    elapsed = showing.seconds(found.session.machine.clock.elapsed())
    click.echo(f"the clock is at {elapsed}")


def change(
    testbed: str | None, device: str, do: Callable[[Control, Any], None]
) -> tuple[str, bool]:
    """Change GPUs; gives what to call them, and whether they are several."""
    found = running.find(testbed)
    picked = device_of(device)
    with as_written("change", hidden=1):  # `device`, or the `set` before a figure's name
        do(found.control, picked)
    if picked is None:
        return "all GPUs", True
    several = isinstance(picked, list)
    return f"GPU{'s' if several else ''} {device}", several


def on_faults(
    testbed: str | None, name: str | None, do: Callable[[Control, str | None], None]
) -> str:
    """Do something with the faults of a name, or all; gives their names, if there are any."""
    found = running.find(testbed)
    known = list(dict.fromkeys(rule.name for rule in found.session.observer.faults.rules))
    if name is not None and name not in known:
        problem = f"expected the name of a fault, found {name!r}"
        raise UnknownNameError(problem + (nearest(name, known) or "; there is none"))
    do(found.control, name)
    return ", ".join(known) if name is None else name


@contextmanager
def as_written(table: str, hidden: int = 0) -> Iterator[None]:
    """Name what this command was given in errors: the table's keys, after the first `hidden`."""
    try:
        yield
    except ScenarioError as error:
        if error.key[:2] == (table, 0):
            error.key = error.key[2:]
        error.key = error.key[hidden:]
        raise
