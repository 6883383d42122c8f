"""Real clients under each scenario of the gallery: what they see is in gallery_expected.toml.

The clients are pynvml, a CUDA program (both gallery_client.py) and NVIDIA's own nvidia-smi. That is
not part of this project: the variable NVEMU_REAL_DRIVERS names a folder that has it, one folder a
driver.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from signal import Signals
from typing import Any, NamedTuple

import pytest

from emulator import Scenario, Testbed
from emulator.machine import NEWEST
from emulator.machine.drivers import branch
from emulator.scenario import load, names
from emulator.testbed import TestbedError

HERE = Path(__file__).parent
CLIENT = HERE / "gallery_client.py"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((HERE / "gallery_expected.toml").read_text())
GALLERY = list(names().scenarios)

LIBRARIES = ("nvml", "cuda")
LIMIT = 60  # seconds that an initialisation may take
WAITS = "again: waits"
ERROR = re.compile(r".*: (NVML\w*Error|CUDA_ERROR|OSError|undefined symbol|\?)")

FOLDER = Path(os.environ.get("NVEMU_REAL_DRIVERS") or os.devnull)
DRIVERS = {path.parent.name: path for path in FOLDER.glob("*/nvidia-smi")}

each_scenario = pytest.mark.parametrize("name", GALLERY)


def test_the_gallery_and_its_expectations_have_the_same_names():
    assert sorted(EXPECTED) == sorted(GALLERY)
    assert len(GALLERY) >= 44


@each_scenario
def test_it_says_what_it_is_and_where_it_was_met(name: str):
    scenario = load(name)
    assert scenario.description
    assert "\n" not in scenario.description
    assert scenario.sees
    assert scenario.origin or name == "default"
    assert all(address.startswith("https://") for address in scenario.origin)


@each_scenario
def test_pynvml_and_cuda(name: str):
    row = EXPECTED[name]
    with played(load(name)) as testbed:
        seen = watch(testbed, row)
    for library, client in seen.items():
        check(client.lines, row[library])
        check(client.later, row.get("later", {}).get(library, []))
        assert client.errors == ""
        assert client.end == row.get("ends", {}).get(library, 0)


class Seen(NamedTuple):
    """What a client said, and what it said when it asked again; its exit status or signal."""

    lines: list[str]
    later: list[str]
    errors: str
    end: int | str


def watch(testbed: Testbed, row: dict[str, Any]) -> dict[str, Seen]:
    """Run both clients, which ask one after the other: what one holds, the other sees. A row that
    has a `later` lets them ask again then."""
    with ExitStack() as stack:
        clients, lines = {}, {}
        for name in LIBRARIES:
            clients[name] = stack.enter_context(start(testbed, name, row))
            lines[name] = until_it_waits(clients[name])
        if "later" in row:
            testbed.control.advance(row["later"]["after"])
        return {name: ended(client, lines[name]) for name, client in clients.items()}


@contextmanager
def played(scenario: Scenario) -> Iterator[Testbed]:
    """A testbed of a scenario. Not everywhere can a library be made absent."""
    with Testbed(scenario) as testbed:
        try:
            testbed.environment()
        except TestbedError as error:
            pytest.skip(str(error))
        yield testbed


def start(testbed: Testbed, library: str, row: dict[str, Any]) -> subprocess.Popen[str]:
    again = ["again"] if "later" in row else []
    return subprocess.Popen(
        [sys.executable, str(CLIENT), library, str(row.get("limit", LIMIT)), *again],
        env=testbed.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_it_waits(client: subprocess.Popen[str]) -> list[str]:
    """The client's lines up to the one by which it waits, or all."""
    lines = []
    for line in client.stdout or ():
        if line.rstrip() == WAITS:
            break
        lines.append(line.rstrip())
    return lines


def ended(client: subprocess.Popen[str], lines: list[str]) -> Seen:
    out, errors = client.communicate("\n", timeout=LIMIT)
    status = client.returncode
    end = Signals(-status).name if status < 0 else status
    return Seen(lines, out.splitlines(), errors, end)


def check(seen: Sequence[str], expected: Sequence[str]) -> None:
    """All that is expected was seen, and no error but those."""
    missing = [glob for glob in expected if not any(fnmatchcase(line, glob) for line in seen)]
    errors = [line for line in seen if ERROR.match(line)]
    others = [line for line in errors if not any(fnmatchcase(line, glob) for glob in expected)]
    assert (missing, others) == ([], []), "\n".join(seen)


@pytest.mark.skipif(
    not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
)
@each_scenario
def test_nvidia_smi(name: str):
    row = EXPECTED[name]
    scenario, program = with_its_nvidia_smi(load(name))
    with played(scenario) as testbed:
        if "later" in row:
            testbed.control.advance(row["later"]["after"])
        status, output = run(program, testbed.environment(), row.get("limit", LIMIT))
    assert status == row["smi"]["status"], output
    assert [text for text in row["smi"]["shows"] if text not in output] == [], output
    assert [text for text in row["smi"].get("lacks", []) if text in output] == [], output


def with_its_nvidia_smi(scenario: Scenario) -> tuple[Scenario, Path]:
    """A scenario and an nvidia-smi of the same driver.

    One without a driver of its own is played with the newest that there is. What nvidia-smi exits
    with is from 535 on what it is now.
    """
    driver = scenario.driver
    if driver == NEWEST and driver not in DRIVERS:
        driver = max(DRIVERS, key=branch)
        if branch(driver) < 535:
            pytest.skip("NVEMU_REAL_DRIVERS has no nvidia-smi of driver 535 or later")
    if driver not in DRIVERS:
        pytest.skip(f"NVEMU_REAL_DRIVERS has no nvidia-smi of driver {driver}")
    return scenario.but(driver=driver), DRIVERS[driver]


def run(program: Path, environment: dict[str, str], limit: int) -> tuple[int | str, str]:
    """The exit status and the output, whose columns are of another width with each driver."""
    try:
        done = subprocess.run(
            [program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "hangs", ""
    return done.returncode, re.sub(" +", " ", done.stdout + done.stderr)
