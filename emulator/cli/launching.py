"""How programs are launched: the options that all commands have that do it, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, NoReturn

import click

from ..imports.captures.naming import is_capture
from ..plans import find_scenario, plan_of
from ..scenario import Gpu, Scenario, ScenarioError, parse_gpus
from ..scenario.errors import unhandled_text
from ..testbed import Testbed
from ..testbed.program import ProgramError, Relay
from .ending import end_like, refuse
from .options import driver_option, gpus_option, scenario_option
from .tracing import Follower, Output

__all__ = ["Launch", "choose", "launch_options", "program_argument", "replacement"]

UNHANDLED = 125  # as env(1) and timeout(1): the program ran, and its runner failed

#: What a command with these takes before the program's own arguments.
OPTIONS = (
    scenario_option,
    gpus_option,
    driver_option,
    click.option(
        "--redirect",
        is_flag=True,
        help="Give it these libraries also where it asks for one by a path, or has changed "
        "LD_LIBRARY_PATH.",
    ),
    click.option(
        "--devices",
        is_flag=True,
        help="Show it device nodes, /proc/driver/nvidia and PCI entries, too.",
    ),
    click.option(
        "--real",
        is_flag=True,
        help="Pass its calls on to this machine's own driver, in place of a scenario.",
    ),
)

program_argument = click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)


@dataclass(frozen=True)
class Launch:
    """How a program is to be launched, with a field for each of `OPTIONS`."""

    scenario: str | None = None
    gpus: str | None = None
    driver: str | None = None
    redirect: bool = False
    devices: bool = False
    real: bool = False

    def testbed(self, **options: Any) -> Testbed:
        """The testbed that it is to run in; `options` are `Testbed`'s."""
        options |= {"redirect": self.redirect or self.real, "devices": self.devices}
        chosen = (self.scenario, self.gpus, self.driver)
        if not self.real:
            return Testbed(choose(*chosen), **options)
        if chosen != (None, None, None) or self.devices:
            problem = "--real is this machine as it is: no scenario, GPUs, driver or devices"
            raise click.UsageError(problem)
        testbed = Testbed(real=True, **options)
        for library in testbed.real or ():
            if library.remark:
                click.echo(f"nvemu: {library.remark}", err=True)
        return testbed

    def run(
        self, program: tuple[str, ...], output: Output | None = None, capture: str | None = None
    ) -> NoReturn:
        """Run a program and end as it did, with its calls written to `output` if there is one, and
        to a capture's file."""
        try:
            watch = self.redirect and not self.real  # to know whether it was in vain
            traced = output is not None or capture is not None
            testbed = self.testbed(trace=traced, watch=watch, capture=capture is not None)
            outputs = [] if output is None else [output]
            if capture is not None:
                outputs.append(_captured(testbed, capture))
            status = _run(testbed, program, outputs)
        except ProgramError as error:
            refuse(str(error), error.status)
        end_like(status)


def launch_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that all such commands have, as its parameter `launch`."""
    names = [field.name for field in fields(Launch)]

    @wraps(function)
    def command(**options: Any) -> Any:
        launch = Launch(**{name: options.pop(name) for name in names})
        return function(launch=launch, **options)

    for option in reversed(OPTIONS):
        command = option(command)
    return command


def _captured(testbed: Testbed, file: str) -> Output:
    from ..imports.captures.lines import CaptureLines  # noqa: PLC0415  (few programs are captured)
    from ..testbed.capturing import header_of  # noqa: PLC0415

    header = header_of(testbed)
    return Output(file, lambda _: CaptureLines(header), "--capture")


def _run(testbed: Testbed, program: tuple[str, ...], outputs: list[Output]) -> int:
    """The program's exit status, or the negated signal that ended it."""
    # First, while a Ctrl-C still ends nvemu: a pipe waits for its reader.
    followers = [Follower(output) for output in outputs]
    with ExitStack() as stack:
        # Outermost: a signal ends the program, then the testbed is removed.
        relay = stack.enter_context(Relay())
        stack.enter_context(testbed)
        for follower in followers:
            stack.enter_context(follower.following(testbed.trace_file))
        status = relay.run(*testbed.invocation(program))
        if testbed.watched:
            _say_foreign(testbed)
        if testbed.unhandled:
            click.echo(f"nvemu: {unhandled_text(testbed.unhandled)}", err=True)
            return UNHANDLED
        return status


def _say_foreign(testbed: Testbed) -> None:
    from ..doctor.foreign import foreign_loads  # noqa: PLC0415  (few programs are redirected)

    for text in foreign_loads(testbed):
        click.echo(f"nvemu: --redirect did not reach all: {text}", err=True)


# ---- the scenario


def choose(scenario: str | None, gpus: str | None, driver: str | None) -> Scenario:
    """The scenario that the options describe."""
    found = find_scenario(scenario)
    changes: dict[str, object] = {}
    if gpus is not None:
        changes["gpus"] = replacement(gpus)
    if driver is not None:
        changes["driver"] = driver
        if scenario is not None and is_capture(scenario):
            changes["loader"] = _without_symbols(found.loader)
    changed = found.but(**changes)
    if gpus is not None:
        check_devices(changed)
    return changed


def _without_symbols(loader: Mapping[str, Any]) -> dict[str, Any]:
    """What of a capture's loader states holds for another driver: its functions are its own."""
    return {
        library: copies
        for library, copies in loader.items()
        if all(copy.state != "missing-symbols" for copy in copies)
    }


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
    """Refuse GPUs that the scenario's faults, changes and capture are not about."""
    try:
        plan_of(changed)
    except ScenarioError as error:
        about = error.key[:1] in (("fault",), ("change",)) and error.key[-1] == "device"
        if about or error.key == ("capture",):
            error.problem += "; --gpus replaced the scenario's GPUs"
        raise
