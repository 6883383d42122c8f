"""The NVML mock's configurations as scenarios: what they say is what programs find."""

from __future__ import annotations

from contextlib import suppress
from ctypes import byref
from pathlib import Path
from typing import Any

import pynvml
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import emulator
from emulator import Scenario, ScenarioError
from emulator.cli.import_mock import command
from emulator.imports.making import Imported, scenario_of
from emulator.imports.mock.reading import read_mock
from emulator.imports.yaml.tree import parse
from emulator.scenario import load, toml

FILES = Path(__file__).with_name("neighbours")
ALL = sorted(path.stem for path in FILES.glob("mock_*.yaml"))
FULL = (FILES / "mock_full.yaml").read_text()
MIB = 1 << 20


def imported(name: str) -> Imported:
    return scenario_of(read_mock(str(FILES / f"{name}.yaml")))


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mock.yaml"
    file.write_text(text)
    return str(file)


def changed(**sections: Any) -> str:
    """The minimal file with other sections."""
    table = yaml.safe_load((FILES / "mock_minimal.yaml").read_text())
    for name, value in sections.items():
        table[name] = {**table[name], **value} if isinstance(value, dict) else value
    return str(yaml.safe_dump(table))


@pytest.fixture(scope="module")
def full() -> Any:
    """NVML under the file that has every key, with its two devices."""
    with emulator.emulate(imported("mock_full").scenario):
        pynvml.nvmlInit()
        yield pynvml.nvmlDeviceGetHandleByIndex(0), pynvml.nvmlDeviceGetHandleByIndex(1)
        pynvml.nvmlShutdown()


#: What NVML answers of the first GPU of mock_full.yaml: function, further inputs, answer.
ANSWERS: list[tuple[str, tuple[Any, ...], Any]] = [
    ("Name", (), "NVIDIA H100 80GB HBM3"),
    ("UUID", (), "GPU-0000000a-0000-0000-0000-00000000000a"),
    ("Serial", (), "1234567890123"),
    ("Brand", (), pynvml.NVML_BRAND_TESLA),
    ("BoardPartNumber", (), "699-00000-0000-001"),
    ("VbiosVersion", (), "96.00.01.02.03"),
    ("Architecture", (), pynvml.NVML_DEVICE_ARCH_HOPPER),
    ("CudaComputeCapability", (), (9, 0)),
    ("NumGpuCores", (), 14592),
    ("InforomImageVersion", (), "G520.0200.00.99"),
    ("InforomVersion", (pynvml.NVML_INFOROM_ECC,), "7.17"),
    ("MemoryBusWidth", (), 4096),
    ("MaxPcieLinkGeneration", (), 4),
    ("CurrPcieLinkGeneration", (), 3),
    ("CurrPcieLinkWidth", (), 8),
    ("PcieReplayCounter", (), 5),
    ("PcieThroughput", (pynvml.NVML_PCIE_UTIL_TX_BYTES,), 1200),
    ("PcieThroughput", (pynvml.NVML_PCIE_UTIL_RX_BYTES,), 3400),
    ("PowerManagementDefaultLimit", (), 650000),
    ("PowerManagementLimit", (), 600000),
    ("EnforcedPowerLimit", (), 600000),
    ("PowerManagementLimitConstraints", (), [210000, 690000]),
    ("PowerUsage", (), 123456),
    ("Temperature", (pynvml.NVML_TEMPERATURE_GPU,), 41),
    ("TemperatureThreshold", (pynvml.NVML_TEMPERATURE_THRESHOLD_SHUTDOWN,), 93),
    ("TemperatureThreshold", (pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN,), 88),
    ("TemperatureThreshold", (pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX,), 84),
    ("ClockInfo", (pynvml.NVML_CLOCK_GRAPHICS,), 1200),
    ("ClockInfo", (pynvml.NVML_CLOCK_VIDEO,), 1000),
    ("MaxClockInfo", (pynvml.NVML_CLOCK_SM,), 1950),
    ("ApplicationsClock", (pynvml.NVML_CLOCK_GRAPHICS,), 1905),
    ("DefaultApplicationsClock", (pynvml.NVML_CLOCK_GRAPHICS,), 1920),
    ("SupportedMemoryClocks", (), [2619]),
    ("SupportedGraphicsClocks", (2619,), [1950, 1935, 1920, 1905]),
    (
        "CurrentClocksEventReasons",
        (),
        pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    ),
    ("PerformanceState", (), 2),
    ("EncoderStats", (), [2, 30, 900]),
    ("EccMode", (), [1, 0]),
    ("TotalEccErrors", (0, 0), 3 + 4),
    ("TotalEccErrors", (1, 0), 1 + 5),
    ("TotalEccErrors", (0, 1), 7 + 6),
    ("TotalEccErrors", (1, 1), 2 + 17),
    ("RemappedRows", (), (2, 1, 1, 0)),
    ("PersistenceMode", (), 1),
    ("ComputeMode", (), pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS),
    ("MigMode", (), [0, 0]),
    ("AccountingMode", (), 1),
    ("AccountingBufferSize", (), 2000),
    ("VirtualizationMode", (), pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH),
    ("NvLinkState", (2,), 1),
]


