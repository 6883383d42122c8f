"""`nvemu scenarios`: what comes with nvemu, and whether a file of one's own is right."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from shutil import get_terminal_size
from textwrap import wrap

import click

from ..imports.captures.naming import is_capture
from ..machine import NEWEST
from ..plans import find_scenario, plan_of
from ..scenario import Scenario, ScenarioError, UnknownNameError, names
from ..scenario.catalogue import Names, written_scenario
from ..scenario.errors import nearest
from ..scenario.hooks import portable
from ..scenario.jsonschema import json_schema
from ..scenario.profiles import written_figures
from ..scenario.toml import dumps_table
from ..vocabulary import vocabulary
from .groups import Group
from .imported import write_scenario
from .options import driver_option

__all__ = ["command"]

#: Columns that a description needs; with less room beside the names it is not folded.
LEAST_ROOM = 30


@click.group("scenarios", cls=Group)
def command() -> None:
    """List, show, check and resolve scenarios."""


#: Heading -> whether a scenario belongs under it; the last that fits.
KINDS: dict[str, Callable[[Scenario], bool]] = {
    "What the machine is like": lambda scenario: True,
    "What calls answer": lambda scenario: bool(scenario.faults),
    "What the dynamic loader finds": lambda scenario: bool(scenario.loader),
    "What happens after a while": lambda scenario: (
        bool(scenario.changes) or any(fault.time for fault in scenario.faults)
    ),
}

#: Heading -> what is listed under it, beside the gallery.
CATALOGUES: dict[str, Callable[[Names], dict[str, str]]] = {
    "Systems, whole machines for `nvemu run --scenario NAME`": lambda known: known.systems,
    "GPU profiles, for `nvemu run --gpus NAME:COUNT`": lambda known: known.profiles,
}


@command.command("list")
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
def list_(texts: tuple[str, ...]) -> None:
    """List the built-in scenarios, systems and GPU profiles.

    With TEXT only those that have it in their name or description; * and ? are as in file names,
    and capital and small letters alike: `list mig`, `list cuinit 999`. `nvemu scenarios show NAME`
    says where people met a scenario, and what they saw.
    """
    known = names()
    scenarios = matching(known.scenarios, texts)
    found = {heading: matching(of(known), texts) for heading, of in CATALOGUES.items()}
    if not scenarios and not any(found.values()):
        problem = "expected a text in the name or description of a scenario, system or GPU profile"
        raise UnknownNameError(f"{problem}, found {' '.join(texts)!r}")
    sections = [by_kind(scenarios)] if scenarios else []
    sections += [f"{heading}:\n{table(rows)}" for heading, rows in found.items() if rows]
    click.echo("\n\n".join(sections))


def matching(described: Mapping[str, str], texts: Sequence[str]) -> dict[str, str]:
    """Those that have all texts in their name or description."""
    globs = [f"*{text.lower()}*" for text in texts]
    return {
        name: said
        for name, said in described.items()
        if all(fnmatchcase(f"{name}\n{said}".lower(), glob) for glob in globs)
    }


def by_kind(described: Mapping[str, str]) -> str:
    """The scenarios under headings."""
    kinds: dict[str, dict[str, str]] = {heading: {} for heading in KINDS}
    for name, text in described.items():
        scenario = find_scenario(name)
        kinds[[h for h, fits in KINDS.items() if fits(scenario)][-1]][name] = text
    width = max(map(len, described))
    parts = [f"{h}:\n{table(rows, width)}" for h, rows in kinds.items() if rows]
    return "\n\n".join(["Scenarios, for `nvemu run --scenario NAME`", *parts])


def table(described: Mapping[str, str], width: int = 0) -> str:
    """A line for each name, with its description; on a terminal, folded to fit it."""
    width = max(width, *map(len, described))
    columns = get_terminal_size().columns if sys.stdout.isatty() else 0
    return "\n".join(row(name.ljust(width), text, columns) for name, text in described.items())


def row(name: str, text: str, columns: int) -> str:
    """One line of a table, or several of at most so many columns."""
    indent = " " * (len(name) + 4)
    room = columns - len(indent)
    lines = wrap(text, room) if room >= LEAST_ROOM else [text]
    return f"  {name}  " + f"\n{indent}".join(lines)


@command.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print the TOML of a built-in scenario, system or GPU profile.

    Of a capture's file, it is the scenario that replays it, to be changed in a file of one's own.

    Of a profile, these are the figures that [gpu.figures] of a scenario may change, with those
    that all GPUs of its architecture have in common.
    """
    if is_capture(name):
        from ..imports.captures.playing import scenario_of_file  # noqa: PLC0415  (few are captures)

        write_scenario(scenario_of_file(name), None)
        return
    known = names()
    scenarios = known.scenarios | known.systems
    if name not in scenarios and name not in known.profiles:
        hint = nearest(name, [*scenarios, *known.profiles])
        raise UnknownNameError(f"expected a built-in scenario or GPU profile, found {name!r}{hint}")
    if name in scenarios:
        click.echo(written_scenario(name), nl=False)
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


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema of scenario files.

    Editors complete, explain and check TOML by it: save it beside a scenario, and let the
    scenario's first line be "#:schema FILE" (Even Better TOML, taplo).
    """
    click.echo(json.dumps(json_schema(vocabulary()), indent=1))


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
    click.echo(json.dumps(plan_of(found) | {"trace": None}, default=portable))


def under(scenario: Scenario, driver: str) -> Scenario:
    """The scenario with another driver; said on stderr where it asks for a certain one."""
    if scenario.driver == driver:
        return scenario
    if scenario.driver != NEWEST:
        wanted = f"the scenario {scenario.name} wants driver {scenario.driver}"
        click.echo(f"nvemu: {wanted}; these libraries are of {driver}", err=True)
    return scenario.but(driver=driver)
