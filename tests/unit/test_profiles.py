"""The GPU catalogue: complete, consistent in itself, and true to what is published."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args

import pytest

from emulator.machine import DRIVERS, Device, Figures, Machine
from emulator.machine.drivers import branch
from emulator.scenario import Gpu, Scenario, ScenarioError, Vocabulary, names, resolve
from emulator.scenario.profiles import merge, profile
from emulator.scenario.tree import names as figures_of

PROFILES = sorted(names().profiles)
MIB = 1 << 20


def device(name: str, driver: str = "580.126.09") -> Device:
    plan = resolve(Scenario(driver=driver, gpus=[Gpu(name)]), Vocabulary({}, {}))
    return Machine(plan).devices[0]


def figures(group: Figures, path: str = "device") -> Iterator[tuple[str, Any, Any]]:
    """Yield path, value and declared type of each figure under a group."""
    for name, declared in figures_of(type(group)).items():
        value = getattr(group, name)
        if isinstance(value, Figures):
            yield from figures(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}", value, declared


@pytest.mark.parametrize("name", PROFILES)
class TestEveryProfile:
    def test_says_what_it_is_in_one_line(self, name):
        assert "\n" not in names().profiles[name]
        assert len(names().profiles[name]) <= 80

    def test_sets_every_figure_that_all_products_have(self, name):
        missing = [
            path
            for path, value, declared in figures(device(name))
            if value is None and NoneType not in get_args(declared)
        ]
        assert missing == []

    def test_builds_under_every_driver_that_supports_it_and_no_other(self, name):
        first = profile(name).placement.first_driver
        for driver in DRIVERS:
            if branch(driver) >= first:
                assert device(name, driver).profile == name
            else:
                with pytest.raises(ScenarioError, match=f"needs driver {first} or newer"):
                    device(name, driver)

    def test_draws_power_between_its_limits(self, name):
        power = device(name).power
        assert 0 < power.usage < power.limit
        assert power.min_limit <= power.limit == power.default_limit <= power.max_limit

    def test_runs_at_clocks_that_it_supports(self, name):
        clocks = device(name).clocks
        assert clocks.memory.current in clocks.supported_memory()
        assert clocks.graphics.current in clocks.supported_graphics(clocks.memory.current)
        assert clocks.graphics.max == max(clocks.supported_graphics(clocks.memory.max))
        if clocks.memory.application is not None:
            pair = clocks.supported_graphics(clocks.memory.application)
            assert clocks.graphics.application in pair
            assert clocks.graphics.application == clocks.graphics.default_application

    def test_has_thresholds_in_order_absolute_or_as_margins(self, name):
        heat = device(name).temperature
        if heat.shutdown is None:
            assert heat.shutdown_margin < heat.slowdown_margin < heat.max_operating_margin == 0
            assert heat.margin > 0
        else:
            assert heat.gpu < heat.max_operating < heat.slowdown < heat.shutdown
            assert heat.margin is None

    def test_has_free_memory_and_an_idle_gpu(self, name):
        idle = device(name)
        assert idle.memory.used == 0
        assert 0 < idle.memory.free == idle.memory.usable < idle.memory.total
        assert idle.clocks.event_reasons == ["gpu_idle"]
        assert idle.utilization.gpu == 0

    def test_has_rising_bus_addresses_for_its_first_eight_and_any_more(self, name):
        plan = resolve(Scenario(gpus=[Gpu(name, count=20)]), Vocabulary({}, {}))
        addresses = [each.pci.bus_id for each in Machine(plan).devices]
        assert addresses == sorted(addresses)
        assert len(set(addresses)) == 20

    def test_counts_retired_pages_or_remapped_rows_never_both(self, name):
        each = device(name)
        assert None in (each.retired_pages.pending, each.remapped_rows.pending)

    def test_keeps_threads_and_shared_memory_within_the_multiprocessor(self, name):
        cuda = device(name).cuda_attribute
        assert cuda("MAX_THREADS_PER_BLOCK") <= cuda("MAX_THREADS_PER_MULTIPROCESSOR")
        assert cuda("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN") + cuda(
            "RESERVED_SHARED_MEMORY_PER_BLOCK"
        ) == cuda("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR")
        assert cuda("MAX_PERSISTING_L2_CACHE_SIZE") < cuda("L2_CACHE_SIZE")


# Rows that a reader can hold against the published outputs; sources stand in the profiles.
PUBLISHED = {
    "h100-sxm5-80gb": {
        "name": "NVIDIA H100 80GB HBM3",
        "brand": "NVIDIA",
        "architecture": "HOPPER",
        "compute_capability": (9, 0),
        "memory.total": 81559 * MIB,
        "memory.bus_width": 5120,
        "bar1.total": 131072 * MIB,
        "pci.device_id": 0x233010DE,
        "pci.subsystem_id": 0x16C110DE,
        "pci.device_max_generation": 5,
        "power.default_limit": 700_000,
        "power.min_limit": 200_000,
        "clocks.graphics.max": 1980,
        "clocks.memory.max": 2619,
        "clocks.video.max": 1545,
        "processor.multiprocessors": 132,
        "processor.cores": 16896,
        "ecc.current": True,
        "mig.current": False,
        "remapped_rows.banks_max": 2560,
    },
    "a100-sxm4-80gb": {
        "name": "NVIDIA A100-SXM4-80GB",
        "brand": "NVIDIA",
        "architecture": "AMPERE",
        "compute_capability": (8, 0),
        "memory.total": 81920 * MIB,
        "memory.bus_width": 5120,
        "pci.device_id": 0x20B210DE,
        "pci.subsystem_id": 0x147F10DE,
        "pci.device_max_generation": 4,
        "power.default_limit": 400_000,
        "power.min_limit": 100_000,
        "clocks.graphics.max": 1410,
        "clocks.memory.max": 1593,
        "clocks.video.max": 1290,
        "temperature.shutdown": 92,
        "processor.multiprocessors": 108,
        "processor.cores": 6912,
        "ecc.current": True,
        "mig.current": False,
        "remapped_rows.banks_max": 640,
    },
    "t4": {
        "name": "Tesla T4",
        "brand": "NVIDIA",
        "architecture": "TURING",
        "compute_capability": (7, 5),
        "memory.total": 15360 * MIB,
        "memory.bus_width": 256,
        "bar1.total": 256 * MIB,
        "pci.device_id": 0x1EB810DE,
        "pci.subsystem_id": 0x12A210DE,
        "pci.device_max_generation": 3,
        "power.default_limit": 70_000,
        "power.min_limit": 60_000,
        "clocks.graphics.max": 1590,
        "clocks.memory.max": 5001,
        "clocks.video.max": 1470,
        "temperature.shutdown": 96,
        "processor.multiprocessors": 40,
        "processor.cores": 2560,
        "ecc.current": True,
        "mig.current": None,
        "retired_pages.single_bit": [],
    },
    "rtx-4090": {
        "name": "NVIDIA GeForce RTX 4090",
        "brand": "GEFORCE",
        "architecture": "ADA",
        "compute_capability": (8, 9),
        "serial": None,
        "memory.total": 24564 * MIB,
        "memory.bus_width": 384,
        "pci.device_id": 0x268410DE,
        "pci.device_max_generation": 4,
        "power.default_limit": 450_000,
        "power.max_limit": 600_000,
        "clocks.graphics.max": 3105,
        "clocks.graphics.application": None,
        "clocks.memory.max": 10501,
        "temperature.target": 84,
        "processor.multiprocessors": 128,
        "processor.cores": 16384,
        "ecc.current": False,
        "mig.current": None,
    },
}


def test_every_profile_has_a_row_of_published_figures():
    assert set(PUBLISHED) == set(PROFILES)


@pytest.mark.parametrize(
    ("name", "path", "published"),
    [(name, path, value) for name, rows in PUBLISHED.items() for path, value in rows.items()],
)
def test_figures_are_as_published(name, path, published):
    found: Any = device(name)
    for part in path.split("."):
        found = getattr(found, part)
    assert found == published


@pytest.mark.parametrize(
    ("name", "count", "version", "speed"),
    [("h100-sxm5-80gb", 18, 4, 26562), ("a100-sxm4-80gb", 12, 3, 25000), ("t4", 0, 0, 0)],
)
def test_sxm_boards_have_all_links_up_to_their_switches(name, count, version, speed):
    links = device(name).nvlinks
    assert len(links) == count
    for link in links:
        assert (link.active, link.version, link.speed) == (True, version, speed)
        assert link.remote_type == "SWITCH"


def test_the_rtx_4090_has_two_fans_that_stand_still():
    assert [fan.speed for fan in device("rtx-4090").fans] == [0, 0]


# What deviceQuery prints of the four, in the order of its source.
DEVICE_QUERY = {
    "t4": (40, 1590000, 5001000, 256, 4194304, 65536, 1024, 3),
    "a100-sxm4-80gb": (108, 1410000, 1593000, 5120, 41943040, 167936, 2048, 3),
    "rtx-4090": (128, 2520000, 10501000, 384, 75497472, 102400, 1536, 2),
    "h100-sxm5-80gb": (132, 1980000, 2619000, 5120, 52428800, 233472, 2048, 3),
}


@pytest.mark.parametrize("name", DEVICE_QUERY)
def test_cuda_attributes_are_what_device_query_prints(name):
    attributes = (
        *("MULTIPROCESSOR_COUNT", "CLOCK_RATE", "MEMORY_CLOCK_RATE", "GLOBAL_MEMORY_BUS_WIDTH"),
        *("L2_CACHE_SIZE", "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR"),
        *("MAX_THREADS_PER_MULTIPROCESSOR", "ASYNC_ENGINE_COUNT"),
    )
    found = device(name)
    assert tuple(map(found.cuda_attribute, attributes)) == DEVICE_QUERY[name]


class TestDriverBranches:
    @pytest.mark.parametrize(("name", "total"), [("t4", 15109), ("a100-sxm4-80gb", 81251)])
    def test_470_leaves_reserved_memory_out_of_the_total(self, name, total):
        memory = device(name, "470.256.02").memory
        assert (memory.total // MIB, memory.reserved) == (total, 0)

    @pytest.mark.parametrize(
        ("name", "driver", "runs"),
        [
            ("t4", "470.256.02", False),
            ("t4", "525.147.05", True),
            ("rtx-4090", "550.163.01", False),
            ("rtx-4090", "555.58.02", True),
        ],
    )
    def test_gsp_firmware_bears_the_driver_s_version_where_it_runs(self, name, driver, runs):
        gsp = device(name, driver).gsp
        assert (gsp.enabled, gsp.version) == (runs, driver if runs else None)


def test_merging_goes_table_by_table_and_changes_neither_side():
    base, change = {"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"y": 3}, "b": [], "c": {}}
    assert merge(base, change) == {"a": {"x": 1, "y": 3}, "b": [], "c": {}}
    assert base == {"a": {"x": 1, "y": 2}, "b": [1]}
    assert change == {"a": {"y": 3}, "b": [], "c": {}}
