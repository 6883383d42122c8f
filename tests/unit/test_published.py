"""The machines in tests/captures/published: real ones, as nvidia-smi told of them in public."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pynvml
import pytest
from click.testing import CliRunner

import emulator
from emulator import Machine, Scenario
from emulator.cli.compare import command
from emulator.plans import find_scenario, plan_of
from emulator.recording.bare import compare_figures
from emulator.scenario import load

FILES = {path.stem: path for path in (Path(__file__).parents[1] / "captures/published").iterdir()}

#: Of a product's other boards, and of the host's kernel and displays.
ELSEWHERE = ("addressing_mode", "display_*", "board.vbios_version", "board.part_number")

#: Machine -> what its profiles have otherwise besides.
OTHERWISE = {
    # virtual machines, whose GPUs do not see their slots; a T4 reserves more under 595, and nvemu's
    # 580 is the nearest
    "aws-g4dn-t4": ("memory.reserved", "pci.host_max_generation"),
    "aws-g6e-l40s": ("pci.host_max_generation",),
    "aws-p5-h100": ("pci.host_max_generation", "pci.atomics_*"),
    "h200-mig": ("pci.host_max_generation",),
    # what both reach together is 6 all the same
    "gb300-nvl72-tray": ("pci.host_max_generation",),
    # under 510, and nvemu's 525 is the nearest
    "gcp-a2-a100-mig": ("memory.reserved",),
    # a board of 500 W
    "a100-80gb-mig": ("inforom.image", "clocks.graphics.*application", "power.*_limit"),
    # a card of MSI's, faster than NVIDIA's own
    "gtx-1070-desktop": ("pci.subsystem_id", "clocks.*.max", "power.*_limit"),
    # another laptop, with the other chip of that name
    "rtx-4070-laptop": (
        *("board.gpu_part_number", "pci.device_id", "pci.subsystem_id", "bar1.total"),
        "power.*_limit",
    ),
}

#: Machine -> the system that it is.
SYSTEMS = {
    "aws-g4dn-t4": "aws-g4dn-xlarge",
    "aws-g5-a10g": "aws-g5-xlarge",
    "aws-g6e-l40s": "aws-g6e-2xlarge",
    "aws-p5-h100": "aws-p5-48xlarge",
    "gcp-a2-a100-mig": "gcp-a2-highgpu-1g",
}


def machine(scenario: Scenario) -> Machine:
    return Machine(plan_of(scenario))


@pytest.mark.parametrize("name", sorted(FILES))
class TestEveryPublishedMachine:
    @pytest.fixture
    def scenario(self, name: str) -> Scenario:
        return find_scenario(FILES[name])

    def test_names_its_source_and_its_driver(self, name: str, scenario: Scenario):
        comment = FILES[name].read_text().partition("\n\n")[0]
        assert all(line.startswith("# ") for line in comment.splitlines())
        assert "Source: `nvidia-smi -q" in comment
        assert f"with driver {scenario.reported_driver}, 20" in comment
        assert scenario.origin or "published on GitHub" in comment

    def test_says_nothing_of_whose_it_is(self, scenario: Scenario):
        names = [p.name for device in machine(scenario).devices for p in device.processes]
        assert all(name == "" or fnmatchcase(name, "process-*") for name in names)
        uuids = [gpu.uuid for gpu in scenario.gpus]
        assert len(set(uuids)) == len(uuids)

    def test_plays(self, scenario: Scenario):
        """On the one driver that a process can have."""
        devices = machine(scenario).devices
        with emulator.emulate(scenario.but(driver="580.126.09")):
            pynvml.nvmlInit()
            handles = [*map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))]
            found = [
                (
                    pynvml.nvmlDeviceGetUUID(handle),
                    pynvml.nvmlDeviceGetName(handle),
                    pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
                    pynvml.nvmlDeviceGetPcieThroughput(handle, pynvml.NVML_PCIE_UTIL_TX_BYTES),
                )
                for handle in handles
            ]
            pynvml.nvmlShutdown()
        assert found == [
            (device.uuid, device.name, device.temperature.gpu, device.pci.tx_throughput)
            for device in devices
        ]

    def test_its_profiles_differ_in_what_is_known_alone(self, name: str, scenario: Scenario):
        otherwise = OTHERWISE.get(name, ())
        differing = {row.figure for row in compare_figures(scenario).differences}
        known = {f for f in differing for k in (*ELSEWHERE, *otherwise) if fnmatchcase(f, k)}
        used = {k for k in otherwise for f in differing if fnmatchcase(f, k)}
        assert (differing - known, {*otherwise} - used) == (set(), set())

    def test_nvemu_compare_prints_its_fidelity(self, name: str, scenario: Scenario):
        differences = compare_figures(scenario).differences
        done = CliRunner().invoke(command, [str(FILES[name])], standalone_mode=False)
        assert done.return_value == (1 if differences else 0)
        *lines, last = done.output.splitlines()
        assert last.startswith("fidelity " if differences else "fidelity 100.0 %: ")
        assert len([line for line in lines if line.startswith("  GPU-")]) == len(differences)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_its_gpus_where_a_published_one_has_them(name: str):
    published = machine(find_scenario(FILES[name])).devices
    ours = machine(load(SYSTEMS[name])).devices
    for figure in ("bus_id", "max_generation", "current_width", "atomics_outbound"):
        told = [getattr(device.pci, figure) for device in published]
        assert [getattr(device.pci, figure) for device in ours] == told
    if "SXM" in ours[0].name or len(ours) > 1:  # numbered modules of one board
        told = [device.board.module_id for device in published]
        assert [device.board.module_id for device in ours] == told
