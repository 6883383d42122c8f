"""NVIDIA's own nvidia-smi in a virtual machine with a vGPU: the licence that its driver has.

The programs are found as in test_nvidia_smi.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from test_nvidia_smi import DRIVERS, pytestmark, run

from emulator import Gpu

__all__ = ["pytestmark"]

LICENCE = {"feature": "NVIDIA_RTX", "product": "NVIDIA RTX Virtual Workstation", "enabled": True}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("licence", "state"),
    [
        ({"licensed": True, "expires": 1801396800}, "Licensed (Expiry: 2027-1-31 12:0:0 GMT)"),
        ({"licensed": True}, "Licensed (Expiry: Permanent)"),
        ({"licensed": False}, "Unlicensed"),
    ],
)
def test_a_guest_s_licence(driver: str, licence: dict[str, Any], state: str):
    licensing = {"licenses": [LICENCE | licence]}
    figures = {"virtualization_mode": "VGPU", "licensing": licensing}
    output = run(driver, Gpu("t4", name="GRID T4-8Q", figures=figures), view=["-q"]).output
    shown = re.search(r"vGPU Software Licensed Product\n +Product Name +: (.*)\n.* : (.*)", output)
    assert shown is not None
    assert shown.groups() == (LICENCE["product"], state)


@pytest.mark.parametrize("driver", DRIVERS)
def test_other_machines_have_no_such_section(driver: str):
    assert "Licensed Product" not in run(driver, Gpu("t4"), view=["-q"]).output
