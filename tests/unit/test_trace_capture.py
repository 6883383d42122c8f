"""`nvemu trace --capture`: the calls of a program as a file that can be played."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.imports.captures.format import Call, Capture, read
from emulator.imports.captures.playing import loader_of
from emulator.machine import NEWEST
from emulator.scenario.loader import Loader
from emulator.stubfiles import SONAMES

HERE = Path(__file__).parent
VERSION = "999.11.02"  # of no recorded driver

Nvemu = Callable[..., subprocess.CompletedProcess[str]]

PROGRAM = """
import ctypes
nvml, cuda = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.CDLL("libcuda.so.1")
nvml.nvmlInit_v2()
count, number, device = ctypes.c_uint(), ctypes.c_uint(), ctypes.c_void_p()
nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
for index in range(count.value):
    nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device))
    name = ctypes.create_string_buffer(96)
    print(nvml.nvmlDeviceGetName(device, name, 96), name.value)
    print(nvml.nvmlDeviceGetTemperature(device, 0, ctypes.byref(number)), number.value)
    print(nvml.nvmlDeviceGetFanSpeed(device, ctypes.byref(number)), number.value)
    memory = (ctypes.c_uint64 * 3)()
    print(nvml.nvmlDeviceGetMemoryInfo(device, memory), *memory)
print(cuda.cuInit(0))
print(cuda.cuDeviceGetCount(ctypes.byref(count)), count.value)
for ordinal in range(count.value):
    print(cuda.cuDeviceTotalMem_v2(memory, ordinal), memory[0])
    print(cuda.cuDeviceGetAttribute(ctypes.byref(number), 16, ordinal), number.value)
"""

BOX = """
driver = "{driver}"
[[gpu]]
profile = "a100-sxm4-40gb"
temperature = 71
memory_used = "3 GiB"
[[gpu]]
profile = "rtx-4090"
failure = "reset_required"
"""


@pytest.fixture
def capture(nvemu: Nvemu, tmp_path: Path) -> Callable[..., Capture]:
    """`capture(*options, program)`: what of a program in Python was captured."""

    def run(*arguments: object) -> Capture:
        *options, program = arguments
        file = tmp_path / "box.capture"
        done = nvemu("trace", "--capture", file, *options, "--", sys.executable, "-c", program)
        assert (done.returncode, done.stderr) == (0, "")
        return read(file)

    return run


@pytest.fixture
def box(tmp_path: Path) -> Path:
    file = tmp_path / "box.toml"
    file.write_text(BOX.format(driver=NEWEST))
    return file


class TestRoundTrip:
    def test_a_capture_answers_as_what_was_captured(
        self, nvemu: Nvemu, tmp_path: Path, box: Path
    ) -> None:
        file = tmp_path / "box.capture"
        program = ("--", sys.executable, "-c", PROGRAM)
        before = nvemu("trace", "--capture", file, "--scenario", box, *program)
        assert b"A100" in before.stdout.encode()
        after = nvemu("run", "--scenario", file, *program)
        assert (after.stdout, after.returncode) == (before.stdout, 0)

    def test_in_a_scenario_of_other_products_too(
        self, nvemu: Nvemu, tmp_path: Path, box: Path
    ) -> None:
        program = ("--", sys.executable, "-c", PROGRAM)
        before = nvemu("trace", "--capture", tmp_path / "box.capture", "--scenario", box, *program)
        other = tmp_path / "other.toml"
        other.write_text('capture = "box.capture"\n[[gpu]]\nprofile = "t4"\ncount = 2\n')
        after = nvemu("trace", "--scenario", other, *program)
        assert after.stdout == before.stdout
        assert "[not in the capture]" not in after.stderr

    def test_other_calls_are_marked(self, nvemu: Nvemu, tmp_path: Path, box: Path) -> None:
        file = tmp_path / "box.capture"
        program = PROGRAM + "nvml.nvmlDeviceGetUtilizationRates(device, memory)\n"
        nvemu("trace", "--capture", file, "--scenario", box, "--", sys.executable, "-c", PROGRAM)
        command = ("trace", "--scenario", file, "--", sys.executable, "-c", program)
        marked = [line for line in nvemu(*command).stderr.splitlines() if "not in" in line]
        assert len(marked) == 1
        assert marked[0].startswith("nvmlDeviceGetUtilizationRates(device=GPU-1")
        summary = nvemu("trace", "-c", *command[1:]).stderr
        assert "nvmlDeviceGetUtilizationRates [1 not in the capture]" in summary

    def test_a_driver_that_does_not_start_is_captured_too(
        self, nvemu: Nvemu, tmp_path: Path
    ) -> None:
        file = tmp_path / "box.capture"
        program = ("--", sys.executable, "-c", PROGRAM)
        before = nvemu("trace", "--capture", file, "--scenario", "driver-not-loaded", *program)
        assert read(file).calls[0] == Call("nvml", "nvmlInit_v2", {}, 9)
        assert nvemu("run", "--scenario", file, *program).stdout == before.stdout


class TestFile:
    def test_says_which_driver_and_libraries_there_were(
        self, capture: Callable[..., Capture], tmp_path: Path
    ) -> None:
        box = tmp_path / "lacking.toml"
        lacking = '{ state = "missing-symbols", symbols = "nvmlDeviceGetFan*" }'
        box.write_text(f'driver = "550.163.01"\nloader = {{ nvml = {lacking}, cuda = "absent" }}')
        header = capture("--scenario", box, "pass").header
        assert (header.driver, header.made) == ("550.163.01", "trace")
        [(library, table)] = header.libraries.items()
        assert (library, table.stub) == ("nvml", "550.163.01")
        assert "nvmlDeviceGetFanSpeed" in table.lacking
        states = loader_of(header, "550.163.01")
        assert states == {
            "nvml": Loader("missing-symbols", symbols=table.lacking),
            "cuda": "absent",
        }

    def test_has_the_calls_of_all_processes_in_one(self, capture: Callable[..., Capture]) -> None:
        found = capture(
            "import ctypes, os\n"
            "nvml = ctypes.CDLL('libnvidia-ml.so.1')\n"
            "nvml.nvmlInit_v2()\n"
            "if os.fork() == 0:\n"
            "    nvml.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint()))\n"
            "    os._exit(0)\n"
            "os.wait()\n"
            "nvml.nvmlShutdown()\n"
        )
        names = [call.function for call in found.calls]
        assert names == ["nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlShutdown"]

    def test_is_whole_when_a_program_is_killed(self, nvemu: Nvemu, tmp_path: Path) -> None:
        file = tmp_path / "box.capture"
        program = (
            "import ctypes, os\n"
            "nvml = ctypes.CDLL('libnvidia-ml.so.1')\n"
            "nvml.nvmlInit_v2()\n"
            "os.kill(os.getpid(), 9)\n"
        )
        done = nvemu("trace", "--capture", file, "--", sys.executable, "-c", program)
        assert done.returncode != 0
        assert [call.function for call in read(file).calls] == ["nvmlInit_v2"]

    def test_comes_beside_the_trace_where_that_is_asked_for(
        self, nvemu: Nvemu, tmp_path: Path
    ) -> None:
        file, trace = tmp_path / "box.capture", tmp_path / "trace"
        command = ("--capture", file, "-o", trace, "-e", "cu*", "--", sys.executable, "-c", PROGRAM)
        nvemu("trace", "--gpus", "t4", *command)
        assert trace.read_text().startswith("cuInit(Flags=0) = SUCCESS")
        assert "nvml" not in trace.read_text()
        assert read(file).calls[0].function == "nvmlInit_v2"

    @pytest.mark.parametrize("file", ["-", "--gpus", "no/such/folder/box.capture"])
    def test_that_cannot_be_written_is_refused_before_the_program_runs(
        self, nvemu: Nvemu, file: str
    ) -> None:
        done = nvemu("trace", f"--capture={file}", "--", sys.executable, "-c", "print('ran')")
        assert (done.returncode, done.stdout) == (2, "")
        assert "--capture" in done.stderr


REAL_PROGRAM = """
import ctypes
nvml = ctypes.CDLL("libnvidia-ml.so.1")
nvml.nvmlInit_v2()
gpu, mig, part, inner = (ctypes.c_void_p() for _ in range(4))
nvml.nvmlDeviceGetHandleByUUID(b"GPU-1", ctypes.byref(gpu))
nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0, ctypes.byref(mig))
nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1, ctypes.byref(part))
nvml.nvmlDeviceGetHandleByUUID(b"MIG-1", ctypes.byref(mig))
nvml.nvmlDeviceGetGpuInstanceById(gpu, 7, ctypes.byref(part))
nvml.nvmlGpuInstanceGetComputeInstanceById(part, 0, ctypes.byref(inner))
for device in (gpu, mig):
    temperature = (ctypes.c_uint * 3)(12 | 1 << 24, 0, 0)
    nvml.nvmlDeviceGetTemperatureV(device, temperature)
