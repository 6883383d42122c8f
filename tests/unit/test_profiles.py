"""The GPU catalogue: complete, consistent in itself, and true to what is published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from types import NoneType
from typing import Any, get_args

import pytest
from gpu_datasheets import DATASHEETS

from emulator.machine import DRIVERS, Device, Figures, Machine
from emulator.machine.drivers import branch
from emulator.machine.mig.profiles import profiles as mig_profiles
from emulator.scenario import Gpu, Scenario, ScenarioError, Vocabulary, names, resolve
from emulator.scenario.profiles import merge, profile
from emulator.scenario.tree import names as figures_of

PROFILES = sorted(names().profiles)
MIB = 1 << 20
VOLTA, TURING, AMPERE, ADA = (7, 0), (7, 5), (8, 0), (8, 9)


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

    def test_is_what_its_data_sheet_says(self, name):
        found, sheet = device(name), DATASHEETS[name]
        assert found.processor.cores == sheet.cores
        assert found.memory.bus_width == sheet.bus_width
        assert found.compute_capability == sheet.capability
        # Of the memory, ECC and what the chip keeps are missing; makers say GB for GiB.
        assert found.memory.total / (1 << 30) == pytest.approx(sheet.memory, rel=0.08)
        if sheet.power is not None:
            assert found.power.default_limit == pytest.approx(sheet.power * 1000, rel=0.01)

    def test_has_the_memory_that_its_name_says(self, name):
        said = re.search(r"-(\d+)gb$", name)
        if said is not None:
            assert int(said[1]) == DATASHEETS[name].memory

    def test_draws_power_between_its_limits(self, name):
        power = device(name).power
        ceiling = power.limit or power.firmware_limit
        if power.usage is not None and ceiling is not None:
            assert 0 < power.usage < ceiling
        if power.limit is not None:
            assert power.min_limit <= power.limit == power.default_limit <= power.max_limit

    def test_runs_at_clocks_that_it_supports_or_sleeps_below_them(self, name):
        clocks = device(name).clocks
        if clocks.steps is None:
            return
        assert clocks.memory.current in clocks.supported_memory()
        graphics = clocks.supported_graphics(clocks.memory.current)
        assert clocks.graphics.current in graphics or clocks.graphics.current < min(graphics)
        assert clocks.graphics.max == max(clocks.supported_graphics(clocks.memory.max))

    def test_lists_supported_clocks_from_the_highest_down(self, name):
        clocks = device(name).clocks
        memory = clocks.supported_memory() or []
        for listed in (memory, *map(clocks.supported_graphics, memory)):
            assert all(higher > lower > 0 for higher, lower in pairwise(listed))

    def test_idles_in_the_state_that_its_clocks_tell(self, name):
        idle = device(name)
        memory = idle.clocks.memory
        if idle.performance_state == 0:
            assert memory.current == memory.max
        if idle.performance_state == 8 and idle.clocks.steps is not None:
            assert memory.current == min(idle.clocks.supported_memory())

    def test_rises_from_idle_to_the_highest_clocks(self, name):
        clocks = device(name).clocks
        for domain in (clocks.graphics, clocks.sm, clocks.memory, clocks.video):
            if None not in (domain.current, domain.max):
                assert 0 < domain.current <= domain.max

    def test_has_application_clocks_among_the_supported_pairs(self, name):
        clocks = device(name).clocks
        if clocks.memory.application is not None:
            pair = clocks.supported_graphics(clocks.memory.application)
            assert clocks.graphics.application in pair
            assert clocks.graphics.application == clocks.graphics.default_application

    def test_has_thresholds_in_order_absolute_or_as_margins(self, name):
        heat = device(name).temperature
        if heat.margin is None:
            steps = (heat.gpu, heat.max_operating, heat.slowdown, heat.shutdown)
            known = [step for step in steps if step is not None]
            assert all(lower < higher for lower, higher in pairwise(known))
            assert heat.shutdown_margin is heat.slowdown_margin is heat.max_operating_margin is None
        else:
            assert heat.shutdown_margin < heat.slowdown_margin < heat.max_operating_margin == 0
            assert 75 <= heat.gpu + heat.margin <= 100  # where the limit is
            assert heat.shutdown is heat.slowdown is heat.max_operating is None

    def test_has_free_memory_and_an_idle_gpu(self, name):
        idle = device(name)
        assert idle.memory.used == 0
        assert 0 < idle.memory.free == idle.memory.usable <= idle.memory.total
        assert idle.clocks.event_reasons in (["gpu_idle"], [])  # a Jetson gives none
        assert idle.utilization.gpu == 0

    def test_has_rising_bus_addresses_for_its_first_eight_and_any_more(self, name):
        plan = resolve(Scenario(gpus=[Gpu(name, count=20)]), Vocabulary({}, {}))
        addresses = [each.pci.bus_id for each in Machine(plan).devices]
        assert addresses == sorted(addresses)
        assert len(set(addresses)) == 20

    def test_counts_retired_pages_or_remapped_rows_never_both(self, name):
        each = device(name)
        if each.compute_capability >= AMPERE:
            assert each.retired_pages.pending is None
        else:
            assert each.remapped_rows.pending is None
        rows = each.remapped_rows
        assert (rows.pending is None) == (rows.banks_max is None)

    def test_counts_errors_only_where_it_corrects_them(self, name):
        ecc = device(name).ecc
        for counts in (ecc.volatile, ecc.aggregate):
            if ecc.current:
                assert counts.correctable == counts.uncorrectable == 0
            elif ecc.current is None:
                assert counts.correctable is counts.uncorrectable is None
        assert ecc.current is ecc.pending is ecc.default

    def test_counts_sram_as_one_from_turing_on_and_in_its_parts_before(self, name):
        each = device(name)
        parts = each.ecc.volatile.register_file_correctable
        assert None in (parts, each.ecc.volatile.sram_correctable)
        if each.compute_capability >= TURING:
            assert parts is None
        else:
            assert each.ecc.volatile.sram_correctable is None

    def test_has_the_profiles_to_be_divided_into_if_it_can_be(self, name):
        mig = device(name).mig
        assert (mig.max_instances is None) == (mig.current is None)
        if mig.max_instances is not None:
            kinds = mig_profiles(name).values()
            assert max(kind.most for kind in kinds) == mig.max_instances

    def test_has_no_engines_that_its_architecture_had_not_yet(self, name):
        each = device(name)
        if each.compute_capability < TURING:
            assert each.utilization.jpeg is each.utilization.ofa is None
        if each.compute_capability < ADA:
            assert each.encoder.av1 is None

    def test_is_a_pci_function_of_nvidia(self, name):
        pci = device(name).pci
        if not pci.device_id:  # a Jetson's GPU is on no bus
            return
        assert pci.device_id & 0xFFFF == 0x10DE
        assert pci.subsystem_id > 0xFFFF
        if pci.device_max_generation is not None:
            assert 1 <= pci.current_generation <= pci.device_max_generation
            assert 1 <= pci.current_width <= pci.max_width

    def test_shows_its_memory_under_470_without_what_is_reserved(self, name):
        if profile(name).placement.first_driver <= 470:
            memory = device(name, "470.256.02").memory
            assert memory.reserved == 0
            assert memory.total <= device(name).memory.total

    def test_keeps_threads_and_shared_memory_within_the_multiprocessor(self, name):
        each = device(name)
        cuda = each.cuda_attribute
        assert cuda("MAX_THREADS_PER_BLOCK") <= cuda("MAX_THREADS_PER_MULTIPROCESSOR")
        block = cuda("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN") + cuda("RESERVED_SHARED_MEMORY_PER_BLOCK")
        if each.compute_capability >= VOLTA:
            assert block == cuda("MAX_SHARED_MEMORY_PER_MULTIPROCESSOR")
        else:  # no block can opt in to more than the static limit (Pascal tuning guide)
            assert block == cuda("MAX_SHARED_MEMORY_PER_BLOCK")
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
    "p40": {
        "name": "Tesla P40",
        "brand": "TESLA",
        "architecture": "PASCAL",
        "compute_capability": (6, 1),
        "memory.total": 23040 * MIB,
        "bar1.total": 32768 * MIB,
        "pci.device_id": 0x1B3810DE,
        "pci.subsystem_id": 0x11D910DE,
        "power.default_limit": 250_000,
        "power.min_limit": 125_000,
        "clocks.graphics.max": 1531,
        "clocks.graphics.application": 1303,
        "clocks.memory.max": 3615,
        "performance_state": 8,
        "temperature.shutdown": 95,
        "temperature.memory": None,
        "ecc.current": True,
        "mig.current": None,
        "remapped_rows.banks_max": None,
    },
    "v100-sxm2-16gb": {
        "name": "Tesla V100-SXM2-16GB",
        "brand": "TESLA",
        "architecture": "VOLTA",
        "compute_capability": (7, 0),
        "memory.total": 16384 * MIB,
        "bar1.total": 16384 * MIB,
        "pci.device_id": 0x1DB110DE,
        "pci.subsystem_id": 0x121210DE,
        "power.default_limit": 300_000,
        "power.min_limit": 150_000,
        "clocks.graphics.max": 1530,
        "clocks.graphics.application": 1312,
        "clocks.memory.max": 877,
        "performance_state": 0,
        "temperature.shutdown": 90,
        "temperature.max_operating": 83,
        "ecc.volatile.sram_correctable": None,
        "retired_pages.single_bit": [],
        "remapped_rows.banks_max": None,
    },
    "a10": {
        "name": "NVIDIA A10",
        "brand": "NVIDIA",
        "architecture": "AMPERE",
        "compute_capability": (8, 6),
        "memory.total": 23028 * MIB,
        "memory.reserved": 512 * MIB,
        "bar1.total": 32768 * MIB,
        "pci.device_id": 0x223610DE,
        "pci.subsystem_id": 0x148210DE,
        "power.default_limit": 150_000,
        "power.min_limit": 100_000,
        "clocks.graphics.max": 1695,
        "clocks.memory.max": 6251,
        "clocks.video.max": 1575,
        "performance_state": 8,
        "temperature.shutdown": 101,
        "temperature.memory": None,
        "mig.current": None,
        "remapped_rows.banks_max": 192,
    },
    "l40s": {
        "name": "NVIDIA L40S",
        "architecture": "ADA",
        "compute_capability": (8, 9),
        "memory.total": 46068 * MIB,
        "bar1.total": 65536 * MIB,
        "pci.device_id": 0x26B910DE,
        "pci.subsystem_id": 0x185110DE,
        "power.default_limit": 350_000,
        "power.min_limit": 100_000,
        "clocks.graphics.max": 2520,
        "clocks.memory.max": 9001,
        "performance_state": 8,
        "temperature.shutdown": None,
        "mig.current": None,
        "remapped_rows.banks_max": 192,
    },
    "gh200-96gb": {
        "name": "NVIDIA GH200 480GB",
        "architecture": "HOPPER",
        "compute_capability": (9, 0),
        "addressing_mode": "ATS",
        "memory.total": 97871 * MIB,
        "bar1.total": None,
        "pci.device_id": 0x234210DE,
        "pci.subsystem_id": 0x180910DE,
        "power.default_limit": 900_000,
        "power.min_limit": 100_000,
        "power.module.default_limit": 1_000_000,
        "power.module.enforced_limit": 1_000_000,
        "clocks.graphics.max": 1980,
        "clocks.memory.max": 2619,
        "mig.current": False,
        "remapped_rows.banks_max": 3072,
    },
    "b200-180gb": {
        "name": "NVIDIA B200",
        "architecture": "BLACKWELL",
        "compute_capability": (10, 0),
        "memory.total": 183359 * MIB,
        "bar1.total": 262144 * MIB,
        "pci.device_id": 0x290110DE,
        "pci.subsystem_id": 0x199910DE,
        "pci.device_max_generation": 5,
        "power.default_limit": 1_000_000,
        "power.min_limit": 200_000,
        "clocks.graphics.max": 1965,
        "clocks.memory.max": 3996,
        "temperature.shutdown": None,
        "processor.multiprocessors": 148,
        "mig.current": False,
    },
    "gb200-186gb": {
        "pci.atomics_outbound": None,
        "power.module.usage": 467_170,
        "power.module.instant": 467_680,
        "power.module.enforced_limit": 2_500_000,
    },
}


def test_every_data_sheet_is_of_a_profile_and_every_profile_has_one():
    assert set(DATASHEETS) == set(PROFILES)


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


# What deviceQuery prints of them, in the order of its source.
DEVICE_QUERY = {
    "t4": (40, 1590000, 5001000, 256, 4194304, 65536, 1024, 3),
    "a100-sxm4-80gb": (108, 1410000, 1593000, 5120, 41943040, 167936, 2048, 3),
    "rtx-4090": (128, 2520000, 10501000, 384, 75497472, 102400, 1536, 2),
    "h100-sxm5-80gb": (132, 1980000, 2619000, 5120, 52428800, 233472, 2048, 3),
    "p100-pcie-16gb": (56, 1328500, 715000, 4096, 4194304, 65536, 2048, 2),
    "v100-pcie-32gb": (80, 1380000, 877000, 4096, 6291456, 98304, 2048, 7),
    "v100-sxm2-32gb": (80, 1530000, 877000, 4096, 6291456, 98304, 2048, 5),
    "a10": (72, 1695000, 6251000, 384, 6291456, 102400, 1536, 2),
    "l4": (58, 2040000, 6251000, 192, 50331648, 102400, 1536, 2),
    "l40s": (142, 2520000, 9001000, 384, 100663296, 102400, 1536, 2),
    "a100-pcie-40gb": (108, 1410000, 1215000, 5120, 41943040, 167936, 2048, 3),
    "h100-pcie-80gb": (114, 1755000, 1593000, 5120, 52428800, 233472, 2048, 3),
    "gh200-96gb": (132, 1980000, 2619000, 6144, 62914560, 233472, 2048, 3),
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

    @pytest.mark.parametrize(("driver", "told"), [("535.261.03", False), ("580.126.09", True)])
    def test_atomics_from_an_h100_s_peers_are_told_by_newer_drivers(self, driver, told):
        pci = device("h100-sxm5-80gb", driver).pci
        assert "CAS_64" in pci.atomics_outbound
        assert (pci.atomics_inbound == pci.atomics_outbound) == told

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
