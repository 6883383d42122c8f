"""The machine: what it is built from, what it derives, and where it can run."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import msgspec
import pytest

import emulator.machine
from emulator.machine import DRIVERS, FORMAT, NEWEST, Device, Figures, Machine, Process
from emulator.machine.clocks import Clocks
from emulator.machine.drivers import FROM_HEADERS, branch, nvml_version
from emulator.machine.links.links import nvlinks
from emulator.machine.memory import Memory, Region
from emulator.machine.pci import Pci
from emulator.scenario import Gpu, Scenario, Vocabulary, names, resolve

GIB = 1 << 30


def plan(*gpus: Gpu, driver: str = NEWEST) -> dict:
    return resolve(Scenario(driver=driver, gpus=gpus), Vocabulary({}, {}))


def device(profile: str = "h100-sxm5-80gb") -> Device:
    return Machine(plan(Gpu(profile))).devices[0]


def groups(kind: type[Figures] = Figures) -> list[type[Figures]]:
    return [each for child in kind.__subclasses__() for each in (child, *groups(child))]


class TestBuilding:
    def test_a_machine_has_the_plan_s_versions_and_devices_in_order(self):
        machine = Machine(plan(Gpu("t4", count=2), Gpu("rtx-4090")))
        assert machine.driver == machine.driver_version == "580.126.09"
        assert machine.cuda_version == 13000
        assert machine.nvml_version == "13.580.126.09"
        assert [device.index for device in machine.devices] == [0, 1, 2]
        assert [device.name for device in machine.devices] == [
            "Tesla T4",
            "Tesla T4",
            "NVIDIA GeForce RTX 4090",
        ]

    def test_a_driver_may_say_another_version_than_the_one_it_behaves_like(self):
        scenario = Scenario(driver="550.163.01", driver_version="550.54.15", cuda_version="12.4")
        machine = Machine(resolve(scenario, Vocabulary({}, {})))
        assert (machine.driver, machine.driver_version) == ("550.163.01", "550.54.15")
        assert machine.nvml_version == "12.550.54.15"

    def test_a_plan_of_another_format_is_refused(self):
        with pytest.raises(ValueError, match=f"expected {FORMAT}"):
            Machine({**plan(), "format": FORMAT + 1})

    def test_the_plan_may_come_through_json(self):
        through = msgspec.json.decode(msgspec.json.encode(plan(Gpu("h100-sxm5-80gb", count=2))))
        assert Machine(through).devices[1].memory.total == 81559 << 20

    def test_machines_of_one_plan_do_not_share_state(self):
        shared = plan(Gpu("t4", count=2))
        first, second = Machine(shared), Machine(shared)
        first.devices[0].memory.used = 5
        first.devices[0].cuda["WARP_SIZE"] = 64
        first.devices[0].clocks.event_reasons.append("sw_power_cap")
        for untouched in (first.devices[1], second.devices[0]):
            assert untouched.memory.used == 0
            assert untouched.cuda["WARP_SIZE"] == 32
            assert untouched.clocks.event_reasons == ["gpu_idle"]

    def test_the_clock_gives_nanoseconds_of_wall_time(self):
        clock = Machine(plan()).clock
        assert 0 <= clock.now() - clock.now() + 10**9 <= 10**9
        assert clock.now() > 1_700_000_000 * 10**9


class TestDevice:
    def test_a_figure_that_the_product_does_not_have_is_none(self):
        t4 = device("t4")
        assert t4.temperature.memory is None
        assert t4.mig.current is None
        assert t4.remapped_rows.failure is None
        assert t4.fans == []
        assert t4.nvlinks == []

    def test_figures_can_be_changed_at_run_time(self):
        h100 = device()
        h100.memory.used = 10 * GIB
        h100.name = "Something Else"
        h100.power.limit = 500_000
        assert h100.memory.free == h100.memory.total - h100.memory.reserved - 10 * GIB
        assert h100.power.enforced_limit == 500_000
        assert h100.name == "Something Else"

    @pytest.mark.parametrize("owner", [lambda d: d, lambda d: d.memory, lambda d: d.nvlinks[0]])
    def test_a_misspelt_figure_is_an_error_not_a_new_attribute(self, owner):
        with pytest.raises(AttributeError):
            owner(device()).usd = 3
        with pytest.raises(AttributeError):
            _ = owner(device()).usd

    def test_threads_that_race_to_a_group_get_the_same_one(self):
        h100, barrier, seen = device(), Barrier(8), []

        def look() -> None:
            barrier.wait()
            seen.append(h100.memory)

        threads = [Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(group) for group in seen}) == 1

    def test_a_device_can_be_copied(self):
        h100 = device()
        h100.memory.used = GIB
        twin = copy.deepcopy(h100)
        twin.memory.used = 0
        assert (h100.memory.used, twin.uuid) == (GIB, h100.uuid)

    def test_the_repr_tells_one_device_from_another(self):
        h100 = device()
        assert repr(h100) == f"Device(index=0, name='NVIDIA H100 80GB HBM3', uuid='{h100.uuid}')"
        assert repr(Region({"total": 2, "used": 1})) == "Region(total=2, used=1)"

    def test_processes_are_as_the_plan_lists_them(self):
        rows = [{"pid": 7, "name": "python", "type": "C", "used_memory": "1 GiB"}]
        (process,) = Machine(plan(Gpu("t4", figures={"processes": rows}))).devices[0].processes
        assert isinstance(process, Process)
        assert (process.pid, process.used_memory, process.gpu_instance) == (7, GIB, None)


class TestDerivedFigures:
    def test_memory(self):
        memory = Memory({"total": 100, "reserved": 10, "used": 30})
        assert (memory.usable, memory.free) == (90, 60)
        assert Region({"total": 8, "used": 3}).free == 5

    def test_pci_addresses_are_written_both_ways(self):
        pci = Pci({"domain": 0x10000, "bus": 0x1B, "device": 0x1F})
        assert pci.bus_id == "00010000:1B:1F.0"
        assert pci.bus_id_legacy == "0000:1B:1F.0"

    @pytest.mark.parametrize(("of_device", "of_host", "both"), [(5, 4, 4), (3, 5, 3), (4, None, 4)])
    def test_the_link_s_generation_is_the_lower_of_both_ends(self, of_device, of_host, both):
        table = {"device_max_generation": of_device, "host_max_generation": of_host}
        assert Pci(table).max_generation == both

    def test_a_lane_s_rate_follows_the_current_generation(self):
        assert Pci({"current_generation": 5}).lane_rate == 32000
        assert Pci({}).lane_rate is None

    def test_supported_clocks_come_highest_first(self):
        clocks = Clocks({"steps": [[5001, 1590, 1560, 15], [405, 300, 300, 15]]})
        assert clocks.supported_memory() == [5001, 405]
        assert clocks.supported_graphics(5001) == [1590, 1575, 1560]
        assert clocks.supported_graphics(405) == [300]
        assert clocks.supported_graphics(1000) is None
        assert Clocks({}).supported_memory() is None

    def test_ecc_sums_need_all_their_parts(self):
        counts = device().ecc.volatile
        counts.sram_uncorrectable_parity, counts.sram_uncorrectable_secded = 2, 3
        counts.dram_uncorrectable, counts.sram_correctable = 10, 4
        assert (counts.sram_uncorrectable, counts.uncorrectable, counts.correctable) == (5, 15, 4)
        off = device("rtx-4090").ecc.volatile
        assert (off.sram_uncorrectable, off.uncorrectable, off.correctable) == (None, None, None)

    def test_a_link_forgets_its_remote_end_when_it_goes_down(self):
        link = device().nvlinks[0]
        assert (link.active, link.remote_type) == (True, "SWITCH")
        link.disconnect()
        assert (link.active, link.remote_type) == (False, None)

    def test_a_link_without_remote_end_starts_down(self):
        table = {"version": 4, "speed": 26562, "links": [{}]}
        assert nvlinks(table)[0].active is False

    def test_cores_are_counted_over_multiprocessors(self):
        assert device().processor.cores == 16896


class TestCudaAttributes:
    def test_what_is_derived_follows_the_live_state(self):
        h100 = device()
        h100.ecc.current = False
        h100.compute_mode = "EXCLUSIVE_PROCESS"
        h100.addressing_mode = "HMM"
        assert h100.cuda_attribute("ECC_ENABLED") == 0
        assert h100.cuda_attribute("COMPUTE_MODE") == 3
        assert h100.cuda_attribute("PAGEABLE_MEMORY_ACCESS") == 1

    def test_the_table_decides_before_what_is_derived(self):
        h100 = device()
        assert h100.cuda_attribute("MULTIPROCESSOR_COUNT") == 132
        h100.cuda["MULTIPROCESSOR_COUNT"] = 100
        assert h100.cuda_attribute("MULTIPROCESSOR_COUNT") == 100

    def test_a_clock_that_the_product_hides_has_no_rate(self):
        h100 = device()
        h100.clocks.memory.max = None
        assert h100.cuda_attribute("MEMORY_CLOCK_RATE") is None

    def test_an_attribute_without_a_value_is_none(self):
        assert device().cuda_attribute("NO_SUCH_ATTRIBUTE") is None


class TestDrivers:
    def test_versions_are_known_oldest_first(self):
        assert list(DRIVERS) == sorted(DRIVERS)
        assert [driver for driver in DRIVERS if driver not in FROM_HEADERS][-1] == NEWEST

    def test_the_branch_is_the_first_number(self):
        assert branch("470.256.02") == 470

    def test_the_nvml_version_is_as_the_real_library_gives_it(self):
        assert nvml_version("550.163.01", DRIVERS["550.163.01"]) == "12.550.163.01"


@pytest.mark.parametrize("group", groups(), ids=lambda group: group.__name__)
def test_each_slot_is_annotated_and_each_annotation_has_its_slot(group):
    public = {name for name in group.__slots__ if not name.startswith("_")}
    assert set(group.__annotations__) == public


# Imports the package by its path under another name, as the stubs do, lists what that dragged in,
# then reads every figure of a plan.
FOREIGN = """
import sys
before = set(sys.modules)
package = type(sys)("borrowed")
package.__path__ = [sys.argv[1]]
sys.modules["borrowed"] = package
from borrowed.machine import Figures, Machine
print(" ".join(sorted(set(sys.modules) - before)))

