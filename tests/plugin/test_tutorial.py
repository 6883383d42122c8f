"""The tutorial for test authors, run by pytest as it stands."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Suite = Callable[..., pytest.RunResult]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "tutorial-tests.md"

PACKAGE = '''
"""What a reader's own code might be."""

import pynvml


def find_gpus():
    names = []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return names
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            try:
                names.append(pynvml.nvmlDeviceGetName(handle))
            except pynvml.NVMLError:
                continue
    except (pynvml.NVMLError, UnicodeDecodeError):
        pass
    finally:
        pynvml.nvmlShutdown()
    return names
'''

PROGRAM = """#!{python}
import sys
import pynvml
try:
    pynvml.nvmlInit()
except pynvml.NVMLError as error:
    sys.exit(str(error))
print(pynvml.nvmlSystemGetDriverVersion())
for index in range(pynvml.nvmlDeviceGetCount()):
    try:
        print(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index)))
    except pynvml.NVMLError as error:
        print(error)
pynvml.nvmlShutdown()
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"))


@pytest.fixture
def place(pytester: pytest.Pytester) -> None:
    """A folder with what the samples are about."""
    pytester.path.joinpath("my_package.py").write_text(PACKAGE)
    program = pytester.path / "my-program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)


@pytest.mark.usefixtures("place")
def test_the_samples_pass(suite: Suite) -> None:
    text = "\n".join(blocks("python"))
    tests = len(re.findall(r"^ *def test_", text, re.MULTILINE))
    result = suite(text, "-p", "_hypothesis_pytestplugin", "-q")
    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed"}, outcomes
    assert outcomes["passed"] > tests > 10


@pytest.mark.usefixtures("place")
def test_the_configuration_and_its_file(suite: Suite, pytester: pytest.Pytester) -> None:
    pytester.makeini(blocks("ini")[0])
    pytester.path.joinpath("lab.toml").write_text(blocks("toml")[0])
    result = suite("def test_it(gpu):\n    assert len(gpu.devices) == 2\n")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["nvemu 0.*: gpu scenario lab, driver *"])
