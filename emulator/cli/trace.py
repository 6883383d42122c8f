"""`nvemu trace`: what a program asks NVML and CUDA, and what they answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ..scenario import UnknownNameError
from ..trace import Choice, Chrome, Commands, Format, Json, Summary, SummaryJson, Text
from .launching import Launch, launch_options, program_argument
from .tracing import STDERR, Output, target, target_file

__all__ = ["command"]

Made = Callable[[Path, Choice], Format]

#: --format, and whether it is a summary -> what makes the format, given the trace's file.
FORMATS: dict[tuple[str, bool], Made] = {
    ("text", False): lambda trace, choice: Text(choice, threads=True),
    ("jsonl", False): lambda trace, choice: Json(choice),
    ("chrome", False): lambda trace, choice: Chrome(choice, Commands(trace)),
    ("text", True): lambda trace, choice: Summary(choice),
    ("jsonl", True): lambda trace, choice: SummaryJson(choice),
}


@click.command("trace", context_settings={"allow_interspersed_args": False})
@launch_options
@click.option(
    "-o",
    "file",
    metavar="FILE",
    callback=target,
    help="Where the trace goes, in place of stderr (which - stands for, too).",
)
@click.option(
    "--capture",
    metavar="FILE",
    callback=target_file,
    help="Write the calls with their exact values to a capture, which can be played as a scenario. "
    "Of the trace nothing is shown then, unless -o says where it goes.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "jsonl", "chrome"]),
    default="text",
    show_default=True,
    help="Lines for people, JSON lines, or Chrome's trace events for https://ui.perfetto.dev.",
)
@click.option(
    "-e",
    "--filter",
    "functions",
    metavar="FUNCTIONS",
    multiple=True,
    help="Only these functions: names, globs, `getters` or `setters`, with commas between; "
    "after a ! those not. 'kernel saxpy' are a kernel's launches, 'kernel*' all. May be repeated.",
)
@click.option("--library", type=click.Choice(["nvml", "cuda"]), help="Only this library's calls.")
@click.option("--failed", is_flag=True, help="Only calls that failed, or have not returned.")
@click.option(
    "-c", "--summary", is_flag=True, help="In place of the calls, a table of counts and times."
)
@program_argument
def command(  # noqa: PLR0913, PLR0917  (one for each option)
    launch: Launch,
    file: str | None,
    capture: str | None,
    form: str,
    functions: tuple[str, ...],
    library: str | None,
    failed: bool,
    summary: bool,
    program: tuple[str, ...],
) -> None:
    """Run PROGRAM and write down its calls of NVML and CUDA, as strace does for the system's.

    A line has the function with its arguments, what it answered in them, the status and the time:

        nvmlDeviceGetCount_v2(deviceCount=1) = SUCCESS <12 us>

    Where several processes or threads call, "[pid N]" stands before the lines of processes other
    than the first, and "[tid N]" before those of threads other than the first of their process.
    [fault] marks what a fault of the scenario decided, [no handler] a function that nvemu does not
    emulate.

        nvemu trace -e 'nvmlDevice*,!setters' --failed -- python find_gpus.py
        nvemu trace --format chrome -o trace.json -- ./server

    The summary (-c) is sorted by the time that a function took in all; a call that did not return
    counts as an error. With --format jsonl it has a JSON object a function, times in microseconds.

    A capture holds the calls of all processes, whichever the trace is to show. [not in the capture]
    marks what a scenario with a capture had to answer by itself.

        nvemu trace --real --capture box.capture -- python find_gpus.py
        nvemu run --scenario box.capture -- python find_gpus.py

    PROGRAM runs as under `nvemu run`, with the same options and the same exit status.
    """
    if (form, summary) not in FORMATS:
        raise click.UsageError(f"expected --format text or jsonl with a summary, found {form}")
    choice = _choice(functions, library, failed)
    made = FORMATS[form, summary]
    if capture is not None and file is None:
        launch.run(program, capture=capture)
    output = Output(file or STDERR, lambda trace: made(trace, choice), "-o")
    launch.run(program, output, capture)


def _choice(functions: Sequence[str], library: str | None, failed: bool) -> Choice:
    patterns = [part.strip() for words in functions for part in words.split(",")]
    try:
        return Choice(patterns, library, failed)
    except UnknownNameError as error:
        raise click.BadParameter(str(error), param_hint="'-e'") from None
