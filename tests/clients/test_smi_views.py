"""Every product of the catalogue in every view of NVIDIA's own nvidia-smi.

What a view prints is compared with the figures of the machine: a quantity that the product has is
there, one that it has not is N/A. The programs are found as in test_nvidia_smi.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from smi_commands import Commands, fields_of
from test_nvidia_smi import DRIVERS, machine, pytestmark
from xml_dtd import departures

from emulator import Device, Gpu, Scenario, Testbed
from emulator.machine.drivers import branch
from emulator.scenario import names
from emulator.scenario.profiles import profile

__all__ = ["pytestmark"]

#: nvidia-smi of 550 and 555 prints what the stack holds where the Jetson's NVML knows no figure.
JETSON = "jetson-agx-orin"
PRODUCTS = sorted(set(names().profiles) - {JETSON})

PAIRS = [
    (driver, name)
    for driver in DRIVERS
    for name in PRODUCTS
    if branch(driver) >= profile(name).placement.first_driver
]

NONE = "N/A"

Show = Callable[[Device], str]


def shown(read: Callable[[Device], object], unit: str = "") -> Show:
    """A quantity with its unit, or N/A."""

    def show(device: Device) -> str:
        value = read(device)
        return NONE if value is None else f"{value}{unit}"

    return show


def watts(read: Callable[[Device], int | None]) -> Show:
    def show(device: Device) -> str:
        value = read(device)
        return NONE if value is None else f"{(value + 5) // 10 / 100:.2f} W"

    return show


def word(read: Callable[[Device], bool | None], yes: str, no: str) -> Show:
    def show(device: Device) -> str:
        value = read(device)
        return NONE if value is None else (yes if value else no)

    return show


def enabled(read: Callable[[Device], bool | None]) -> Show:
    return word(read, "Enabled", "Disabled")


def fan(device: Device) -> int | None:
    return device.fans[0].speed if device.fans else None


def averaged(device: Device) -> int | None:
    """nvml.h: power is averaged over a second since Ampere, but not by GA100."""
    return device.power.usage if device.compute_capability > (8, 0) else None


def instant(device: Device) -> int | None:
    return device.power.instant if averaged(device) is not None else device.power.usage


class Row(NamedTuple):
    """A quantity: where it stands in the XML, what --query-gpu calls it, and its text."""

    path: str
    field: str
    show: Show
    since: int = 0  # release branch; older ones have another quantity of that name


ROWS = [
    Row("product_name", "name", shown(lambda d: d.name)),
    Row("uuid", "uuid", shown(lambda d: d.uuid)),
    Row("serial", "serial", shown(lambda d: d.serial)),
    Row("minor_number", "", shown(lambda d: d.minor_number)),
    Row("vbios_version", "vbios_version", shown(lambda d: d.board.vbios_version)),
    Row("board_part_number", "", shown(lambda d: d.board.part_number)),
    Row("gpu_part_number", "", shown(lambda d: d.board.gpu_part_number), 525),
    Row("board_id", "", shown(lambda d: hex(d.board.id))),
    Row("inforom_version/img_version", "inforom.img", shown(lambda d: d.inforom.image)),
    Row("inforom_version/oem_object", "inforom.oem", shown(lambda d: d.inforom.oem)),
    Row("inforom_version/ecc_object", "inforom.ecc", shown(lambda d: d.inforom.ecc)),
    Row("inforom_version/pwr_object", "inforom.pwr", shown(lambda d: d.inforom.power)),
    Row("gsp_firmware_version", "", shown(lambda d: d.gsp.version)),
    Row("display_mode", "display_mode", enabled(lambda d: d.display_mode)),
    Row("display_active", "display_active", enabled(lambda d: d.display_active)),
    Row("persistence_mode", "persistence_mode", enabled(lambda d: d.persistence_mode)),
    Row("accounting_mode", "accounting.mode", enabled(lambda d: d.accounting.enabled)),
    Row("mig_mode/current_mig", "mig.mode.current", enabled(lambda d: d.mig.current)),
    Row("mig_mode/pending_mig", "mig.mode.pending", enabled(lambda d: d.mig.pending)),
    Row("ecc_mode/current_ecc", "ecc.mode.current", enabled(lambda d: d.ecc.current)),
    Row("ecc_mode/pending_ecc", "ecc.mode.pending", enabled(lambda d: d.ecc.pending)),
    Row("pci/pci_bus_id", "pci.bus_id", shown(lambda d: d.pci.bus_id)),
    Row("pci/pci_device_id", "", shown(lambda d: f"{d.pci.device_id:08X}")),
    Row("pci/pci_sub_system_id", "", shown(lambda d: f"{d.pci.subsystem_id:08X}")),
    Row(
        "pci/pci_gpu_link_info/pcie_gen/max_device_link_gen",
        "pcie.link.gen.gpumax",
        shown(lambda d: d.pci.device_max_generation),
    ),
    Row(
        "pci/pci_gpu_link_info/pcie_gen/max_host_link_gen",
        "pcie.link.gen.hostmax",
        shown(lambda d: d.pci.host_max_generation),
    ),
    Row(
        "pci/pci_gpu_link_info/pcie_gen/current_link_gen",
        "pcie.link.gen.current",
        shown(lambda d: d.pci.current_generation),
    ),
    Row(
        "pci/pci_gpu_link_info/link_widths/current_link_width",
        "",
        shown(lambda d: d.pci.current_width, "x"),
    ),
    Row("pci/replay_counter", "", shown(lambda d: d.pci.replay_counter)),
    Row("fan_speed", "fan.speed", shown(fan, " %")),
    Row("performance_state", "pstate", shown(lambda d: f"P{d.performance_state}")),
    Row("utilization/gpu_util", "utilization.gpu", shown(lambda d: d.utilization.gpu, " %")),
    Row(
        "utilization/memory_util",
        "utilization.memory",
        shown(lambda d: d.utilization.memory, " %"),
    ),
    Row("utilization/jpeg_util", "", shown(lambda d: d.utilization.jpeg, " %")),
    Row("utilization/ofa_util", "", shown(lambda d: d.utilization.ofa, " %")),
    Row("temperature/gpu_temp", "", shown(lambda d: d.temperature.gpu, " C")),
    Row("temperature/memory_temp", "", shown(lambda d: d.temperature.memory, " C")),
    Row("temperature/gpu_target_temperature", "", shown(lambda d: d.temperature.target, " C")),
    Row("temperature/gpu_temp_max_threshold", "", shown(lambda d: d.temperature.shutdown, " C")),
    Row("temperature/gpu_temp_slow_threshold", "", shown(lambda d: d.temperature.slowdown, " C")),
    Row(
        "temperature/gpu_temp_max_gpu_threshold",
        "",
        shown(lambda d: d.temperature.max_operating, " C"),
    ),
    Row("power_readings/power_draw", "power.draw", watts(lambda d: d.power.usage)),
    Row("power_readings/power_limit", "power.limit", watts(lambda d: d.power.limit)),
    Row("gpu_power_readings/power_draw", "power.draw", watts(lambda d: d.power.usage)),
    Row("gpu_power_readings/average_power_draw", "power.draw.average", watts(averaged)),
    Row(
        "gpu_power_readings/instant_power_draw",
        "power.draw.instant",
        watts(instant),
    ),
    Row(
        "gpu_power_readings/current_power_limit",
        "enforced.power.limit",
        watts(lambda d: d.power.enforced_limit),
    ),
    Row("gpu_power_readings/requested_power_limit", "", watts(lambda d: d.power.limit)),
    Row(
        "gpu_power_readings/default_power_limit",
        "power.default_limit",
        watts(lambda d: d.power.default_limit),
    ),
    Row(
        "gpu_power_readings/min_power_limit", "power.min_limit", watts(lambda d: d.power.min_limit)
    ),
    Row(
        "gpu_power_readings/max_power_limit", "power.max_limit", watts(lambda d: d.power.max_limit)
    ),
    Row("gpu_memory_power_readings/power_draw", "", watts(lambda d: d.power.memory_usage)),
    Row("module_power_readings/power_draw", "", watts(lambda d: d.power.module.usage)),
    Row(
        "clocks/graphics_clock",
        "clocks.current.graphics",
        shown(lambda d: d.clocks.graphics.current, " MHz"),
    ),
    Row("clocks/sm_clock", "clocks.current.sm", shown(lambda d: d.clocks.sm.current, " MHz")),
    Row(
        "clocks/mem_clock",
        "clocks.current.memory",
        shown(lambda d: d.clocks.memory.current, " MHz"),
    ),
    Row(
        "clocks/video_clock",
        "clocks.current.video",
        shown(lambda d: d.clocks.video.current, " MHz"),
    ),
    Row(
        "applications_clocks/graphics_clock",
        "clocks.applications.graphics",
        shown(lambda d: d.clocks.graphics.application, " MHz"),
    ),
    Row(
        "default_applications_clocks/mem_clock",
        "clocks.default_applications.memory",
        shown(lambda d: d.clocks.memory.default_application, " MHz"),
    ),
    Row(
        "max_clocks/graphics_clock",
        "clocks.max.graphics",
        shown(lambda d: d.clocks.graphics.max, " MHz"),
    ),
    Row("max_clocks/sm_clock", "clocks.max.sm", shown(lambda d: d.clocks.sm.max, " MHz")),
    Row("max_clocks/mem_clock", "clocks.max.memory", shown(lambda d: d.clocks.memory.max, " MHz")),
    Row("max_clocks/video_clock", "", shown(lambda d: d.clocks.video.max, " MHz")),
    Row(
        "max_customer_boost_clocks/graphics_clock",
        "",
        shown(lambda d: d.clocks.graphics.max_customer_boost, " MHz"),
    ),
    Row(
        "remapped_rows/row_remapper_histogram/row_remapper_histogram_max",
        "",
        shown(lambda d: d.remapped_rows.banks_max, " bank(s)"),
    ),
    Row(
        "retired_pages/pending_retirement", "", word(lambda d: d.retired_pages.pending, "Yes", "No")
    ),
]

#: XML path and field of a size -> bytes. nvidia-smi rounds some up and some down.
SIZES: dict[str, tuple[str, Callable[[Device], int | None]]] = {
    "fb_memory_usage/total": ("memory.total", lambda d: d.memory.total),
    "fb_memory_usage/reserved": ("memory.reserved", lambda d: d.memory.reserved),
    "fb_memory_usage/used": ("memory.used", lambda d: d.memory.used),
    "fb_memory_usage/free": ("memory.free", lambda d: d.memory.free),
    "bar1_memory_usage/total": ("", lambda d: d.bar1.total),
    "bar1_memory_usage/used": ("", lambda d: d.bar1.used),
}


def wrong_size(text: str, size: int | None) -> bool:
    """Whether a text is not this number of bytes in MiB, or N/A."""
    if size is None:
        return text != NONE
    number = re.fullmatch(r"(\d+) MiB", text)
    return number is None or abs(int(number[1]) - size / 2**20) >= 1


@pytest.fixture(scope="class", params=PAIRS or [("none", "none")], ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A driver and a product that it supports."""
    given: tuple[str, str] = request.param
    return given


