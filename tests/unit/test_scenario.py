"""Scenarios: what users write, what they are told when it is wrong, and the plan it becomes."""

from __future__ import annotations

import json
import os
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.machine import DRIVERS, NEWEST, Machine
from emulator.plans import find_scenario, plan_of
from emulator.scenario import (
    Change,
    Fault,
    Gpu,
    Loader,
    Scenario,
    ScenarioError,
    ScenarioFileError,
    UnknownNameError,
    Vocabulary,
    dumps,
    load,
    loads,
    names,
    parse_gpus,
    resolve,
)
from emulator.scenario.calls import parse_calls
from emulator.scenario.profiles import profile
from emulator.scenario.quantities import BOUNDS, UNITS, parse_quantity, write_quantity

GIB = 1 << 30
UUID = "GPU-ee7954ec-da95-fd7a-ddfd-c6b32cc2f8aa"

VOCABULARY = Vocabulary(
    functions={
        "nvml": ["nvmlInit", "nvmlInit_v2", "nvmlInitWithFlags", "nvmlDeviceGetTemperature"],
        "cuda": ["cuInit", "cuDeviceGetCount"],
    },
    exported=lambda library, driver: ["nvmlInit", "nvmlInit_v2"],
    prefixes={"nvml": ("NVML_ERROR_", "NVML_"), "cuda": ("CUDA_ERROR_", "CUDA_")},
    codes={
        "nvml": {
            "NVML_SUCCESS": 0,
            "NVML_ERROR_UNINITIALIZED": 1,
            "NVML_ERROR_DRIVER_NOT_LOADED": 9,
            "NVML_ERROR_GPU_IS_LOST": 15,
            "NVML_ERROR_LIB_RM_VERSION_MISMATCH": 18,
            "NVML_ERROR_UNKNOWN": 999,
        },
        "cuda": {
            "CUDA_SUCCESS": 0,
            "CUDA_ERROR_INVALID_VALUE": 1,
            "CUDA_ERROR_NO_DEVICE": 100,
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": 803,
            "CUDA_ERROR_UNKNOWN": 999,
        },
    },
)


def plan(scenario: Scenario) -> dict:
    return resolve(scenario, VOCABULARY)


def gpus(*rows: Gpu, **fields) -> list[dict]:
    return plan(Scenario(gpus=rows, **fields))["gpus"]


def rules(*faults: Fault, **fields) -> list[dict]:
    return plan(Scenario(faults=faults, **fields))["faults"]


def refusal(write: Callable[[], Scenario]) -> str:
    """Return the message with which a scenario is refused, "" if it becomes a plan."""
    try:
        plan(write())
    except ScenarioError as error:
        return str(error)
    return ""


class TestWriting:
    def test_python_and_toml_say_the_same(self):
        text = """
            name = "two of eight are lost"
            driver = "550.163.01"
            strict = true

            [[gpu]]
            profile = "h100-sxm5-80gb"
            count = 8
            memory_used = "10 GiB"

            [[gpu]]
            profile = "t4"
            uuid = "GPU-EE7954EC-da95-fd7a-ddfd-c6b32cc2f8aa"
            figures.clocks.graphics.current = "1.5 GHz"

            [[fault]]
            function = "nvmlDeviceGet*"
            device = 3
            calls = [1, "3-"]
            returns = "GPU_IS_LOST"
        """
        assert loads(text) == Scenario(
            name="two of eight are lost",
            driver="550.163.01",
            strict=True,
            gpus=[
                Gpu("h100-sxm5-80gb", count=8, memory_used=10 * GIB),
                Gpu("t4", uuid=UUID, figures={"clocks": {"graphics": {"current": 1500}}}),
            ],
            faults=[Fault("nvmlDeviceGet*", "GPU_IS_LOST", device=3, calls=[1, "3-"])],
        )

    def test_an_empty_scenario_is_a_machine_without_gpus_under_the_newest_driver(self):
        empty = loads("")
        assert (empty.driver, empty.gpus, empty.faults, empty.strict) == (NEWEST, (), (), False)
        assert Machine(plan(empty)).devices == []

    def test_scenarios_cannot_be_changed(self):
        with pytest.raises(AttributeError):
            Scenario().driver = "470.256.02"  # type: ignore[misc]

    def test_another_driver_says_versions_of_its_own(self):
        told = Scenario(driver="550.163.01", driver_version="550.54.15", cuda_version="12.4")
        assert told.but(name="other").reported_driver == "550.54.15"
        other = told.but(driver="535.261.03")
        assert (other.reported_driver, other.cuda_version) == ("535.261.03", None)
        assert (
            told.but(driver="535.261.03", driver_version="535.54.03").driver_version == "535.54.03"
        )

    def test_a_figure_that_the_product_shall_not_have_is_written_as_nvidia_smi_does(self):
        figures = {"temperature": {"gpu": "N/A"}, "ecc": {"current": None}}
        (gpu,) = gpus(Gpu("t4", figures=figures))
        assert gpu["temperature"]["gpu"] is None
        assert gpu["ecc"]["current"] is None

    def test_the_short_fields_are_figures_of_the_profile(self):
        (gpu,) = gpus(
            Gpu(
                "t4",
                name="My T4",
                memory_total="8 GiB",
                memory_used="1 GiB",
                temperature=80,
                power_usage="66.5 W",
                utilization="97 %",
            )
        )
        assert gpu["name"] == "My T4"
        assert (gpu["memory"]["total"], gpu["memory"]["used"]) == (8 * GIB, GIB)
        assert (gpu["temperature"]["gpu"], gpu["power"]["usage"]) == (80, 66500)
        assert gpu["load"] == {"gpu": 97, "pinned": ["power.usage", "temperature.gpu"]}


