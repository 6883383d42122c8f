"""Scenarios in one process, as a test author uses them: through an unmodified pynvml."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from typing import Any

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emulator
from emulator import EmulationError, Fault, Gpu, Scenario, ScenarioError
from emulator.nvml import api as nvml
from emulator.runtime import attachment, boot

ERRORS = {name: code for name, code in nvml.types.members("nvmlReturn_t").items() if code}
TWO = Scenario(gpus=[Gpu("h100-sxm5-80gb", count=2)])


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_init_is_what_the_client_sees(name: str) -> None:
    fault = Fault(["nvmlInit_v2", "nvmlInitWithFlags"], returns=name)
    with emulator.emulate(Scenario(gpus=[Gpu("t4")], faults=[fault])):
        with pytest.raises(pynvml.NVMLError) as raised:
            pynvml.nvmlInit()
        assert raised.value.value == ERRORS[name]
        assert ctypes.CDLL("libnvidia-ml.so.1").nvmlInit_v2() == ERRORS[name]
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetCount()


GETTERS = ("nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetTemperature")
GIB = 2**30


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Some GPUs, each with some memory in use, and faults on some getters of some of them."""
    used = draw(st.lists(st.integers(0, 14 * GIB), max_size=16))
    devices = st.integers(0, len(used) - 1)
    codes = st.sampled_from(sorted(ERRORS.values()))
    rule = st.builds(
        lambda function, device, code: Fault(function, device=device, returns=code),
        st.sampled_from(GETTERS),
        devices,
        codes,
    )
    faults = draw(st.lists(rule, max_size=4)) if used else []
    return Scenario(gpus=[Gpu("t4", memory_used=size) for size in used], faults=faults)


@given(scenarios())
def test_a_client_agrees_with_the_scenario(scenario: Scenario) -> None:
    expected = {(f.function, f.device): f.returns for f in reversed(scenario.faults)}
    with emulator.emulate(scenario) as machine:
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetCount() == len(scenario.gpus)
        for index, gpu in enumerate(scenario.gpus):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
            assert memory.used == gpu.memory_used == machine.devices[index].memory.used
            assert memory.free == memory.total - memory.reserved - memory.used
            for function in GETTERS:
                assert answer(function, handle) == expected.get((function, index), 0)
        pynvml.nvmlShutdown()


def answer(function: str, handle: object) -> int:
    """The code that a getter ends with."""
    arguments = (handle, 0) if function == "nvmlDeviceGetTemperature" else (handle,)
    try:
        getattr(pynvml, function)(*arguments)
    except pynvml.NVMLError as error:
        return int(error.value)
    return 0


def test_the_machine_is_live() -> None:
    with emulator.emulate(TWO) as machine:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        machine.devices[0].memory.used = 3 * GIB
        machine.devices[0].name = "NVIDIA Imagination"
        assert pynvml.nvmlDeviceGetName(handle) == "NVIDIA Imagination"
        assert pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used == 3 * GIB


def test_a_fault_has_its_calls_and_its_device() -> None:
    fault = Fault("nvmlDeviceGetTemperature", device=1, calls="2-3", returns="GPU_IS_LOST")
    with emulator.emulate(Scenario(gpus=[Gpu("t4", count=2)], faults=[fault])):
        pynvml.nvmlInit()
        first, second = (pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(2))
        codes = [answer("nvmlDeviceGetTemperature", h) for h in (first, second) * 4]
    assert codes == [0, 0, 0, 15, 0, 15, 0, 0]


def test_the_first_fault_that_matches_decides() -> None:
    faults = [
        Fault("nvmlDeviceGetName", device=0, returns="NO_PERMISSION"),
        Fault("nvmlDeviceGet[NU]*", device=0, returns="GPU_IS_LOST"),
    ]
    with emulator.emulate(Scenario(gpus=[Gpu("t4")], faults=faults)):
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        assert answer("nvmlDeviceGetName", handle) == 4
        assert answer("nvmlDeviceGetUUID", handle) == 15


def test_scenarios_nest_and_the_outer_one_comes_back() -> None:
    with emulator.emulate(TWO):
        with emulator.emulate("no-devices"):
            pynvml.nvmlInit()
            assert pynvml.nvmlDeviceGetCount() == 0
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetCount()  # a library that was just loaded
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetCount() == 2


