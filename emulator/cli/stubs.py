"""`nvemu stubs`: the stub libraries, for programs that `nvemu run` cannot start."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

from ..plans import plan_of
from ..scenario import Scenario
from ..testbed import TestbedError, furnish, write_plan
from ..testbed.libpython import find_libpython
from .groups import Group
from .launching import choose
from .options import driver_option

__all__ = ["command"]


@click.group("stubs", cls=Group)
def command() -> None:
    """Where the stub libraries are, to put on LD_LIBRARY_PATH by hand."""


@command.command("path")
@driver_option
def path(driver: str | None) -> None:
    """Print the folder with the stub libraries, for LD_LIBRARY_PATH.

    For programs that `nvemu run` cannot start, such as a service:

        LD_LIBRARY_PATH=$(nvemu stubs path) NVEMU_SCENARIO=no-devices ./program

    Programs play the scenario that NVEMU_SCENARIO names (built-in, or a file), by default a
    single T4. The folder lies in your cache ($XDG_CACHE_HOME or ~/.cache) and stays; calling
    this again brings it up to date.
    """
    folder = prepare(cache(), choose("default", None, driver))
    warn_without_libpython()
    click.echo(folder / "lib")


def warn_without_libpython() -> None:
    """Say so when there is no libpython that could be embedded."""
    if find_libpython() is None:
        click.echo(
            "nvemu: only Python programs will find these GPUs: for others, install Python's "
            "shared library (Debian: libpython3-dev) and call this again",
            err=True,
        )


def cache() -> Path:
    """The user's folder for what can be made again."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named
    if os.environ.get("HOME") != "":  # Path.home() would be the root folder
        with suppress(RuntimeError):
            return Path.home() / ".cache"
    raise TestbedError("you have no home folder: set HOME or XDG_CACHE_HOME to a folder")


def prepare(cache: Path, default: Scenario) -> Path:
    """Make a testbed that stays: the libraries of the scenario's driver, and the scenario."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = private(private(cache / "nvemu") / default.driver)
    furnish(folder, default.driver)
    write_plan(folder / "default.json", plan_of(default), paths={})
    return folder


def private(folder: Path) -> Path:
    """A folder that is the user's alone: programs will load what lies in it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for found in (folder.lstat(), folder.stat()):
        if found.st_uid != os.geteuid():
            raise TestbedError(
                f"{folder} belongs to another user (id {found.st_uid}): "
                "set XDG_CACHE_HOME to a folder of your own"
            )
    folder.chmod(0o700)
    return folder
