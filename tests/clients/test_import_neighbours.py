"""NVIDIA's own nvidia-smi shows what a file of the neighbours' formats says.

The programs are found as in `test_nvidia_smi`: the variable NVEMU_REAL_DRIVERS names their folder.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from emulator import Scenario, Testbed
from emulator.imports.captures.format import dumps
from emulator.imports.captures.playing import scenario_of_capture
from emulator.imports.injection.reading import read_injection
from emulator.imports.making import scenario_of
from emulator.imports.mock.reading import read_mock
from emulator.plans import plan_of

FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
DRIVERS = [
    driver
    for driver in ("535.261.03", "550.163.01", "555.58.02")
    if FOLDER and (Path(FOLDER) / driver / "nvidia-smi").exists()
]
FILES = Path(__file__).parents[1] / "unit/neighbours"

pytestmark = pytest.mark.skipif(
    not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
)

#: Places in the first GPU's XML -> what mock_full.yaml says there.
FULL = {
    "product_name": "NVIDIA H100 80GB HBM3",
    "uuid": "GPU-0000000a-0000-0000-0000-00000000000a",
    "serial": "1234567890123",
    "vbios_version": "96.00.01.02.03",
    "board_part_number": "699-00000-0000-001",
    "inforom_version/img_version": "G520.0200.00.99",
    "inforom_version/pwr_object": "N/A",
    "pci/pci_bus_id": "00000000:1A:00.0",
    "pci/pci_gpu_link_info/pcie_gen/current_link_gen": "3",
    "pci/pci_gpu_link_info/link_widths/current_link_width": "8x",
    "pci/replay_counter": "5",
    "fan_speed": "N/A",
    "performance_state": "P2",
    "fb_memory_usage/total": "81920 MiB",
    "fb_memory_usage/reserved": "1024 MiB",
    "fb_memory_usage/used": "4096 MiB",
    "bar1_memory_usage/total": "65536 MiB",
    "compute_mode": "Exclusive_Process",
    "utilization/gpu_util": "33 %",
    "encoder_stats/session_count": "2",
    "ecc_mode/pending_ecc": "Disabled",
    "ecc_errors/volatile/dram_correctable": "3",
    "ecc_errors/aggregate/dram_uncorrectable": "2",
    "remapped_rows/remapped_row_pending": "Yes",
    "temperature/gpu_temp": "41 C",
    "temperature/memory_temp": "52 C",
    "gpu_power_readings/max_power_limit": "690.00 W",
    "clocks/graphics_clock": "1200 MHz",
    "max_clocks/video_clock": "1500 MHz",
}


def shown(scenario: Scenario) -> list[ElementTree.Element]:
    """The GPUs of `nvidia-smi -q -x`."""
    program = Path(FOLDER) / scenario.driver / "nvidia-smi"
    with Testbed(scenario) as testbed:
        done = subprocess.run(
            [program, "-q", "-x"],
            env=testbed.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return ElementTree.fromstring(done.stdout).findall("gpu")


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_configuration_of_the_mock_is_shown_as_it_says(driver: str, tmp_path: Path):
    text = (FILES / "mock_full.yaml").read_text().replace("580.126.09", driver)
    file = tmp_path / "mock.yaml"
    file.write_text(text)
    gpus = shown(scenario_of(read_mock(str(file))).scenario)
    assert {place: gpus[0].findtext(place) for place in FULL} == FULL
    names = [each.text for each in gpus[0].iterfind("processes/process_info/process_name")]
    assert sorted(map(str, names)) == ["Xorg", "trainer"]
    assert gpus[1].findtext("temperature/gpu_temp") == "66 C"
    assert gpus[1].find("processes/process_info") is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_injection_is_shown_as_it_says(driver: str, tmp_path: Path):
    file = tmp_path / "box.yaml"
    text = (FILES / "injection_failing.yaml").read_text()
    file.write_text(text.replace("580.126.09", driver))
    capture = read_injection(str(file))
    recorded = tmp_path / "box.capture"
    recorded.write_bytes(dumps(capture))
    scenario = scenario_of_capture(capture, str(recorded)).scenario
    assert "answers" in plan_of(scenario)
    [gpu] = shown(scenario)
    assert gpu.findtext("serial") == "1320000000001"
    assert gpu.findtext("temperature/gpu_temp") == "71 C"
    assert gpu.findtext("fan_speed") == "N/A"
    assert gpu.findtext("fb_memory_usage/total") == "15360 MiB"
