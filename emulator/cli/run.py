"""`nvemu run`: a program on a machine with scripted GPUs."""

from __future__ import annotations

import click

from ..trace import Json, Text
from .launching import Launch, launch_options, program_argument
from .tracing import STDERR, Output, target

__all__ = ["command"]


@click.command("run", context_settings={"allow_interspersed_args": False})
@launch_options
@click.option(
    "--trace",
    metavar="FILE|-",
    callback=target,
    help="Write the calls to FILE (JSON lines) or stderr (-).",
)
@program_argument
def command(launch: Launch, trace: str | None, program: tuple[str, ...]) -> None:
    """Run PROGRAM on a machine with scripted GPUs.

    The scenario says what PROGRAM finds when it asks NVML or CUDA; without one, a single T4.
    Options of nvemu stand before PROGRAM, its own arguments after it:

        nvemu run --gpus h100-sxm5-80gb:8 -- python train.py --epochs 1

    The exit status is PROGRAM's, and a signal that ends PROGRAM ends nvemu. When PROGRAM cannot
    be started it is 127 (not found) or 126 (found, but it cannot be executed); when a strict
    scenario's PROGRAM called a function that nvemu has no handler for, 125; for a mistake in
    nvemu's own options, 2.
    """
    launch.run(program, None if trace is None else _output(trace))


def _output(target: str) -> Output:
    made = Text() if target == STDERR else Json()
    return Output(target, lambda _: made, "--trace")
