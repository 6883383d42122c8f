"""Suites of other people's tests, run by a pytest of their own with the plugin of this tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

#: What a suite's own code might be, and what all the suites here import.
PRELUDE = """
import ctypes, os, pathlib, subprocess, sys, threading, unittest
import pynvml, pytest
import emulator
from emulator import Change, Fault, Gpu, Scenario

CLIENT = "import pynvml; pynvml.nvmlInit(); print(pynvml.nvmlDeviceGetCount())"
COUNT = [sys.executable, "-c", CLIENT]

def count():
    pynvml.nvmlInit()
    found = pynvml.nvmlDeviceGetCount()
    pynvml.nvmlShutdown()
    return found

def temperature(index=0):
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return pynvml.nvmlDeviceGetTemperature(handle, 0)
"""

Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """`suite(source, *options)`: how a suite of one file ended, in a process of its own.

    Only the plugins that `options` name are there besides nvemu's; warnings are errors.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugin = ("-p", "emulator.pytest_plugin", "-p", "no:cacheprovider")

    def run(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(test_suite=PRELUDE + dedent(source))
        return pytester.runpytest_subprocess(
            *plugin, "-W", "error", "--strict-markers", *options, timeout=60
        )

    return run