class TestGallery:
    def test_names_come_with_descriptions_in_one_line(self):
        catalogue = names()
        assert {"default", "driver-not-loaded", "no-devices"} <= set(catalogue.scenarios)
        assert {"h100-sxm5-80gb", "a100-sxm4-80gb", "t4", "rtx-4090"} <= set(catalogue.profiles)
        for description in (*catalogue.scenarios.values(), *catalogue.profiles.values()):
            assert description
            assert "\n" not in description

    @pytest.mark.parametrize("name", names().scenarios)
    def test_every_scenario_bears_its_name_and_resolves(self, name):
        assert load(name).name == name
        assert plan_of(load(name))["name"] == name

    @pytest.mark.parametrize(
        ("name", "nvml", "cuda"),
        [("driver-not-loaded", 9, 100), ("library-version-mismatch", 18, 803)],
    )
    def test_init_fails_in_every_form(self, name, nvml, cuda):
        first, second = plan(load(name))["faults"]
        assert first["functions"] == ["nvmlInit", "nvmlInitWithFlags", "nvmlInit_v2"]
        assert (first["code"], first["calls"]) == (nvml, [])
        assert (second["functions"], second["code"]) == (["cuInit"], cuda)

    def test_no_devices_is_a_machine_without_gpus(self):
        found = plan(load("no-devices"))
        assert (found["gpus"], found["faults"]) == ([], [])

    def test_the_default_is_one_plain_gpu(self):
        assert [gpu["name"] for gpu in plan(load("default"))["gpus"]] == ["Tesla T4"]

    def test_an_unknown_name_gets_the_nearest_one(self):
        with pytest.raises(UnknownNameError, match="did you mean 'driver-not-loaded'"):
            load("driver-not-loded")


