"""DCGM's NVML injection as a scenario with a capture: what it answers, nvemu answers."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import injection_recorder
import pynvml
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import emulator
from emulator import Gpu, Scenario, ScenarioError
from emulator.cli.import_injection import command
from emulator.imports.captures.format import Capture, dumps, loads
from emulator.imports.deriving.reading import facts_of
from emulator.imports.injection.reading import read_injection
from emulator.scenario import load

FILES = Path(__file__).with_name("neighbours")
FAILING = FILES / "injection_failing.yaml"
UUID = "GPU-11111111-2222-3333-4444-555555555555"

MIG = {
    "current": True,
    "pending": True,
    "instances": [{"profile": "3g.40gb", "compute": [{"slices": 2}]}, {"profile": "1g.10gb"}],
}

#: Machines that are recorded in DCGM's format, each with something of its own.
MACHINES = {
    "no GPU": [],
    "eight": [Gpu("h100-sxm5-80gb", count=8, temperature=51)],
    "mixed": [
        Gpu("t4", memory_used="3 GiB", power_usage="31 W"),
        Gpu("rtx-4090", figures={"fans": {"all": {"speed": 44}}}),
    ],
    "MIG": [Gpu("a100-sxm4-80gb", figures={"mig": MIG}), Gpu("a100-sxm4-80gb")],
    "errors": [
        Gpu("a30", figures={"ecc": {"volatile": {"dram_uncorrectable": 5}}}, name="NVIDIA A30X")
    ],
}


def imported(file: Path, tmp_path: Path) -> Scenario:
    """What the command makes of a file."""
    output = tmp_path / "box.toml"
    result = CliRunner().invoke(command, [str(file), "-o", str(output)])
    assert result.exit_code == 0, result.output
    return load(str(output))


def calls(capture: Capture, function: str) -> list[Any]:
    return [(call.inputs, call.code, call.outputs) for call in capture.of(function)]


@pytest.mark.parametrize("name", MACHINES)
def test_a_recorded_machine_answers_as_it_did(name: str, tmp_path: Path):
    with emulator.emulate(Scenario(gpus=MACHINES[name], user="root")):
        recorded = injection_recorder.record()
    file = tmp_path / "box.yaml"
    file.write_text(yaml.dump(recorded))
    with emulator.emulate(imported(file, tmp_path)):
        again = injection_recorder.record()
    assert again == recorded


def test_the_profile_behind_the_answers_is_the_machine(tmp_path: Path):
    with emulator.emulate(Scenario(gpus=MACHINES["MIG"], user="root")):
        recorded = injection_recorder.record()
    file = tmp_path / "box.yaml"
    file.write_text(yaml.dump(recorded))
    scenario = imported(file, tmp_path)
    assert [gpu.profile for gpu in scenario.gpus] == ["a100-sxm4-80gb"] * 2
    [first, second] = scenario.gpus[0].figures["mig"]["instances"]
    assert {first["profile"], second["profile"]} == {"3g.40gb", "1g.10gb"}


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """NVML under a file written by hand, with its device."""
    with emulator.emulate(imported(FAILING, tmp_path_factory.mktemp("box"))):
        pynvml.nvmlInit()
        yield pynvml.nvmlDeviceGetHandleByUUID(UUID)
        pynvml.nvmlShutdown()


def test_values_are_those_of_the_file(failing: Any):
    assert pynvml.nvmlDeviceGetTemperature(failing, 0) == 71
    assert pynvml.nvmlDeviceGetPciInfo(failing).busId == "00000000:3B:00.0"
    assert pynvml.nvmlDeviceGetTotalEccErrors(failing, 0, 1) == 34
    assert list(pynvml.nvmlDeviceGetEccMode(failing)) == [1, 0]
    assert pynvml.nvmlDeviceGetViolationStatus(failing, 0).violationTime == 4711
    assert pynvml.nvmlDeviceGetAPIRestriction(failing, 1) == 0
    [process] = pynvml.nvmlDeviceGetComputeRunningProcesses(failing)
    assert (process.pid, process.usedGpuMemory) == (5150, None)


def test_failures_are_those_of_the_file(failing: Any):
    with pytest.raises(pynvml.NVMLError_Unknown):
        pynvml.nvmlDeviceGetPowerUsage(failing)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetAPIRestriction(failing, 0)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlSystemGetConfComputeState()


def test_a_field_that_was_recorded_is_answered_in_other_company(failing: Any):
    [energy, missing] = pynvml.nvmlDeviceGetFieldValues(failing, [83, 91])
    assert (energy.nvmlReturn, energy.value.ullVal) == (0, 987654)
    assert missing.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED
    [alone] = pynvml.nvmlDeviceGetFieldValues(failing, [83])
    assert alone.value.ullVal == 987654


def test_what_the_file_has_not_is_as_the_product_has_it(failing: Any):
    assert pynvml.nvmlDeviceGetNumGpuCores(failing) == 2560
    assert pynvml.nvmlDeviceGetMemoryBusWidth(failing) == 256


def test_the_first_version_of_the_memory_counts_what_is_reserved(failing: Any):
    info = pynvml.nvmlDeviceGetMemoryInfo(failing)
    assert info.used == info.total - info.free == 16106127360 - 15000000000


def test_a_key_stands_for_all_versions_that_take_as_many_inputs():
    capture = read_injection(str(FAILING))
    code, answer = 0, {"deviceCount": 1}
    assert calls(capture, "nvmlDeviceGetCount") == [({}, code, answer)]
    assert calls(capture, "nvmlDeviceGetCount_v2") == [({}, code, answer)]
    assert calls(capture, "nvmlDeviceGetFanSpeed") == [({"device": "GPU-0"}, 3, None)]
    assert not calls(capture, "nvmlDeviceGetFanSpeed_v2")
    for version in ("", "_v2", "_v3"):
        assert calls(capture, f"nvmlDeviceGetComputeRunningProcesses{version}")


SHAPES = {
    "rows whose columns are outputs": (
        "RetiredPages_v2: {0: {FunctionReturn: 0, ReturnValue: [{address: 4096, timestamp: 7}]}}",
        "nvmlDeviceGetRetiredPages_v2",
        ({"cause": 0}, {"addresses": [4096], "timestamps": [7]}),
    ),
    "readings without their type": (
        "Samples: {1: {0: {FunctionReturn: 0, ReturnValue: [{timestamp: 9, sampleValue: 55}]}}}",
        "nvmlDeviceGetSamples",
        (
            {"type": 1, "lastSeenTimeStamp": 0},
            {
                "sampleValType": 1,
                "samples": [{"timeStamp": 9, "sampleValue": {"ullVal": 55}}],
            },
        ),
    ),
    "bytes as the digits of a UUID": (
        "GpuFabricInfo: {FunctionReturn: 0, ReturnValue: {clusterUuid: "
        "00000000-0000-0000-0000-0000000000ff, status: 0, partitionId: 3, state: 3}}",
        "nvmlDeviceGetGpuFabricInfo",
        (
            {},
            {
                "gpuFabricInfo": {
                    "clusterUuid": [0] * 15 + [255],
                    "status": 0,
                    "cliqueId": 3,
                    "state": 3,
                }
            },
        ),
    ),
    "words of a mask": (
        "CpuAffinity: {2: {FunctionReturn: 0, ReturnValue: [255, 1]}}",
        "nvmlDeviceGetCpuAffinity",
        ({}, {"cpuSet": [255, 1]}),
    ),
    "truth": (
        "MultiGpuBoard: {FunctionReturn: 0, ReturnValue: true}",
        "nvmlDeviceGetMultiGpuBoard",
        ({}, {"multiGpuBool": 1}),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_values_of_all_shapes_are_read(name: str, tmp_path: Path):
    answers, function, (inputs, outputs) = SHAPES[name]
    file = tmp_path / "box.yaml"
    file.write_text(device(answers))
    capture = read_injection(str(file))
    assert calls(capture, function) == [({"device": "GPU-0", **inputs}, 0, outputs)]


def test_excluded_devices_are_those_of_the_file(tmp_path: Path):
    file = tmp_path / "box.yaml"
    pci = "{domain: 0, bus: 3, device: 0, busId: '00000000:03:00.0', pciDeviceId: 1}"
    file.write_text(
        f"{device('Serial: {FunctionReturn: 3}')}ExcludedDevice:\n  GPU-x: {{pci: {pci}}}\n"
    )
    [(inputs, code, outputs)] = calls(read_injection(str(file)), "nvmlGetExcludedDeviceInfoByIndex")
    assert (inputs, code) == ({"index": 0}, 0)
    assert outputs["info"]["uuid"] == "GPU-x"
    assert outputs["info"]["pciInfo"]["busId"] == "00000000:03:00.0"


NOTED = {
    "ReturnValue": "PowerUsage: {FunctionReturn: 0}",
    "FunctionReturn": "PowerUsage: {ReturnValue: 5}",
    "as many inputs": "PowerUsage: {7: {FunctionReturn: 0, ReturnValue: 5}}",
    "'GPU-none' is no device of this file": "OnSameBoard: {GPU-none: {FunctionReturn: 0, "
    "ReturnValue: true}}",
    "MIG device whose ids are not told": "MigDeviceUUID: [MIG-1]",
}


@pytest.mark.parametrize("text", NOTED)
def test_what_cannot_be_answered_is_a_note(text: str, tmp_path: Path):
    file = tmp_path / "box.yaml"
    file.write_text(device(NOTED[text]))
    notes = [str(note) for note in read_injection(str(file)).notes]
    assert [note for note in notes if text in note and note.startswith("line 4")], notes


def test_a_name_that_nvml_has_not_is_a_note():
    capture = read_injection(str(FAILING))
    [note] = [str(note) for note in capture.notes]
    line = FAILING.read_text().splitlines().index("    NoSuchThing: "
    "{FunctionReturn: 0, ReturnValue: 1}") + 1  # fmt: skip
    assert note.startswith(f"line {line}, Device.{UUID}.NoSuchThing: NVML has no function")


def test_the_capture_reads_back_as_it_was_written():
    capture = read_injection(str(FAILING))
    again = loads(dumps(capture))
    assert (again.header, again.calls) == (capture.header, capture.calls)


# ---- what is wrong

GLOBAL = f"Global: {{DeviceOrder: [{UUID}]}}\n"


def device(answers: str) -> str:
    return f"{GLOBAL}Device:\n  {UUID}:\n    {answers}\n"


WRONG = {
    "no Global": ("Device: {}\n", "expected a section 'Global'"),
    "no Device": (GLOBAL, "expected a section 'Device'"),
    "no order": ("Global: {}\nDevice: {}\n", "expected a key 'DeviceOrder'"),
    "a device that is not there": (GLOBAL + "Device: {}\n", f"expected a device '{UUID}'"),
    "a device twice": ("Global: {DeviceOrder: [a, a]}\nDevice: {a: {}}\n", "each once"),
    "text for a number": (
        device("PowerUsage: {FunctionReturn: 0, ReturnValue: much}"),
        ":4: ",
    ),
    "no code": (device("PowerUsage: {FunctionReturn: fine}"), "expected an integer"),
    "a code that is none": (device("PowerUsage: {FunctionReturn: 12345}"), "expected 0 to 999"),
    "a number for a struct": (
        device("EccMode: {FunctionReturn: 0, ReturnValue: {current: 1}}"),
        "expected current, pending",
    ),
    "a list for a table": (
        device("UtilizationRates: {FunctionReturn: 0, ReturnValue: [1]}"),
        "expected a table",
    ),
    "bytes that are none": (
        device("GpuFabricInfo: {FunctionReturn: 0, ReturnValue: {clusterUuid: xyz}}"),
        "expected 16 bytes",
    ),
    "no driver": (
        "Global:\n  DeviceOrder: []\n  DriverVersion: {FunctionReturn: 0, ReturnValue: new}\n"
        "Device: {}\n",
        ":3: ",
    ),
    "cut off": (FAILING.read_text()[:900], "not YAML"),
    "another file": ("system: {}\n", "found system"),
    "nothing": ("", "found nothing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_error_with_its_line(name: str, tmp_path: Path):
    text, problem = WRONG[name]
    file = tmp_path / "box.yaml"
    file.write_text(text)
    output = tmp_path / "made.toml"
    result = CliRunner().invoke(command, [str(file), "-o", str(output)])
    assert isinstance(result.exception, ScenarioError), result.exception
    assert str(result.exception).startswith(str(file))
    assert problem in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box.yaml"]


@given(data=st.data())
def test_no_damage_ends_in_anything_but_an_error_of_the_file(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    lines = FAILING.read_text().splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines) - 1))
    values = ["", "-1", "[]", "{}", "null", "1.5", "99999999999999999999999", "x: y", "'é'"]
    value = data.draw(st.sampled_from(values))
    key, _, rest = lines[place].partition(":")
    changed = data.draw(
        st.sampled_from(("", f"{key}: {value}\n", f"{key}: {rest.replace('0', value, 1)}"))
    )
    file = tmp_path_factory.mktemp("box") / "box.yaml"
    file.write_text("".join([*lines[:place], changed, *lines[place + 1 :]]), encoding="utf-8")
    with suppress(ScenarioError):
        capture = read_injection(str(file))
        assert loads(dumps(capture)).calls == capture.calls
        facts_of(capture)
