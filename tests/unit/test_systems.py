"""The systems: whole machines as they come, by name."""

from __future__ import annotations

import pynvml
import pytest

import emulator
from emulator import Machine
from emulator.plans import plan_of
from emulator.scenario import UnknownNameError, load, names
from emulator.scenario.catalogue import written_scenario

SYSTEMS = sorted(names().systems)


def machine(name: str) -> Machine:
    return Machine(plan_of(load(name)))


@pytest.mark.parametrize("name", SYSTEMS)
class TestEverySystem:
    def test_says_what_it_is_in_one_line(self, name: str):
        description = load(name).description
        assert description
        assert "\n" not in description
        assert len(description) <= 80

    def test_bears_its_name_and_resolves(self, name: str):
        assert load(name).name == name
        assert plan_of(load(name))["name"] == name

    def test_names_its_sources(self, name: str):
        comments = [line for line in written_scenario(name).splitlines() if line.startswith("#")]
        assert any("Source" in line for line in comments)

    def test_has_no_faults_and_no_changes(self, name: str):
        scenario = load(name)
        assert (scenario.faults, scenario.changes, scenario.loader) == ((), (), {})

    def test_has_its_gpus_in_the_order_of_their_bus_ids(self, name: str):
        addresses = [device.pci.bus_id for device in machine(name).devices]
        assert addresses == sorted(set(addresses))

    def test_is_no_name_of_the_gallery_or_of_a_profile(self, name: str):
        assert name not in names().scenarios
        assert name not in names().profiles


def test_a_wrong_name_is_told_the_nearest_one():
    with pytest.raises(UnknownNameError, match="did you mean 'hgx-h100-8'"):
        load("hgx-h100")


GPUS = {
    "aws-g4dn-xlarge": (1, "Tesla T4"),
    "aws-g5-xlarge": (1, "NVIDIA A10G"),
    "aws-g6e-2xlarge": (1, "NVIDIA L40S"),
    "aws-p3-2xlarge": (1, "Tesla V100-SXM2-16GB"),
    "aws-p4d-24xlarge": (8, "NVIDIA A100-SXM4-40GB"),
    "aws-p5-48xlarge": (8, "NVIDIA H100 80GB HBM3"),
    "aws-p6e-gb200-36xlarge": (4, "NVIDIA GB200"),
    "dgx-a100": (8, "NVIDIA A100-SXM4-80GB"),
    "gcp-a2-highgpu-1g": (1, "NVIDIA A100-SXM4-40GB"),
    "gb300-nvl72-tray": (4, "NVIDIA GB300"),
    "gcp-g2-standard-8": (1, "NVIDIA L4"),
    "hgx-b200-8": (8, "NVIDIA B200"),
    "hgx-h100-8": (8, "NVIDIA H100 80GB HBM3"),
    "hgx-h200-8": (8, "NVIDIA H200"),
    "jetson-agx-orin-devkit": (1, "Orin (nvgpu)"),
    "laptop-rtx-4070": (1, "NVIDIA GeForce RTX 4070 Laptop GPU"),
}


@pytest.mark.parametrize("name", GPUS)
def test_has_as_many_gpus_of_its_product(name: str):
    devices = machine(name).devices
    assert (len(devices), {device.name for device in devices}) == (GPUS[name][0], {GPUS[name][1]})


LINKS = {
    "aws-p4d-24xlarge": 12,
    "aws-p5-48xlarge": 18,
    "dgx-a100": 12,
    "hgx-b200-8": 18,
    "hgx-h100-8": 18,
    "hgx-h200-8": 18,
}


@pytest.mark.parametrize("name", LINKS)
class TestBaseboards:
    def test_all_links_lead_to_switches(self, name: str):
        for device in machine(name).devices:
            assert len(device.nvlinks) == LINKS[name]
            assert {link.remote_type for link in device.nvlinks} == {"SWITCH"}

    def test_gpus_are_numbered_modules(self, name: str):
        modules = [device.board.module_id for device in machine(name).devices]
        assert sorted(modules) == list(range(1, 9))

    def test_half_of_the_gpus_are_nearer_to_either_socket(self, name: str):
        nodes = [device.topology.numa_node for device in machine(name).devices]
        assert not {*nodes[:4]} & {*nodes[4:]}
        assert len({*nodes}) == (4 if name == "dgx-a100" else 2)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name.startswith(("aws-", "gcp-"))])
def test_a_cloud_passes_its_gpus_through(name: str):
    assert {d.virtualization_mode for d in machine(name).devices} == {"PASSTHROUGH"}


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name.startswith("aws-g")])
def test_an_instance_of_ec2_sees_half_of_the_lanes_and_nothing_of_its_slot(name: str):
    (device,) = machine(name).devices
    assert (device.pci.current_width, device.pci.max_width) == (8, 16)
    assert device.pci.host_max_generation is None


@pytest.mark.parametrize("name", ["aws-p6e-gb200-36xlarge", "gb300-nvl72-tray"])
def test_two_gpus_of_a_tray_are_near_either_processor(name: str):
    devices = machine(name).devices
    assert [device.topology.numa_node for device in devices] == [0, 0, 1, 1]
    assert {link.remote for device in devices for link in device.nvlinks} == {"SWITCH"}


def test_topology_through_nvml():
    """Two GPUs of a DGX A100's quarter are behind one host bridge, the others are further away."""
    scenario = load("dgx-a100").but(driver="580.126.09")
    with emulator.emulate(scenario):
        pynvml.nvmlInit()
        first, *others = map(pynvml.nvmlDeviceGetHandleByIndex, range(8))
        levels = [pynvml.nvmlDeviceGetTopologyCommonAncestor(first, other) for other in others]
        pynvml.nvmlShutdown()
    assert levels[0] == pynvml.NVML_TOPOLOGY_MULTIPLE
    assert set(levels[1:]) == {pynvml.NVML_TOPOLOGY_SYSTEM}


def test_a_workstation_has_its_display_on_the_small_gpu():
    small, large = machine("workstation-two-gpus").devices
    assert (small.display_active, large.display_active) == (True, False)
    assert small.memory.total < large.memory.total
