"""Asking the loader, the libraries and the kernel in a child, which may crash or never answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .program import signal_name

__all__ = ["Answer", "Output", "ask", "run"]

_PROBE = Path(__file__).with_name("probe.py")
_GRACE = 2.0  # seconds that a killed child has to go: one that waits inside the kernel stays


@dataclass(frozen=True)
class Output:
    """What a command printed, and how it ended: its exit status, negative for a signal; None if it
    did not end in time."""

    out: str
    err: str
    status: int | None
    limit: float

    @property
    def ending(self) -> str:
        """How it ended where that was not by itself."""
        if self.status is None:
            return f"did not come back in {self.limit:g} s"
        if self.status >= 0:
            return ""
        return f"was ended by {signal_name(-self.status)}"


@dataclass(frozen=True)
class Answer:
    """What the probe found: a result for each step that came to its end, in order.

    `stuck` is the step that did not, "" for none, and `ending` what became of the child in it.
    `said` is what the library printed on stderr.
    """

    steps: tuple[Mapping[str, Any], ...]
    stuck: str = ""
    ending: str = ""
    said: str = ""

    def result(self, *names: str) -> Mapping[str, Any]:
        """The result of the first step of one of these names; empty without one."""
        return next((step for step in self.steps if step["step"] in names), {})


def run(command: list[str], environment: Mapping[str, str], limit: float) -> Output:
    """Run a command for at most `limit` seconds. OSError where it cannot be started.

    What it prints goes to files: a child that cannot be killed would keep a pipe open.
    """
    with _scratch() as out, _scratch() as err:
        child = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        try:
            status = _wait(child, limit)
        finally:
            if child.returncode is None:
                child.kill()
                _wait(child, _GRACE)
        return Output(_text(out), _text(err), status, limit)


def _scratch() -> IO[bytes]:
    """A file for a child's output: in memory, as the temporary folder may be what is broken."""
    try:
        return os.fdopen(os.memfd_create("nvemu"), "w+b")
    except OSError:  # a sandbox forbids it
        return tempfile.TemporaryFile()


def _wait(child: subprocess.Popen[bytes], limit: float) -> int | None:
    try:
        return child.wait(limit)
    except subprocess.TimeoutExpired:
        return None


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def ask(arguments: list[str], environment: Mapping[str, str], limit: float) -> Answer:
    """What the probe answers to these arguments within `limit` seconds.

    The environment is the programs' own: LD_LIBRARY_PATH and all else that has a say.
    """
    command = [sys.executable, "-I", "-S", str(_PROBE), *arguments]
    output = run(command, environment, limit)
    begun, ended = "", []
    for step in _steps(output.out):
        finished = len(step) > 1
        begun = "" if finished else str(step["step"])
        if finished:
            ended.append(step)
    ending = output.ending
    if not ending and (begun or output.status):
        ending = f"ended its process with status {output.status}"
    return Answer(tuple(ended), begun, ending, output.err.strip())


def _steps(text: str) -> list[dict[str, Any]]:
    """The probe's lines, among what a library may print on stdout."""
    steps = []
    for line in text.splitlines():
        try:
            step = json.loads(line)
        except ValueError:
            continue
        if isinstance(step, dict) and "step" in step:
            steps.append(step)
    return steps
