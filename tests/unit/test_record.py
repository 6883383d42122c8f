"""`nvemu record`: which calls are made, of whom, and what becomes of those that go wrong."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import emulator
from emulator import Fault, Gpu, Scenario, Testbed
from emulator.imports.captures.format import Call, dumps, loads, read
from emulator.plans import find_scenario
from emulator.recording.calls import Question, questions, unasked
from emulator.recording.client import Client
from emulator.recording.following import HANGS, Caller, CallerError, Stop
from emulator.recording.recorder import Recording, answered, key_of, record
from emulator.recording.safety import candidates
from emulator.recording.saving import captured, files_of
from emulator.scenario import ScenarioError, names
from emulator.stubfiles import SONAMES
from emulator.testbed.loading import ask
from emulator.vocabulary import apis

HERE = Path(__file__).parent
Nvemu = Callable[..., subprocess.CompletedProcess[str]]

SYSTEM = [soname for soname in SONAMES.values() if ask([soname], "")[0][0] == "path"]
without_driver = pytest.mark.skipif(bool(SYSTEM), reason="NVIDIA's driver is installed here")

#: What a function's name has that changes something, or waits.
CHANGING = re.compile(
    "Set[A-Z]|Reset|Clear|Create|Destroy|Free|Alloc|Wait|Write|Inject|Modify|Shutdown|Register"
    "|Lock|Enable[A-Z]|Activate|Remove|Discover|Freeze|Retain|Release|Trim|Launch|Begin|End"
)

#: GPUs of every kind of machine: with links, MIG, fans, vGPU types, none of all that.
MACHINES = {
    "t4 and titan": [Gpu("t4"), Gpu("titan-xp")],
    "links": [Gpu("a100-sxm4-40gb", count=2)],
    "MIG": [
        Gpu(
            "h100-sxm5-80gb",
            figures={"mig": {"current": True, "instances": [{"profile": "3g.40gb"}]}},
        ),
        Gpu("rtx-4090"),
    ],
    "Jetson": [Gpu("jetson-agx-orin")],
}


def recorded(scenario: Scenario, seconds: float = 60) -> Recording:
    with Testbed(scenario, trace=True, capture=True) as testbed:
        return record(testbed, seconds)


def of(calls: tuple[Call, ...], function: str, **inputs: object) -> list[Call]:
    wanted = inputs.items()
    return [c for c in calls if c.function == function and wanted <= c.inputs.items()]


class TestCalls:
    def test_are_of_functions_that_change_nothing(self) -> None:
        for library in apis():
            changing = [
                name
                for name in candidates(library)
                if CHANGING.search(name) and name not in {row.function for row in unasked()}
            ]
            assert changing == []

    @pytest.mark.parametrize("profile", sorted(names().profiles)[::4])
    def test_are_made_of_every_function_or_a_reason_is_given(self, profile: str) -> None:
        with emulator.emulate(Scenario(gpus=[Gpu(profile)])):
            client = Client()
            found = list(questions(client))
            asked = {question.function for question in found}
            for question in found:
                client.call(question.library, question.function, question.inputs)
        refused = {row.function for row in unasked()}
        assert not asked & refused
        there = {n for lib in apis() for n in candidates(lib) if client.has(lib, n)}
        # What a product has none of (fans, vGPU types, processes) cannot be asked for.
        rest = there - asked - refused
        assert all(name.startswith(("nvmlVgpu", *NEEDING)) for name in rest), rest

    def test_ask_each_question_once(self) -> None:
        with emulator.emulate(Scenario(gpus=MACHINES["links"])):
            found = [(q.library, q.function, repr(q.inputs)) for q in questions(Client())]
        assert len(found) == len(set(found))

    def test_cover_what_a_function_can_be_asked_for(self) -> None:
        with emulator.emulate(Scenario(gpus=MACHINES["MIG"])):
            found = list(questions(Client()))
        inputs: dict[str, list[dict[str, object]]] = {}
        for question in found:
            inputs.setdefault(question.function, []).append(question.inputs)
        clocks = [(row["clockType"], row["clockId"]) for row in inputs["nvmlDeviceGetClock"]]
        assert set(clocks) == {(kind, which) for kind in range(4) for which in range(4)}
        # Without another question, a MIG device is asked, too.
        assert {"device": "GPU-0/2/0"} in inputs["nvmlDeviceGetUUID"]
        assert {"device": "GPU-0/2/0"} not in inputs["nvmlDeviceGetClock"]
        offsets = inputs["nvmlDeviceGetClockOffsets"]
        assert {"device": "GPU-1", "info": {"type": 1, "pstate": 8}} in offsets
        fields = [row["values"] for row in inputs["nvmlDeviceGetFieldValues"]]
        assert [{"fieldId": 82, "scopeId": 0}] in fields
        pairs = [(row["device1"], row["device2"]) for row in inputs["nvmlDeviceGetP2PStatus"]]
        assert set(pairs) == {("GPU-0", "GPU-1"), ("GPU-1", "GPU-0")}
        assert [row["index"] for row in inputs["nvmlDeviceGetHandleByIndex_v2"]] == [0, 1, 2]


#: What needs something to be there: fans, memory clocks, MIG, running processes, a second GPU.
NEEDING = (
    *("nvmlDeviceGetSupportedGraphicsClocks", "nvmlDeviceGetAccountingStats"),
    *("nvmlDeviceGetGpuInstance", "nvmlDeviceGetDeviceHandleFromMigDeviceHandle"),
    *("nvmlDeviceGetHandleBy", "nvmlSystemGetProcessName", "nvmlDeviceGetP2PStatus"),
    *("nvmlDeviceGetTopologyCommonAncestor", "nvmlDeviceOnSameBoard", "cuDeviceCanAccessPeer"),
    *("cuDeviceGetP2P", "nvmlDeviceGetVgpu", "cuDeviceGetByPCIBusId"),
)


class TestRecording:
    @pytest.mark.parametrize("machine", ["MIG", "Jetson"])
    def test_holds_every_call_that_was_to_be_made(self, machine: str) -> None:
        scenario = Scenario(gpus=MACHINES[machine])
        with emulator.emulate(scenario):
            asked = {question.function for question in questions(Client())}
        with Testbed(scenario, trace=True, capture=True) as testbed:
            made = record(testbed)
            capture = captured(testbed, made)
        assert made.fatal == ()
        assert {call.function for call in made.calls} == asked
        assert loads(dumps(capture)) == capture

    def test_has_the_same_answers_whatever_the_order(self) -> None:
        """A handler must not hang on what was imported for another function."""
        scenario = Scenario(gpus=MACHINES["t4 and titan"])
        calls = [call for call in recorded(scenario).calls if call.library == "nvml"]
        asked = [Question(call.library, call.function, call.inputs) for call in reversed(calls)]
        with Testbed(scenario, trace=True, capture=True) as testbed:
            again = {key_of(call): call.code for call in answered(testbed, asked).calls}
        assert {key_of(call): call.code for call in calls} == again

    def test_goes_on_behind_a_call_that_crashes(self) -> None:
        faults = [
            Fault("nvmlDeviceGetFanSpeed", device=0, signal="SIGSEGV"),
            Fault("nvmlDeviceGetClock", signal="SIGABRT"),
            Fault("nvmlDeviceGetSerial", exit=3),  # which is found out before any call is listed
        ]
        made = recorded(Scenario(gpus=[Gpu("t4", count=2)], faults=faults))
        assert list(map(str, made.fatal)) == [
            "nvmlDeviceGetSerial ended its process with status 3",
            *(
                f"nvmlDeviceGetClock(device=GPU-0, clockType=0, clockId={which}) "
                "was ended by SIGABRT"
                for which in range(3)
            ),
            "nvmlDeviceGetFanSpeed(device=GPU-0) was ended by SIGSEGV",
        ]
        assert not of(made.calls, "nvmlDeviceGetSerial")
        assert [call.inputs for call in of(made.calls, "nvmlDeviceGetFanSpeed")] == [
            {"device": "GPU-1"}
        ]
        assert not of(made.calls, "nvmlDeviceGetClock")  # given up after the third crash
        assert len(of(made.calls, "nvmlDeviceGetUUID")) == 2

    def test_goes_on_behind_a_call_that_does_not_come_back(self) -> None:
        fault = Fault("nvmlDeviceGetName", device=0, block=True)
        made = recorded(Scenario(gpus=[Gpu("t4")], faults=[fault]), seconds=8)
        assert list(map(str, made.fatal)) == [
            "nvmlDeviceGetName(device=GPU-0) did not come back in 8 s"
        ]
        assert of(made.calls, "nvmlDeviceGetUUID")

    def test_is_given_up_where_one_call_after_another_does_not_come_back(self) -> None:
        """A minute each, of some thousand calls."""

        class Hanging(Caller):
            def _run(self, mode: str, file: Path, begin: int) -> Stop:
                self._hangs += 1
                return Stop(begin, "nvmlDeviceGetCount", "did not come back in 60 s")

        calls = [Question("nvml", "nvmlDeviceGetCount", {})] * 100
        with Testbed(Scenario(), trace=True, capture=True) as testbed:
            caller = Hanging(testbed)
            caller.make(calls)
        assert len(caller.fatal) == HANGS + 1
        assert str(caller.fatal[-1]) == f"{100 - HANGS} more calls were not made: they may hang"

    def test_is_whole_or_none(self) -> None:
        """Calls that are in no trace were made for nothing: of a disk that is full, say."""
        with Testbed(Scenario(), trace=True, capture=True) as testbed:
            testbed.trace_file.unlink(missing_ok=True)
            testbed.trace_file.mkdir()
            with pytest.raises(CallerError, match=r"the trace .* is not complete: Is a directory"):
                record(testbed)

    def test_of_a_driver_whose_initialisation_crashes(self) -> None:
        played = find_scenario("init-crashes")
        made = recorded(played)
        assert [str(each) for each in made.fatal] == [
            "nvmlInit_v2 was ended by SIGSEGV",
            "nvmlInit() was ended by SIGSEGV",
            "nvmlInitWithFlags(flags=0) was ended by SIGSEGV",
        ]
        assert [call.code for call in of(made.calls, "nvmlDeviceGetCount_v2")] == [1]
        assert of(made.calls, "cuDeviceGetName", dev="GPU-0")
        # The same of given calls: what is needed before them is tried once.
        names = ("nvmlDeviceGetCount_v2", "nvmlUnitGetCount")
        with Testbed(played, trace=True, capture=True) as testbed:
            again = answered(testbed, [Question("nvml", name, {}) for name in names])
        assert [str(each) for each in again.fatal] == ["nvmlInit_v2 was ended by SIGSEGV"]
        assert [call.code for call in again.calls] == [1, 1]

    def test_of_a_driver_that_cannot_be_initialised_is_a_machine_too(self) -> None:
        made = recorded(find_scenario("driver-not-loaded"))
        codes = {call.function: call.code for call in made.calls}
        assert (codes["nvmlInit_v2"], codes["nvmlDeviceGetCount_v2"]) == (9, 1)
        assert codes["cuDriverGetVersion"] == 0

    def test_sees_gpus_that_the_environment_hides(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        made = recorded(Scenario(gpus=[Gpu("t4"), Gpu("h100-sxm5-80gb")]))
        [count] = of(made.calls, "cuDeviceGetCount")
        assert count.outputs == {"count": 2}
        [name] = of(made.calls, "cuDeviceGetName", dev="GPU-0")
        assert name.outputs == {"name": "Tesla T4"}


@pytest.fixture
def driver(compile_c: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a driver; the folder is where the test works."""
    folder = tmp_path / "driver"
    folder.mkdir()
    flags = ("-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1")
    library = compile_c((HERE / "record_nvml.c").read_text(), *flags)
    library.rename(folder / "libnvidia-ml.so.580.65.06")
    (folder / "libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.580.65.06")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@without_driver
