"""What a user sets with NVIDIA's own nvidia-smi, later commands on the same machine show.

The programs are found as in test_nvidia_smi. What a user without rights is told are nvidia-smi's
own words for NVML's NO_PERMISSION.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from smi_commands import Commands
from test_nvidia_smi import DRIVERS, machine, pytestmark

from emulator import Gpu, Scenario, Testbed
from emulator.machine.drivers import branch

__all__ = ["pytestmark"]

A100, T4, RTX_4090 = "a100-sxm4-80gb", "t4", "rtx-4090"


class Setter(NamedTuple):
    """A command of two, what it says, and a field of --query-gpu before and after it."""

    product: str
    command: str
    says: str
    field: str
    before: str
    after: str
    refused: str  # what it says to whom has no rights


SETTERS = [
    Setter(
        *(T4, "-pm 1", "ersistence mode for GPU", "persistence_mode", "Disabled", "Enabled"),
        "Unable to set persistence mode",
    ),
    Setter(
        *(T4, "-e 0", "Disabled ECC support", "ecc.mode.pending", "Enabled", "Disabled"),
        "Unable to set ECC config",
    ),
    Setter(
        *(T4, "-c 3", "Set compute mode to EXCLUSIVE_PROCESS"),
        *("compute_mode", "Default", "Exclusive_Process"),
        "Unable to set the compute mode",
    ),
    Setter(
        *(T4, "-c PROHIBITED", "Set compute mode to PROHIBITED"),
        *("compute_mode", "Default", "Prohibited"),
        "Unable to set the compute mode",
    ),
    Setter(
        *(T4, "-pl 65", "was set to 65.00 W from 70.00 W", "power.limit", "70.00 W", "65.00 W"),
        "ermission",
    ),
    Setter(
        *(A100, "-pl 250", "was set to 250.00 W", "enforced.power.limit", "400.00 W", "250.00 W"),
        "ermission",
    ),
    Setter(
        *(T4, "-ac 5001,900", 'set to "(MEM 5001, SM 900)"'),
        *("clocks.applications.graphics", "585 MHz", "900 MHz"),
        "does not have permission to change clocks",
    ),
    Setter(
        *(T4, "-am 1", "Enabled Accounting Mode", "accounting.mode", "Disabled", "Enabled"),
        "Unable to set Accounting Mode",
    ),
    Setter(
        *(A100, "-mig 1", "Enabled MIG Mode", "mig.mode.current", "Disabled", "Enabled"),
        "Unable to enable MIG Mode",
    ),
]
IDS = [f"{setter.command} on {setter.product}" for setter in SETTERS]

PERMISSIONS = 4  # nvidia-smi's exit status is NVML's code


@pytest.fixture(params=DRIVERS or ["none"])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def commands(driver: str, product: str, user: str, **figures: int) -> Iterator[Commands]:
    scenario = Scenario(driver=driver, gpus=[Gpu(product, count=2, **figures)], user=user)
    with Testbed(scenario) as testbed:
        yield Commands(testbed, scenario)


@pytest.fixture
def root(driver: str, request: pytest.FixtureRequest) -> Iterator[Commands]:
    """Two T4s, or two of what the test asks for."""
    yield from commands(driver, getattr(request, "param", T4), "root")


@pytest.fixture
def anyone(driver: str, request: pytest.FixtureRequest) -> Iterator[Commands]:
    yield from commands(driver, getattr(request, "param", T4), "unprivileged")


def values(smi: Commands, field: str) -> list[str]:
    return smi(f"--query-gpu={field}", "--format=csv,noheader").splitlines()


class TestSetters:
    @pytest.mark.parametrize(
        ("root", "setter"),
        [(each.product, each) for each in SETTERS],
        ids=IDS,
        indirect=["root"],
    )
    def test_what_is_set_is_seen_later(self, root: Commands, setter: Setter):
        assert values(root, setter.field) == [setter.before] * 2
        text = root(*setter.command.split())
        assert text.count(setter.says) == 2
        assert text.splitlines()[-1] in ("All done.", "Reboot required.")
        assert values(root, setter.field) == [setter.after] * 2

    @pytest.mark.parametrize(
        ("anyone", "setter"),
        [(each.product, each) for each in SETTERS],
        ids=IDS,
        indirect=["anyone"],
    )
    def test_not_everyone_may(self, anyone: Commands, setter: Setter):
        done = anyone.do(*setter.command.split())
        assert (done.status, setter.refused in done.output) == (PERMISSIONS, True), done
        assert values(anyone, setter.field) == [setter.before] * 2


class TestOneGpu:
    @pytest.mark.parametrize("by", ["index", "uuid", "bus id"])
    def test_is_chosen_by(self, root: Commands, driver: str, by: str):
        second = machine(driver, Gpu(T4, count=2)).devices[1]
        chosen = {"index": "1", "uuid": second.uuid, "bus id": second.pci.bus_id}[by]
        assert root("-i", chosen, "-pm", "1").count("ersistence mode for GPU") == 1
        assert values(root, "persistence_mode") == ["Disabled", "Enabled"]
        assert second.uuid in root("-i", chosen, "-q", "-x")
        assert (
            root("-i", chosen, "--query-gpu=uuid", "--format=csv,noheader").strip() == second.uuid
        )

    def test_that_is_not_there(self, root: Commands):
        done = root.do("-i", "7")
        assert done.status == 6
        assert "No devices were found" in done.output


class TestLimits:
    def test_a_power_limit_outside_its_bounds(self, root: Commands):
        done = root.do("-pl", "5")
        assert done.status == 2
        assert "should be between 60.00 W and 70.00 W" in done.output
        assert values(root, "power.limit") == ["70.00 W"] * 2

    def test_clocks_that_do_not_go_together(self, root: Commands):
        text = root("-ac", "5001,901")
        assert text.count('"(MEM 5001, SM 901)" is not supported') == 2
        assert values(root, "clocks.applications.graphics") == ["585 MHz"] * 2

    def test_what_the_product_has_not(self, root: Commands):
        assert "Unable to enable MIG Mode" in root.do("-mig", "1").output
        assert "GOM mode cannot be changed" in root("--gom=0")
        assert "is not supported" in root("--auto-boost-default=1")
        assert values(root, "mig.mode.current") == ["[N/A]"] * 2


class TestLockedClocks:
    """They bind a GPU at work; one without is as slow as it was."""

    @pytest.mark.parametrize(("busy", "before", "locked"), [(100, "1410 MHz", "900 MHz")])
    def test_of_a_busy_gpu(self, driver: str, busy: int, before: str, locked: str):
        for smi in commands(driver, A100, "root", utilization=busy):
            field = "clocks.current.graphics"
            assert values(smi, field) == [before] * 2
            assert smi("-lgc", "600,900").count('set to "(gpuClkMin 600, gpuClkMax 900)"') == 2
            assert values(smi, field) == [locked] * 2
            smi("-rgc")
            assert values(smi, field) == [before] * 2

    def test_not_everyone_may(self, anyone: Commands):
        done = anyone.do("-lgc", "600,900")
        assert done.status == PERMISSIONS
        assert "does not have permission to change clocks" in done.output


class TestUndoing:
    def test_application_clocks(self, root: Commands):
        root("-ac", "5001,900")
        root("-rac")
        assert values(root, "clocks.applications.graphics") == ["585 MHz"] * 2

    def test_what_is_so_already(self, root: Commands):
        assert root("-pm", "0").count("already Disabled") == 2
        assert root("-c", "0").count("already set to DEFAULT") == 2

    def test_a_reset_makes_a_pending_mode_current(self, root: Commands):
        root("-e", "0")
        assert values(root, "ecc.mode.current") == ["Enabled"] * 2
        assert root("-r").count("was successfully reset") == 2
        assert values(root, "ecc.mode.current") == ["Disabled"] * 2

    def test_a_reset_is_for_root(self, anyone: Commands):
        done = anyone.do("-r")
        assert done.status != 0
        assert "ermission" in done.output or "root" in done.output, done

    def test_ecc_counts(self, driver: str):
        counts = {"volatile": {"dram_correctable": 3}, "aggregate": {"dram_correctable": 5}}
        gpu = Gpu(T4, figures={"ecc": counts})
        scenario = Scenario(driver=driver, gpus=[gpu], user="root")
        field = "ecc.errors.corrected.{}.device_memory"
        with Testbed(scenario) as testbed:
            smi = Commands(testbed, scenario)
            assert values(smi, field.format("volatile")) == ["3"]
            assert "Reset volatile ECC errors to zero" in smi("-p", "0")
            assert values(smi, field.format("volatile")) == ["0"]
            assert values(smi, field.format("aggregate")) == ["5"]
            assert "Reset aggregate ECC errors to zero" in smi("-p", "1")
            assert values(smi, field.format("aggregate")) == ["0"]


class TestDraining:
    def test_a_gpu_is_drained_removed_and_found_again(self, root: Commands, driver: str):
        bus = machine(driver, Gpu(T4, count=2)).devices[0].pci.bus_id[4:]
        assert "is: not draining" in root("drain", "-p", bus, "-q")
        assert "drain state to: draining" in root("drain", "-p", bus, "-m", "1")
        assert "is: draining" in root("drain", "-p", bus, "-q")
        assert "drain state to: not draining" in root("drain", "-p", bus, "-m", "0")

    def test_is_for_root(self, anyone: Commands, driver: str):
        bus = machine(driver, Gpu(T4, count=2)).devices[0].pci.bus_id[4:]
        assert anyone.do("drain", "-p", bus, "-m", "1").status != 0
        assert "is: not draining" in anyone("drain", "-p", bus, "-q")


class TestTargetTemperature:
    def test_of_a_card_that_has_one(self, driver: str):
        if branch(driver) < 525:
            pytest.skip(f"driver {driver} is older than the product")
        for smi in commands(driver, RTX_4090, "root"):
            assert "GPU Target Temperature            : 84 C" in smi("-q", "-d", "TEMPERATURE")
            smi("-gtt", "80")
            assert "GPU Target Temperature            : 80 C" in smi("-q", "-d", "TEMPERATURE")


class TestLinks:
    @pytest.mark.parametrize("root", [A100], indirect=True)
    def test_errors_are_cleared(self, root: Commands):
        assert root("nvlink", "-re").count("error counters reset") == 24
