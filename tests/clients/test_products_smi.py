"""Every product and every system of the catalogue in NVIDIA's own, unmodified nvidia-smi.

The programs are found as in test_nvidia_smi.
"""

from __future__ import annotations

import re

import pytest
from test_nvidia_smi import DRIVERS, REFUSALS, Played, machine, pytestmark, run

from emulator import Gpu, Scenario
from emulator.machine.drivers import branch
from emulator.scenario import load, names
from emulator.scenario.profiles import profile

__all__ = ["pytestmark"]

JETSON = "jetson-agx-orin"
PRODUCTS = sorted(names().profiles)
SYSTEMS = sorted(names().systems)


def first_driver(scenario: Scenario) -> int:
    return max(profile(gpu.profile).placement.first_driver for gpu in scenario.gpus)


def need(driver: str, first: int) -> None:
    if branch(driver) < first:
        pytest.skip(f"needs driver {first} or newer")


def clean(played: Played) -> str:
    """The output of a run that must have gone well."""
    assert played.status == 0, played.output
    assert not played.unhandled
    assert not REFUSALS.findall(played.output)
    return played.output


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", PRODUCTS)
class TestEveryProduct:
    @pytest.fixture(autouse=True)
    def _supported(self, driver: str, name: str) -> None:
        need(driver, profile(name).placement.first_driver)

    def test_the_plain_view_and_the_list_are_clean(self, driver: str, name: str):
        [device] = machine(driver, Gpu(name)).devices
        uuid = device.uuid.removeprefix("GPU-") if name == JETSON else device.uuid
        assert f"GPU 0: {device.name} (UUID: {uuid})" in clean(run(driver, Gpu(name), view=["-L"]))
        plain = clean(run(driver, Gpu(name), view=[]))
        assert device.name[:15] in plain  # longer ones are cut
        if name != JETSON:
            assert re.search(rf"/ +{device.memory.total >> 20}MiB", plain)

    def test_the_long_view_is_clean(self, driver: str, name: str):
        if name == JETSON:
            pytest.skip("nvidia-smi prints a bus id that the library did not write")
        for view in (["-q"], ["-q", "-x"]):
            clean(run(driver, Gpu(name), view=view))

    def test_every_field_can_be_queried(self, driver: str, name: str):
        text = run(driver, Gpu(name), view=["--help-query-gpu"]).output
        fields = re.findall(r'^"([a-z][^" ]+)"', text, re.MULTILINE)
        query = "--query-gpu=" + ",".join(fields)
        row = clean(run(driver, Gpu(name), view=[query, "--format=csv,noheader"])).split(", ")
        assert len(row) == len(fields)
        if name == JETSON:
            told = {field for field, value in zip(fields, row, strict=True) if "N/A" not in value}
            assert {"name", "uuid", "compute_cap"} <= told
            assert not {"pci.bus_id", "memory.total", "utilization.gpu", "power.draw"} & told


def test_a_jetson_s_plain_view_is_as_published():
    """JetPack 6's nvidia-smi prints these rows (anduril/jetpack-nixos pull request 371)."""
    for driver in DRIVERS:
        if branch(driver) >= profile(JETSON).placement.first_driver:
            plain = " ".join(clean(run(driver, Gpu(JETSON), view=[])).split())
            assert "| 0 Orin (nvgpu) N/A | N/A N/A | N/A |" in plain
            assert "| Not Supported | N/A N/A |" in plain


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", SYSTEMS)
class TestEverySystem:
    @pytest.fixture
    def scenario(self, driver: str, name: str) -> Scenario:
        scenario = load(name).but(driver=driver)
        need(driver, first_driver(scenario))
        return scenario

    def test_has_its_gpus_in_the_list_and_in_the_plain_view(self, scenario: Scenario):
        count = sum(gpu.count for gpu in scenario.gpus)
        assert clean(Played(scenario, ["-L"])).count("(UUID: ") == count
        clean(Played(scenario, []))

    def test_has_its_links_in_the_matrix(self, scenario: Scenario, name: str):
        if JETSON in name:
            pytest.skip("nvidia-smi makes no matrix without bus ids")
        rows = clean(Played(scenario, ["topo", "-m"])).splitlines()
        matrix = [row.split("\t") for row in rows if re.match(r"GPU\d+\t", row)]
        assert [row[1 + index].strip() for index, row in enumerate(matrix)] == ["X"] * len(matrix)
        if len(matrix) == 8:
            between = {cell.strip() for row in matrix for cell in row[1:9]} - {"X"}
            assert between == {"NV12" if "A100" in load(name).description else "NV18"}