import json

def read(value):
    if isinstance(value, list):
        return sum(map(read, value))
    if not isinstance(value, Figures):
        return 1
    return sum(read(getattr(value, name)) for name in type(value).__slots__ if name[0] != "_")

print(sum(map(read, Machine(json.load(sys.stdin)).devices)))
"""


def interpreters() -> dict[str, Path]:
    """Find CPython 3.9 and later: this one, those on the PATH, those that pyenv keeps."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = {sys.version_info[1]: Path(sys.executable)}
    for minor in range(9, 16):
        kept = [version / "bin" / "python" for version in sorted(pyenv.glob(f"3.{minor}.*"))]
        path = kept[-1] if kept else shutil.which(f"python3.{minor}")
        if path is not None:
            found.setdefault(minor, Path(path))
    return {f"3.{minor}": found[minor] for minor in sorted(found)}


@pytest.mark.parametrize("version", interpreters())
def test_it_runs_in_strangers_interpreters_and_imports_nothing_costly(version):
    home = Path(emulator.machine.__file__).parents[1]
    gpus = [Gpu(profile) for profile in names().profiles]
    done = subprocess.run(
        [interpreters()[version], "-I", "-S", "-c", FOREIGN, home],
        input=msgspec.json.encode(plan(*gpus)),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    imported, figures = done.stdout.decode().splitlines()
    strange = {name for name in imported.split() if not name.startswith("borrowed")}
    assert strange <= {"__future__"}  # and so none of json, re, enum, typing, functools, ...
    assert int(figures) > 500