@pytest.mark.parametrize(("name", "inputs", "answer"), ANSWERS)
def test_nvml_answers_what_the_file_says(full: Any, name: str, inputs: Any, answer: Any):
    found = getattr(pynvml, f"nvmlDeviceGet{name}")(full[0], *inputs)
    assert (type(answer)(found) if isinstance(answer, (list, tuple)) else found) == answer


def test_memory_and_processes_are_those_of_the_file(full: Any):
    info = pynvml.nvmlDeviceGetMemoryInfo(full[0], version=pynvml.nvmlMemory_v2)
    assert (info.total, info.reserved, info.used) == (85899345920, 1 << 30, 4 << 30)
    bar1 = pynvml.nvmlDeviceGetBAR1MemoryInfo(full[0])
    assert (bar1.bar1Total, bar1.bar1Used) == (68719476736, MIB)
    [process] = pynvml.nvmlDeviceGetComputeRunningProcesses(full[0])
    assert (process.pid, process.usedGpuMemory) == (4242, 2048 * MIB)
    [process] = pynvml.nvmlDeviceGetGraphicsRunningProcesses(full[0])
    assert (process.pid, process.usedGpuMemory) == (77, 5 * MIB)


def test_a_device_differs_by_what_stands_under_its_index(full: Any):
    second = full[1]
    assert pynvml.nvmlDeviceGetSerial(second) == "1234567890999"
    assert pynvml.nvmlDeviceGetTemperature(second, 0) == 66
    assert pynvml.nvmlDeviceGetPciInfo(second).busId == "00000000:4B:00.0"
    assert pynvml.nvmlDeviceGetPciInfo(second).pciSubSystemId == 0x16C110DF  # of the defaults
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(second) == []


def test_links_and_places_are_those_of_the_file():
    [first, second] = imported("mock_full").scenario.gpus
    ends = [link["remote"] for link in first.figures["nvlinks"]]
    assert ends == ["00000000:05:00.0", "00000000:06:00.0", "00000000:05:00.0"]
    assert first.figures["topology"]["cpus"] == "0-7"
    assert second.figures["topology"]["numa_node"] == 1
    assert second.figures["topology"]["cpus"] == "16-23"


def test_links_between_gpus_have_two_ends(tmp_path: Path):
    def listed(*links: str) -> str:
        rows = ", ".join(f"{{index: {n}, links: [{each}]}}" for n, each in enumerate(links))
        return (
            "system: {driver_version: 580.126.09}\ndevice_defaults: {name: Tesla T4}\n"
            "devices:\n  - {index: 0, pci: {bus_id: '3B:00.0'}}\n"
            "  - {index: 1, pci: {bus_id: '86:00.0'}}\n"
            f"nvlink: {{version: 2, bandwidth_per_link_gbps: 25, device_links: [{rows}]}}\n"
        )

    to_second = "{link: 0, remote_pci_bus_id: '0000:86:00.0'}"
    to_first = "{link: 0, remote_index: 0}"
    facts = read_mock(written(tmp_path, listed(to_second, to_first)))
    rows = [gpu.value("nvlinks") for gpu in facts.gpus]
    common = {"version": 2, "speed": 25000}
    assert rows == [[{**common, "remote": "GPU1"}], [{**common, "remote": "GPU0"}]]
    facts = read_mock(written(tmp_path, listed(to_second)))
    assert [gpu.value("nvlinks") for gpu in facts.gpus] == [None, None]
    assert any("two ends" in note.text for note in facts.notes)


