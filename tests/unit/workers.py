"""Processes of a testbed that make calls for a test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulator import Testbed

__all__ = ["RefusedError", "Worker"]

SCRIPT = Path(__file__).with_name("cuda_worker.py")


class RefusedError(Exception):
    """A call in a worker did not succeed; its text is the status."""


class Worker:
    """A process of the testbed that makes calls for the test."""

    def __init__(self, testbed: Testbed) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env=testbed.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A function of the worker's module."""

        def call(*arguments: object) -> Any:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(json.dumps([name, *arguments]) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
            if "error" in answer:
                raise RefusedError(answer["error"])
            return answer["value"]

        return call

    def end(self, number: int | None = None) -> None:
        """Let it end by itself, or by a signal."""
        if number is None:
            self.process.communicate(timeout=30)
        else:
            self.process.send_signal(number)
            self.process.communicate(timeout=30)