PROCESS = {"pid": 4242, "name": "/usr/bin/python3", "type": "C", "used_memory": "1 GiB"}


@pytest.fixture(scope="class")
def gpu(pair: tuple[str, str]) -> Gpu:
    """Two of a product, each at work."""
    figures = {"processes": [PROCESS]}
    return Gpu(pair[1], count=2, utilization=40, memory_used="1 GiB", figures=figures)


@pytest.fixture(scope="class")
def devices(pair: tuple[str, str], gpu: Gpu) -> tuple[Device, ...]:
    return tuple(machine(pair[0], gpu).devices)


@pytest.fixture(scope="class")
def smi(pair: tuple[str, str], gpu: Gpu) -> Iterator[Commands]:
    scenario = Scenario(driver=pair[0], gpus=[gpu], user="root")
    with Testbed(scenario, trace=True) as testbed:
        yield Commands(testbed, scenario)


def sections_of(smi: Commands) -> list[str]:
    """What `-q -d` may be asked for, by the driver's own help."""
    listed = re.search(r"selected information: (.*?)Flags can", smi.help("-h"), re.DOTALL)
    assert listed is not None
    return re.findall(r"[A-Z_]{3,}", listed[1])


class TestEveryProduct:
    def test_the_xml(self, smi: Commands, devices: tuple[Device, ...]):
        text = smi("-q", "-x", "--dtd")
        # The type of 525 and 535 names one of two elements twice and the other not at all.
        slip = "(gpu_temp_slow_threshold|gpu_temp_slow_threshold)"
        assert not departures(text.replace(slip, slip.replace("slow_t", "slow_tlimit_t", 1)))
        found = ElementTree.fromstring(text).findall("gpu")
        assert [each.get("id") for each in found] == [each.pci.bus_id for each in devices]
        for element, device in zip(found, devices, strict=True):
            known = [row for row in ROWS if row.since <= smi.release]
            texts = {row.path: element.findtext(row.path) for row in known}
            there = {row.path: row.show(device) for row in known if texts[row.path] is not None}
            assert {path: texts[path] for path in there} == there
            assert len(there) >= 49  # so many has the oldest
            sizes = {path: element.findtext(path) for path in SIZES}
            wrong = {p: t for p, t in sizes.items() if t and wrong_size(t, SIZES[p][1](device))}
            assert not wrong

    def test_every_field(self, smi: Commands, devices: tuple[Device, ...]):
        fields = fields_of(smi.help("--help-query-gpu"))
        query = smi("--query-gpu=" + ",".join(fields), "--format=csv,noheader")
        rows = list(csv.reader(query.splitlines(), skipinitialspace=True))
        for row, device in zip(rows, devices, strict=True):
            texts = {f: t.strip("[]") for f, t in zip(fields, row, strict=True)}
            expected = {row.field: row.show(device) for row in ROWS if row.field in texts}
            assert {field: texts[field] for field in expected} == expected
            assert len(expected) > 30
            for field, size in SIZES.values():
                assert field not in texts or not wrong_size(texts[field], size(device)), field

    def test_every_section(self, smi: Commands):
        """All at once; -q has them, too, but -d adds the samples."""
        sections = sections_of(smi)
        assert {"MEMORY", "ECC", "ROW_REMAPPER", "SUPPORTED_CLOCKS"} <= set(sections)
        text = smi("-q", "-d", ",".join(sections))
        assert text.count("\nGPU 0") == 2
        if smi.release >= 535:
            assert "\n    Power Samples\n" in text

    def query(self, smi: Commands, devices: tuple[Device, ...], kind: str) -> list[dict[str, str]]:
        """All that a query can say; of each device that has something to be said."""
        fields = fields_of(smi.help(f"--help-query-{kind}"))
        query = smi(f"--query-{kind}=" + ",".join(fields), "--format=csv,noheader")
        rows = list(csv.reader(query.splitlines(), skipinitialspace=True))
        answers = [dict(zip(fields, row, strict=True)) for row in rows]
        assert {row["gpu_uuid"] for row in answers} <= {device.uuid for device in devices}
        return answers

    def test_compute_apps(self, smi: Commands, devices: tuple[Device, ...]):
        rows = self.query(smi, devices, "compute-apps")
        assert {row["gpu_uuid"] for row in rows} == {device.uuid for device in devices}
        for row in rows:
            assert (row["pid"], row["process_name"]) == ("4242", "/usr/bin/python3")
            assert row["used_gpu_memory"] == "1024 MiB"

    def test_other_queries(self, smi: Commands, devices: tuple[Device, ...]):
        [first, _] = devices
        for row in self.query(smi, devices, "remapped-rows"):
            known = first.remapped_rows.correctable
            assert row["remapped_rows.correctable"] == ("[N/A]" if known is None else str(known))
        pages = self.query(smi, devices, "retired-pages")
        assert bool(pages) == (
            first.retired_pages.single_bit is None
        )  # one without pages is silent
        assert {row["retired_pages.address"] for row in pages} <= {"[N/A]"}
        for row in self.query(smi, devices, "accounted-apps"):
            assert row["pid"] == "[N/A]"

    def test_supported_clocks(self, smi: Commands, devices: tuple[Device, ...]):
        rows = self.query(smi, devices, "supported-clocks")
        found = {row["memory"] for row in rows}
        supported = devices[0].clocks.supported_memory()
        assert found == {"[N/A]"} if supported is None else {f"{mhz} MHz" for mhz in supported}

    def test_monitors(self, smi: Commands, devices: tuple[Device, ...]):
        lines = smi("dmon", "-c", "1", "-s", "pucvmet").splitlines()
        header, rows = lines[0].lstrip("# ").split(), lines[2:]
        assert len(rows) == 2
        for row, device in zip(rows, devices, strict=True):
            cells = dict(zip(header, row.split(), strict=True))
            assert cells["gpu"] == str(device.index)
            assert cells["gtemp" if "gtemp" in cells else "temp"] == str(device.temperature.gpu)
            memory = device.temperature.memory
            assert cells["mtemp"] == ("-" if memory is None else str(memory))
            assert (cells["sm"], cells["mclk"]) == ("40", str(device.clocks.memory.current))
        assert len(smi("pmon", "-c", "1", "-s", "um").splitlines()) >= 4

    def test_links_and_places(self, smi: Commands, devices: tuple[Device, ...]):
        active = sum(link.active is True for link in devices[0].nvlinks)
        status = smi("nvlink", "-s")
        assert len(re.findall(r"Link \d+: [\d.]+ GB/s", status)) == 2 * active
        for option in ("-c", "-e", "-R"):
            assert bool(smi("nvlink", option).strip()) == bool(devices[0].nvlinks)
        assert re.search(r"^GPU0\s+X\s", smi("topo", "-m"), re.MULTILINE)
        for capability in "rn":
            assert re.search(r"GPU1\s+\w+\s+X", smi("topo", "-p2p", capability))

    def test_mig_is_where_the_product_has_it(self, smi: Commands, devices: tuple[Device, ...]):
        done = smi.do("mig", "-lgip")
        if smi.release < 550:
            assert (done.status, done.output) == (6, "No MIG-enabled devices found.\n")
        elif devices[0].mig.current is None:
            assert (done.status, done.output) == (6, "No MIG-supported devices found.\n")
        else:  # while the mode is off, too
            assert (done.status, done.wrong) == (0, [])
            assert re.search(r"\d  +0/[1-9] ", done.output)

    def test_whatever_else_there_is(self, smi: Commands):
        for view in ("-B", "vgpu"):
            smi(view)
        if smi.release >= 525:
            assert "closest CPU: 0" in smi("topo", "-C", "-i", "0")
        if smi.release >= 535:
            for option in ("-f", "-gm"):
                done = smi.do("conf-compute", option)
                assert (done.status, done.wrong) in ((0, []), (6, [])), done
        assert not smi.unhandled()


@pytest.mark.parametrize("name", ["t4", "a100-sxm4-80gb", "rtx-3080"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_each_section_alone_has_what_it_has_among_all(driver: str, name: str):
    scenario = Scenario(driver=driver, gpus=[Gpu(name)], user="root")
    with Testbed(scenario) as testbed:
        smi = Commands(testbed, scenario)
        sections = sections_of(smi)
        whole = {line.split(":")[0] for line in smi("-q", "-d", ",".join(sections)).splitlines()}
        for section in sections:
            rows = {line.split(":")[0] for line in smi("-q", "-d", section).splitlines()}
            assert any(row.startswith("    ") for row in rows), section
            assert rows <= whole, section