def test_a_fabric_is_as_healthy_as_the_file_says():
    fabric = imported("mock_full").scenario.gpus[0].figures["fabric"]
    assert fabric["cluster_uuid"] == "00112233-4455-6677-8899-aabbccddeeff"
    assert (fabric["clique_id"], fabric["health_summary"]) == (4, "LIMITED_CAPACITY")


def test_mig_instances_are_those_that_are_declared():
    with emulator.emulate(imported("mock_mig").scenario) as machine:
        names = [
            [(one.kind.name, len(one.compute_instances)) for one in device.gpu_instances]
            for device in machine.devices
        ]
        assert sorted(names[0]) == [("1g.5gb", 1)] * 3 + [("3g.20gb", 2)]
        assert [(one.id, one.start) for one in machine.devices[1].gpu_instances] == [(1, 4), (9, 2)]
        assert sorted(names[1]) == [("1g.5gb", 1), ("3g.20gb", 0)]
        assert names[2] == []


def test_a_rack_s_tray_is_as_the_file_says():
    made = imported("mock_rack")
    [first, second] = made.scenario.gpus
    assert (first.profile, first.name) == ("gb300-278gb", "NVIDIA Graphics Device")
    figures = first.figures
    assert figures["power_profiles"] == {
        "supported": [
            {"name": "MAX_P", "priority": 2, "conflicts": ["MAX_Q"]},
            {"name": "MAX_Q", "priority": 3, "conflicts": ["MAX_P"]},
        ],
        "requested": ["MAX_Q"],
    }
    retired = {"single_bit": [0x1000, 0x2000], "double_bit": [0x3000], "pending": True}
    assert figures["retired_pages"] == retired
    assert figures["nvlink"]["reduced_bandwidth_modes"] == [0, 3]
    assert figures["nvlink"]["encryption"] is True
    assert figures["nvlink"]["firmware"] == [
        {"ucode": "MSE", "major": 2, "minor": 0, "sub_minor": 14},
        {"ucode": "NETIR_UPHY", "major": 1, "minor": 2, "sub_minor": 3},
    ]
    assert figures["clocks"]["event_counters"] == {"sw_power_cap": 12000}
    assert (figures["temperature"]["gpu"], figures["power"]["usage"]) == (41, 400000)
    assert (figures["load"]["gpu"], figures["load"]["jitter"]) == (30, 20)
    assert (figures["fabric"]["state"], figures["fabric"]["degraded_bandwidth"]) == (
        "IN_PROGRESS",
        True,
    )
    assert second.figures["ecc"]["volatile"] == {"dram_uncorrectable": 1}
    with emulator.emulate(made.scenario):
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByPciBusId("000A:C1:00.0")
        platform = pynvml.c_nvmlPlatformInfo_v2_t()
        platform.version = pynvml.nvmlPlatformInfo_v2
        pynvml.nvmlDeviceGetPlatformInfo(handle, byref(platform))
        pynvml.nvmlShutdown()
    place = (platform.slotNumber, platform.trayIndex, platform.moduleId)
    assert tuple(map(ord, place)) == (2, 1, 2)


def test_what_a_tray_has_beyond_a_scenario_is_told():
    notes = "\n".join(map(str, imported("mock_rack").notes))
    for text in (
        "pages are retired at an address each: there are 1",
        "device nodes",
        "devices[1].excluded: programs do not find this GPU",
        "failure.xid",
        "failure: one error from the beginning on",
        "'burst': it strays",
        "'all' is no list of CPUs",
    ):
        assert text in notes
    assert "draining" not in notes