class TestFiles:
    def test_may_have_any_name_but_a_built_in_one_s(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("lab", "default"):
            (tmp_path / name).write_text("strict = true")
        assert load("lab").strict
        assert not load("default").strict

    def test_are_suggested_where_only_the_suffix_lacks(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "lab.toml").touch()
        with pytest.raises(UnknownNameError, match=r"found 'lab'; did you mean 'lab\.toml'\?"):
            load("lab")

    def test_a_file_s_scenario_is_named_after_it_unless_it_names_itself(self, tmp_path):
        path = tmp_path / "lost.toml"
        path.write_text("")
        assert load(path).name == load(str(path)).name == "lost"
        path.write_text('name = "found"')
        assert load(path).name == "found"

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(ScenarioFileError, match=r"none\.toml: cannot be read: No such file"):
            load(tmp_path / "none.toml")

    def test_a_folder(self, tmp_path):
        with pytest.raises(ScenarioFileError, match="cannot be read: Is a directory"):
            load(tmp_path)

    def test_a_file_that_is_not_text(self, tmp_path):
        (tmp_path / "a.toml").write_bytes(b"name = '\xff'")
        with pytest.raises(ScenarioFileError, match="expected a file in UTF-8"):
            load(tmp_path / "a.toml")

    def test_a_path_that_cannot_be(self):
        with pytest.raises(ScenarioFileError, match="expected a path"):
            load("a/\0.toml")


# What a user writes, and the whole message.
MISTAKES = [
    ("[[gpu", "a.toml:1: expected TOML, but: Expected ']]' at the end of an array declaration"),
    ("name =", "a.toml:1: expected TOML, but: Invalid value"),
    (
        "x = 1",
        "a.toml:1: x: no such key; known: capture, change, clock, cuda_version, description, "
        "driver, driver_version, environment, fault, gpu, kernel, loader, name, origin, sees, "
        "strict, user",
    ),
    ("gpus = []", "a.toml:1: gpus: no such key; did you mean 'gpu'?"),
    ("[gpu]\nprofile = 't4'", "a.toml:1: gpu: expected tables under [[gpu]], found a table"),
    ("gpu = ['t4']", "a.toml:1: gpu[0]: expected a table, found 't4'"),
    ("strict = 1", "a.toml:1: strict: expected true or false, found 1"),
    ('name = "a\\u0000"', r"a.toml:1: name: expected printable text in one line, found 'a\x00'"),
    (
        "\n\ndriver = '550'",
        "a.toml:3: driver: expected a driver version that nvemu knows, found '550'; "
        "did you mean '550.163.01'?",
    ),
    (
        "driver = 550",
        "a.toml:1: driver: expected a driver version that nvemu knows, found 550; "
        "did you mean '550.163.01'?",
    ),
    (
        "driver = '9'",
        "a.toml:1: driver: expected a driver version that nvemu knows, found '9'; known: "
        + ", ".join(DRIVERS),
    ),
    ("[[gpu]]\ncount = 1", "a.toml:1: gpu[0]: expected a key 'profile', found none"),
    (
        "[[gpu]]\nprofile = 'h100'",
        "a.toml:2: gpu[0].profile: expected a GPU profile, found 'h100'; "
        "did you mean 'h100-nvl-94gb' or 'h100-pcie-80gb' or 'h100-sxm5-80gb'?",
    ),
    (
        "[[gpu]]\nprofile = 'b200'",
        "a.toml:2: gpu[0].profile: expected a GPU profile, found 'b200'; "
        "did you mean 'b200-180gb'?",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nmemory_usd = 1",
        "a.toml:3: gpu[0].memory_usd: no such key; did you mean 'memory_used'?",
    ),
    (
        "[[gpu]]\nprofile = 't4'\ncount = 0",
        "a.toml:3: gpu[0].count: expected a number of GPUs from 1 to 256, found 0",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nmemory_used = '10 W'",
        "a.toml:3: gpu[0].memory_used: expected an integer of bytes or a size such as '80 GiB' or "
        "'512 MiB', found '10 W'",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nmemory_used = '16 GiB'",
        "a.toml:3: gpu[0].memory_used: expected at most 14972 MiB in use (15360 MiB in all, "
        "388 MiB reserved), found 16384 MiB",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nmemory_total = '100 MiB'",
        "a.toml:3: gpu[0].memory_total: expected more than the 388 MiB reserved, found 100 MiB",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nutilization = 101",
        "a.toml:3: gpu[0].utilization: expected 0 to 100 percent, found 101",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nuuid = 'GPU-1'",
        "a.toml:3: gpu[0].uuid: expected 'GPU-' and a UUID, such as "
        "'GPU-ee7954ec-da95-fd7a-ddfd-c6b32cc2f8aa', found 'GPU-1'",
    ),
    (
        f"[[gpu]]\nprofile = 't4'\nuuid = '{UUID}'\n\n[[gpu]]\nprofile = 't4'\nuuid = '{UUID}'",
        f"a.toml:7: gpu[1].uuid: expected a UUID of its own, found '{UUID}' again",
    ),
    (
        "[[gpu]]\nprofile = 't4'\npci_bus_id = '1:0'",
        "a.toml:3: gpu[0].pci_bus_id: expected a PCI bus id such as '00000000:19:00.0', "
        "found '1:0'",
    ),
    (
        "[[gpu]]\nprofile = 't4'\npci_bus_id = '3b:00.0'\n"
        "[[gpu]]\nprofile = 't4'\npci_bus_id = '0000:3B:00'",
        "a.toml:6: gpu[1].pci_bus_id: expected a bus id of its own, found '00000000:3B:00.0' again",
    ),
    (
        "[[gpu]]\nprofile = 't4'\ncount = 2\nserial = '1'",
        "a.toml:4: gpu[0].serial: expected a GPU with count = 1, as no two share one; found 2",
    ),
    (
        "driver = '470.256.02'\n[[gpu]]\nprofile = 'h100-sxm5-80gb'",
        "a.toml:3: gpu[0].profile: 'h100-sxm5-80gb' needs driver 525 or newer, "
        "found driver '470.256.02'",
    ),
    (
        "[[gpu]]\nprofile = 't4'\n[gpu.figures.clocks.graphics]\nmax = 1\ncurent = 2",
        "a.toml:5: gpu[0].figures.clocks.graphics.curent: no figure 'curent'; "
        "did you mean 'current'?",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nfigures.mig = true",
        "a.toml:3: gpu[0].figures.mig: expected a table of figures, found True",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nfigures.compute_mode = 'EXCLUSIV_PROCESS'",
        "a.toml:3: gpu[0].figures.compute_mode: expected one of its words, "
        "found 'EXCLUSIV_PROCESS'; did you mean 'EXCLUSIVE_PROCESS'?",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nfigures.fans = [{ speed = 'fast' }]",
        "a.toml:3: gpu[0].figures.fans[0].speed: expected a percentage, an integer or '45 %', "
        "found 'fast'",
    ),
    (
        "[[gpu]]\nprofile = 't4'\n[[gpu.figures.processes]]\npid = 1\n"
        "[[gpu.figures.processes]]\npid = 2\nname = 'python'",
        "a.toml:3: gpu[0].figures.processes[0]: expected a figure 'name', found none",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nfigures.compute_capability = [7]",
        "a.toml:3: gpu[0].figures.compute_capability: expected 2 entries, found [7]",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nfigures.cuda.warp_size = 32",
        "a.toml:3: gpu[0].figures.cuda: expected an attribute's name such as "
        "'MAX_THREADS_PER_BLOCK', found 'warp_size'",
    ),
    (
        "[[gpu]]\nprofile = 't4'\nfigures.uuid = 'x'",
        "a.toml:3: gpu[0].figures.uuid: no figure 'uuid'",
    ),
    (
        "[[fault]]\nfunction = 'cuInit'",
        "a.toml:1: fault[0]: expected something to happen, one of delay, block, signal, exit, run, "
        "returns, writes, corrupt; found none",
    ),
    (
        "[[change]]\nat = '30 s'",
        "a.toml:1: change[0]: expected something to happen, one of set, add, xid, run; found none",
    ),
    (
        "[[change]]\nset.memory.usd = 1",
        "a.toml:2: change[0].set.memory.usd: no figure 'usd'; did you mean 'used'?",
    ),
    (
        "[[change]]\nat = 'soon'\nset.failure = 'lost'",
        "a.toml:2: change[0].at: expected a number of seconds or a time such as '200 ms' or "
        "'1.5 min', found 'soon'",
    ),
    (
        "[[change]]\nadd.failure = 'lost'",
        "a.toml:2: change[0].add.failure: expected a figure that is a number, found 'lost'",
    ),
    (
        "[[fault]]\nfunction = 'cuInit'\nsignal = 'SEGV5'",
        "a.toml:3: fault[0].signal: expected a signal such as 'SIGSEGV', found 'SEGV5'; "
        "did you mean 'SIGSEGV'?",
    ),
    (
        "[[fault]]\nfunction = 'cuInit'\nreturns = 1\ntime = '20 s-10 s'",
        "a.toml:4: fault[0].time: expected times such as '10 s-20 s' or '30 s-', found "
        "'20 s-10 s', which ends before it begins",
    ),
    (
        "[[fault]]\nfunction = 'cuInit'\nrun = 'nowhere.py:f'",
        "a.toml:3: fault[0].run: FOLDER/nowhere.py cannot be read: No such file or directory",
    ),
    (
        "clock = '0x'",
        "a.toml:1: clock: expected 'wall', 'manual' or a rate such as '60x', found '0x'",
    ),
    (
        "[environment]\nLD_PRELOAD = 'x'",
        "a.toml:2: environment.LD_PRELOAD: expected a variable that nvemu does not set itself, "
        "found 'LD_PRELOAD'",
    ),
    (
        "[[fault]]\nfunction = 'nvmlInit_v3'\nreturns = 9",
        "a.toml:2: fault[0].function: expected an exported function, found 'nvmlInit_v3'; "
        "did you mean 'nvmlInit_v2'?",
    ),
    (
        "[[fault]]\nlibrary = 'cuda'\nfunction = ['cuInit', 'nvmlInit*']\nreturns = 9",
        "a.toml:3: fault[0].function[1]: expected an exported function of cuda, found 'nvmlInit*'; "
        "known: cuDeviceGetCount, cuInit",
    ),
    (
        "[[fault]]\nfunction = 'nvmlInit'\nreturns = 'GPU_LOST'",
        "a.toml:3: fault[0].returns: expected a code of nvml, found 'GPU_LOST'; "
        "did you mean 'GPU_IS_LOST'?",
    ),
    (
        "[[fault]]\nfunction = ['nvmlInit', 'cuInit']\nreturns = 'NO_DEVICE'",
        "a.toml:3: fault[0].returns: expected a code of nvml, found 'NO_DEVICE'; known: "
        "DRIVER_NOT_LOADED, GPU_IS_LOST, LIB_RM_VERSION_MISMATCH, SUCCESS, UNINITIALIZED, "
        "UNKNOWN",
    ),
    (
        "[[fault]]\nfunction = 'cuInit'\nreturns = 1\nlibrary = 'rocm'",
        "a.toml:4: fault[0].library: expected 'nvml' or 'cuda', found 'rocm'",
    ),
    (
        "[[fault]]\nfunction = 'cuInit'\nreturns = 1\ndevice = 0",
        "a.toml:4: fault[0].device: expected the index of one of 0 GPUs, found 0",
    ),
    (
        f"[[fault]]\nfunction = 'cuInit'\nreturns = 1\ndevice = '{UUID}'",
        f"a.toml:4: fault[0].device: expected the UUID or the profile of a GPU of the "
        f"scenario, found '{UUID}'",
    ),
    (
        "[[fault]]\nfunction = 'cuInit'\nreturns = 1\ncalls = '4-2'",
        "a.toml:4: fault[0].calls: expected a call number from 1 on, a range such as '2-4' or "
        "'3-', 'every 3', or a list of them, found '4-2'",
    ),
]


class TestMistakes:
    @pytest.mark.parametrize(("text", "message"), MISTAKES)
    def test_each_gets_one_message_with_place_expectation_and_nearest_name(self, text, message):
        with pytest.raises(ScenarioError) as caught:
            plan(loads(text, file="a.toml"))
        assert str(caught.value) == message.replace("FOLDER", os.getcwd())
        assert caught.value.__suppress_context__ or caught.value.__context__ is None

    @pytest.mark.parametrize(
        "figures", [{"temperature": {"gpu": 60}}, {"temperature": {"gpu": "N/A"}}]
    )
    def test_a_figure_given_twice(self, figures):
        problem = "expected either temperature or figures.temperature.gpu, found both"
        with pytest.raises(ScenarioError, match=f"^temperature: {problem}$"):
            Gpu("t4", temperature=50, figures=figures)
        Gpu("t4", temperature=50, figures={"temperature": {"shutdown": 60}})

    def test_in_python_a_list_has_its_python_name(self):
        for name in ("gpus", "faults"):
            with pytest.raises(ScenarioError, match=f"^{name}: expected a list of "):
                Scenario(**{name: "t4"})

    @pytest.mark.parametrize("value", [5, b"default", [Gpu("t4")]])
    def test_what_cannot_name_a_scenario(self, value):
        with pytest.raises(ScenarioError, match=r"^expected a Scenario, the name of a built-in"):
            find_scenario(value)

    def test_in_python_the_message_has_the_key_path(self):
        with pytest.raises(ScenarioError, match=r"^memory_used: expected an integer of bytes"):
            Gpu("t4", memory_used="much")
        with pytest.raises(ScenarioError, match=r"^gpus\[0\]: expected a Gpu, found 't4'$"):
            Scenario(gpus=["t4"])  # type: ignore[list-item]
        with pytest.raises(ScenarioError, match=r"^gpus: expected a list of Gpu, found Gpu\("):
            Scenario(gpus=Gpu("t4"))  # type: ignore[arg-type]
        with pytest.raises(ScenarioError, match=r"^gpu\[1\]\.profile: expected a GPU profile"):
            gpus(Gpu("t4"), Gpu("t5"))

    def test_the_error_carries_its_parts(self):
        with pytest.raises(ScenarioError) as caught:
            loads("[[gpu]]\nprofile = 3", file="a.toml")
        error = caught.value
        assert (error.file, error.line, error.key) == ("a.toml", 2, ("gpu", 0, "profile"))
        assert error.problem == "expected a string, found 3"

    def test_lines_are_found_past_multi_line_strings_and_quoted_keys(self):
        text = 'description = """\n[[gpu]]\nprofile = 1\n"""\n[["gpu"]]\n"profile" = 3'
        with pytest.raises(ScenarioError, match=r"^a\.toml:6: gpu\[0\]\.profile"):
            loads(text, file="a.toml")


class TestCommandLine:
    def test_gpus_come_as_profiles_with_counts(self):
        assert parse_gpus("h100-sxm5-80gb:2, t4") == (Gpu("h100-sxm5-80gb", count=2), Gpu("t4"))
        assert parse_gpus("") == ()

    @pytest.mark.parametrize("text", ["t4:", ":2", "t4:two", "t4,,t4", "t4:-1", "t4:1:1"])
    def test_anything_else_says_the_form(self, text):
        with pytest.raises(ScenarioError, match="expected GPUs as PROFILE or PROFILE:COUNT"):
            parse_gpus(text)

    def test_an_unknown_profile_gets_the_nearest_one(self):
        with pytest.raises(UnknownNameError, match="did you mean 'h100-sxm5-80gb'"):
            parse_gpus("h100-sxm-80gb")


class TestQuantities:
    @pytest.mark.parametrize(
        ("text", "kind", "amount"),
        [
            ("80 GiB", "bytes", 80 << 30),
            ("512MiB", "bytes", 512 << 20),
            ("1.5 gib", "bytes", 3 << 29),
            ("16 GB", "bytes", 16 * 10**9),
            ("66.5 W", "milliwatts", 66500),
            ("70000 mW", "milliwatts", 70000),
            ("1.98 GHz", "megahertz", 1980),
            ("-8 C", "celsius", -8),
            ("30%", "percent", 30),
            ("20 ms", "microseconds", 20000),
            (7, "bytes", 7),
        ],
    )
    def test_are_numbers_with_a_unit_or_integers(self, text, kind, amount):
        assert parse_quantity(text, kind) == amount

    @pytest.mark.parametrize(
        "text", ["", "GiB", "1 GiBi", "1 W", "0.3 B", "1e3 MiB", "٣ GiB", True, 1.0, None, -1]
    )
    def test_anything_else_is_refused(self, text):
        with pytest.raises(ScenarioError, match="expected"):
            parse_quantity(text, "bytes")

    @given(
        amount=st.integers(0, 100),
        kind=st.sampled_from(["bytes", "milliwatts", "megahertz", "percent", "microseconds"]),
        data=st.data(),
    )
    def test_scale_by_their_unit(self, amount, kind, data):
        unit, factor = data.draw(st.sampled_from(sorted(UNITS[kind].items())))
        assert parse_quantity(f"{amount} {unit}", kind) == amount * factor

    @given(kind=st.sampled_from(sorted(BOUNDS)), data=st.data())
    def test_are_written_such_that_they_are_read_back(self, kind, data):
        amount = data.draw(st.integers(*BOUNDS[kind]))
        coarse = amount >> 20 << 20
        for each in (amount, coarse if coarse >= BOUNDS[kind][0] else amount):
            assert parse_quantity(write_quantity(each, kind), kind) == each


class TestCalls:
    @pytest.mark.parametrize(
        ("calls", "ranges"),
        [
            (None, []),
            (3, [[3, 3, 1]]),
            ("3", [[3, 3, 1]]),
            ("2-4", [[2, 4, 1]]),
            ("3-", [[3, None, 1]]),
            ("every 3", [[3, None, 3]]),
            ([1, "4 - 6", "9-"], [[1, 1, 1], [4, 6, 1], [9, None, 1]]),
        ],
    )
    def test_are_ranges_counted_from_one(self, calls, ranges):
        assert parse_calls(calls) == ranges

    @pytest.mark.parametrize(
        "calls",
        [0, -1, "", "-3", "a", "1-2-3", "every", "every 0", [], [[1]], True, 1.0, "9" * 99],
    )
    def test_anything_else_is_refused(self, calls):
        with pytest.raises(ScenarioError, match="expected a call number"):
            parse_calls(calls)


class TestFaults:
    def test_a_rule_names_its_functions_one_by_one(self):
        (rule,) = rules(Fault("nvmlInit*", returns="DRIVER_NOT_LOADED", calls="2-"))
        assert rule == {
            "name": "fault[0]",
            "library": "nvml",
            "functions": ["nvmlInit", "nvmlInitWithFlags", "nvmlInit_v2"],
            "devices": None,
            "calls": [[2, None, 1]],
            "code": 9,
        }

    @pytest.mark.parametrize(
        "returns", ["GPU_IS_LOST", "NVML_ERROR_GPU_IS_LOST", "gpu_is_lost", 15]
    )
    def test_a_code_goes_by_its_name_with_or_without_prefix_or_by_number(self, returns):
        (rule,) = rules(Fault("nvmlInit_v2", returns=returns))
        assert rule["code"] == 15

    def test_success_is_a_code_too(self):
        assert [rule["code"] for rule in rules(Fault("*Init*", returns="SUCCESS"))] == [0, 0]

    def test_a_number_that_no_header_names_is_refused(self):
        with pytest.raises(UnknownNameError, match="expected a code of cuda, found 4242"):
            rules(Fault("cuInit", returns=4242))

    def test_a_glob_over_both_libraries_becomes_a_rule_for_each(self):
        first, second = rules(Fault("cuInit", 1), Fault("*Init*", "UNKNOWN"))[1:]
        assert [first["name"], first["library"]] == ["fault[1]", "nvml"]
        assert [second["name"], second["library"]] == ["fault[1]", "cuda"]
        assert (first["code"], second["code"]) == (999, 999)

    def test_a_glob_reaches_only_into_libraries_that_have_the_code(self):
        (rule,) = rules(Fault("*", returns="GPU_IS_LOST"))
        assert rule["library"] == "nvml"

    def test_the_library_may_be_said(self):
        (rule,) = rules(Fault("*", returns="UNKNOWN", library="cuda"))
        assert rule["functions"] == ["cuDeviceGetCount", "cuInit"]

    @pytest.mark.parametrize(
        ("device", "devices"),
        [(1, [1]), (UUID, [1]), ("t4", [0, 1]), ("rtx-4090", [2]), ([2, "t4"], [0, 1, 2])],
    )
    def test_a_device_goes_by_index_uuid_or_profile(self, device, devices):
        gpus = [Gpu("t4"), Gpu("t4", uuid=UUID), Gpu("rtx-4090")]
        (rule,) = rules(Fault("nvmlDeviceGetTemperature", 15, device=device), gpus=gpus)
        assert rule["devices"] == devices


class TestIdentity:
    def test_is_the_same_in_every_run_whatever_else_changes(self):
        (before,) = gpus(Gpu("t4"), name="x")
        (after,) = gpus(Gpu("t4", memory_used="1 GiB"), name="x", driver="470.256.02")
        assert (before["uuid"], before["serial"]) == (after["uuid"], after["serial"])

    def test_differs_between_scenarios_and_between_gpus(self):
        found = gpus(Gpu("t4", count=50), name="x") + gpus(Gpu("t4", count=50), name="y")
        assert len({gpu["uuid"] for gpu in found}) == 100
        assert len({gpu["serial"] for gpu in found}) == 100

    def test_given_identities_are_kept(self):
        (gpu,) = gpus(Gpu("t4", uuid=UUID.upper(), serial="42", pci_bus_id="0001:3b:00.0"))
        assert (gpu["uuid"], gpu["serial"]) == (UUID, "42")
        assert (gpu["pci"]["domain"], gpu["pci"]["bus"]) == (1, 0x3B)
        assert gpu["board"]["id"] == 0x13B00

    def test_products_without_serial_numbers_get_none(self):
        (gpu,) = gpus(Gpu("rtx-4090"))
        assert gpu["serial"] is None

    def test_bus_addresses_rise_with_the_index_across_products(self):
        machine = Machine(plan(Scenario(gpus=[Gpu("h100-sxm5-80gb", count=2), Gpu("t4", count=9)])))
        addresses = [device.pci.bus_id for device in machine.devices]
        assert addresses[:3] == ["00000000:1B:00.0", "00000000:43:00.0", "00000000:5E:00.0"]
        assert addresses == sorted(addresses)

    def test_made_up_addresses_keep_clear_of_given_ones(self):
        first, second = gpus(Gpu("t4"), Gpu("t4", pci_bus_id="3B:00.0"))
        assert first["pci"]["bus"] == 0x5E
        assert second["pci"]["bus"] == 0x3B

    def test_modules_of_a_baseboard_are_numbered_from_one(self):
        boards = [gpu["board"] for gpu in gpus(Gpu("a100-sxm4-80gb", count=3))]
        assert [board["module_id"] for board in boards] == [1, 2, 3]


class TestPlan:
    def test_is_flat_json(self):
        found = plan(Scenario(gpus=[Gpu(name) for name in names().profiles]))
        assert json.loads(json.dumps(found)) == found

    def test_equal_scenarios_have_equal_plans(self):
        def scenario() -> Scenario:
            return Scenario(gpus=[Gpu("t4", count=3)], faults=[Fault("nvml*", "UNKNOWN")])

        assert plan(scenario()) == plan(scenario())

    def test_carries_driver_and_strictness(self):
        found = plan(Scenario(driver="535.261.03", strict=True))
        assert (found["driver"], found["cuda"], found["strict"]) == ("535.261.03", 12020, True)


# Strategies for what users may write.

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=8)
SIZES = st.integers(0, 14 * GIB) | st.integers(0, 14).map(lambda n: f"{n} GiB")
ROOMY = [
    name
    for name in sorted(names().profiles)
    if profile(name).placement.first_driver <= 525
    and profile(name).figures["memory"]["total"] >= 15 * GIB
]
FIGURES = st.fixed_dictionaries(
    {},
    optional={
        "persistence_mode": st.booleans(),
        "clocks": st.fixed_dictionaries({"graphics": st.just({"current": 300})}),
        "temperature": st.just({"memory": None}),
        "fans": st.just([{"speed": 10}, {"speed": 20}]),
        "cuda": st.dictionaries(st.just("WARP_SIZE"), st.integers(1, 64)),
    },
)
GPUS = st.builds(
    Gpu,
    profile=st.sampled_from(ROOMY),
    count=st.integers(1, 4),
    name=st.none() | TEXT.filter(bool),
    memory_used=st.none() | SIZES,
    temperature=st.none() | st.integers(0, 100),
    figures=FIGURES,
)
FAULTS = st.builds(
    Fault,
    function=st.sampled_from(["nvml*", "cuInit", ["nvmlInit", "nvmlInit_v2"]]),
    returns=st.sampled_from(["UNKNOWN", 999]),
    library=st.none(),
    process=st.none() | st.just("python*") | st.integers(1, 9),
    thread=st.none() | st.just("main") | st.integers(1, 9),
    time=st.none() | st.just("30 s-"),
    after=st.none() | st.just("nvmlInit*"),
    calls=st.none() | st.integers(1, 9) | st.just("2-") | st.just([1, "3-4", "every 2"]),
    probability=st.none() | st.floats(0.1, 1),
    seed=st.integers(-9, 9),
    delay=st.none() | st.floats(0, 9) | st.just("20 ms"),
    block=st.booleans(),
    signal=st.none() | st.sampled_from(["SIGSEGV", "segv", 11]),
    exit=st.none() | st.integers(0, 255),
    name=TEXT,
)
CHANGES = st.builds(
    Change,
    at=st.integers(0, 99) | st.just("1.5 min"),
    every=st.just("20 ms"),
    until=st.none() | st.just("1 h"),
    set=st.just({}) | st.fixed_dictionaries({"memory_used": SIZES, "failure": st.just("lost")}),
    add=st.fixed_dictionaries({"temperature": st.integers(-9, 9)}),
)
LOADERS = st.sampled_from(
    ["absent", Loader("missing-symbols", symbols=["nvmlInit"]), ["wrong-class", "present"]]
)
SCENARIOS = st.builds(
    Scenario,
    name=TEXT,
    description=TEXT,
    driver=st.sampled_from([driver for driver in DRIVERS if driver >= "525"]),
    gpus=st.lists(GPUS, max_size=3),
    origin=st.just([]) | st.just("https://example.org/1"),
    sees=TEXT,
    clock=st.sampled_from(["wall", "manual", "60x", "0.5x"]),
    loader=st.dictionaries(st.just("nvml"), LOADERS),
    environment=st.dictionaries(st.just("CUDA_VISIBLE_DEVICES"), TEXT),
    faults=st.lists(FAULTS, max_size=3),
    changes=st.lists(CHANGES, max_size=3),
    strict=st.booleans(),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)

