"""`nvemu install`: a machine with scripted GPUs as a folder, for a container image."""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..plans import plan_of
from ..scenario import Scenario
from ..scenario.hooks import portable
from ..scenario.loader import copies
from ..testbed import PACKAGE, boot_of, furnish, libraries, write_plan
from ..testbed.furnishing import check_name
from ..testbed.replacing import write
from .launching import choose
from .options import driver_option, gpus_option, scenario_option
from .stubs import warn_without_libpython

__all__ = ["command"]

#: The files of the package that are loaded in programs; `__init__.py` is only read.
LOADED = (
    *("__init__.py", "scriptfile.py"),
    *(f"{part}/**/*.py" for part in ("api", "cuda", "machine", "nvml", "runtime")),
)

#: What ldconfig takes up into its cache: it leaves out what is no library of this machine.
CACHED = ("present", "missing-dependency", "missing-symbols", "older-table")

#: What it makes in the folder, apart from what the trace or live control may leave there.
PARTS = re.compile(r"boot|plan\.json|emulator|lib(\.\d+)?")

PLAIN = re.compile(r"[\w@%+=:,./-]+")  # needs no quotes in a Dockerfile


def prefix_of(_context: click.Context, _option: click.Parameter, value: str) -> Path:
    """The folder that is meant, from the root on."""
    if not value:
        raise click.BadParameter("expected a folder, found an empty name")
    folder = Path(os.path.abspath(value))
    check_name(folder)
    return folder


@click.command("install")
@click.option(
    "--prefix",
    metavar="DIR",
    required=True,
    callback=prefix_of,
    help="The folder to make: new, empty, or an earlier `nvemu install`'s.",
)
@scenario_option
@gpus_option
@driver_option
@click.option(
    "--print",
    "form",
    type=click.Choice(["dockerfile", "shell", "ldconfig"]),
    default="dockerfile",
    show_default=True,
    help="What to print: lines for a Dockerfile, or for a shell to set the path or the cache.",
)
@click.option("--force", is_flag=True, help="Also into a folder that has other files.")
def command(
    prefix: Path,
    scenario: str | None,
    gpus: str | None,
    driver: str | None,
    form: str,
    force: bool,
) -> None:
    """Lay out a machine with scripted GPUs in a folder of its own, so that no wrapper is needed.

    Programs that find the libraries in DIR/lib play the scenario, whoever starts them:

        nvemu install --prefix /opt/nvemu --gpus a100-sxm4-80gb:2

    Prints the line that puts them on the library path; nothing outside DIR is changed. DIR holds
    all that programs need but a libpython (for those that are not Python), and may be copied to
    the same place in another image. Root's folder serves everybody, another user's only that user.
    """
    chosen = choose(scenario, gpus, driver)
    lines = advice(prefix, chosen, form)
    plan = plan_of(chosen)
    with readable_for_all():
        install(prefix, chosen, plan, force)
    warn_without_libpython()
    for line in doubts(prefix, plan):
        click.echo(f"nvemu: {line}", err=True)
    for line in lines:
        click.echo(line)


def install(folder: Path, scenario: Scenario, plan: dict[str, Any], force: bool) -> None:
    """Make the folder, or make it anew."""
    make_way(folder, force)
    version = scenario.reported_driver
    furnish(folder, scenario.driver, scenario.loader, root=folder, version=version)
    for files in LOADED:
        for source in sorted(PACKAGE.glob(files)):
            target = folder / PACKAGE.name / source.relative_to(PACKAGE)
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, source.read_bytes())
    # Unchecked: the times of files do not survive every way into an image.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder / PACKAGE.name, quiet=1, invalidation_mode=mode)
    write_plan(folder / "plan.json", plan, paths={})


def make_way(folder: Path, force: bool) -> None:
    """Make sure of the folder, and remove what an earlier install put there.

    A folder is nvemu's own when its boot file names it. In one that is not, nothing is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = sorted(path.name for path in folder.iterdir())
    parts = [name for name in there if PARTS.fullmatch(name)]
    root = boot_of(folder).get("root", "")
    if os.path.isabs(root) and os.path.realpath(root) == os.path.realpath(folder):
        for name in parts:
            remove(folder / name)
    elif parts:
        problem = f"{folder / parts[0]} is there already, and not nvemu's: choose another folder"
        raise click.BadParameter(problem, param_hint="'--prefix'")
    elif there and not force:
        problem = f"{folder} has other files: choose another folder, or --force"
        raise click.BadParameter(problem, param_hint="'--prefix'")


def remove(path: Path) -> None:
    """Remove a file, link or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def readable_for_all() -> Iterator[None]:
    """Within the block, files are made for all to read and for their owner alone to write."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def advice(folder: Path, scenario: Scenario, form: str) -> list[str]:
    """The lines that lead programs to the libraries, and set the scenario's variables."""
    path = [str(place) for place in libraries.search_path(folder, scenario.loader)]
    if form == "dockerfile":
        variables = {"LD_LIBRARY_PATH": ":".join(path), **scenario.environment}
        return [f"ENV {name}={in_dockerfile(value)}" for name, value in variables.items()]
    exports = [
        f"export {name}={shlex.quote(value)}" for name, value in scenario.environment.items()
    ]
    if form == "shell":
        inherited = "${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        return [f"export LD_LIBRARY_PATH={shlex.quote(':'.join(path))}{inherited}", *exports]
    check_cached(scenario)
    folders = " ".join(map(shlex.quote, path))
    return [f"printf '%s\\n' {folders} > /etc/ld.so.conf.d/000-nvemu.conf && ldconfig", *exports]


def check_cached(scenario: Scenario) -> None:
    """Refuse what the loader finds by its cache otherwise than along a path."""
    for key, library, copy in copies(scenario.loader):
        problem = ""
        if copy.state not in CACHED:
            problem = f"ldconfig leaves out a {library} library that is {copy.state}"
        elif len(key) > 2:
            problem = f"ldconfig keeps one copy of the {library} library, the scenario has more"
        if problem:
            raise click.BadParameter(f"{problem}: use LD_LIBRARY_PATH", param_hint="'--print'")


def in_dockerfile(value: str) -> str:
    """A value as ENV has it."""
    if PLAIN.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'


def doubts(folder: Path, plan: dict[str, Any]) -> Iterator[str]:
    """What will not be as somebody may expect."""
    if os.geteuid() != 0:
        yield (
            f"{folder} serves your own programs only: what another user's program loads must be "
            "that user's or root's (install as root for all)"
        )
    elif closed := closed_to_others(folder):
        yield f"{closed} is closed to other users, whose programs will find no GPUs"
    elif closed := closed_to_others(Path(boot_of(folder).get("libpython", "/"))):
        yield (
            f"{closed}, where the libpython is, is closed to other users, whose programs will find "
            "no GPUs unless they are Python"
        )
    rules = (*plan["faults"], *plan["changes"], *plan["kernels"])
    hooks = [rule["run"] for rule in rules if rule.get("run")]
    for file in sorted({(portable(hook) if callable(hook) else hook)[0] for hook in hooks}):
        yield f"the scenario runs functions of {file}: the image must have it in the same place"
    if plan["strict"]:
        yield "the scenario is strict: only `nvemu run` and tests report what has no handler"


def closed_to_others(path: Path) -> Path | None:
    """The first folder on the way to `path` that is not for all."""
    way = [folder for folder in (*reversed(path.parents), path) if folder.is_dir()]
    return next((folder for folder in way if not folder.stat().st_mode & stat.S_IXOTH), None)