def test_a_gpu_that_fails_after_no_calls_has_failed(tmp_path: Path):
    file = written(tmp_path, changed(devices=[{"failure": {"mode": "lost", "after_calls": 0}}]))
    scenario = scenario_of(read_mock(file)).scenario
    assert (scenario.gpus[0].figures["failure"], scenario.faults) == ("lost", ())


def test_products_may_be_mixed_and_fail():
    made = imported("mock_mixed")
    profiles = [gpu.profile for gpu in made.scenario.gpus]
    assert profiles == ["l40s", "t4", "l40s", "l40s", "rtx-4090"]
    with emulator.emulate(made.scenario):
        pynvml.nvmlInit()
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            pynvml.nvmlDeviceGetTemperature(pynvml.nvmlDeviceGetHandleByIndex(1), 0)
        third = pynvml.nvmlDeviceGetHandleByIndex(2)
        assert pynvml.nvmlDeviceGetIndex(third) == 2  # the second call, after that for the handle
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            pynvml.nvmlDeviceGetIndex(third)
        fourth = pynvml.nvmlDeviceGetHandleByIndex(3)
        assert pynvml.nvmlDeviceGetComputeMode(fourth) == pynvml.NVML_COMPUTEMODE_PROHIBITED
        assert pynvml.nvmlDeviceGetPowerManagementLimit(fourth) == 300000
        fifth = pynvml.nvmlDeviceGetHandleByIndex(4)
        assert pynvml.nvmlDeviceGetFanSpeed_v2(fifth, 1) == 30
        assert pynvml.nvmlDeviceGetTargetFanSpeed(fifth, 1) == 35
        pynvml.nvmlShutdown()


def test_a_file_that_lists_no_devices_has_as_many_as_the_mock(tmp_path: Path):
    facts = read_mock(written(tmp_path, changed(devices=[])))
    assert len(facts.gpus) == 8
    facts = read_mock(written(tmp_path, changed(system={"num_devices": 3})))
    assert len(facts.gpus) == 3


def test_utilization_that_moves_is_a_load_that_strays(tmp_path: Path):
    moving = {"utilization": {"pattern": "steady", "gpu_min": 10, "gpu_max": 45}}
    file = written(tmp_path, changed(device_defaults={"dynamic_metrics": moving}))
    [gpu] = scenario_of(read_mock(file)).scenario.gpus
    assert (gpu.figures["load"]["gpu"], gpu.figures["load"]["jitter"]) == (27, 17)


@pytest.mark.parametrize("name", ALL)
def test_the_scenario_reads_back_as_it_was_written(name: str, tmp_path: Path):
    scenario = imported(name).scenario
    file = tmp_path / "box.toml"
    file.write_text(toml.dumps(scenario))
    assert load(str(file)).gpus == scenario.gpus


# ---- what is wrong