class TestCommand:
    def test_writes_a_scenario_and_a_capture(
        self, nvemu: Nvemu, driver: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DRIVER_ENDS_BADLY", "1")  # which takes nothing from its answers
        done = nvemu("record", "-o", "box.toml")
        assert done.returncode == 0
        assert re.fullmatch(
            r"box\.toml: driver 580\.65\.06, 2 GPUs, \d+ calls in box\.capture\n", done.stdout
        )
        crashes = [line for line in done.stderr.splitlines() if "FanSpeed" in line]
        assert crashes == [
            f"nvemu: left out: nvmlDeviceGetFanSpeed(device=GPU-{index}) was ended by SIGABRT"
            for index in range(2)
        ]
        assert sorted(path.name for path in driver.iterdir()) == ["box.capture", "box.toml"]

        scenario = find_scenario("box.toml")
        assert (scenario.driver_version, scenario.capture) == ("580.65.06", "box.capture")
        assert [(gpu.profile, gpu.serial) for gpu in scenario.gpus] == [
            ("t4", "1324419052370"),
            ("t4", "1324419052371"),
        ]

        capture = read("box.capture")
        [clocks] = of(capture.calls, "nvmlDeviceGetSupportedMemoryClocks", device="GPU-0")
        assert (clocks.code, clocks.outputs) == (0, {"clocksMHz": [5001, 405]})  # with more room
        [link] = of(capture.calls, "nvmlDeviceGetNvLinkInfo", device="GPU-1")
        assert (link.code, link.outputs) == (0, {"info": {"isNvleEnabled": 1}})  # of version 1
        [beyond] = of(capture.calls, "nvmlDeviceGetHandleByIndex_v2", index=2)
        assert (beyond.code, beyond.outputs) == (2, None)
        assert list(capture.header.libraries) == ["nvml"]
        table = capture.header.libraries["nvml"]
        assert "nvmlDeviceGetPowerUsage" in table.lacking
        assert "nvmlDeviceGetName" not in table.lacking

    def test_makes_a_machine_that_answers_as_the_recorded_one(
        self, nvemu: Nvemu, driver: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert nvemu("record", "-o", "box.toml").returncode == 0
        monkeypatch.delenv("LD_LIBRARY_PATH")
        done = nvemu("compare", "box.capture", "--scenario", "box.toml")
        assert done.returncode == 0, done.stdout
        assert re.search(r"of (\d+) readings \1, of (\d+) identities \2$", done.stdout.strip())

    def test_redacts_both_files(self, nvemu: Nvemu, driver: Path) -> None:
        (driver / "box.capture").write_text("to be written over")
        done = nvemu("record", "-o", "box.toml", "--redact", "--force")
        assert done.returncode == 0
        written = (driver / "box.toml").read_text() + (driver / "box.capture").read_text()
        assert "left out: nvmlDeviceGetHandleByUUID(uuid=GPU-" in done.stderr  # another one
        for secret in ("5ec2e700", "13244190523", "alice", "secret-project"):
            assert secret not in written + done.stdout + done.stderr
        assert read("box.capture").header.redacted
        assert [gpu.profile for gpu in find_scenario("box.toml").gpus] == ["t4", "t4"]

    def test_writes_over_nothing(self, nvemu: Nvemu, driver: Path) -> None:
        (driver / "box.capture").write_text("mine")
        done = nvemu("record", "-o", "box.toml")
        assert done.returncode == 2
        assert "box.capture is there already; --force writes over it" in done.stderr
        assert (driver / "box.capture").read_text() == "mine"
        assert not (driver / "box.toml").exists()

    def test_ended_by_a_signal_leaves_nothing(
        self,
        start_nvemu: Callable[..., subprocess.Popen[str]],
        driver: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        scratch = driver.parent / "scratch"
        scratch.mkdir()
        monkeypatch.setenv("TMPDIR", str(scratch))
        monkeypatch.setenv("DRIVER_HANGS", "1")
        nvemu = start_nvemu("record", "-o", "box.toml")
        while not any("Serial" in path.read_text() for path in scratch.glob("*/trace.jsonl")):
            assert nvemu.poll() is None
            time.sleep(0.05)
        nvemu.send_signal(signal.SIGTERM)
        assert nvemu.wait() == -signal.SIGTERM
        assert (list(scratch.iterdir()), list(driver.iterdir())) == ([], [])

    def test_lists_what_it_would_call_and_what_not(self, nvemu: Nvemu, driver: Path) -> None:
        done = nvemu("record", "--list")
        assert done.returncode == 0
        called, not_called = done.stdout.split("Not called")
        assert re.search(r" 2  nvmlDeviceGetName\(device=GPU-0\), \.\.\.$", called, re.MULTILINE)
        assert "cuInit" not in called  # this driver has no CUDA
        assert "nvmlDeviceGetGpuInstanceById: is for root alone" in not_called
        assert list(driver.iterdir()) == []

    @pytest.mark.parametrize("file", ["box.json", "box", ".toml"])
    def test_wants_the_name_of_a_scenario(self, nvemu: Nvemu, driver: Path, file: str) -> None:
        done = nvemu("record", "-o", file)
        assert (done.returncode, done.stdout) == (2, "")
        assert "ends in .toml" in done.stderr

    def test_wants_a_file(self, nvemu: Nvemu) -> None:
        done = nvemu("record")
        assert done.returncode == 2
        assert "expected -o FILE.toml, or --list" in done.stderr

    def test_wants_a_folder_that_is_there(self, tmp_path: Path) -> None:
        for place in ("missing/box.toml", "file/box.toml"):
            (tmp_path / "file").touch()
            with pytest.raises(ScenarioError, match="folder that can be written to"):
                files_of(str(tmp_path / place))
        (tmp_path / "box.capture").mkdir()
        with pytest.raises(ScenarioError, match="found a folder"):
            files_of(str(tmp_path / "box.toml"))

    def test_without_a_driver_says_so(self, nvemu: Nvemu, tmp_path: Path) -> None:
        done = nvemu("record", "-o", tmp_path / "box.toml", env={"PATH": "/usr/bin"})
        assert (done.returncode, done.stdout) == (2, "")
        assert "no NVIDIA driver is installed" in done.stderr
        assert list(tmp_path.iterdir()) == []