SAMPLE = """\
name = "sample"
driver = "550.163.01"

[[gpu]]
profile = "h100-sxm5-80gb"
count = 2
memory_used = "10 GiB"

[gpu.figures.temperature]
gpu = 60

[[fault]]
function = ["nvmlInit", "nvml*"]
device = 1
calls = "3-"
returns = "GPU_IS_LOST"
"""


class TestProperties:
    @given(SCENARIOS)
    def test_a_scenario_written_and_read_is_the_same(self, scenario):
        assert loads(dumps(scenario)) == scenario

    @given(SCENARIOS)
    def test_every_scenario_becomes_a_machine_with_all_its_gpus(self, scenario):
        machine = Machine(json.loads(json.dumps(plan(scenario))))
        assert len(machine.devices) == sum(gpu.count for gpu in scenario.gpus)
        assert len({device.uuid for device in machine.devices}) == len(machine.devices)
        addresses = [device.pci.bus_id for device in machine.devices]
        assert addresses == sorted(set(addresses))

    @given(
        start=st.integers(0, len(SAMPLE)),
        length=st.integers(0, 12),
        inserted=st.text(string.printable, max_size=6) | st.text(max_size=3),
    )
    def test_any_change_of_a_file_gives_a_scenario_or_a_scenario_error(
        self, start, length, inserted
    ):
        text = SAMPLE[:start] + inserted + SAMPLE[start + length :]
        message = refusal(lambda: loads(text, file="a.toml"))
        assert message == "" or message.startswith("a.toml:")

    @given(field=st.sampled_from([*Gpu.__struct_fields__]), value=ANYTHING)
    def test_any_value_of_a_gpu_s_field_gives_a_gpu_or_a_scenario_error(self, field, value):
        message = refusal(lambda: Scenario(gpus=[Gpu(**{"profile": "t4", field: value})]))
        assert message == "" or field in message

    @given(field=st.sampled_from([*Fault.__struct_fields__]), value=ANYTHING)
    def test_any_value_of_a_fault_s_field_gives_a_fault_or_a_scenario_error(self, field, value):
        fields = {"function": "nvmlInit", "returns": 9, field: value}
        message = refusal(lambda: Scenario(faults=[Fault(**fields)]))
        assert message == "" or field in message

    @given(field=st.sampled_from([*Change.__struct_fields__]), value=ANYTHING)
    def test_any_value_of_a_change_s_field_gives_a_change_or_a_scenario_error(self, field, value):
        fields = {"set": {"failure": "lost"}, field: value}
        message = refusal(lambda: Scenario(changes=[Change(**fields)]))
        assert message == "" or field in message

    @given(field=st.sampled_from([*Scenario.__struct_fields__]), value=ANYTHING)
    def test_any_value_of_a_scenario_s_field_gives_a_scenario_or_an_error(self, field, value):
        message = refusal(lambda: Scenario(**{field: value}))
        assert message == "" or field.removesuffix("s") in message
