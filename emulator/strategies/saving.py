"""Tests that run in drawn scenarios, and leave the smallest one that breaks them as a TOML file.

@given_scenarios()
def test_never_raises():
    find_gpus()

E  replay it: NVEMU_REPLAY=.nvemu/failures/test_gpus.test_never_raises.toml pytest ...
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.control import current_build_context

from ..emulation import Emulation, EmulationError, loaded_driver
from ..scenario import Scenario, ScenarioError, dumps, load
from .whole import scenarios

__all__ = ["FAILURES", "REPLAY", "given_scenarios", "save"]

#: Where failing scenarios are kept, in the folder that the tests are run in.
FAILURES = Path(".nvemu", "failures")

#: Environment variable: the scenario that tests run in, in place of drawn ones.
REPLAY = "NVEMU_REPLAY"

#: What a test may ask for by a parameter of this name.
_HANDED_IN: dict[str, Callable[[Emulation], Any]] = {
    "emulation": lambda emulation: emulation,
    "machine": lambda emulation: emulation.machine,
    "scenario": lambda emulation: emulation.scenario,
}

Test = Callable[..., None]


def given_scenarios(
    strategy: st.SearchStrategy[Scenario] | None = None,
    /,
    *,
    record: bool = False,
    folder: str | os.PathLike[str] = FAILURES,
    **more: st.SearchStrategy[Any],
) -> Callable[[Test], Test]:
    """Run a test in many scenarios: `hypothesis.given` with an `Emulation` around the test.

    The test gets what it has parameters for: `scenario`, `machine` (the live one) and `emulation`
    (with `calls` and `control`). Fixtures, `settings` and `example`s go with it as with `given`.

    When it fails, the smallest scenario that hypothesis finds is left in `folder` under the names
    of the module and the test, and the error gets a note on how to replay it: with the environment
    variable NVEMU_REPLAY set to a scenario, the test runs in that one only.

    Args:
        strategy: what scenarios are drawn from; `scenarios()` if not given.
        record: whether `emulation.calls` is kept.
        folder: where failing scenarios are kept.
        more: further strategies, by the test's parameters.

    Raises:
        TypeError: the test is a coroutine function.
    """
    drawn = st.deferred(lambda: _replayed() or (scenarios() if strategy is None else strategy))

    def decorate(test: Test) -> Test:
        if inspect.iscoroutinefunction(test):
            raise TypeError(f"{test.__name__} is a coroutine function: run its loop in a plain one")
        place = Path(folder)
        known: list[str] = []
        parameters = inspect.signature(test).parameters
        wanted = [name for name in _HANDED_IN if name in parameters]
        others = [name for name in parameters if name not in wanted]

        @wraps(test)
        def play(*args: Any, nvemu_scenario: Scenario, **kwargs: Any) -> None:
            try:
                with Emulation(nvemu_scenario, record=record) as emulation:
                    handed_in = {name: _HANDED_IN[name](emulation) for name in wanted}
                    test(**dict(zip(others, args, strict=False)), **handed_in, **kwargs)
            except Exception as error:
                if current_build_context().is_final:
                    _keep(nvemu_scenario, error, place, test, known)
                raise

        play.__signature__ = _signature(test, wanted)  # type: ignore[attr-defined]
        made: Test = given(nvemu_scenario=drawn.map(_prepared), **more)(play)
        return made

    return decorate


def _replayed() -> st.SearchStrategy[Scenario] | None:
    file = os.environ.get(REPLAY)
    return st.just(load(file)) if file else None


def _prepared(scenario: Scenario) -> Scenario:
    """The scenario, in a process that has the libraries: hypothesis's deadline is not for the time
    that the first one takes to load them, and drawing does not count."""
    if loaded_driver() is None:
        with suppress(EmulationError), Emulation(scenario):
            pass  # what is wrong, the test itself meets
    return scenario


def _signature(test: Test, wanted: Sequence[str]) -> inspect.Signature:
    """The test's, with the scenario in place of what is made of it."""
    signature = inspect.signature(test)
    kept = [p for name, p in signature.parameters.items() if name not in wanted]
    drawn = inspect.Parameter("nvemu_scenario", inspect.Parameter.KEYWORD_ONLY)
    variable = [p for p in kept if p.kind is inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*kept[: len(kept) - len(variable)], drawn, *variable])


def _keep(scenario: Scenario, error: Exception, folder: Path, test: Test, known: list[str]) -> None:
    """Save the scenario, each kind of failure in a file of its own, and note it on the error."""
    node, name = _node(test)
    kind = f"{type(error).__name__} {_line(error)}"
    if kind not in known:
        known.append(kind)
    number = known.index(kind)
    path = folder / f"{name}{f'-{number + 1}' if number else ''}.toml"
    replay = f"{REPLAY}={shlex.quote(str(path))} pytest {shlex.quote(node)}"
    what = f"{type(error).__name__}: {error}"
    try:
        save(scenario, path, [f"{node} fails: {what}", f"Replay it: {replay}"])
    except (OSError, ScenarioError) as problem:
        error.add_note(f"the scenario cannot be saved: {problem}")
        return
    error.add_note(f"the scenario is saved; replay it: {replay}")
    error.add_note(f"or with a program: nvemu run --scenario {shlex.quote(str(path))} -- PROGRAM")


def _line(error: Exception) -> int:
    """The line that raised the error: failures of different lines are different."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback.tb_lineno if traceback else 0


def _node(test: Test) -> tuple[str, str]:
    """What pytest calls the test under way, and the name of its file here."""
    own = f"{test.__module__.rpartition('.')[2]}.{test.__qualname__}".replace("<locals>.", "")
    current, _, _ = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")
    if test.__name__ not in current:
        return own, own
    _, bracket, parameters = current.partition("[")
    return current, own + re.sub(r"[^\w.=-]+", "_", bracket + parameters).rstrip("_")


def save(scenario: Scenario, path: Path, comments: Sequence[str] = ()) -> None:
    """Write a scenario to a file of the user's own that `load` reads back as an equal one.

    Args:
        scenario: the scenario.
        path: the file; its folder is made, and git does not see it.
        comments: lines for a reader.

    Raises:
        ScenarioError: a function of the scenario is not at the top of a file.
        OSError: the file cannot be written.
    """
    lines = [f"# {_printable(comment)}" for comment in comments]
    if scenario.capture is not None:
        from ..imports.captures.playing import capture_of  # noqa: PLC0415  (few scenarios have one)

        scenario = scenario.but(capture=capture_of(scenario))
    if not scenario.name:
        lines.append('name = ""')  # else it is named after the file, and its UUIDs are others
    text = "\n".join([*lines, dumps(scenario)])
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True)
        (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _printable(comment: str) -> str:
    first = comment.split("\n", 1)[0]
    return "".join(c if c.isprintable() else "?" for c in first)
