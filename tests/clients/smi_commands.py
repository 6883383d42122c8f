"""NVIDIA's own nvidia-smi, one command after another on one machine; see test_nvidia_smi.py."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from test_nvidia_smi import FOLDER

from emulator import Scenario, Testbed
from emulator.machine.drivers import branch

__all__ = ["Commands", "Done", "fields_of"]

TIMEOUT = 60  # seconds after which a view hangs

#: What stands in place of a value that was refused for no good reason, or is none.
WRONG = re.compile(
    r"Unknown Error|Invalid Argument|Insufficient Size|ERR!|Timeout|GPU requires reset"
    r"|GPU is lost|[^\x1b\x09-\x7e]"
)

_HELP: dict[tuple[int, str], str] = {}


class Done:
    """What a command did: its exit status and what it printed, without colours."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.output = re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr)
        self.wrong = WRONG.findall(self.output)

    def __repr__(self) -> str:
        return f"exit status {self.status}\n{self.output}"


class Commands:
    """`smi("-q", "-x")`: what the command printed; it must succeed and print nothing wrong."""

    def __init__(self, testbed: Testbed, scenario: Scenario) -> None:
        self.release = branch(scenario.driver)
        self._testbed = testbed
        self._program = Path(FOLDER) / scenario.driver / "nvidia-smi"

    def do(self, *arguments: str) -> Done:
        """A command that may fail."""
        done = subprocess.run(
            [self._program, *arguments],
            env=self._testbed.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
        return Done(done)

    def __call__(self, *arguments: str) -> str:
        done = self.do(*arguments)
        assert (done.status, done.wrong) == (0, []), (arguments, done)
        return done.output

    def help(self, option: str) -> str:
        """A text that is a driver's, whatever the machine."""
        key = (self.release, option)
        if key not in _HELP:
            _HELP[key] = self(option)
        return _HELP[key]

    def unhandled(self) -> set[str]:
        """The functions that nothing answered so far; the testbed must trace."""
        trace = Path(self._testbed.trace_file)
        lines = trace.read_text().splitlines() if trace.exists() else []
        # A view makes a thousand calls: only what may be one of these is decoded.
        records = [json.loads(line) for line in lines if '"handler"' in line]
        return {each["function"] for each in records if each.get("handler") is False}


def fields_of(text: str) -> list[str]:
    """The fields that a --help-query text lists, the first name of each."""
    return re.findall(r'^"([a-z][^" ]*)"', text, re.MULTILINE)
