"""Scenarios written in Python: scripts with functions that play a part in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator import Scenario, ScenarioError, Testbed
from emulator.scenario import dumps, load, loads

SCRIPT = '''"""Two T4s; the second gets hot and then is lost.

More about it.
"""

from emulator import Fault, Gpu, Scenario, at, fault

STEP = 5
scenario = Scenario(clock="manual", gpus=[Gpu("t4", count=2)], faults=[Fault("cuInit", 3)])


@fault("nvmlDeviceGetTemperature", device=1, calls="2-")
def hot(call):
    return {"temp": warmer(call.number)}


def warmer(number):
    return 60 + STEP * number


@at("30 s")
@at("60 s", device=0)
def lose(machine):
    machine.devices[1].failure = "lost"
'''

CLIENT = """
import pynvml, sys
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(1)
for line in sys.stdin:
    try:
        print(pynvml.nvmlDeviceGetTemperature(handle, 0), flush=True)
    except pynvml.NVMLError as error:
        print(error, flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    """`script(text)`: a file `lab.py` with it."""

    def write(text: str) -> Path:
        path = tmp_path / "lab.py"
        path.write_text(text)
        return path

    return write


def test_has_its_functions_as_faults_and_changes(script: Callable[[str], Path]) -> None:
    found = load(script(SCRIPT))
    assert (found.name, found.clock) == ("lab", "manual")
    assert found.description == "Two T4s; the second gets hot and then is lost."
    assert [fault.function for fault in found.faults] == ["cuInit", "nvmlDeviceGetTemperature"]
    assert [fault.calls for fault in found.faults] == [None, "2-"]
    assert [(change.at, change.device) for change in found.changes] == [("30 s", None), ("60 s", 0)]


def test_its_functions_run_in_the_programs(script: Callable[[str], Path]) -> None:
    with Testbed(script(SCRIPT)) as testbed:
        program = subprocess.Popen(
            [sys.executable, "-c", CLIENT],
            env=testbed.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert program.stdin is not None
        assert program.stdout is not None
        answers = []
        for step in range(3):
            print(file=program.stdin, flush=True)
            answers.append(program.stdout.readline())
            testbed.control.advance(10 * step)
        testbed.control.clear("fault[1]")
        print(file=program.stdin, flush=True)
        answers.append(program.stdout.readline())
        program.communicate()
    assert answers == ["36\n", "70\n", "75\n", "GPU is lost\n"]


def test_becomes_toml_that_names_its_functions(script: Callable[[str], Path]) -> None:
    path = script(SCRIPT)
    text = dumps(load(path))
    assert f'run = "{path}:hot"' in text
    assert loads(text).changes[0].run == f"{path}:lose"


def test_a_toml_file_may_name_a_script_beside_it(script: Callable[[str], Path]) -> None:
    path = script("def warm(call):\n    return {'temp': 99}\n").with_name("lab.toml")
    path.write_text(
        "[[gpu]]\nprofile = 't4'\n[[fault]]\nfunction = 'nvmlDeviceGetTemperature'\n"
        "run = 'lab.py:warm'\n"
    )
    with Testbed(path) as testbed:
        assert testbed.plan["faults"][0]["run"] == [str(path.with_name("lab.py")), "warm"]


MISTAKES: list[tuple[str, str]] = [
    ("x = ", "lab.py:1: expected Python, but: invalid syntax"),
    ("x = 1\ny = 1 / 0\n", "lab.py:2: ZeroDivisionError: division by zero"),
    ("import sys\nsys.exit(3)\n", "lab.py:2: SystemExit: 3"),
    ("scenario = 3\n", "lab.py: expected a Scenario called 'scenario', found int"),
    (
        "from emulator import Gpu\nGpu('t4', count=0)\n",
        "lab.py:2: count: expected a number of GPUs from 1 to 256, found 0",
    ),
    (
        "from emulator import fault\n@fault('nvmlInit', returs=3)\ndef f(call): pass\n",
        "lab.py:2: TypeError: Unexpected keyword argument 'returs'",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_mistakes_have_one_line_with_their_place(
    text: str, message: str, script: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(script(text).parent)
    with pytest.raises(ScenarioError) as caught:
        load("lab.py")
    assert str(caught.value) == message


def test_the_command_line_takes_scripts(
    script: Callable[[str], Path], nvemu: Callable[..., Any]
) -> None:
    path = script(SCRIPT)
    done = nvemu("run", "--scenario", path, "--", sys.executable, "-c", CLIENT, input="\n\n")
    assert done.stdout == "36\n70\n"
    script("1 / 0")
    done = nvemu("run", "--scenario", path, "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"nvemu: {path}:1: ZeroDivisionError: division by zero\n"


def test_nothing_of_the_hosts_own_emulator_is_touched(
    script: Callable[[str], Path], tmp_path: Path
) -> None:
    """A host may have a module `emulator` of its own; the script's imports are not its."""
    script(SCRIPT)
    (tmp_path / "emulator.py").write_text("raise SystemExit('imported')")
    with Testbed(tmp_path / "lab.py") as testbed:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT],
            env=testbed.environment(os.environ | {"PYTHONPATH": str(tmp_path)}),
            input="\n\n",
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.stdout, done.stderr) == ("36\n70\n", "")


def test_an_empty_script_s_scenario_is_complete(script: Callable[[str], Path]) -> None:
    found = load(script("from emulator import Scenario\nscenario = Scenario(name='mine')\n"))
    assert found == Scenario(name="mine")
