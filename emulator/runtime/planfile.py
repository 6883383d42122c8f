"""Finding the plan of the testbed that a stub lies in.

A testbed made by `nvemu run` holds `plan.json`. One made by `nvemu stubs path`, for a folder that
is put on LD_LIBRARY_PATH by hand, does not: its scenario is what NVEMU_SCENARIO names, resolved
by nvemu's own interpreter, else the built-in default in `default.json`.
"""

from __future__ import annotations

import os

from ..machine import FORMAT
from .escape import say
from .flatjson import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["plan"]


# `nvemu`, whatever the host's PYTHON variables say and lies in its working directory.
_NVEMU = "import sys; sys.path.insert(0, sys.argv.pop(1)); from emulator.cli import main; main()"


def plan(testbed: str) -> dict[str, Any]:
    """The plan to play in this process; RuntimeError with what to do when there is none."""
    path = os.path.join(testbed, "plan.json")
    if os.path.exists(path):
        return _read(path)
    scenario = os.environ.get("NVEMU_SCENARIO")
    if scenario:
        return _check(_resolve(testbed, scenario), "NVEMU_SCENARIO=" + scenario)
    say("NVEMU_SCENARIO is not set: playing the built-in scenario `default`")
    return _read(os.path.join(testbed, "default.json"))


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise RuntimeError(f"cannot read the plan {path}: {error.strerror}") from None
    return _check(text, path)


def _check(text: str, source: str) -> dict[str, Any]:
    try:
        found = loads(text)
    except ValueError as error:
        raise RuntimeError(f"{source} is damaged ({error}): start again") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RuntimeError(f"{source} is not a plan of this version of nvemu: start again")
    return found


def _resolve(testbed: str, scenario: str) -> str:
    """Ask nvemu's interpreter: reading a scenario needs more than a host process has."""
    with open(os.path.join(testbed, "boot"), encoding="utf-8") as file:
        boot = dict(line.rstrip("\n").partition("=")[::2] for line in file)
    arguments = [boot["root"], "scenarios", "resolve", "--driver", boot["driver"], "--", scenario]
    environment = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    read_end, write_end = os.pipe()
    child = os.posix_spawn(
        boot["python"],
        [boot["python"], "-I", "-c", _NVEMU, *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)],
    )
    os.close(write_end)
    with open(read_end, encoding="utf-8") as pipe:
        text = pipe.read()
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass  # the host reaps every child of its process, or has the kernel do it
    if not text:
        raise RuntimeError(f"the scenario NVEMU_SCENARIO={scenario} cannot be played")
    return text
