"""What NVIDIA's own nvidia-smi prints with `-q` is read as the tree that it prints with `-q -x`.

The programs are found as in test_nvidia_smi.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_nvidia_smi import DRIVERS, FOLDER, pytestmark

from emulator import Gpu, Scenario, Testbed
from emulator.imports.smi.trees.texttree import text_tree
from emulator.imports.smi.trees.tree import Node
from emulator.imports.smi.trees.xmltree import xml_tree
from emulator.machine.drivers import branch
from emulator.scenario import names
from emulator.scenario.profiles import profile

__all__ = ["pytestmark"]

#: Sections and leaves that `-q` leaves out, or that move between two runs.
ABSENT = frozenset(
    (
        "accounted_processes",
        "mig_devices",  # where there is none, of which the XML says "None"
        "pending_blacklist",  # which is pending_retirement
        "power_state",
        "retired_pagelist",
        "supported_clocks",
        "supported_gpu_target_temp",
        "timestamp",
    )
)

PROCESSES = [
    {"pid": 4242, "name": "/usr/bin/python3 : x", "type": "C", "used_memory": "3 GiB"},
    {"pid": 77, "name": "/usr/bin/Xorg", "type": "G", "used_memory": "5 MiB"},
    {"pid": 88, "name": "blender", "type": "C+G", "used_memory": "7 MiB"},
]
DIVIDED = {
    "current": True,
    "pending": True,
    "instances": [{"profile": "1g.10gb"}, {"profile": "2g.20gb"}, {"profile": "3g.40gb"}],
}
LICENCE = {
    "virtualization_mode": "VGPU",
    "licensing": {
        "licenses": [
            {
                "feature": "NVIDIA_RTX",
                "product": "NVIDIA RTX Virtual Workstation",
                "enabled": True,
                "licensed": True,
                "expires": 1801396800,
            }
        ]
    },
}
HOSTED = {"virtualization_mode": "HOST_VGPU", "vgpu": {"instances": [{"type": "GRID T4-8Q"}]}}
A100 = "a100-sxm4-80gb"

MACHINES = {
    "eight GPUs": [Gpu(A100, count=8, utilization=70)],
    "mixed": [Gpu("t4"), Gpu("v100-sxm2-16gb"), Gpu("a100-pcie-40gb")],
    "divided": [Gpu(A100, figures={"mig": DIVIDED})],
    "MIG, no instances": [Gpu(A100, figures={"mig": {"current": True, "pending": True}})],
    "processes": [Gpu("t4", figures={"processes": PROCESSES})],
    "accounting": [
        Gpu("t4", figures={"processes": PROCESSES, "accounting": {"enabled": True}}),
    ],
    "retired pages": [
        Gpu("v100-sxm2-16gb", figures={"retired_pages": {"double_bit": [4096], "single_bit": [0]}})
    ],
    "remapped rows": [
        Gpu(A100, figures={"remapped_rows": {"uncorrectable": 8, "failure": True}}),
    ],
    "needs a reset": [Gpu(A100, failure="reset_required"), Gpu(A100)],
    "vGPU host": [Gpu("t4", figures=HOSTED)],
    "vGPU guest": [Gpu("t4", name="GRID T4-8Q", figures=LICENCE)],
    "an odd name": [Gpu("t4", name="A : B  C:D")],
}

Printed = Callable[..., tuple[str, str]]


@pytest.fixture
def printed(driver: str) -> Printed:
    """`printed(*gpus)`: what nvidia-smi prints of a machine, as text and as XML."""

    def run(*gpus: Gpu) -> tuple[str, str]:
        with Testbed(Scenario(driver=driver, gpus=gpus)) as testbed:
            text, xml = (
                subprocess.run(
                    [Path(FOLDER) / driver / "nvidia-smi", "-q", *options],
                    env=testbed.environment(),
                    capture_output=True,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    timeout=60,
                    check=True,
                ).stdout
                for options in ([], ["-x"])
            )
        return text, xml

    return run


def told(node: Node, prefix: str = "") -> Counter[Any]:
    """The leaves of a tree that `-q` prints, with their places."""
    found: Counter[Any] = Counter()
    for child in node.children:
        path = f"{prefix}/{child.tag}{child.attributes.get('id', '')}"
        if child.tag in ABSENT and not child.find("mig_device"):
            continue
        if child.children:
            found += told(child, path)
        else:
            found[path, child.text] += 1
    return found


def same(text: str, xml: str) -> Node:
    """The tree of the text, which must tell what that of the XML does."""
    found = text_tree(text, "text")
    assert found is not None
    expected = told(xml_tree(xml, "xml"))
    assert told(found) == expected
    assert len(expected) > 50
    return found


@pytest.mark.parametrize("driver", DRIVERS)
class TestTheTree:
    @pytest.mark.parametrize("name", sorted(names().profiles))
    def test_of_every_product(self, driver: str, name: str, printed: Printed):
        if branch(driver) < profile(name).placement.first_driver:
            pytest.skip(f"driver {driver} is older than the product")
        same(*printed(Gpu(name)))

    @pytest.mark.parametrize("machine", MACHINES)
    def test_of_machines(self, driver: str, machine: str, printed: Printed):
        same(*printed(*MACHINES[machine]))

    def test_lines_are_those_of_the_values(self, driver: str, printed: Printed):
        text, xml = printed(Gpu("t4", count=2))
        lines = text.split("\n")
        for _, leaf in same(text, xml).leaves():
            assert leaf.text in lines[leaf.line - 1]

    def test_cut_anywhere_it_is_refused(self, driver: str, printed: Printed):
        """Behind the last GPU's processes there is nothing that one would miss."""
        text, _ = printed(Gpu("t4"))
        lines = text.split("\n")
        last = next(index for index, line in enumerate(lines) if "Processes " in line)
        first = next(index for index, line in enumerate(lines) if "Attached GPUs" in line) + 1
        assert last - first > 100
        for end in range(first, last):
            with pytest.raises(ValueError, match=r"^text:\d+: "):
                text_tree("\n".join(lines[:end]), "text")