WRONG = {
    "a list for a table": (changed(device_defaults={"memory": [1]}), "memory: expected a table"),
    "text for a number": (
        changed(device_defaults={"memory": {"total_bytes": "lots"}}),
        "expected an integer, found 'lots'",
    ),
    "a negative size": (
        changed(device_defaults={"memory": {"total_bytes": -1}}),
        "total_bytes: expected 0 to",
    ),
    "more in use than there is": (
        changed(device_defaults={"memory": {"total_bytes": 5, "used_bytes": 9}}),
        "expected at most 5 bytes",
    ),
    "no system": ("device_defaults: {name: Tesla T4}\n", "expected a section 'system'"),
    "no defaults": ("system: {driver_version: 550.163.01}\n", "section 'device_defaults'"),
    "no driver": ("system: {}\ndevice_defaults: {}\n", "expected a key 'driver_version'"),
    "no version of a driver": (
        changed(system={"driver_version": "newest"}),
        "expected a driver version",
    ),
    "an index twice": (changed(devices=[{"index": 1}, {"index": 1}]), "found 1 again"),
    "too many devices": (changed(system={"num_devices": 100000}), "expected 0 to 256"),
    "no product": (
        "system: {driver_version: 550.163.01}\ndevice_defaults: {}\n",
        "expected a GPU's product name",
    ),
    "a process without a pid": (
        changed(device_defaults={"processes": [{"name": "a"}]}),
        "expected a key 'pid'",
    ),
    "a process of no kind": (
        changed(device_defaults={"processes": [{"pid": 1, "type": "Q"}]}),
        "expected 'C' or 'G'",
    ),
    "no performance state": (
        changed(device_defaults={"performance_state": "fast"}),
        "such as 'P0'",
    ),
    "a link to nowhere": (
        changed() + "nvlink: {version: 4, links: [{link: 0, remote_pci_bus_id: x}]}\n",
        "expected a PCI bus id",
    ),
    "cut off": (FULL[: FULL.index("cuda_version_minor") + 8], "not YAML"),
    "tabs": ("system:\n\tdriver_version: 1\n", ":2: not YAML"),
    "a key twice": ("system: {}\nsystem: {}\n", ":2: expected each key once"),
    "an alias of itself": ("system: &a [*a]\n", "expected an alias of something before it"),
    "nothing": ("", "expected a table, found nothing"),
    "another file": ("Global: {}\n", "found Global"),
    "two documents": (FULL + "---\na: 1\n", "expected one document"),
    "a control character": ("system: \x07\n", ":1: not YAML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_error_with_its_line(name: str, tmp_path: Path):
    text, problem = WRONG[name]
    file = written(tmp_path, text)
    output = tmp_path / "box.toml"
    result = CliRunner().invoke(command, [file, "-o", str(output)])
    assert isinstance(result.exception, ScenarioError)
    assert str(result.exception).startswith(file)
    assert problem in str(result.exception)
    assert not output.exists()


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path):
    file = tmp_path / "mock.yaml"
    file.write_bytes(b"version: '1'\nsystem: \xff\xfe\n")
    with pytest.raises(ScenarioError, match=r"mock\.yaml:2: expected text in UTF-8"):
        read_mock(str(file))
    with pytest.raises(ScenarioError, match="cannot read it"):
        read_mock(str(tmp_path / "none.yaml"))


def test_what_has_no_place_is_told_with_its_line_and_once(tmp_path: Path):
    text = changed(device_defaults={"cpu": {"type": "grace"}, "novelty": 1, "uuid": "mine"})
    file = written(tmp_path, text)
    result = CliRunner().invoke(command, [file])
    assert result.exit_code == 0
    lines = [line for line in result.stderr.splitlines() if "line" in line]
    assert len(lines) == len(set(lines)) == 3
    number = text.splitlines().index("  novelty: 1") + 1
    assert f"nvemu: line {number}, device_defaults.novelty: no key" in result.stderr


def test_what_every_product_has_cannot_be_left_out(tmp_path: Path):
    display = {"mode": "N/A", "active": "disabled"}
    made = scenario_of(read_mock(written(tmp_path, changed(device_defaults={"display": display}))))
    assert "display_mode" not in made.scenario.gpus[0].figures
    assert any("display.mode: every product has this" in str(note) for note in made.notes)


def test_an_alias_is_not_multiplied():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
    )
    assert len(parse(bomb).table()) == 21


@given(data=st.data())
def test_no_damage_ends_in_anything_but_an_error_of_the_file(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    text = data.draw(damaged(FULL))
    file = tmp_path_factory.mktemp("mock") / "mock.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    with suppress(ScenarioError):
        made = scenario_of(read_mock(str(file)))
        assert isinstance(made.scenario, Scenario)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A file with its end cut off, a line left out, or a value that is another's."""
    lines = text.splitlines(keepends=True)
    place = draw(st.integers(0, len(lines) - 1))
    kind = draw(st.sampled_from(("cut", "left out", "other", "inserted")))
    if kind == "cut":
        end = draw(st.integers(0, len(text)))
        return text[:end]
    if kind == "left out":
        return "".join(lines[:place] + lines[place + 1 :])
    values = st.sampled_from(
        ["", "-1", "1e99", "[]", "{}", "'N/A'", "null", "99999999999999999999999", "x: y", "true"]
    )
    if kind == "other":
        key = lines[place].partition(":")[0]
        return "".join([*lines[:place], f"{key}: {draw(values)}\n", *lines[place + 1 :]])
    return "".join([*lines[:place], draw(st.text(max_size=5)) + "\n", *lines[place:]])
