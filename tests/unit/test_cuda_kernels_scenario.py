"""Kernels in scenarios: how they are written, read, checked and resolved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator import Kernel, Scenario, ScenarioError, kernel
from emulator.plans import plan_of
from emulator.scenario import dumps, load, loads

SCRIPT = """
from emulator import Gpu, Kernel, Scenario, kernel

def given(launch):
    pass

scenario = Scenario(gpus=[Gpu("t4")], kernels=[Kernel("first", given)])

@kernel("saxpy*")
@kernel("axpy")
def work(launch):
    pass
"""


def work(launch: Any) -> None:
    """Do nothing."""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    path = tmp_path / "lab.py"
    path.write_text(SCRIPT)
    return path


def test_a_script(lab: Path) -> None:
    plan = plan_of(load(str(lab)))
    assert [(entry["name"], entry["run"].__name__) for entry in plan["kernels"]] == [
        ("first", "given"),
        ("saxpy*", "work"),
        ("axpy", "work"),
    ]


def test_toml_and_back(lab: Path) -> None:
    text = f'[[kernel]]\nname = "saxpy*"\nrun = "{lab}:work"\n'
    scenario = loads(text)
    assert scenario.kernels == (Kernel("saxpy*", f"{lab}:work"),)
    assert plan_of(scenario)["kernels"] == [{"name": "saxpy*", "run": [str(lab), "work"]}]
    assert loads(dumps(scenario)) == scenario
    with_function = Scenario(kernels=[Kernel("k", work)])
    assert loads(dumps(with_function)).kernels == (Kernel("k", f"{__file__}:work"),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[[kernel]]\nname = "k"\n', "kernel[0]: expected a key 'run', found none"),
        ('[[kernel]]\nrun = "lab.py:work"\n', "kernel[0]: expected a key 'name', found none"),
        ('[[kernel]]\nname = ""\nrun = "lab.py:work"\n', "kernel[0].name: expected 1 to 4096"),
        ('[[kernel]]\nname = 3\nrun = "lab.py:work"\n', "kernel[0].name: expected a string"),
        ('[[kernel]]\nname = "k"\nrun = "work"\n', "kernel[0].run: expected a function, or"),
        ('[[kernel]]\nname = "k"\nran = "lab.py:work"\n', "kernel[0].ran: no such key"),
        ('[[kernels]]\nname = "k"\n', "kernels: no such key; did you mean 'kernel'?"),
        ('kernel = "k"\n', "kernel: expected tables under [[kernel]]"),
        ('[[kernel]]\nname = "k"\nrun = "{lab}:none"\n', "kernel[0].run: expected a function at"),
        ('[[kernel]]\nname = "k"\nrun = "no.py:w"\n', "no.py cannot be read"),
    ],
)
def test_mistakes(lab: Path, text: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        plan_of(loads(text.replace("{lab}", str(lab)), "lab.toml"))
    assert problem in str(caught.value)
    assert str(caught.value).startswith("lab.toml:")


def test_mistakes_in_python(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"@kernel\(\"saxpy\*\"\), found the function itself"):
        kernel(work)  # type: ignore[arg-type]
    with pytest.raises(ScenarioError, match=r"kernels\[0\]: expected a Kernel"):
        Scenario(kernels=["saxpy"])  # type: ignore[list-item]
    path = tmp_path / "lab.py"
    path.write_text(SCRIPT + "\n@kernel('k')\nasync def later(launch):\n    pass\n")
    with pytest.raises(ScenarioError, match=r"lab.py:1\d: kernel\[3\]"):
        load(str(path))
