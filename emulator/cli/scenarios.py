"""`nvemu scenarios`: what comes with nvemu, and whether a file of one's own is right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

import click
import msgspec

from .. import scenario as package
from ..machine import NEWEST
from ..plans import find_scenario, plan_of
from ..scenario import Scenario, ScenarioError, UnknownNameError, names
from ..scenario.errors import nearest
from ..scenario.profiles import written_figures
from ..scenario.toml import dumps_table
from .groups import Group
from .options import driver_option

__all__ = ["command"]


@click.group("scenarios", cls=Group)
def command() -> None:
    """List, show, check and resolve scenarios."""


@command.command("list")
def list_() -> None:
    """List the built-in scenarios and GPU profiles."""
    known = names()
    click.echo("Scenarios, for `nvemu run --scenario NAME`:\n" + table(known.scenarios))
    click.echo("\nGPU profiles, for `nvemu run --gpus NAME:COUNT`:\n" + table(known.profiles))


def table(described: Mapping[str, str]) -> str:
    """A line for each name, with its description."""
    width = max(map(len, described), default=0)
    return "\n".join(f"  {name.ljust(width)}  {text}" for name, text in described.items())


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print the TOML of a built-in scenario or GPU profile.

    Of a profile, these are the figures that [gpu.figures] of a scenario may change, with those
    that all GPUs of its architecture have in common.
    """
    known = names()
    if name not in known.scenarios and name not in known.profiles:
        hint = nearest(name, [*known.scenarios, *known.profiles])
        raise UnknownNameError(f"expected a built-in scenario or GPU profile, found {name!r}{hint}")
    if name in known.scenarios:
        text = (files(package) / "gallery" / f"{name}.toml").read_text(encoding="utf-8")
        click.echo(text, nl=False)
    else:
        click.echo(f"# {known.profiles[name]}\n# What [gpu.figures] of a scenario may change.\n")
        click.echo(dumps_table(written_figures(name)), nl=False)


@command.command("validate")
@click.argument("scenarios", metavar="FILE...", nargs=-1, required=True)
def validate(scenarios: tuple[str, ...]) -> int:
    """Check scenario files.

    Their TOML, the names they use, and whether a machine can be made of them are looked at.
    Prints "FILE: ok" or "FILE:LINE: KEY: what is wrong" for each. The exit status is 1 when any
    of them has a mistake or cannot be read. FILE may be whatever `nvemu run --scenario` takes.
    """
    problems = [problem for name in scenarios if (problem := check(name)) is not None]
    return 1 if problems else 0


def check(scenario: str) -> str | None:
    """Say whether a scenario is right; returns its mistake, if it has one."""
    try:
        plan_of(find_scenario(scenario))
    except ScenarioError as error:
        problem = str(error) if error.file else f"{scenario}: {error}"
        click.echo(problem)
        return problem
    click.echo(f"{scenario}: ok")
    return None


@command.command("resolve")
@click.argument("scenario", metavar="NAME|FILE")
@driver_option
def resolve(scenario: str, driver: str | None) -> None:
    """Print the plan that is made of a scenario.

    It is JSON, and has everything filled in that the scenario leaves open. The plan is what
    programs under nvemu read; its format changes from version to version.
    """
    found = find_scenario(scenario)
    if driver is not None:
        found = under(found, driver)
    click.echo(json.dumps(plan_of(found) | {"trace": None}))


def under(scenario: Scenario, driver: str) -> Scenario:
    """The scenario with another driver; said on stderr where it asks for a certain one."""
    if scenario.driver not in (driver, NEWEST):
        wanted = f"the scenario {scenario.name} wants driver {scenario.driver}"
        click.echo(f"nvemu: {wanted}; these libraries are of {driver}", err=True)
    return msgspec.structs.replace(scenario, driver=driver)
