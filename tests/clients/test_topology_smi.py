"""NVIDIA's own nvidia-smi shows where GPUs are and what their NVLinks lead to.

See `test_nvidia_smi.py` for the programs. What is expected was published for the machines: the
DGX A100 in NVIDIA/nccl issue 1505, the DGX-1 in issue 671.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from emulator import Gpu, Scenario, Testbed
from emulator.machine.drivers import branch

FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
FOUND = sorted(path.parent.name for path in Path(FOLDER).glob("*/nvidia-smi")) if FOLDER else []
DRIVERS = [driver for driver in FOUND if branch(driver) >= 535]

pytestmark = [
    pytest.mark.skipif(
        not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's nvidia-smi"
    ),
    pytest.mark.parametrize("driver", DRIVERS or ["none"]),
]

A100, A100_PCIE, V100, H100 = "a100-sxm4-80gb", "a100-pcie-80gb", "v100-sxm2-16gb", "h100-sxm5-80gb"

#: Two of the four quarters of a DGX A100, each with two GPUs behind switches.
PLACES = (
    ("07:00", {"numa_node": 3, "socket": 0, "cpus": "48-63,176-191", "switches": ["a", "a1"]}),
    ("0F:00", {"numa_node": 3, "socket": 0, "cpus": "48-63,176-191", "switches": ["a", "a2"]}),
    ("47:00", {"numa_node": 1, "socket": 0, "cpus": "16-31,144-159", "switches": ["b", "b1"]}),
    ("4E:00", {"numa_node": 1, "socket": 0, "cpus": "16-31,144-159", "switches": ["b", "b2"]}),
)
DGX_A100 = [Gpu(A100, pci_bus_id=bus, figures={"topology": place}) for bus, place in PLACES]

PAIRS = [Gpu(A100_PCIE, count=4, figures={"nvlinks": {"all": {"remote": "PAIR"}}})]

DGX_1 = """
X   NV1 NV1 NV2 NV2 no  no  no
NV1 X   NV2 NV1 no  NV2 no  no
NV1 NV2 X   NV2 no  no  NV1 no
NV2 NV1 NV2 X   no  no  no  NV1
NV2 no  no  no  X   NV1 NV1 NV2
no  NV2 no  no  NV1 X   NV2 NV1
no  no  NV1 no  NV1 NV2 X   NV2
no  no  no  NV1 NV2 NV1 NV2 X
"""


def smi(driver: str, gpus: list[Gpu], *commands: str) -> list[str]:
    """What nvidia-smi prints, one command after the other, on one machine."""
    program = Path(FOLDER) / driver / "nvidia-smi"
    printed = []
    with Testbed(Scenario(gpus=gpus, driver=driver, user="root")) as testbed:
        for command in commands:
            done = subprocess.run(
                [program, *command.split()],
                env=testbed.environment(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert "Unknown Error" not in done.stdout + done.stderr
            printed.append(re.sub(r"\x1b\[\d*m", "", done.stdout + done.stderr))
    return printed


def matrix(printed: str) -> list[list[str]]:
    """The rows of a matrix without their first column."""
    rows = [line.strip().split("\t") for line in printed.splitlines()]
    return [[cell.strip() for cell in row[1:]] for row in rows if row[0].startswith("GPU")]


def cells(printed: str, count: int) -> list[list[str]]:
    return [row[:count] for row in matrix(printed) if "X" in row]


def test_a_dgx_a100_as_published(driver: str) -> None:
    over_links, over_pci = smi(driver, DGX_A100, "topo -m", "topo -mp")
    rows = [row for row in matrix(over_links) if "X" in row]
    assert rows[0] == ["X", "NV12", "NV12", "NV12", "48-63,176-191", "3", "", "N/A"]
    assert rows[2] == ["NV12", "NV12", "X", "NV12", "16-31,144-159", "1", "", "N/A"]
    assert cells(over_pci, 4) == [
        ["X", "PXB", "SYS", "SYS"],
        ["PXB", "X", "SYS", "SYS"],
        ["SYS", "SYS", "X", "PXB"],
        ["SYS", "SYS", "PXB", "X"],
    ]


def test_paths_and_neighbours(driver: str) -> None:
    path, near, none, cpu = smi(
        driver, DGX_A100, "topo -p -i 0,1", "topo -n 2 -i 0", "topo -n 1 -i 0", "topo -c 150"
    )
    assert "Device 0 is connected to device 1 by way of multiple PCIe switches" in path
    assert re.search(r"to device\(s\): 1\s*$", near)
    assert "Device 0 is not connected to other devices" in none
    assert "affinity with CPU 150 are:\n2, 3\n" in cpu


def test_a_dgx_1_as_published(driver: str) -> None:
    [printed] = smi(driver, [Gpu(V100, count=8)], "topo -m")
    rows = cells(printed, 8)
    found = [[cell if cell[:2] in ("X", "NV") else "no" for cell in row] for row in rows]
    assert found == [line.split() for line in DGX_1.strip().splitlines()]


def test_bridged_pairs(driver: str) -> None:
    links, peers, remote = smi(driver, PAIRS, "topo -m", "topo -p2p n", "nvlink -R -i 2")
    assert cells(links, 4)[0] == ["X", "NV12", "NODE", "NODE"]
    assert cells(peers, 4)[3] == ["NS", "NS", "OK", "X"]
    assert "Link 11: Remote Device 00000000:65:00.0: Link 11" in remote


@pytest.mark.parametrize(
    ("gpu", "read", "nvlink"),
    [(H100, "OK", "OK"), ("t4", "OK", "NS"), ("rtx-4090", "CNS", "NS")],
)
def test_peers(driver: str, gpu: str, read: str, nvlink: str) -> None:
    commands = [f"topo -p2p {kind}" for kind in "rwnap"]
    found = [cells(printed, 2)[0][1] for printed in smi(driver, [Gpu(gpu, count=2)], *commands)]
    assert found == [read, read, nvlink, nvlink, read]


def test_links_and_their_errors(driver: str) -> None:
    links = {"3": {"active": False}, "4": {"replay_errors": 7, "recovery_errors": 2}}
    status, errors, reset, after = smi(
        driver,
        [Gpu(H100, figures={"nvlinks": links})],
        "nvlink -s",
        "nvlink -e -l 4",
        "nvlink -re -l 4",
        "nvlink -e -l 4",
    )
    assert "Link 2: 26.562 GB/s" in status
    assert "Link 3: <inactive>" in status
    assert "Link 4: Replay Errors: 7" in errors
    assert "Link 4: error counters reset" in reset
    assert "Link 4: Replay Errors: 0" in after


@pytest.mark.parametrize(
    ("gpu", "figure", "line", "lanes"),
    [
        (V100, "crc_data_errors", "Lane {}: {} CRC errors", 8),
        (A100, "ecc_errors", "Lane {} ECC Correction Count: {} (Overflow=0)", 4),
        (H100, "ecc_errors", "Lane {} ECC Correction Count: {} (Overflow=0)", 2),
    ],
)
def test_errors_by_lane(driver: str, gpu: str, figure: str, line: str, lanes: int) -> None:
    gpus = [Gpu(gpu, count=2, figures={"nvlinks": {"0": {figure: 3}}})]
    [printed] = smi(driver, gpus, "nvlink -ec -i 0 -l 0")
    rows = [row.strip() for row in printed.splitlines() if "Lane" in row]
    assert rows == [line.format(lane, 0 if lane else 3) for lane in range(lanes)]


def test_bandwidth_modes_are_the_machine_s(driver: str) -> None:
    before, done, after = smi(
        driver, [Gpu(H100, count=2)], "nvlink -gBwMode", "nvlink -sBwMode HALF", "nvlink -gBwMode"
    )
    assert "FULL" in before
    assert "Successfully set nvlink bandwidth mode to HALF" in done
    assert "GPU NVLINK bandwidth mode: HALF" in after
