"""NVIDIA's own, unmodified nvidia-smi on machines that have none of its GPUs.

The programs are NVIDIA's and not part of this project. The variable NVEMU_REAL_DRIVERS names a
folder that has them, one folder a driver: `550.163.01/nvidia-smi`, and beside it the libraries.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from emulator import Fault, Gpu, Machine, Scenario, Testbed
from emulator.machine.drivers import branch
from emulator.plans import plan_of
from emulator.scenario.profiles import profile

FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
DRIVERS = sorted(path.parent.name for path in Path(FOLDER).glob("*/nvidia-smi")) if FOLDER else []
PROFILES = ("h100-sxm5-80gb", "a100-sxm4-80gb", "t4", "rtx-4090")

pytestmark = pytest.mark.skipif(
    not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
)

#: A driver with each of the products that it supports.
PAIRS = [
    (driver, name)
    for driver in DRIVERS or ["none"]
    for name in PROFILES
    if driver != "none" and branch(driver) >= profile(name).placement.first_driver
]

#: What nvidia-smi prints in place of a value that it was refused for no good reason.
REFUSALS = re.compile(r"Unknown Error|Invalid Argument|Insufficient|ERR!|Timeout|[^\x1b\x09-\x7e]")

VIEWS = {
    "plain": [],
    "-L": ["-L"],
    "-q": ["-q"],
    "-q -x": ["-q", "-x"],
    "-q -d": ["-q", "-d", "MEMORY,UTILIZATION,ECC,TEMPERATURE,POWER,CLOCK,COMPUTE,PIDS"],
    "-q -d more": ["-q", "-d", "PERFORMANCE,SUPPORTED_CLOCKS,PAGE_RETIREMENT,ACCOUNTING,VOLTAGE"],
    "topo -m": ["topo", "-m"],
    "apps": ["--query-compute-apps=pid,process_name,used_memory,gpu_uuid", "--format=csv"],
    "nvlink -s": ["nvlink", "-s"],
    "dmon": ["dmon", "-c", "1"],
    "pmon": ["pmon", "-c", "1"],
}

PROCESSES = [
    {"pid": 4242, "name": "/usr/bin/python3", "type": "C", "used_memory": "3 GiB"},
    {"pid": 77, "name": "/usr/bin/Xorg", "type": "G", "used_memory": "5 MiB"},
    {"pid": 88, "name": "blender", "type": "C+G", "used_memory": "7 MiB"},
]


class Played:
    """What a run did: its exit status, its output, the functions that nothing answered."""

    def __init__(self, scenario: Scenario, arguments: list[str]) -> None:
        program = Path(FOLDER) / scenario.driver / "nvidia-smi"
        with Testbed(scenario, trace=True) as testbed:
            done = subprocess.run(
                [program, *arguments],
                env=testbed.environment(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            trace = Path(testbed.trace_file)
            lines = trace.read_text().splitlines() if trace.exists() else []
        self.status, self.output = done.returncode, done.stdout + done.stderr
        records = [json.loads(line) for line in lines]
        self.unhandled = {r["function"] for r in records if r.get("handler") is False}


def run(driver: str, *gpus: Gpu, view: list[str], faults: tuple[Fault, ...] = ()) -> Played:
    return Played(Scenario(driver=driver, gpus=gpus, faults=faults), view)


def machine(driver: str, *gpus: Gpu) -> Machine:
    return Machine(plan_of(Scenario(driver=driver, gpus=gpus)))


def xml(played: Played) -> ElementTree.Element:
    """The XML of a run, which must be well-formed."""
    return ElementTree.fromstring(played.output)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("driver", "name"), PAIRS)
def test_every_view_of_two_gpus_is_clean(driver: str, name: str, view: str):
    played = run(driver, Gpu(name, count=2), view=VIEWS[view])
    assert played.status == 0, played.output
    assert not played.unhandled
    assert not REFUSALS.findall(played.output)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("driver", DRIVERS)
class TestRows:
    def test_the_plain_view_has_one_for_each_gpu(self, driver: str, count: int):
        played = run(driver, Gpu("t4", count=count), view=[])
        assert played.status == 0
        rows = re.findall(r"^\|\s+(\d+)  Tesla T4 .*", played.output, re.MULTILINE)
        assert rows == [str(index) for index in range(count)]
        assert f"Driver Version: {driver}" in played.output

    def test_the_list_has_names_and_uuids(self, driver: str, count: int):
        gpus = Gpu("t4", count=count)
        played = run(driver, gpus, view=["-L"])
        assert played.output.splitlines() == [
            f"GPU {device.index}: {device.name} (UUID: {device.uuid})"
            for device in machine(driver, gpus).devices
        ]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_machine_without_gpus(driver: str):
    played = run(driver, view=[])
    assert played.status == 6
    assert played.output == "No devices were found\n"


@pytest.mark.parametrize(("driver", "name"), PAIRS)
class TestXml:
    def test_every_value_is_the_machine_s(self, driver: str, name: str):
        gpu = Gpu(name, memory_used="1 GiB", temperature=61, power_usage="47.5 W", utilization=33)
        [device] = machine(driver, gpu).devices
        log = xml(run(driver, gpu, view=["-q", "-x"]))
        found = log.find("gpu")
        assert found is not None
        assert log.findtext("driver_version") == driver
        assert log.findtext("attached_gpus") == "1"
        assert found.get("id") == device.pci.bus_id
        expected = {
            "product_name": device.name,
            "uuid": device.uuid,
            "serial": device.serial or "N/A",
            "vbios_version": device.board.vbios_version,
            "minor_number": "0",
            "fb_memory_usage/total": f"{device.memory.total >> 20} MiB",
            "utilization/gpu_util": "33 %",
            "temperature/gpu_temp": "61 C",
            "performance_state": f"P{device.performance_state}",
            "pci/pci_device_id": f"{device.pci.device_id:08X}",
            "pci/pci_gpu_link_info/link_widths/max_link_width": "16x",
            "clocks/graphics_clock": f"{device.clocks.graphics.current} MHz",
            "max_clocks/mem_clock": f"{device.clocks.memory.max} MHz",
        }
        assert {path: found.findtext(path) for path in expected} == expected
        assert "47.50 W" in [element.text for element in found.iter()]

    def test_the_memory_that_processes_hold_is_used(self, driver: str, name: str):
        gpu = Gpu(name, memory_used="1 GiB")
        used = xml(run(driver, gpu, view=["-q", "-x"])).findtext("gpu/fb_memory_usage/used")
        assert used == "1024 MiB"


@pytest.mark.parametrize("driver", DRIVERS)
class TestProducts:
    """What a product lacks is N/A, and what it has is a value."""

    def texts(self, driver: str, name: str) -> dict[str, str | None]:
        found = xml(run(driver, Gpu(name), view=["-q", "-x"])).find("gpu")
        assert found is not None
        paths = (
            "mig_mode/current_mig",
            "fan_speed",
            "retired_pages/multiple_single_bit_retirement/retired_count",
        )
        return {path.rpartition("/")[2]: found.findtext(path) for path in paths}

    def test_a_t4(self, driver: str):
        assert self.texts(driver, "t4") == {
            "current_mig": "N/A",
            "fan_speed": "N/A",
            "retired_count": "0",
        }

    def test_an_a100(self, driver: str):
        assert self.texts(driver, "a100-sxm4-80gb") == {
            "current_mig": "Disabled",
            "fan_speed": "N/A",
            "retired_count": "N/A",
        }

    def test_an_rtx_4090(self, driver: str):
        if branch(driver) < 525:
            pytest.skip(f"driver {driver} is older than the product")
        assert self.texts(driver, "rtx-4090") == {
            "current_mig": "N/A",
            "fan_speed": "0 %",
            "retired_count": "N/A",
        }


@pytest.mark.parametrize(("driver", "name"), PAIRS)
def test_every_field_of_the_help_can_be_queried(driver: str, name: str):
    text = run(driver, Gpu(name), view=["--help-query-gpu"]).output
    fields = re.findall(r'^"([a-z][^" ]+)"', text, re.MULTILINE)
    assert len(fields) > 100
    query = "--query-gpu=" + ",".join(fields)
    played = run(driver, Gpu(name, count=2), view=[query, "--format=csv,noheader"])
    assert played.status == 0
    assert not played.unhandled
    rows = list(csv.reader(played.output.splitlines(), skipinitialspace=True))
    assert [len(row) for row in rows] == [len(fields)] * 2
    assert not REFUSALS.findall(played.output)
    answers = dict(zip(fields, rows[1], strict=True))
    second = machine(driver, Gpu(name, count=2)).devices[1]
    assert (answers["uuid"], answers["index"]) == (second.uuid, "1")
    assert answers["power.limit"] == answers["enforced.power.limit"]


@pytest.mark.parametrize("driver", DRIVERS)
class TestProcesses:
    @pytest.fixture
    def gpu(self) -> Gpu:
        return Gpu("t4", figures={"processes": PROCESSES})

    def test_in_the_plain_view(self, driver: str, gpu: Gpu):
        played = run(driver, gpu, view=[])
        rows = re.findall(
            r"^\|\s+0\s+N/A\s+N/A\s+(\d+)\s+(\S+)\s+(\S+)\s+(\d+)MiB", played.output, re.MULTILINE
        )
        assert sorted(rows) == [
            ("4242", "C", "/usr/bin/python3", "3072"),
            ("77", "G", "/usr/bin/Xorg", "5"),
            ("88", "C+G", "blender", "7"),
        ]

    def test_in_the_xml(self, driver: str, gpu: Gpu):
        log = xml(run(driver, gpu, view=["-q", "-x"]))
        found = [
            tuple(each.findtext(tag) for tag in ("pid", "type", "process_name", "used_memory"))
            for each in log.iter("process_info")
        ]
        assert sorted(found, key=str) == [
            ("4242", "C", "/usr/bin/python3", "3072 MiB"),
            ("77", "G", "/usr/bin/Xorg", "5 MiB"),
            ("88", "C+G", "blender", "7 MiB"),
        ]

    def test_as_compute_apps(self, driver: str, gpu: Gpu):
        view = ["--query-compute-apps=pid,name,used_memory", "--format=csv,noheader"]
        assert sorted(run(driver, gpu, view=view).output.splitlines()) == [
            "4242, /usr/bin/python3, 3072 MiB",
            "88, blender, 7 MiB",
        ]


@pytest.mark.parametrize("driver", DRIVERS)
class TestTopology:
    def test_t4s_are_on_one_node(self, driver: str):
        played = run(driver, Gpu("t4", count=2), view=["topo", "-m"])
        assert re.search(r"^GPU0\t X \tNODE\t", played.output, re.MULTILINE)

    def test_a100s_are_linked(self, driver: str):
        played = run(driver, Gpu("a100-sxm4-80gb", count=2), view=["topo", "-m"])
        assert re.search(r"^GPU1\tNV12\t X \t", played.output, re.MULTILINE)


INITS = ("nvmlInit", "nvmlInit_v2", "nvmlInitWithFlags")


@pytest.mark.parametrize("driver", DRIVERS)
class TestFaults:
    def test_the_driver_is_not_loaded(self, driver: str):
        fault = Fault(INITS, returns="DRIVER_NOT_LOADED")
        played = run(driver, Gpu("t4"), view=[], faults=(fault,))
        assert played.status == 9
        assert played.output.startswith(
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
        )

    def test_the_library_is_of_another_version(self, driver: str):
        fault = Fault(INITS, returns="LIB_RM_VERSION_MISMATCH")
        played = run(driver, Gpu("t4"), view=[], faults=(fault,))
        assert played.status == (255 if branch(driver) < 535 else 18)
        assert "Failed to initialize NVML: Driver/library version mismatch" in played.output

    def test_a_gpu_fell_off_the_bus(self, driver: str):
        fault = Fault("nvmlDeviceGetHandleByIndex_v2", calls=2, returns="GPU_IS_LOST")
        played = run(driver, Gpu("t4", count=2), view=[], faults=(fault,))
        assert played.status == 15
        assert re.match(
            r"Unable to determine the device handle for GPU ?0000:5E:00.0: GPU is lost",
            played.output,
        )

    def test_one_value_is_refused(self, driver: str):
        fault = Fault("nvmlDeviceGetTemperature", device=1, returns="UNKNOWN")
        played = run(driver, Gpu("t4", count=2), view=[], faults=(fault,))
        assert played.status == 0
        assert played.output.count("ERR!") == 1
