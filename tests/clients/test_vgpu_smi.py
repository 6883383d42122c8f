"""NVIDIA's own nvidia-smi on a host with vGPUs: each view of `nvidia-smi vgpu`.

The variable NVEMU_REAL_DRIVERS names the folder that has it; see test_nvidia_smi.py.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from emulator import Gpu, Scenario, Testbed
from emulator.machine.drivers import branch

FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
DRIVERS = sorted(path.parent.name for path in Path(FOLDER).glob("*/nvidia-smi")) if FOLDER else []

pytestmark = pytest.mark.skipif(
    not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
)

VM = "5a1b7cf6-6c0e-4a3a-9d3b-0f2c7b1f5e10"

SESSION = {"width": 1920, "height": 1080, "average_fps": 60, "average_latency": "5 ms", "pid": 812}

#: One with all that a driver tells, one whose VM has none.
VGPUS: list[dict[str, Any]] = [
    {
        "type": "GRID T4-8Q",
        "vm_id": VM,
        "vm_name": "cad-workstation",
        "driver_version": "550.163.01",
        "license": "LICENSED",
        "license_expires": 1801396800,
        "used_memory": "3 GiB",
        "pci_bus_id": "00000000:02:00.0",
        "accounting": True,
        "utilization": {"gpu": 42, "memory": 17, "encoder": 8, "decoder": 0},
        "processes": [{"pid": 812, "name": "blender", "gpu": 40, "memory": 16}],
        "encoder_sessions": [{**SESSION, "id": 1, "codec": "H264"}],
        "capture_sessions": [{**SESSION, "id": 2, "type": "HWENC"}],
    },
    {"type": "GRID T4-8Q"},
]

REFUSALS = re.compile(r"Unknown Error|Invalid Argument|Insufficient|ERR!|Timeout")


def run(driver: str, *view: str, vgpus: list[dict[str, Any]] | None = None) -> tuple[int, str]:
    """The exit status and the output of a view on a T4 that hosts vGPUs."""
    vgpu = {"instances": VGPUS if vgpus is None else vgpus}
    gpu = Gpu("t4", figures={"virtualization_mode": "HOST_VGPU", "vgpu": vgpu})
    with Testbed(Scenario(driver=driver, gpus=[gpu], user="root")) as testbed:
        done = subprocess.run(
            [Path(FOLDER) / driver / "nvidia-smi", *view],
            env=testbed.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    return done.returncode, done.stdout + done.stderr


def values(output: str, name: str) -> list[str]:
    """What stands behind a name, at each place where it does."""
    return re.findall(rf"^\s*{re.escape(name)}\s*: (.*?)\s*$", output, re.MULTILINE)


@pytest.mark.parametrize("driver", DRIVERS)
class TestViews:
    @pytest.mark.parametrize("view", ["", "-q", "-s", "-s -v", "-c", "-c -v", "-m"])
    def test_is_clean(self, driver: str, view: str):
        code, output = run(driver, "vgpu", *view.split())
        assert code == 0, output
        assert not REFUSALS.findall(output)

    def test_the_list_has_each_vgpu(self, driver: str):
        _, output = run(driver, "vgpu")
        rows = re.findall(
            r"^\|\s+\d+\s+(GRID T4-8Q)\s+\|\s*(.*?)\s*\|\s*(\d+)%", output, re.MULTILINE
        )
        assert rows == [("GRID T4-8Q", "5a1b...  cad-workstation", "42"), ("GRID T4-8Q", "", "0")]

    def test_all_of_a_vgpu(self, driver: str):
        _, output = run(driver, "vgpu", "-q")
        for name, expected in {
            "Active vGPUs": ["2"],
            "VM UUID": [VM, ""],
            "VM Name": ["cad-workstation", ""],
            "vGPU Type": ["233", "233"],
            "Guest Driver Version": ["550.163.01", "N/A"],
            "Accounting Mode": ["Enabled", "N/A"],
            "ECC Mode": ["Enabled", "N/A"],
            "Frame Rate Limit": ["60 FPS", "N/A"],
            "Total": ["8192 MiB", "8192 MiB"],
            "Used": ["3072 MiB", "0 MiB"],
            "Gpu": ["42 %", "0 %"],
            "Active Sessions": ["1", "1", "0", "0"],
        }.items():
            assert values(output, name) == expected, name
        known, absent = values(output, "License Status")
        assert known.startswith("Licensed")
        assert absent.startswith("N/A")

    def test_types(self, driver: str):
        _, output = run(driver, "vgpu", "-s", "-v")
        assert values(output, "vGPU Type ID")[:3] == ["0xde", "0xdf", "0xe0"]
        assert values(output, "Name")[:3] == ["GRID T4-1B", "GRID T4-2B", "GRID T4-2B4"]
        assert set(values(output, "Device ID")) == {"0x1eb810de"}
        assert values(output, "FB Memory")[:2] == ["1024 MiB", "2048 MiB"]
        assert values(output, "Max Instances")[:2] == ["16", "8"]

    def test_a_full_gpu_has_nothing_to_create(self, driver: str):
        _, output = run(driver, "vgpu", "-c")
        assert "GRID" not in output
        _, output = run(driver, "vgpu", "-c", vgpus=VGPUS[:1])
        assert output.split()[2:] == ["GRID", "T4-8Q", "GRID", "T4-8A", "GRID", "T4-8C"]

    def test_accounting(self, driver: str):
        fields = "vgpu_instance,pid,gpu_util"
        _, output = run(driver, "vgpu", f"--query-accounted-apps={fields}", "--format=csv,noheader")
        assert output.splitlines()[0].split(", ")[1:] == ["812", "40 %"]

    def test_the_gpu_itself(self, driver: str):
        _, output = run(driver, "-q")
        assert values(output, "Virtualization Mode") == ["Host VGPU"]
        assert values(output, "Host VGPU Mode") == ["Non SR-IOV"]


@pytest.mark.parametrize("driver", [each for each in DRIVERS if branch(each) >= 550])
def test_mixed_sizes_are_switched_on_an_idle_gpu(driver: str):
    code, output = run(driver, "vgpu", "-shm", "1", vgpus=[])
    assert (code, "Enabled vGPU heterogeneous mode" in output) == (0, True), output
    code, output = run(driver, "vgpu", "-shm", "1")
    assert (code, "In use by another client" in output) == (19, True), output
