"""Our libraries beside the real ones of each driver, on a machine without a GPU (see oracle.py).

The real libraries are in the folder that NVEMU_REAL_DRIVERS names, as `nox -s real` lays them
out: `<driver version>/libcuda.so.1`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from oracle import compare, compared
from witness import DIED, TOPICS

from stubs.generate.debian import RECORDED

REAL = os.environ.get("NVEMU_REAL_DRIVERS", "")
ASKED = {"addresses": 100_000, "errors": 1000, "before": 700, "after": 700, "initialisation": 4}


@pytest.mark.skipif(
    not REAL, reason="NVEMU_REAL_DRIVERS names no folder of real libraries (nox -s real)"
)
@pytest.mark.parametrize("driver", RECORDED)
@pytest.mark.parametrize(("library", "topic"), [(lib, t) for lib in TOPICS for t in TOPICS[lib]])
def test_answers_of_the_real_library(library: str, topic: str, driver: str) -> None:
    if not Path(REAL, driver).exists():
        pytest.skip(f"{driver} is not there")
    found = compare(Path(REAL), driver, library, topic)
    assert found.asked > ASKED[topic]
    assert found.different == {}


def test_a_difference_is_one_that_no_reason_is_known_for() -> None:
    real = {"cuInit(null)": 100, "cudbgApiInit(null)": 77, "cuLinkComplete(words)": DIED}
    ours = {"cuInit(null)": 0, "cudbgApiInit(null)": 1, "cuLinkComplete(words)": 3, "cuNix": 1}
    found = compared("470.256.02", real, ours)
    assert found.asked == 3
    assert found.died == ["cuLinkComplete(words)"]
    assert list(found.explained) == ["cudbgApiInit(null)"]
    assert found.different == {
        "cuInit(null)": "real 100, ours 0",
        "cuNix": "real not asked, ours 1",
    }
    assert list(compared("555.58.02", real, ours).different) == [
        *("cuInit(null)", "cudbgApiInit(null)", "cuNix"),
    ]


def test_ours_may_not_crash_where_the_real_one_does() -> None:
    assert compared(
        "470.256.02", {"cuLinkComplete(words)": DIED}, {"cuLinkComplete(words)": DIED}
    ).different == {"cuLinkComplete(words)": "real died, ours died"}
