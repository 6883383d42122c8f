"""Captures tell facts: what a machine answers says what it is."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from asked_machine import capture_of
from hypothesis import given, settings

from emulator import Gpu, Scenario, ScenarioError
from emulator.api import c_fields
from emulator.imports.captures.format import Call, Capture, Header
from emulator.imports.deriving.fields import FIELDS
from emulator.imports.deriving.reading import facts_of
from emulator.imports.deriving.tables import ATTRIBUTES, CUDA, NVML
from emulator.imports.deriving.values import figure_of
from emulator.imports.deriving.words import BITS, WORDS_OF
from emulator.imports.facts import Facts, Told
from emulator.imports.making import scenario_of
from emulator.machine import Machine
from emulator.machine.figures import read
from emulator.machine.links.topology import ancestor, near_nodes
from emulator.plans import plan_of
from emulator.strategies import machines
from emulator.vocabulary import apis

#: What has gone on between the machine's start and the question.
COUNTED = (("power", "total_energy"), ("pci", "tx_bytes"), ("pci", "rx_bytes"))

#: What is answered of a figure that is not given.
NOT_GIVEN = {("fabric", "status"): "SUCCESS"}

#: What functions tell that only drivers after the default one have.
NEWER = ("power.mode", "power.modes")

#: One of each kind; drawn machines have the others.
PRODUCTS = (
    *("t4", "v100-sxm2-16gb", "a100-sxm4-80gb", "h100-sxm5-80gb", "l4", "b200-180gb", "gh200-96gb"),
    *("gtx-1080-ti", "rtx-4090-laptop", "jetson-agx-orin"),
)

PROCESSES = [
    {"pid": 4242, "name": "python3 train.py", "type": "C", "used_memory": 2 << 30},
    {"pid": 4344, "name": "both", "type": "C+G", "used_memory": 1 << 30},
    {"pid": 4343, "name": "Xorg", "type": "G", "used_memory": 100 << 20},
]

#: Machines that are out of the ordinary.
MACHINES = {
    "no GPU": [],
    "processes": [Gpu("t4", memory_used="5 GiB", figures={"processes": PROCESSES})],
    "errors": [
        Gpu(
            "h100-sxm5-80gb",
            figures={
                "ecc": {
                    "volatile": {"dram_uncorrectable": 3, "sram_uncorrectable_secded": 1},
                    "aggregate": {"dram_correctable": 7},
                    "threshold_exceeded": True,
                },
                "remapped_rows": {"correctable": 2, "uncorrectable": 1, "pending": True},
            },
        ),
        Gpu(
            "v100-sxm2-16gb",
            figures={
                "retired_pages": {"single_bit": [4096, 8192], "double_bit": [65536]},
                "ecc": {"aggregate": {"l2_cache_correctable": 3}},
            },
        ),
    ],
    "ECC off": [Gpu("a10", figures={"ecc": {"current": False, "pending": True}})],
    "fans": [
        Gpu(
            "rtx-4090",
            figures={
                "fans": {"all": {"speed": 55, "target": 60}, "1": {"speed": 31}},
                "clocks": {"event_reasons": ["sw_power_cap", "hw_slowdown"]},
            },
        )
    ],
    "sessions": [
        Gpu(
            "l4",
            figures={
                "encoder": {
                    "rows": [
                        {
                            **{"pid": 9, "codec": "hevc", "width": 1920, "height": 1080},
                            **{"average_fps": 60, "average_latency": 100},
                        }
                    ]
                }
            },
        )
    ],
    "fabric": [
        Gpu(
            "h100-sxm5-80gb",
            figures={
                "fabric": {
                    "state": "COMPLETED",
                    "status": "SUCCESS",
                    "clique_id": 3,
                    "cluster_uuid": "00112233-4455-6677-8899-aabbccddeeff",
                    "degraded_bandwidth": False,
                }
            },
        )
    ],
    "lost": [Gpu("t4"), Gpu("t4", failure="lost"), Gpu("t4", failure="reset_required")],
    "laptop": [Gpu("rtx-4090-laptop", figures={"power": {"source": "BATTERY"}})],
    "cold": [Gpu("t4", temperature=-12)],
    "busy": [Gpu("a100-sxm4-80gb", utilization=100)],
    "figures of few products": [
        Gpu(
            "v100-sxm2-16gb",
            figures={
                "ecc": {
                    lifetime: {"texture_memory_correctable": 1, "texture_memory_uncorrectable": 2}
                    for lifetime in ("volatile", "aggregate")
                },
            },
        )
    ],
    "Tegra": [Gpu("jetson-agx-orin")],
}


@cache
def facts_about(name: str) -> Facts:
    """What a capture of one of the `MACHINES` tells."""
    return facts_of(capture_of(Scenario(gpus=MACHINES[name])))


def differences(facts: Facts, scenario: Scenario) -> list[tuple[int, Told, Any]]:
    """What is told otherwise than the scenario's machine has it; of a GPU whose product nothing
    told, it may be."""
    machine = Machine(plan_of(scenario))
    guessed = [note.where for note in facts.notes]
    there = [
        (f"GPU-{place}", gpu)
        for place, gpu in enumerate(facts.gpus)
        if gpu.value("failure") != "unplugged"
    ]
    assert len(there) == len(machine.plugged())
    found = [
        (index, told, held_by(machine, index, told.path))
        for index, (name, gpu) in enumerate(there)
        for told in gpu
        if name not in guessed
    ]
    # A function is refused as a whole for one figure that the device does not have.
    refused = {told.path[:-1] for _, told, held in found if told.value is None and held is None}
    return [
        (index, told, held)
        for index, told, held in found
        if not agree(told, held) and not (told.value is None and told.path[:-1] in refused)
    ]


def held_by(machine: Machine, index: int, path: tuple[str, ...]) -> Any:
    device = machine.plugged()[index]
    if path == ("pci_bus_id",):
        return device.pci.bus_id
    if path[0] == "cuda":
        return device.cuda_attribute(path[1]) or 0
    if path[0] in ("nvlinks", "fans") and len(path) > 1:
        return getattr(getattr(device, path[0])[int(path[1])], path[2])
    if path == ("memory", "used"):
        return machine.ledger.used(device)
    return read(device, path)


def agree(told: Told, held: Any) -> bool:
    counts = told.path in COUNTED or told.path[:2] == ("clocks", "event_counters")
    if counts and held is not None:
        return told.value is not None and told.value >= held
    return plain(told.value) == plain(NOT_GIVEN.get(told.path) if held is None else held)


def plain(value: Any) -> Any:
    """Rows as tables of what they have, whose order tells nothing; lists for tuples."""
    if isinstance(value, (list, tuple)) and any(_is_row(each) for each in value):
        return sorted((_row(each) for each in value), key=repr)
    return list(value) if isinstance(value, tuple) else value


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) or hasattr(value, "__slots__")


def _row(row: Any) -> list[tuple[str, Any]]:
    names = row if isinstance(row, dict) else row.__slots__
    pairs = [(name, row[name] if isinstance(row, dict) else getattr(row, name)) for name in names]
    # The speed that a fan goes back to is no answer of NVML's.
    return sorted((name, plain(v)) for name, v in pairs if v is not None and name != "automatic")


@cache
def facts_of_product(name: str) -> Facts:
    return facts_of(capture_of(Scenario(gpus=[Gpu(name)])))


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_known_by_its_answers_and_differs_in_nothing(name):
    facts = facts_of_product(name)
    imported = scenario_of(facts)
    assert imported.scenario.gpus[0].profile == name
    assert [each for each in imported.differences if each.told.path not in COUNTED] == []
    assert imported.told > 25
    assert (facts.notes, facts.faults) == ((), ())


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_out_of_the_ordinary_is_told_as_it_is(name):
    scenario, facts = Scenario(gpus=MACHINES[name]), facts_about(name)
    assert differences(facts, scenario) == []
    assert facts.driver == scenario.driver
    if name != "no GPU":
        again = scenario_of(facts).scenario
        assert differences(facts, again) == []
        assert [gpu.profile for gpu in again.gpus] == [gpu.profile for gpu in scenario.gpus]


@given(machines(max_gpus=2))
@settings(max_examples=10)
def test_drawn_machines_are_told_as_they_are(scenario):
    assert differences(facts_of(capture_of(scenario)), scenario) == []


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("processes", ("processes",)),
        ("errors", ("ecc", "volatile", "dram_uncorrectable")),
        ("fans", ("fans", "1", "speed")),
        ("sessions", ("encoder", "rows")),
        ("fabric", ("fabric", "cluster_uuid")),
        ("laptop", ("power", "source")),
        ("busy", ("utilization", "gpu")),
        ("lost", ("name",)),
    ],
)
def test_what_is_out_of_the_ordinary_is_told(name, figures):
    assert facts_about(name).gpus[0].find(*figures) is not None


def test_gpus_that_cannot_be_found_keep_their_places():
    gpus = [Gpu("a10", failure="unplugged"), Gpu("t4")]
    gone, gpu = facts_of(capture_of(Scenario(gpus=gpus))).gpus
    assert gone.value("failure") == "unplugged"
    assert (gpu.value("name"), gpu.value("failure")) == ("Tesla T4", None)


def test_a_lost_gpu_is_taken_for_one_like_the_others():
    facts = facts_about("lost")
    assert [gpu.value("failure") for gpu in facts.gpus] == [None, "lost", "reset_required"]
    assert facts.gpus[1].value("name") == "Tesla T4"
    assert [note.where for note in facts.notes] == ["GPU-1"]


def test_mig_instances_keep_their_places_and_uuids():
    rows = [
        {"profile": "3g.40gb", "compute": [{"slices": 1}, {"slices": 2}]},
        {"profile": "1g.10gb"},
        {"profile": "2g.20gb"},
    ]
    mig = {"current": True, "pending": True, "instances": rows}
    process = {"pid": 5, "name": "m", "type": "C", "used_memory": 1 << 30}
    inside = [{**process, "gpu_instance": 2, "compute_instance": 0}]
    gpu = Gpu("a100-sxm4-80gb", figures={"mig": mig, "processes": inside})
    scenario = Scenario(user="root", gpus=[gpu])
    again = scenario_of(facts_of(capture_of(scenario))).scenario
    assert parts(again) == parts(scenario)
    assert again.gpus[0].figures["processes"] == inside


def parts(scenario: Scenario) -> list[tuple[Any, ...]]:
    (device,) = Machine(plan_of(scenario)).devices
    return [
        (each.gpu_instance.kind.name, each.gpu_instance.start, *each.ids, each.slices, each.uuid)
        for each in device.partitions
    ]


def test_links_that_are_down_and_their_errors_are_told():
    links = {"3": {"active": False}, "5": {"crc_errors": 17}}
    gpus = [Gpu("h100-sxm5-80gb", figures={"nvlinks": links}), Gpu("h100-sxm5-80gb")]
    first, second = scenario_of(facts_of(capture_of(Scenario(gpus=gpus)))).scenario.gpus
    assert first.figures["nvlinks"] == links
    assert "nvlinks" not in second.figures


# ---- little was asked


def call(function: str, inputs: dict[str, Any], outputs: Any = None, code: int = 0) -> Call:
    return Call("cuda" if function.startswith("cu") else "nvml", function, inputs, code, outputs)


NAME = call("nvmlDeviceGetName", {"device": "GPU-0"}, {"name": "Tesla T4"})


def facts(*calls: Call, driver: str = "") -> Any:
    return facts_of(Capture(Header(driver=driver), calls))


def test_a_capture_of_nothing_tells_nothing():
    found = facts()
    assert (found.driver, found.cuda, found.gpus, found.faults, found.notes) == ("", "", (), (), ())


def test_the_driver_is_the_headers_or_else_as_it_says():
    version = call("nvmlSystemGetDriverVersion", {}, {"version": "535.54.03"})
    assert facts(version).driver == "535.54.03"
    assert facts(version, driver="550.163.01").driver == "550.163.01"


@pytest.mark.parametrize("function", ["nvmlSystemGetCudaDriverVersion_v2", "cuDriverGetVersion"])
def test_the_cuda_version_is_told(function):
    names = {"nvmlSystemGetCudaDriverVersion_v2": "cudaDriverVersion"}
    found = facts(call(function, {}, {names.get(function, "driverVersion"): 12040}))
    assert found.cuda == "12.4"


def test_gpus_that_nothing_was_asked_of_are_like_the_first():
    found = facts(NAME, call("nvmlDeviceGetCount_v2", {}, {"deviceCount": 3}))
    assert [gpu.value("name") for gpu in found.gpus] == ["Tesla T4"] * 3
    assert [note.where for note in found.notes] == ["GPU-1", "GPU-2"]


def test_a_machine_of_which_nothing_but_the_number_is_told():
    found = facts(call("nvmlDeviceGetCount_v2", {}, {"deviceCount": 2}))
    assert len(scenario_of(found).scenario.gpus) == 2
    assert [note.where for note in found.notes] == ["GPU-0", "GPU-1"]


def test_more_gpus_than_any_machine_has_are_an_error():
    with pytest.raises(ScenarioError, match="found 4294967295"):
        facts(call("nvmlDeviceGetCount_v2", {}, {"deviceCount": 0xFFFF_FFFF}))


def test_what_no_machine_of_ours_can_have_is_a_note():
    question = {"device": "GPU-0", "sensorType": 0}
    found = facts(NAME, call("nvmlDeviceGetTemperature", question, {"temp": 40_000}))
    assert [note.where for note in found.notes] == ["nvmlDeviceGetTemperature"]
    assert "40000" in found.notes[0].text
    assert scenario_of(found).scenario.gpus[0].profile == "t4"


def test_a_handle_that_is_refused_is_no_gpu():
    beyond = call("nvmlDeviceGetHandleByIndex_v2", {"index": 1}, code=2)
    assert len(facts(NAME, beyond).gpus) == 1


def test_of_readings_the_first_is_told():
    readings = [
        call("nvmlDeviceGetTemperature", {"device": "GPU-0", "sensorType": 0}, {"temp": degrees})
        for degrees in (41, 55)
    ]
    (gpu,) = facts(NAME, *readings).gpus
    assert gpu.value("temperature", "gpu") == 41


def test_what_one_function_has_not_another_may_have():
    refused = call("nvmlDeviceGetCurrentClocksThrottleReasons", {"device": "GPU-0"}, code=3)
    told = call(
        "nvmlDeviceGetCurrentClocksEventReasons", {"device": "GPU-0"}, {"clocksEventReasons": 4}
    )
    (gpu,) = facts(refused, told).gpus
    assert gpu.value("clocks", "event_reasons") == ["sw_power_cap"]


@pytest.mark.parametrize("function", ["nvmlInit_v2", "nvmlInit", "cuInit"])
def test_a_library_that_cannot_be_initialised_is_a_fault(function):
    (fault,) = facts(call(function, {}, code=999)).faults
    assert function in fault.function
    assert fault.returns == "UNKNOWN"


def test_an_init_that_fails_once_and_then_works_is_none():
    assert facts(call("nvmlInit_v2", {}, code=9), call("nvmlInit_v2", {}, {})).faults == ()


@pytest.mark.parametrize(("code", "kind"), [(15, "lost"), (16, "reset_required")])
def test_a_gpu_that_fails_on_the_way_has_failed(code, kind):
    failed = call("nvmlDeviceGetUtilizationRates", {"device": "GPU-0"}, code=code)
    (gpu,) = facts(NAME, failed).gpus
    assert gpu.value("failure") == kind


def test_a_gpu_that_works_again_has_not_failed():
    failed = call("nvmlDeviceGetUtilizationRates", {"device": "GPU-0"}, code=15)
    (gpu,) = facts(failed, NAME).gpus
    assert gpu.value("failure") is None


@pytest.mark.parametrize(
    "asked",
    [
        [call("cuDeviceGetCount", {}, {"count": 2})],
        [call("cuDeviceCanAccessPeer", {"dev": "GPU-0", "peerDev": "GPU-1"}, {"canAccessPeer": 0})],
        [call("cuDeviceGetName", {"dev": "GPU-1"}, {"name": "Tesla T4"})],
        [call("nvmlDeviceGetHandleByUUID", {"uuid": "some"}, {"device": "GPU-1"})],
    ],
)
def test_gpus_that_were_asked_of_were_there(asked: list[Call]):
    found = facts(NAME, *asked)
    assert [gpu.value("name") for gpu in found.gpus] == ["Tesla T4", "Tesla T4"]
    assert [gpu.value("failure") for gpu in found.gpus] == [None, None]


def test_cuda_alone_tells_what_a_gpu_is():
    uuid = [0xB6, 0x85, 0x4A, 0x8B, 0xFD, 0xE2, 0x0C, 0x7D, 0x24, 0x5A, 0xC7, 0x7D, 0x8E, 1, 2, 3]
    found = facts(
        call("cuDeviceGetCount", {}, {"count": 1}),
        call("cuDeviceGetName", {"dev": "GPU-0"}, {"name": "Tesla T4"}),
        call("cuDeviceGetUuid_v2", {"dev": "GPU-0"}, {"uuid": {"bytes": uuid}}),
        call("cuDeviceGetAttribute", {"attrib": 16, "dev": "GPU-0"}, {"pi": 40}),
    )
    (gpu,) = found.gpus
    assert gpu.value("uuid") == "GPU-b6854a8b-fde2-0c7d-245a-c77d8e010203"
    assert gpu.value("processor", "multiprocessors") == 40
    assert scenario_of(found).scenario.gpus[0].profile == "t4"


@pytest.mark.parametrize(
    ("kind", "wide", "value"),
    [
        (1, {"ullVal": 0xFFFF_FFFF_0000_0029}, 41),  # what lies above a number is not its own
        (5, {"ullVal": 0xFFFF_FFF8}, -8),
        (0, {"dVal": 41.0}, 41.0),
        (99, {"ullVal": 41}, None),  # a type that nobody knows
    ],
)
def test_a_field_is_told_by_its_type(kind, wide, value):
    field = {"fieldId": 193, "scopeId": 0}  # NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT
    row = {**field, "nvmlReturn": 0, "valueType": kind, "value": wide}
    asked = call(
        "nvmlDeviceGetFieldValues", {"device": "GPU-0", "values": [field]}, {"values": [row]}
    )
    (gpu,) = facts(NAME, asked).gpus
    assert gpu.value("temperature", "shutdown_margin") == (None if kind == 0 else value)


@pytest.mark.parametrize("clocks", [[1530, 1522, 1515, 1507], [1530, 1515], [300], [31, 20, 3]])
def test_clocks_are_told_as_steps_where_they_have_one(clocks):
    memory = call("nvmlDeviceGetSupportedMemoryClocks", {"device": "GPU-0"}, {"clocksMHz": [5001]})
    question = {"device": "GPU-0", "memoryClockMHz": 5001}
    graphics = call("nvmlDeviceGetSupportedGraphicsClocks", question, {"clocksMHz": clocks})
    (gpu,) = facts(memory, graphics).gpus
    steps = gpu.value("clocks", "steps")
    if clocks == [31, 20, 3]:
        assert steps is None
    else:
        again = Machine(plan_of(Scenario(gpus=[Gpu("t4", figures={"clocks": {"steps": steps}})])))
        assert again.devices[0].clocks.supported_graphics(5001) == clocks


# ---- the tables


@pytest.mark.parametrize(("library", "table"), [("nvml", NVML), ("cuda", CUDA)])
def test_each_row_names_a_function_and_what_it_puts_out(library, table):
    api = apis()[library]
    for name, row in table.items():
        outputs = {p.name: p for p in api.find(name).parameters or () if p.is_output}
        for output in row:
            first, *fields = output.split(".")
            if first == "timestamps":  # of the later version alone
                continue
            assert first in outputs, (name, output)
            versions = outputs[first].versions if fields else ()
            structs = [dict(c_fields(api.types.row(version))) for version in versions]
            assert not fields or any(fields[0] in struct for struct in structs), (name, output)


def test_each_row_is_told_by_some_machine():
    """So that each was compared with what the machine has."""
    figures = [*FIELDS.values(), *ATTRIBUTES.values()]
    figures += [figure for row in NVML.values() for figure in row.values()]
    everything = [facts_about(name) for name in MACHINES] + [facts_of_product(n) for n in PRODUCTS]
    told = {".".join(told.path) for facts in everything for gpu in facts.gpus for told in gpu}
    inputs = re.compile(r"\\\{[^}]*\}")
    rows = {figure: re.compile(inputs.sub(r"\\w+", re.escape(figure))) for figure in figures}
    assert [row for row, like in rows.items() if not any(map(like.fullmatch, told))] == [*NEWER]


def test_each_row_tells_a_figure_that_a_scenario_may_set():
    figures = [*FIELDS.values(), *ATTRIBUTES.values()]
    figures += [figure for row in NVML.values() for figure in row.values()]
    own = {"uuid", "serial", "pci_bus_id"}
    plain = [figure for figure in figures if "{" not in figure and figure not in own]
    assert [figure for figure in plain if figure_of(tuple(figure.split("."))) is None] == []
    words = [*WORDS_OF, *BITS]
    assert [figure for figure in words if figure_of(tuple(figure.split("."))) is None] == []


class TestPlaces:
    """Where GPUs hang in the host, as the levels between them and their nodes tell it."""

    #: NUMA node, socket, host bridge, switches, the upper one first.
    ROWS = (
        (3, 0, "q0", ("q0", "a")),
        (3, 0, "q0", ("q0", "a")),
        (3, 0, "q0", ("q0", "b")),
        (1, 0, "q1", None),
        (7, 1, None, None),
        (7, 1, None, None),
    )

    def test_are_told(self) -> None:
        gpus = []
        for node, socket, bridge, switches in self.ROWS:
            place = {"numa_node": node, "socket": socket, "host_bridge": bridge}
            place |= {"switches": list(switches) if switches else None}
            told = {name: value for name, value in place.items() if value is not None}
            gpus.append(Gpu("t4", figures={"topology": told}))
        scenario = Scenario(gpus=gpus)
        derived = scenario_of(facts_of(capture_of(scenario))).scenario
        assert self.seen(derived) == self.seen(scenario)

    def test_of_a_plain_host_are_not(self) -> None:
        facts = facts_of(capture_of(Scenario(gpus=[Gpu("t4", count=2)])))
        told = {told.path[1] for gpu in facts.gpus for told in gpu if told.path[0] == "topology"}
        assert told <= {"memory_node"}

    def seen(self, scenario: Scenario) -> list[Any]:
        """The levels between any two, and each one's nodes."""
        devices = Machine(plan_of(scenario)).devices
        levels = [ancestor(one, other) for one in devices for other in devices if one != other]
        nodes = [near_nodes(devices, each, socket) for each in devices for socket in (False, True)]
        return [levels, nodes]


def test_no_memory_at_all_is_no_figure() -> None:
    """No machine has it: a fault answers so."""
    call = Call("nvml", "nvmlDeviceGetMemoryInfo", {"device": "GPU-0"}, 0, {"memory": {"total": 0}})
    name = Call("nvml", "nvmlDeviceGetName", {"device": "GPU-0"}, 0, {"name": "Tesla T4"})
    [gpu] = facts_of(Capture(Header(), (call, name))).gpus
    assert gpu.find("memory", "total") is None
    assert plan_of(scenario_of(facts_of(Capture(Header(), (call, name)))).scenario)