def test_handles_are_the_same_each_time_and_stale_ones_are_refused() -> None:
    with emulator.emulate(TWO):
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in (0, 1, 0)]
        addresses = [ctypes.cast(h, ctypes.c_void_p).value for h in handles]
        assert addresses[0] == addresses[2] != addresses[1]
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        pynvml.nvmlInit()
        assert answer("nvmlDeviceGetName", handles[1]) == pynvml.NVML_ERROR_INVALID_ARGUMENT


@pytest.mark.parametrize("scenario", ["driver-not-loaded", "library-version-mismatch"])
def test_built_in_failures(scenario: str) -> None:
    code, cuda = {"driver-not-loaded": (9, 100), "library-version-mismatch": (18, 803)}[scenario]
    with emulator.emulate(scenario):
        with pytest.raises(pynvml.NVMLError) as raised:
            pynvml.nvmlInit()
        assert raised.value.value == code
        assert ctypes.CDLL("libcuda.so.1").cuInit(0) == cuda


#: What runs in a process of its own: one that has called a function keeps what answers it.
STRICT = """
import ctypes, emulator
from emulator import EmulationError, Gpu, Scenario, vocabulary

del vocabulary.handlers()["nvml"]["nvmlUnitGetCount"]  # as if nobody had written it
try:
    with emulator.emulate(Scenario(gpus=[Gpu("t4")], strict=True)):
        library = ctypes.CDLL("libnvidia-ml.so.1")
        print(library.nvmlInit_v2(), library.nvmlUnitGetCount(None))
except EmulationError as error:
    print(error)
"""


def test_a_strict_scenario_names_what_nobody_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STRICT], capture_output=True, text=True, check=True
    )
    code, problem = done.stdout.splitlines()
    assert code == "0 2"
    assert "no handler answers nvmlUnitGetCount" in problem


def test_an_unknown_scenario_is_a_clear_error() -> None:
    with (
        pytest.raises(ScenarioError, match="driver-not-loaded"),
        emulator.emulate("driver-not-loded"),
    ):
        pass


def test_one_process_has_one_driver() -> None:
    with (
        emulator.emulate(TWO),
        pytest.raises(EmulationError, match=r"this process plays driver 580\.126\.09"),
        emulator.emulate(Scenario(driver="550.163.01")),
    ):
        pass


def test_without_a_scenario_calls_are_refused_with_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = (
        "import ctypes, emulator\n"
        "with emulator.emulate(): pass\n"
        "L = ctypes.CDLL('libnvidia-ml.so.1')\n"
        "print(L.nvmlInit_v2(), L.nvmlInit_v2(), ctypes.CDLL('libcuda.so.1').cuInit(0))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    out, err = capfd.readouterr()
    assert out == "9 9 100\n"
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["nvemu", "nvemu"]


def test_other_libraries_in_this_process_are_noticed(tmp_path: object) -> None:
    source = f"{tmp_path}/other.c"
    with open(source, "w", encoding="utf-8") as file:
        file.write("int nvmlInit_v2(void) { return 0; }\n")
    library = f"{tmp_path}/libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["cc", *flags, "-o", library, source], check=True)
    code = (
        f"import ctypes, emulator; ctypes.CDLL({library!r})\n"
        "try:\n    emulator.emulate().__enter__()\n"
        "except emulator.EmulationError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "has loaded another libnvidia-ml.so.1 before: call `emulate` first" in done.stdout


def test_threads_that_make_a_callback_at_once_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has put into a slot must not go when another is done: C may be about to call it."""
    with emulator.emulate(Scenario(gpus=[Gpu("t4")])):
        pynvml.nvmlInit()
        made = next(each for each in boot.attachments if each.api.name == "nvml")
        slot = made.api.names.index("nvmlShutdown")
        monkeypatch.setattr(made, "_callbacks", {})
        others = []

        def slow(api: Any, function: Any) -> Any:
            monkeypatch.setattr(attachment, "prototype", prototype)
            others.append(made._callback(slot, made.session))  # another thread's, meanwhile
            return prototype(api, function)

        prototype = attachment.prototype
        monkeypatch.setattr(attachment, "prototype", slow)
        assert made._callback(slot, made.session) is others[0]
        pynvml.nvmlShutdown()