"""


class TestRealDriver:
    @pytest.fixture
    def calls(
        self,
        capture: Callable[..., Capture],
        compile_c: Callable[..., Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> list[Call]:
        """The calls of a program that has a driver with a MIG device."""
        folder, soname = tmp_path / "driver", SONAMES["nvml"]
        folder.mkdir()
        made = compile_c(
            (HERE / "real_mig.c").read_text(), "-shared", "-fPIC", f"-Wl,-soname,{soname}"
        )
        made.rename(folder / f"libnvidia-ml.so.{VERSION}")
        (folder / soname).symlink_to(f"libnvidia-ml.so.{VERSION}")
        monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
        found = capture("--real", REAL_PROGRAM)
        assert found.header.driver == VERSION
        assert "nvmlDeviceGetName" in found.header.libraries["nvml"].lacking
        return list(found.calls)

    def test_names_devices_and_their_parts_as_nvemu_does(self, calls: list[Call]) -> None:
        put_out = [value for call in calls for value in (call.outputs or {}).values()]
        assert put_out[:5] == ["GPU-1", "GPU-1/7/0", "GPU-1/7/0", "GPU-1/7", "GPU-1/7/0"]

    def test_has_the_inputs_of_calls_that_failed(self, calls: list[Call]) -> None:
        asked = {"temperature": {"sensorType": 0}}
        name = "nvmlDeviceGetTemperatureV"
        answered = {"temperature": {"sensorType": 0, "temperature": 41}}
        assert calls[-2:] == [
            Call("nvml", name, {"device": "GPU-1", **asked}, 0, answered),
            Call("nvml", name, {"device": "GPU-1/7/0", **asked}, 3),
        ]
        failed = {"device": "GPU-1", "index": 1}
        assert Call("nvml", "nvmlDeviceGetMigDeviceHandleByIndex", failed, 6) in calls
