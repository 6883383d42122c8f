"""Our libcuda beside the real one of each driver, on a machine without a GPU.

The real libraries are in the folder that NVEMU_REAL_DRIVERS names, as `nox -s real` lays them
out: `<driver version>/libcuda.so.1`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from emulator import Scenario, Testbed
from stubs.generate.debian import RECORDED

ROOT = Path(__file__).resolve().parents[2]
WITNESS = Path(__file__).with_name("cuda_witness.py")
REAL = os.environ.get("NVEMU_REAL_DRIVERS", "")

pytestmark = pytest.mark.skipif(
    not REAL, reason="NVEMU_REAL_DRIVERS names no folder of real libraries (nox -s real)"
)

OLD = ("470.256.02", "525.147.05", "535.261.03")

# Where we are known to answer otherwise: call -> the drivers it is so for, none for all.
KNOWN: dict[str, tuple[str, ...]] = {
    # Not declared in any header; nothing is known of what it does.
    "cuEGLApiInit(valid)": (),
    # It asks for nothing (two null pointers) and succeeds at that, initialised or not.
    "cuMemGetAddressRange(null)": (),
    "cuMemGetAddressRange_v2(null)": (),
    # No dependencies to add to no graph: these drivers succeed before they look at the graph.
    "cuGraphAddDependencies(null)": OLD[:2],
    "cuGraphAddDependencies(valid)": OLD[:2],
    # Refused when both of two pointers are null; our table knows single ones.
    "cuStreamGetCtx_v2(null)": ("555.58.02",),
    "cuStreamGetCtx_v2_ptsz(null)": ("555.58.02",),
    # Once cuInit was called, it works without a driver.
    "cuThreadExchangeStreamCaptureMode(valid)": (),
    # The debugger's entry points: emulated as without a back end, which 470 to 535 do not need.
    "cudbgApiAttach(null)": OLD[:1],
    "cudbgApiAttach(valid)": OLD[:1],
    "cudbgApiInit(null)": OLD[:1],
    "cudbgApiInit(valid)": OLD[:1],
    "cudbgGetAPI(null)": OLD,
    "cudbgGetAPI(valid)": OLD[:1],
    "cudbgGetAPIVersion(null)": OLD,
    "cudbgGetAPIVersion(valid)": OLD,
    "cudbgReportDriverApiError(null)": OLD[:1],
    "cudbgReportDriverApiError(valid)": OLD[:1],
    "cudbgReportDriverInternalError(null)": OLD[:1],
    "cudbgReportDriverInternalError(valid)": OLD[:1],
}


def ask(library: Path, topic: str, environment: dict[str, str]) -> dict[str, Any]:
    """What the library at a path answers about a topic of the witness."""
    environment = environment | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(WITNESS), str(library), topic]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("driver", RECORDED)
@pytest.mark.parametrize("topic", ["errors", "addresses", "initialisation", "before", "after"])
def test_answers_of_the_real_library(topic: str, driver: str) -> None:
    path = Path(REAL, driver, "libcuda.so.1")
    if not path.exists():
        pytest.skip(f"{path} is not there")
    real = ask(path, topic, dict(os.environ))
    with Testbed(Scenario(driver=driver, gpus=[])) as testbed:
        ours = ask(testbed.libraries / "libcuda.so.1", topic, testbed.environment())
    assert real.keys() == ours.keys()
    # Where the real library crashes ours may answer as it likes, but answer it must.
    assert "died" not in ours.values()
    different = {
        call: f"real {answer}, ours {ours[call]}"
        for call, answer in real.items()
        if answer not in ("died", ours[call])
    }
    known = {call for call, drivers in KNOWN.items() if not drivers or driver in drivers}
    assert {call: text for call, text in different.items() if call not in known} == {}
