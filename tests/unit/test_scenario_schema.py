"""The JSON Schema of scenarios: editors mark what nvemu refuses, and nothing that it takes."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec import Struct
from msgspec.structs import fields

import emulator.scenario
from emulator.plans import plan_of
from emulator.scenario import (
    Change,
    Fault,
    Gpu,
    Kernel,
    Loader,
    Scenario,
    ScenarioError,
    dumps,
    load,
    loads,
    names,
)
from emulator.scenario.jsonschema import json_schema
from emulator.scenario.jsonshapes import descriptions
from emulator.scenario.profiles import written_figures
from emulator.vocabulary import vocabulary

SCHEMA = json_schema(vocabulary())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
GALLERY = Path(emulator.scenario.__file__).parent / "gallery"
STRUCTS = {
    "": Scenario,
    "gpu": Gpu,
    "fault": Fault,
    "change": Change,
    "kernel": Kernel,
    "copy": Loader,
}

#: Scenarios that together use every key.
SAMPLES = (
    """
    name = "all"
    description = "one\\ntwo"
    origin = ["https://example.org/1"]
    sees = "nothing"
    driver = "550.163.01"
    driver_version = "550.54.15"
    cuda_version = "12.4"
    clock = "60x"
    strict = true
    user = "unprivileged"
    capture = "box.capture"

    [environment]
    CUDA_VISIBLE_DEVICES = "0,1"

    [loader]
    cuda = "absent"
    nvml = [
        "wrong-class",
        { state = "missing-symbols", symbols = ["nvmlDeviceGetMemoryInfo_v2", "nvmlGpm*"] },
    ]

    [[gpu]]
    profile = "t4"
    name = "Tesla T5"
    uuid = "GPU-ee7954ec-da95-fd7a-ddfd-c6b32cc2f8aa"
    serial = "1"
    pci_bus_id = "0000:19:00"
    memory_total = "40 gib"
    memory_used = 1
    temperature = "-5 C"
    power_usage = "66.5 W"
    utilization = 100
    failure = "lost"

    [[gpu]]
    profile = "t4"
    load = { gpu = "50 %", memory = 1, curve = [["0 s", 0], ["1.5 min", 90]], jitter = 5, seed = 7 }

    [[gpu]]
    profile = "h100-sxm5-80gb"
    count = 2

    [gpu.figures]
    compute_mode = "PROHIBITED"
    compute_capability = [9, 0]
    persistence_mode = false
    ecc = { current = "N/A" }
    power = { limit = "60 W", usage = "N/A" }
    cuda = { MAX_PITCH = 1 }
    processes = [{ pid = 1, name = "x", type = "C", used_memory = "1 MiB" }]
    clocks = { steps = [[1, 2, 3, 4]], event_reasons = ["gpu_idle"], sm = { locked = [1, 2] } }
    """,
    """
    origin = "https://example.org/2"
    clock = "manual"
    loader = { nvml = { state = "older-table", driver = "470.256.02" } }

    [[gpu]]
    profile = "t4"
    count = 3

    [[fault]]
    function = "nvmlDeviceGetTemperature"
    returns = "gpu_is_lost"
    library = "nvml"
    device = [1, "t4"]
    process = 1
    thread = "main"
    time = "10 s-20 s"
    after = ["nvmlInit*"]
    calls = [1, "5-", "every 3"]
    probability = 0.5
    seed = -1
    delay = "200 ms"
    block = true
    signal = "SIGSEGV"
    name = "hot"

    [[fault]]
    function = ["getters", "cuDeviceGet"]
    returns = 999
    device = 0
    process = "python*"
    thread = 2
    calls = "2-4"
    delay = 0.5

    [[fault]]
    function = "nvmlDeviceGetMemoryInfo"
    exit = 0
    time = "1.5 min-"
    writes = { memory = { total = 1 } }
    corrupt = { "memory.free" = "max" }

    [[change]]
    at = "30 s"
    every = 1
    until = "1 h"
    device = 1
    set = { failure = "lost", temperature = 95, power = { usage = "N/A" } }

    [[change]]
    device = ["t4"]
    xid = 79
    add = { memory_used = "-1 GB", temperature = { gpu = 1 }, clocks = { sm = { current = -1 } } }
    """,
    'loader = { cuda = { state = "missing-dependency", needs = "libx.so" } }',
    '[[fault]]\nfunction = "cuInit"\nrun = "schema_hooks.py:answer"',
    '[[change]]\nrun = "schema_hooks.py:answer"',
    '[[kernel]]\nname = "saxpy*"\nrun = "schema_hooks.py:answer"',
)

#: A scenario with a mistake, and where it is.
WRONG = {
    "drivr = 1": (),
    'driver = "550"': ("driver",),
    'driver_version = "550"': ("driver_version",),
    "driver_version = 550.54": ("driver_version",),
    'cuda_version = "12"': ("cuda_version",),
    "driver = 550": ("driver",),
    'clock = "fast"': ("clock",),
    'strict = "yes"': ("strict",),
    'origin = "http://x"': ("origin",),
    'origin = ["x"]': ("origin",),
    'environment = { LD_PRELOAD = "x" }': ("environment",),
    "environment = { A = 1 }": ("environment", "A"),
    'loader = { nvlm = "absent" }': ("loader",),
    'loader = { nvml = "abscent" }': ("loader", "nvml"),
    "loader = { nvml = [] }": ("loader", "nvml"),
    'loader = { nvml = { state = "missing-symbols" } }': ("loader", "nvml"),
    'loader = { nvml = { state = "absent", driver = "470.256.02" } }': ("loader", "nvml"),
    'loader = { nvml = { symbols = ["x"] } }': ("loader", "nvml"),
    "gpu = {}": ("gpu",),
    "[[gpu]]": ("gpu", 0),
    '[[gpu]]\nprofile = "t5"': ("gpu", 0, "profile"),
    '[[gpu]]\nprofile = "t4"\ncount = 0': ("gpu", 0, "count"),
    '[[gpu]]\nprofile = "t4"\nuuid = "GPU-1"': ("gpu", 0, "uuid"),
    '[[gpu]]\nprofile = "t4"\npci_bus_id = "x"': ("gpu", 0, "pci_bus_id"),
    '[[gpu]]\nprofile = "t4"\nmemory_used = "1"': ("gpu", 0, "memory_used"),
    '[[gpu]]\nprofile = "t4"\nmemory_used = "1 W"': ("gpu", 0, "memory_used"),
    '[[gpu]]\nprofile = "t4"\nmemory_used = -1': ("gpu", 0, "memory_used"),
    '[[gpu]]\nprofile = "t4"\nutilization = 101': ("gpu", 0, "utilization"),
    '[[gpu]]\nprofile = "t4"\nload = "half"': ("gpu", 0, "load"),
    '[[gpu]]\nprofile = "t4"\nload = { gppu = 1 }': ("gpu", 0, "load"),
    '[[gpu]]\nprofile = "t4"\nfailure = "dead"': ("gpu", 0, "failure"),
    '[[gpu]]\nprofile = "t4"\nfigures = { x = 1 }': ("gpu", 0, "figures"),
    '[[gpu]]\nprofile = "t4"\nfigures.memory.totl = 1': ("gpu", 0, "figures", "memory"),
    '[[gpu]]\nprofile = "t4"\nfigures.memory.total = "N/A"': (
        *("gpu", 0, "figures", "memory", "total"),
    ),
    '[[gpu]]\nprofile = "t4"\nfigures.brand = "AMD"': ("gpu", 0, "figures", "brand"),
    '[[gpu]]\nprofile = "t4"\nfigures.compute_capability = [9]': (
        *("gpu", 0, "figures", "compute_capability"),
    ),
    '[[gpu]]\nprofile = "t4"\nfigures.processes = [{ pid = 1 }]': (
        *("gpu", 0, "figures", "processes", 0),
    ),
    '[[gpu]]\nprofile = "t4"\nfigures.cuda = { max_pitch = 1 }': ("gpu", 0, "figures", "cuda"),
    '[[fault]]\nfunction = "cuInit"': ("fault", 0),
    "[[fault]]\nreturns = 1": ("fault", 0),
    '[[fault]]\nfunction = "cuInt"\nreturns = 1': ("fault", 0, "function"),
    "[[fault]]\nfunction = []\nreturns = 1": ("fault", 0, "function"),
    '[[fault]]\nfunction = "cuInit"\nreturns = 12345': ("fault", 0, "returns"),
    '[[fault]]\nfunction = "cuInit"\nreturns = "NO_DEVICES"': ("fault", 0, "returns"),
    '[[fault]]\nfunction = "cuInit"\ncalls = 0\nreturns = 1': ("fault", 0, "calls"),
    '[[fault]]\nfunction = "cuInit"\ncalls = "2--3"\nreturns = 1': ("fault", 0, "calls"),
    '[[fault]]\nfunction = "cuInit"\nprobability = 0\nreturns = 1': ("fault", 0, "probability"),
    '[[fault]]\nfunction = "cuInit"\ntime = "10"\nreturns = 1': ("fault", 0, "time"),
    '[[fault]]\nfunction = "cuInit"\nlibrary = "x"\nreturns = 1': ("fault", 0, "library"),
    '[[fault]]\nfunction = "cuInit"\nprocess = 0\nreturns = 1': ("fault", 0, "process"),
    '[[fault]]\nfunction = "cuInit"\ndelay = "2 days"': ("fault", 0, "delay"),
    '[[fault]]\nfunction = "cuInit"\ndelay = -1': ("fault", 0, "delay"),
    '[[fault]]\nfunction = "cuInit"\nsignal = "SIGNONE"': ("fault", 0, "signal"),
    '[[fault]]\nfunction = "cuInit"\nsignal = 99': ("fault", 0, "signal"),
    '[[fault]]\nfunction = "cuInit"\nexit = 256': ("fault", 0, "exit"),
    '[[fault]]\nfunction = "cuInit"\nrun = "a.py"': ("fault", 0, "run"),
    '[[fault]]\nfunction = "cuDeviceGetCount"\ncorrupt = { count = "most" }': (
        *("fault", 0, "corrupt", "count"),
    ),
    "[[change]]\nat = 1": ("change", 0),
    '[[change]]\nset = { failure = "gone" }': ("change", 0, "set", "failure"),
    "[[change]]\nset = { memory_use = 1 }": ("change", 0, "set"),
    '[[change]]\nadd = { name = "x" }': ("change", 0, "add"),
    '[[change]]\nadd = { temperature = "1 W" }': ("change", 0, "add", "temperature"),
    "[[change]]\nxid = 0": ("change", 0, "xid"),
    "[[change]]\nxid = 1000": ("change", 0, "xid"),
    '[[change]]\nxid = "79"': ("change", 0, "xid"),
    '[[kernel]]\nname = "k"': ("kernel", 0),
    '[[kernel]]\nname = ""\nrun = "a.py:f"': ("kernel", 0, "name"),
    '[[kernel]]\nname = "k"\nrun = "f"': ("kernel", 0, "run"),
}

#: What is put in the place of each value of the samples, by turns.
ODD = (
    *(0, 1, -1, 2, 5, 100, 256, 1 << 31, 1 << 63, 0.5, 1.0, -0.5, True, False, "", " ", "x", "1"),
    *("N/A", "1 W", "1 gb", "+1.5 KiB", " 2 C", "50%", "1 MHz", "3-", "2-4", "4-2", "every 2"),
    *("1 s", "1.5 min", "1 s-", "1-2", " 1 s - 2 s ", "10x", "0x", "wall", "main", "getters"),
    *("nvml*", "cuInit", "nvmlInit_v2", "SEGV", "sigkill", "no_device", "CUDA_ERROR_NO_DEVICE"),
    *("t4", "absent", "older-table", "lost", "max", "truncated", "https://x", "470.256.02"),
    *("GPU-EE7954EC-da95-fd7a-ddfd-c6b32cc2f8aa", "19:00.0", "schema_hooks.py:answer", "libx.so"),
    *([], [1], [1, 2], ["t4"], ["1-"], ["absent"], [[1, 2, 3, 4]], ["https://x"], ["cuInit"]),
    *({}, {"x": 1}, {"state": "absent"}, {"gpu": 1}, {"used": "1 GB"}, {"count": "zero"}),
)


def errors(table: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """Where a TOML document is at odds with the schema."""
    return [tuple(error.absolute_path) for error in VALIDATOR.iter_errors(table)]


def is_taken(text: str) -> bool:
    try:
        plan_of(loads(text))
    except ScenarioError:
        return False
    return True


@pytest.fixture(autouse=True)
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "schema_hooks.py").write_text("def answer(call):\n    pass\n")
    (tmp_path / "box.capture").write_text('{"nvemu":"capture","format":1}\n')
    monkeypatch.chdir(tmp_path)


class TestForm:
    def test_is_a_json_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_the_command_prints_it(
        self, nvemu: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        assert json.loads(nvemu("scenarios", "schema").stdout) == SCHEMA

    @pytest.mark.parametrize("name", STRUCTS)
    def test_every_field_is_described_in_the_words_of_its_docstring(self, name: str) -> None:
        kind = STRUCTS[name]
        found = properties(name)
        assert list(found) == [field.encode_name for field in fields(kind)]
        said = descriptions(kind)
        for field in fields(kind):
            described = found[field.encode_name]["description"]
            assert len(described) > 5
            assert described == said[field.name]
            first = described.replace("`", "").split(" ")[0]
            assert f"{field.name}: {first}" in str(kind.__doc__).replace("`", "")

    @pytest.mark.parametrize("name", STRUCTS)
    def test_defaults_are_those_of_the_structs(self, name: str) -> None:
        found = {
            key: schema["default"]
            for key, schema in properties(name).items()
            if "default" in schema
        }
        kind: type[Struct] = STRUCTS[name]
        assert found == {
            field.encode_name: field.default
            for field in fields(kind)
            if isinstance(field.default, (str, int))
        }

    def test_every_group_of_figures_is_described(self) -> None:
        groups = [schema for schema in SCHEMA["$defs"].values() if schema.get("type") == "object"]
        assert len(groups) > 30
        assert all(schema["description"] for schema in groups)

    def test_all_that_is_referred_to_is_there(self) -> None:
        used = set(references(SCHEMA))
        assert used == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def properties(name: str) -> dict[str, Any]:
    schema = SCHEMA["$defs"][name] if name else SCHEMA
    found: dict[str, Any] = schema.get("properties") or schema["anyOf"][1]["properties"]
    return found


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for entry in schema.values():
            yield from references(entry)
    elif isinstance(schema, list):
        for entry in schema:
            yield from references(entry)


class TestWhatIsRight:
    @pytest.mark.parametrize("name", names().scenarios)
    def test_the_gallery(self, name: str) -> None:
        assert errors(tomllib.loads((GALLERY / f"{name}.toml").read_text(encoding="utf-8"))) == []
        assert errors(tomllib.loads(dumps(load(name)))) == []

    @pytest.mark.parametrize("name", names().profiles)
    def test_the_figures_of_every_profile(self, name: str) -> None:
        table = {"gpu": [{"profile": name, "figures": written_figures(name)}]}
        assert errors(table) == []

    @pytest.mark.parametrize("text", SAMPLES)
    def test_samples(self, text: str) -> None:
        assert is_taken(text)
        assert errors(tomllib.loads(text)) == []

    def test_the_samples_have_every_key(self) -> None:
        for name, kind in STRUCTS.items():
            used = {
                key for text in SAMPLES for row in rows(tomllib.loads(text), name) for key in row
            }
            assert {field.encode_name for field in fields(kind)} <= used


def rows(table: dict[str, Any], name: str) -> list[dict[str, Any]]:
    if name == "copy":
        entries = [
            entry if isinstance(entry, list) else [entry]
            for entry in table.get("loader", {}).values()
        ]
        return [copy for copies in entries for copy in copies if isinstance(copy, dict)]
    return table.get(name, []) if name else [table]


class TestWhatIsWrong:
    @pytest.mark.parametrize("text", WRONG)
    def test_is_marked_where_it_is(self, text: str) -> None:
        assert not is_taken(text)
        assert set(errors(tomllib.loads(text))) == {WRONG[text]}


@pytest.mark.parametrize("text", SAMPLES)
def test_nothing_that_nvemu_takes_is_marked(text: str) -> None:
    """Each value of a sample is replaced by odd ones; both have to refuse most of them."""
    sample = tomllib.loads(text)
    places = [(path, odd) for n, path in enumerate(paths(sample)) for odd in ODD[n % 2 :: 2]]
    marked = [place for place in places if not VALIDATOR.is_valid(part(sample, *place))]
    assert len(places) / 2 < len(marked) < len(places)
    taken = [place for place in marked if is_taken(toml(replaced(sample, *place)))]
    assert taken == []


def paths(value: Any) -> Iterator[tuple[str | int, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        yield (key,)
        if isinstance(entry, (dict, list)):
            yield from ((key, *rest) for rest in paths(entry))


def part(sample: dict[str, Any], path: tuple[str | int, ...], new: Any) -> dict[str, Any]:
    """The key of the document, or the one of its tables, in which a value is replaced."""
    key, *rest = path
    if len(rest) > 1 and isinstance(rest[0], int):
        return {str(key): [replaced(sample[str(key)][rest[0]], tuple(rest[1:]), new)]}
    return {str(key): replaced(sample, path, new)[str(key)]}


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def toml(table: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {inline(value)}\n" for key, value in table.items())


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)
