"""NVIDIA's own libraries with nvemu in front of them, which passes the calls on and traces them.

They are not part of this project. The variable NVEMU_REAL_DRIVERS names a folder that has them, one
folder a driver: `550.163.01/libcuda.so.1`, `libnvidia-ml.so.1` and `nvidia-smi`. No GPU is needed:
without one the libraries answer, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from emulator import Testbed

ROOT = Path(__file__).resolve().parents[2]
WITNESS = ROOT / "tests" / "conformance" / "witness.py"
CALL_EVERY = ROOT / "tests" / "abi" / "call_every.py"
FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
DRIVERS = sorted(path.parent.name for path in Path(FOLDER).glob("*/nvidia-smi")) if FOLDER else []

pytestmark = [
    pytest.mark.skipif(
        not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
    ),
    pytest.mark.parametrize("driver", DRIVERS or ["none"]),
]

VIEWS = {
    "plain": [],
    "-L": ["-L"],
    "-q -x": ["-q", "-x"],
    "--query-gpu": ["--query-gpu=name", "--format=csv"],
    "--version": ["--version"],
    "--help": ["--help"],
}

#: What is an address in another process's memory, or part of one, and so is never the same.
ADDRESSES = ("cudbgApiAttach", "cudbgApiInit", "nvmlErrorString")


@pytest.fixture
def bed(driver: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Testbed]:
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{FOLDER}/{driver}")
    with Testbed(real=True, trace=True) as testbed:
        yield testbed


def run(command: list[object], environment: Mapping[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(
        list(map(str, command)),
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def both(command: list[object], testbed: Testbed) -> list[tuple[int, str, str]]:
    """What a program does with the libraries alone, and with nvemu in front of them."""
    return [run(command, os.environ), run(command, testbed.environment())]


def records(testbed: Testbed) -> list[dict[str, Any]]:
    return [json.loads(line) for line in testbed.trace_file.read_text().splitlines()]


def constant(answers: Mapping[str, Any]) -> dict[str, Any]:
    return {call: answer for call, answer in answers.items() if not call.startswith(ADDRESSES)}


@pytest.mark.parametrize("view", VIEWS)
def test_nvidia_smi_does_the_same(bed: Testbed, driver: str, view: str) -> None:
    direct, forwarded = both([f"{FOLDER}/{driver}/nvidia-smi", *VIEWS[view]], bed)
    assert forwarded == direct
    inits = [call for call in records(bed) if call["function"].startswith("nvmlInit")]
    assert len(inits) == ("--help" not in VIEWS[view])
    assert all(call["us"] > 0 for call in inits)


def test_both_libraries_have_their_own_stubs(bed: Testbed, driver: str) -> None:
    assert [(real.library, real.driver, real.remark) for real in bed.real] == [
        ("nvml", driver, ""),
        ("cuda", driver, ""),
    ]
    assert not any(real.lacking for real in bed.real)


@pytest.mark.parametrize("topic", ["errors", "addresses", "initialisation", "after"])
def test_every_cuda_function_answers_the_same(bed: Testbed, driver: str, topic: str) -> None:
    libraries = (Path(FOLDER, driver, "libcuda.so.1"), bed.libraries / "libcuda.so.1")
    environments = (dict(os.environ), bed.environment())
    done = [
        run([sys.executable, WITNESS, "cuda", library, topic], environment)
        for library, environment in zip(libraries, environments, strict=True)
    ]
    assert [status for status, _, _ in done] == [0, 0], done[1][2]
    direct, forwarded = (constant(json.loads(stdout)) for _, stdout, _ in done)
    assert forwarded == direct
    assert {"errors": "cuGetErrorName", "addresses": "cuGetProcAddress"}.get(topic, "cuInit") in {
        call["function"] for call in records(bed)
    }
    assert not [call for call in records(bed) if "error" in call]


@pytest.mark.parametrize("arguments", ["null", "valid"])
@pytest.mark.parametrize("phase", ["before", "failed"])
def test_every_nvml_function_answers_the_same(
    bed: Testbed, driver: str, phase: str, arguments: str
) -> None:
    done = both([sys.executable, CALL_EVERY, "nvml", phase, arguments], bed)
    assert [status for status, _, _ in done] == [0, 0], done[1][2]
    pairs = [dict(line.split(" ") for line in out.splitlines()[:-1]) for _, out, _ in done]
    assert constant(pairs[1]) == constant(pairs[0])
    traced = [call["function"] for call in records(bed)]
    assert [name for name in pairs[0] if name not in traced] == []
    assert not [call for call in records(bed) if "error" in call]
