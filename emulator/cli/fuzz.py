"""`nvemu fuzz`: a program under drawn scenarios."""

from __future__ import annotations

import os
import re
import resource
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich.console import Console
from rich.table import Table

from ..machine import NEWEST
from ..scenario import Scenario, load, names
from ..testbed.program import ProgramError
from .ending import Ended, end_like, leave_no_core, refuse, signals_raise
from .launching import replacement
from .options import driver_option, gpus_option

if TYPE_CHECKING:
    from ..fuzzing import Finding, Fuzzer

__all__ = ["command"]


def statuses(ctx: click.Context, parameter: click.Parameter, value: str) -> frozenset[int]:
    """Read the value of `--expect-exit`: "0,1"."""
    parts = [part.strip() for part in value.split(",")]
    if not all(re.fullmatch("[0-9]{1,3}", part) and int(part) < 256 for part in parts):
        problem = f"expected exit statuses from 0 to 255 with commas between, found {value!r}"
        raise click.BadParameter(problem, ctx, parameter)
    return frozenset(map(int, parts))


def regex(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> re.Pattern[str] | None:
    """Compile the value of `--stderr`."""
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        problem = f"expected a regular expression, found {value!r}: {error}"
        raise click.BadParameter(problem, ctx, parameter) from None


@click.command("fuzz", context_settings={"allow_interspersed_args": False})
@click.option(
    "--scenarios",
    "number",
    metavar="N",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="How many scenarios to draw.",
)
@click.option(
    "--seed",
    metavar="S",
    type=int,
    default=0,
    show_default=True,
    help="Another seed draws other scenarios; the same one, the same.",
)
@click.option("--gallery", is_flag=True, help="Play the built-in scenarios first.")
@gpus_option
@driver_option
@click.option(
    "--hostile",
    is_flag=True,
    help="Draw, and take from the gallery, faults that end or block the program themselves.",
)
@click.option(
    "--jobs",
    metavar="J",
    type=click.IntRange(1),
    help="How many programs at a time; one for each core if not given.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=10,
    show_default=True,
    help="After which PROGRAM hangs.",
)
@click.option(
    "--expect-exit",
    "expected",
    metavar="STATUS,...",
    callback=statuses,
    default="0",
    show_default=True,
    help="Exit statuses that PROGRAM may end with.",
)
@click.option(
    "--stderr",
    "pattern",
    metavar="REGEX",
    callback=regex,
    help="What PROGRAM must not write to stderr, such as 'Traceback|panicked'.",
)
@click.option(
    "--save",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".nvemu", "failures"),
    show_default=True,
    help="Where the scenarios that break PROGRAM are kept.",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(  # noqa: PLR0913, PLR0917  (one for each option)
    number: int,
    seed: int,
    gallery: bool,
    gpus: str | None,
    driver: str | None,
    hostile: bool,
    jobs: int | None,
    timeout: float,
    expected: frozenset[int],
    pattern: re.Pattern[str] | None,
    save: Path,
    program: tuple[str, ...],
) -> int:
    """Run PROGRAM in many drawn scenarios, and report those that break it.

    A crash, a hang, an exit status that it may not have, and what it must not write to stderr are
    findings. What goes wrong the same way is reported once, with the smallest scenario in which it
    does and the command that replays it.

        nvemu fuzz --expect-exit 0,1 --stderr Traceback -- python find_gpus.py

    PROGRAM's standard input is empty. Needs hypothesis: pip install "nvemu[fuzz]". The exit status
    is 1 if something was found, 0 if not, and 2 for a mistake in nvemu's own options.
    """
    _need_hypothesis()
    from .. import fuzzing  # noqa: PLC0415  (brings hypothesis)

    options: dict[str, Any] = {"driver": driver or NEWEST, "hostile": hostile}
    if gpus is not None:
        options["gpus"] = replacement(gpus)
    try:
        fuzzer = fuzzing.Fuzzer(
            program, timeout=timeout, expected=expected, pattern=pattern, jobs=jobs
        )
        with signals_raise(), _hypothesis_elsewhere():
            played = list(_gallery(timeout, hostile)) if gallery else []
            played += fuzzing.draw(number, seed, **options) if number else []
            with _progress(len(played)) as progress:
                findings = fuzzer.run(played, progress=progress)
    except ProgramError as error:
        refuse(str(error))
    except Ended as error:  # out here, where nothing is left to be removed
        _end(error.args[0])
    _report(fuzzer, findings)
    _save(findings, save, program)
    return 1 if findings else 0


def _need_hypothesis() -> None:
    try:
        import hypothesis  # noqa: F401, PLC0415
    except ImportError:
        refuse('scenarios are drawn by hypothesis, which is not here: pip install "nvemu[fuzz]"')


def _gallery(timeout: float, hostile: bool) -> Iterator[Scenario]:
    """The built-in scenarios; without those that end or block any program, if not `hostile`."""
    from ..fuzzing import ends_programs  # noqa: PLC0415

    for name in names().scenarios:
        scenario = load(name)
        if hostile or not ends_programs(scenario, timeout):
            yield scenario


# ---- while it runs


def _end(number: int) -> NoReturn:
    click.echo("nvemu: ended by a signal, and the programs with it", err=True)
    end_like(-number)


@contextmanager
def _hypothesis_elsewhere() -> Iterator[None]:
    """Keep hypothesis from making a folder in the working directory, and programs from cores."""
    from hypothesis.configuration import set_hypothesis_home_dir  # noqa: PLC0415

    core = leave_no_core()
    with tempfile.TemporaryDirectory(prefix="nvemu-") as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)
            resource.setrlimit(resource.RLIMIT_CORE, core)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Show on a terminal how far it is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda number, findings: None
        return
    with console.status(f"0 of {total} scenarios") as status:

        def show(number: int, findings: Sequence[Finding]) -> None:
            status.update(f"{number} of {total} scenarios, {len(findings)} findings")

        yield show


# ---- what came of it


def _report(fuzzer: Fuzzer, findings: Sequence[Finding]) -> None:
    """Print the findings, and how many scenarios there were."""
    if findings:
        table = Table("#", "times", "what")
        for heading in ("last call", "stderr"):
            table.add_column(heading, overflow="fold")
        for number, finding in enumerate(findings, 1):
            outcome = finding.outcome
            seen = (outcome.call or "none", _shown(outcome.stderr))
            table.add_row(str(number), str(finding.count), str(outcome), *seen)
        Console(highlight=False, markup=False).print(table)
    for reason, count in fuzzer.unplayable.items():
        click.echo(f"{count} scenarios could not be played here: {reason}")
    click.echo(f"{fuzzer.played} scenarios played, {len(findings)} findings")


def _save(findings: Sequence[Finding], folder: Path, program: Sequence[str]) -> None:
    """Write each finding's scenario to a file, and print the command that replays it."""
    from ..strategies import save  # noqa: PLC0415

    stem = re.sub(r"[^\w.-]+", "_", os.path.basename(program[0]))
    for number, finding in enumerate(findings, 1):
        path = folder / f"{stem}-{finding.outcome.kind}-{number}.toml"
        replay = f"nvemu run --scenario {shlex.quote(str(path))} -- {shlex.join(program)}"
        what = (
            f"{shlex.join(program)}: {finding.outcome}, after {finding.outcome.call or 'no call'}"
        )
        save(finding.scenario, path, [what, f"Replay it: {replay}"])
        click.echo(f"{number}: {replay}")


def _shown(text: str) -> str:
    """A program's words, with nothing in them that a terminal takes for a command."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])
