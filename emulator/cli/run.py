"""`nvemu run`: a program on a machine with scripted GPUs."""

from __future__ import annotations

import click

from ..plans import find_scenario, plan_of
from ..scenario import Gpu, Scenario, ScenarioError, parse_gpus
from ..scenario.errors import unhandled_text
from ..testbed import Testbed
from ..testbed.program import ProgramError, Relay
from .ending import end_like, refuse
from .options import driver_option, gpus_option, scenario_option
from .tracing import Follower, target

__all__ = ["command"]

UNHANDLED = 125  # as env(1) and timeout(1): the program ran, and its runner failed


@click.command("run", context_settings={"allow_interspersed_args": False})
@scenario_option
@gpus_option
@driver_option
@click.option(
    "--trace",
    metavar="FILE|-",
    callback=target,
    help="Write the calls to FILE (JSON lines) or stderr (-).",
)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    scenario: str | None,
    gpus: str | None,
    driver: str | None,
    trace: str | None,
    program: tuple[str, ...],
) -> None:
    """Run PROGRAM on a machine with scripted GPUs.

    The scenario says what PROGRAM finds when it asks NVML or CUDA; without one, a single T4.
    Options of nvemu stand before PROGRAM, its own arguments after it:

        nvemu run --gpus h100-sxm5-80gb:8 -- python train.py --epochs 1

    The exit status is PROGRAM's, and a signal that ends PROGRAM ends nvemu. When PROGRAM cannot
    be started it is 127 (not found) or 126 (found, but it cannot be executed); when a strict
    scenario's PROGRAM called a function that nvemu has no handler for, 125; for a mistake in
    nvemu's own options, 2.
    """
    chosen = choose(scenario, gpus, driver)
    try:
        status = run(chosen, trace, program)
    except ProgramError as error:
        refuse(str(error), error.status)
    end_like(status)


def choose(scenario: str | None, gpus: str | None, driver: str | None) -> Scenario:
    """The scenario that the options describe."""
    found = find_scenario(scenario)
    changes: dict[str, object] = {}
    if gpus is not None:
        changes["gpus"] = replacement(gpus)
    if driver is not None:
        changes["driver"] = driver
    changed = found.but(**changes)
    if gpus is not None:
        check_devices(changed)
    return changed


def replacement(gpus: str) -> tuple[Gpu, ...]:
    """The GPUs that `--gpus` names."""
    if not gpus.strip():
        problem = "expected GPUs, found none; for a machine without GPUs: --scenario no-devices"
        raise click.BadParameter(problem, param_hint="'--gpus'")
    try:
        return parse_gpus(gpus)
    except ScenarioError as error:
        raise click.BadParameter(str(error), param_hint="'--gpus'") from None


def check_devices(changed: Scenario) -> None:
    """Refuse GPUs that the scenario's faults and changes are not about."""
    try:
        plan_of(changed)
    except ScenarioError as error:
        if error.key[:1] in (("fault",), ("change",)) and error.key[-1] == "device":
            error.problem += "; --gpus replaced the scenario's GPUs"
        raise


def run(scenario: Scenario, trace: str | None, program: tuple[str, ...]) -> int:
    """Run the program; its exit status, or the negated signal that ended it."""
    with (
        Relay() as relay,  # outermost: a signal ends the program, then the testbed is removed
        Testbed(scenario, trace=trace is not None) as testbed,
        Follower(testbed.trace_file, trace),
    ):
        status = relay.run(program, testbed.environment())
        if testbed.unhandled:
            click.echo(f"nvemu: {unhandled_text(testbed.unhandled)}", err=True)
            return UNHANDLED
        return status
