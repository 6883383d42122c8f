"""`nvemu symbols`: what libraries export, beside what a driver's libraries are known to export."""

from __future__ import annotations

from pathlib import Path

import click

from ..symbols import (
    SONAMES,
    Difference,
    SymbolsError,
    SymbolTable,
    difference,
    load_table,
    read_library,
    recorded_tables,
    version_in_name,
)
from .groups import Group
from .options import driver_option

__all__ = ["command"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("symbols", cls=Group)
def command() -> None:
    """List recorded symbol tables and compare libraries with them."""


@command.command("diff")
@click.argument("library", type=FILE)
@driver_option
@click.option("--against", type=FILE, help="A library, or a recorded table (.tsv), instead.")
def diff(library: Path, driver: str | None, against: Path | None) -> int:
    """Compare the file LIBRARY with what a driver's library exports.

    LIBRARY is a real libnvidia-ml or libcuda, or somebody's stub of one. The driver is the one
    that its file's name ends in; failing that, the one whose table is nearest to it.

    Shows what is missing, extra or changed (type, binding, size of data) in LIBRARY, and its
    SONAME. The exit status is 0 when nothing differs, 1 when something does, 2 for an error.
    """
    if driver and against:
        raise click.UsageError("--driver and --against exclude each other")
    found = read(library)
    title, reference = other(against) if against else recorded(library, found, driver)
    click.echo(f"{library}: {len(found.symbols)} symbols, compared with {title}")
    differences = difference(reference, found)
    if differences:
        click.echo(str(differences))
    click.echo(summary(differences))
    return 1 if differences else 0


def summary(differences: Difference) -> str:
    """What was found, in one line."""
    if not differences:
        return "no difference"
    counts = ("missing", "extra", "changed")
    parts = [f"{len(getattr(differences, name))} {name}" for name in counts]
    return ", ".join([*parts, *(["another SONAME"] if differences.soname else [])])


@command.command("list")
@click.argument("library", type=FILE, required=False)
@driver_option
def list_(library: Path | None, driver: str | None) -> None:
    """List what LIBRARY exports, or what the libraries of a driver do.

    One symbol a line: library, name, type, binding, and the size of data in bytes, with tabs
    between. With neither LIBRARY nor --driver, lists the drivers whose tables are recorded.
    """
    if library and driver:
        raise click.UsageError("LIBRARY and --driver exclude each other")
    if library:
        tables = [read(library)]
    elif driver:
        tables = [recorded_tables(name)[driver] for name in SONAMES]
    else:
        click.echo("\n".join(overview()))
        return
    click.echo("\n".join(line for table in tables for line in rows(table)))


def rows(table: SymbolTable) -> list[str]:
    """A line for each symbol."""
    return [
        "\t".join((table.soname, s.name, s.type, s.binding, "-" if s.size is None else str(s.size)))
        for _, s in sorted(table.symbols.items())
    ]


def overview() -> list[str]:
    """A line for each recorded table."""
    return [
        f"{soname}\t{driver}\t{len(table.symbols)} symbols"
        for library, soname in SONAMES.items()
        for driver, table in recorded_tables(library).items()
    ]


def read(path: Path) -> SymbolTable:
    """The symbols of a library, or of a recorded table."""
    return load_table(path) if path.suffix == ".tsv" else read_library(path)


def other(path: Path) -> tuple[str, SymbolTable]:
    """Another file to compare a library with, and what it is called."""
    return str(path), read(path)


def recorded(path: Path, found: SymbolTable, driver: str | None) -> tuple[str, SymbolTable]:
    """The recorded table to compare a library with, and what it is called."""
    tables = candidates(found)
    asked = driver or version_in_name(path)
    choice = {key: table for key, table in tables.items() if key[1] == asked} or tables
    nearest = max(reversed(choice), key=lambda key: likeness(choice[key], found))
    title = "{} of driver {}".format(*nearest)
    if nearest[1] == asked:
        return title + ("" if driver else " (by its file's name)"), choice[nearest]
    share = likeness(choice[nearest], found)
    if not share:
        raise SymbolsError(f"{path} has no symbol in common with {' or '.join(SONAMES.values())}")
    unknown = f"; {asked} is not recorded" if asked else ""
    return f"{title} (the nearest by its symbols, {share:.0%} alike{unknown})", choice[nearest]


def candidates(found: SymbolTable) -> dict[tuple[str, str], SymbolTable]:
    """The recorded tables of the library that `found` says it is, else all, oldest first."""
    named = [library for library, soname in SONAMES.items() if soname == found.soname]
    return {
        (SONAMES[library], driver): table
        for library in named or SONAMES
        for driver, table in recorded_tables(library).items()
    }


def likeness(one: SymbolTable, other: SymbolTable) -> float:
    """The share of all their symbols' names that two tables have in common."""
    names, others = one.symbols.keys(), other.symbols.keys()
    return len(names & others) / (len(names | others) or 1)
