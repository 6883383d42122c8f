"""Forwarding to the machine's real libraries. What is real here is compiled by the tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Scenario, Testbed
from emulator.machine import DRIVERS
from emulator.stubfiles import SONAMES
from emulator.symbols import exported, load_table, table_path
from emulator.testbed import TestbedError
from emulator.testbed.loading import ask
from emulator.testbed.real import find_real

HERE = Path(__file__).parent
SOURCES = {name: (HERE / f"real_{name}.c").read_text() for name in ("nvml", "cuda", "host")}
VERSION = "999.11.02"  # of no recorded driver

HOST_IN_PYTHON = """
import ctypes, threading
nvml, cuda = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.CDLL("libcuda.so.1")
print(nvml.nvmlInit_v2())
nvml.nvmlErrorString.restype = ctypes.c_char_p
print(nvml.nvmlErrorString(6))
def ask():
    name = ctypes.create_string_buffer(16)
    print(cuda.cuDeviceGetName(name, 16, 5), name.value)
ask()
thread = threading.Thread(target=ask)
thread.start()
thread.join()
"""

#: What the C host prints of its own accord and by the mouth of the real libraries.
SAID = """\
real: nvmlInit_v2
0 0 3 really not found
0 0 1, unknown to nvemu: {hidden}, to it: 0
real: cuInit(0)
0 1
real: cuTexRefSetMipmapLevelBias(1, 0x1.99999ap-4)
0
real: cuMemAdvise_v2(fedcba9876543210, 5, 3, {{1, -2}})
0
real: cuIpcOpenMemHandle_v2(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, 1)
0 1122334455667788
real: cuEGLStreamProducerPresentFrame(1, {{8 .. 4000000000}}, 0)
0
real: cuMemGetAttribute(1 2 3 4 5 6 7 8 9 a b ffffffffffffffff)
-7
0 42
0 Real 1, secret 2, same: 1 0 1 1
child: 0 4
"""

SYSTEM = [soname for soname in SONAMES.values() if ask([soname], "")[0][0] == "path"]
without_driver = pytest.mark.skipif(
    bool(SYSTEM), reason="NVIDIA's driver is installed here: nothing of it can be absent"
)

Install = Callable[..., Path]


@pytest.fixture
def install(
    compile_c: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Install:
    """`install(nvml=source, ...)`: a folder with libraries of these sources, where this process
    and those that it starts find them."""
    folder = tmp_path / "driver"
    folder.mkdir()

    def install(version: str = VERSION, **sources: str) -> Path:
        for library, source in sources.items():
            soname = SONAMES[library]
            made = compile_c(source, "-shared", "-fPIC", f"-Wl,-soname,{soname}")
            file = folder / f"{soname.removesuffix('.1')}.{version}"
            made.rename(file)
            (folder / soname).symlink_to(file.name)
        monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
        return folder

    return install


@pytest.fixture
def driver(install: Install) -> Path:
    """A driver with both libraries is installed."""
    return install(nvml=SOURCES["nvml"], cuda=SOURCES["cuda"])


@pytest.fixture
def bed(driver: Path) -> Iterator[Testbed]:
    with Testbed(trace=True, real=True) as testbed:
        yield testbed


def run(*command: object, env: dict[str, str] | None = None) -> str:
    """What a program prints, which must go well and without complaints."""
    done = subprocess.run(
        list(map(str, command)), env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def records(testbed: Testbed) -> list[dict[str, Any]]:
    return [json.loads(line) for line in testbed.trace_file.read_text().splitlines()]


def functions(testbed: Testbed) -> list[str]:
    return [record["function"] for record in records(testbed)]


class TestPrograms:
    def test_in_c_find_what_they_find_without_nvemu(
        self, bed: Testbed, compile_c: Callable[..., Path]
    ) -> None:
        host = compile_c(SOURCES["host"], "-ldl")
        assert run(host) == SAID.format(hidden=1)
        assert run(host, env=bed.environment()) == SAID.format(hidden=0)

    def test_in_python_find_what_they_find_without_nvemu(self, bed: Testbed) -> None:
        direct = run(sys.executable, "-uc", HOST_IN_PYTHON)
        assert direct.splitlines()[1:] == [
            "0",
            "b'really not found'",
            "0 b'Real 5'",
            "0 b'Real 5'",
        ]
        assert run(sys.executable, "-uc", HOST_IN_PYTHON, env=bed.environment()) == direct
        names = ["nvmlInit_v2", "nvmlErrorString", "cuDeviceGetName", "cuDeviceGetName"]
        assert functions(bed) == names
        assert len({record["tid"] for record in records(bed)}) == 2

    def test_may_wait_in_one_thread_for_another(self, bed: Testbed) -> None:
        host = """
import ctypes, threading
cuda = ctypes.CDLL("libcuda.so.1")
thread = threading.Thread(target=cuda.cuCtxSynchronize)
thread.start()
print(cuda.cuCtxSynchronize())
thread.join()
"""
        assert run(sys.executable, "-c", host, env=bed.environment()) == "0\n"

    def test_are_interrupted_in_a_call(self, bed: Testbed) -> None:
        host = """
import ctypes, os, signal, threading, time
cuda = ctypes.CDLL("libcuda.so.1")
waiting = ctypes.c_uint()
def interrupt():
    while not waiting.value:
        cuda.cuCtxGetFlags(ctypes.byref(waiting))
    os.kill(os.getpid(), signal.SIGINT)
    cuda.cuCtxSynchronize()
threading.Thread(target=interrupt).start()
try:
    print(cuda.cuCtxSynchronize())
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""
        said = run(sys.executable, "-c", host, env=bed.environment())
        assert said in ("interrupted\n", "0\ninterrupted\n")

    def test_linked_to_a_library_are_traced_and_it_uses_its_own_functions(
        self, bed: Testbed, driver: Path, compile_c: Callable[..., Path]
    ) -> None:
        source = """
            int nvmlInit_v2(void), nvmlDeviceGetIndex(void *, unsigned *);
            int main(void) { unsigned n; nvmlInit_v2(); return nvmlDeviceGetIndex(&n, &n) - 2; }
        """
        host = compile_c(source, str(driver / SONAMES["nvml"]))
        assert run(host, env=bed.environment()) == "real: nvmlInit_v2\n"
        assert functions(bed) == ["nvmlInit_v2", "nvmlDeviceGetIndex"]

    def test_that_ask_for_a_file_are_given_the_stub_and_it_the_file(self, driver: Path) -> None:
        host = f"import ctypes; print(ctypes.CDLL('{driver}/libcuda.so.1').cuInit(0))"
        with Testbed(real=True, redirect=True, trace=True) as testbed:
            environment = testbed.environment()
            assert run(sys.executable, "-uc", host, env=environment) == "real: cuInit(0)\n0\n"
            assert functions(testbed) == ["cuInit"]

    def test_of_which_some_are_not_traced(self, driver: Path) -> None:
        with Testbed(real=True) as testbed:
            direct = run(sys.executable, "-uc", HOST_IN_PYTHON)
            assert run(sys.executable, "-uc", HOST_IN_PYTHON, env=testbed.environment()) == direct
            assert not testbed.trace_file.exists()


class TestTrace:
    @pytest.fixture
    def calls(self, bed: Testbed, compile_c: Callable[..., Path]) -> list[dict[str, Any]]:
        run(compile_c(SOURCES["host"], "-ldl"), env=bed.environment())
        return records(bed)

    def arguments(self, calls: list[dict[str, Any]], function: str) -> list[dict[str, Any]]:
        return [call["arguments"] for call in calls if call["function"] == function]

    def test_has_every_call_that_came_by_an_exported_function(
        self, calls: list[dict[str, Any]]
    ) -> None:
        assert [call["function"] for call in calls] == [
            "nvmlInit_v2",
            "nvmlDeviceGetHandleByIndex_v2",
            "nvmlDeviceGetIndex",
            "nvmlDeviceGetHandleByIndex_v2",
            "nvmlErrorString",
            "nvmlDeviceGetHandleByUUID",
            "nvmlDeviceGetIndex",
            "cuInit",
            "cuDeviceGet",
            "cuTexRefSetMipmapLevelBias",
            "cuMemAdvise_v2",
            "cuIpcOpenMemHandle_v2",
            "cuEGLStreamProducerPresentFrame",
            "cuMemGetAttribute",
            "cuGetExportTable",
            "cuGetProcAddress_v2",
            "cuGetProcAddress_v2",
            "cuDeviceGetName",  # called by the pointer that the first of these gave
            "cuGetProcAddress_v2",
            "nvmlDeviceGetCount_v2",
        ]
        assert not any("handler" in call or "error" in call for call in calls)

    def test_says_of_devices_which_they_are(self, calls: list[dict[str, Any]]) -> None:
        by_index, failed = self.arguments(calls, "nvmlDeviceGetHandleByIndex_v2")
        assert by_index == {"index": 3, "device": "GPU-3"}
        assert re.fullmatch("0x[0-9a-f]+", failed["device"])
        [by_uuid] = self.arguments(calls, "nvmlDeviceGetHandleByUUID")
        asked = self.arguments(calls, "nvmlDeviceGetIndex")
        assert asked == [
            {"device": "GPU-3", "index": 3},
            {"device": "GPU-1", "index": 1},
        ]
        assert by_uuid["device"] == "GPU-1"
        assert self.arguments(calls, "cuDeviceGetName") == [
            {"name": "Real 1", "len": 16, "dev": "GPU-1"}
        ]

    def test_has_the_values_that_came_and_went(self, calls: list[dict[str, Any]]) -> None:
        [bias] = self.arguments(calls, "cuTexRefSetMipmapLevelBias")
        assert bias["bias"] == pytest.approx(0.1)
        [advice] = self.arguments(calls, "cuMemAdvise_v2")
        assert advice["location"] == {"type": 1, "id": -2}
        assert advice["devPtr"] == 0xFEDCBA9876543210
        *_, status = self.arguments(calls, "cuGetProcAddress_v2")
        assert status["symbolStatus"] == "CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND"

    def test_has_the_codes_and_their_names(self, calls: list[dict[str, Any]]) -> None:
        codes = {call["function"]: (call["code"], call.get("status")) for call in calls}
        assert codes["cuDeviceGet"] == (0, "SUCCESS")
        assert codes["cuMemGetAttribute"] == (-7, "-7")
        assert codes["nvmlDeviceGetHandleByIndex_v2"] == (6, "NOT_FOUND")

    def test_has_the_calls_of_a_forked_child(self, calls: list[dict[str, Any]]) -> None:
        assert calls[-1]["pid"] not in {call["pid"] for call in calls[:-1]}
        assert calls[-1]["arguments"] == {"deviceCount": 4}


class TestControl:
    def test_puts_a_fault_in_front_of_the_real_library(self, bed: Testbed) -> None:
        bed.control.fail("nvmlInit_v2", "DRIVER_NOT_LOADED")
        host = "import ctypes; print(ctypes.CDLL('libnvidia-ml.so.1').nvmlInit_v2())"
        assert run(sys.executable, "-c", host, env=bed.environment()) == "9\n"
        [call] = records(bed)
        assert (call["status"], "fault" in call) == ("DRIVER_NOT_LOADED", True)


def source_of(library: str, driver: str, without: set[str], also: str) -> str:
    """A library in C that exports what a driver's library does, but for some names."""
    symbols = load_table(table_path(SONAMES[library], driver)).symbols.values()
    functions = [s.name for s in symbols if s.type == "FUNC" and s.name not in without]
    variables = [f"char {s.name}[{s.size}];" for s in symbols if s.type == "OBJECT"]
    return "\n".join(
        [*variables, *(f"int {name}(void) {{ return 0; }}" for name in functions), also]
    )


class TestStubs:
    """The stub that stands in front of a library exports what the library does."""

    @pytest.mark.parametrize("library", SONAMES)
    @pytest.mark.parametrize("version", DRIVERS)
    def test_of_a_recorded_driver_is_its_own(
        self, install: Install, version: str, library: str
    ) -> None:
        folder = install(version, **{library: source_of(library, version, set(), "")})
        [real] = [each for each in find_real(str(folder)) if each.library == library]
        assert (real.driver, real.version) == (version, version)
        assert (real.lacking, real.hidden, real.remark) == (frozenset(), (), "")
        with Testbed(real=True) as testbed:
            file = (testbed.libraries / SONAMES[library]).resolve()
            assert file.name == f"{SONAMES[library].removesuffix('.1')}.{version}"

    @pytest.mark.parametrize("library", SONAMES)
    def test_of_another_driver_is_the_nearest_without_what_it_lacks(
        self, install: Install, library: str
    ) -> None:
        lacking = set(exported(library, "535.261.03")[10:20])
        more = "int newA(void) { return 0; } int newB(void) { return 0; }"
        source = source_of(library, "535.261.03", lacking, more)
        folder = install("540.10", **{library: source})
        [real] = [each for each in find_real(str(folder)) if each.library == library]
        assert (real.driver, real.lacking) == ("535.261.03", lacking)
        assert real.remark == (
            f"{real.path} has 2 functions that nvemu does not know (newA, ...): "
            "the program does not find them"
        )
        names = ["newA", *sorted(lacking), exported(library, "535.261.03")[0]]
        host = (
            f"import ctypes, sys; library = ctypes.CDLL({SONAMES[library]!r})\n"
            f"print(*(int(hasattr(library, name)) for name in {names}))"
        )
        with Testbed(real=True) as testbed:
            found = run(sys.executable, "-c", host, env=testbed.environment()).split()
        assert found == ["0"] * 11 + ["1"]

    @without_driver
    def test_of_a_library_that_is_absent_is_absent(
        self, install: Install, compile_c: Callable[..., Path]
    ) -> None:
        install(nvml=SOURCES["nvml"])
        host = compile_c(SOURCES["host"], "-ldl")
        with Testbed(real=True) as testbed:
            assert {file.name.partition(".so")[0] for file in testbed.libraries.iterdir()} == {
                "libnvidia-ml"
            }
            said = run(host, env=testbed.environment())
        missing = "libcuda.so.1: cannot open shared object file: No such file or directory"
        assert said.splitlines()[0] == missing
        assert said.splitlines()[1] == "real: nvmlInit_v2"


class TestMistakes:
    @without_driver
    def test_no_driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
        with pytest.raises(TestbedError) as error:
            Testbed(real=True)
        missing = "cannot open shared object file: No such file or directory"
        assert str(error.value) == (
            "no NVIDIA driver is installed that calls could be forwarded to: "
            f"libnvidia-ml.so.1: {missing}; libcuda.so.1: {missing}"
        )

    def test_the_driver_is_a_testbed_of_nvemu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Testbed() as testbed:
            monkeypatch.setenv("LD_LIBRARY_PATH", testbed.environment()["LD_LIBRARY_PATH"])
            with pytest.raises(TestbedError, match="is nvemu's own stub: no call can be forwarded"):
                Testbed(real=True)

    def test_a_library_ends_who_loads_it(self, install: Install) -> None:
        install(cuda="void _exit(int); __attribute__((constructor)) void end(void) { _exit(3); }")
        with pytest.raises(
            TestbedError, match=r"cannot be loaded: loading libcuda\.so\.1 .* status 3$"
        ):
            Testbed(real=True)

    def test_a_scenario(self, driver: Path) -> None:
        with pytest.raises(TestbedError, match=r"a real driver .* plays no scenario"):
            Testbed(Scenario(), real=True)

    def test_the_real_library_goes_away(self, bed: Testbed, driver: Path) -> None:
        host = "import ctypes; print(ctypes.CDLL('libcuda.so.1').cuInit(0))"
        environment = bed.environment()
        os.rename(driver / f"libcuda.so.{VERSION}", driver / "gone")
        done = subprocess.run(
            [sys.executable, "-c", host],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == "999\n"
        assert done.stderr.startswith("nvemu: ")
        assert "/real/libcuda.so.1: cannot open shared object file" in done.stderr
        assert done.stderr.count("\n") == 1


# ---- from the command line


def test_the_commands(nvemu: Callable[..., subprocess.CompletedProcess[str]], driver: Path) -> None:
    program = (sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1').cuInit(0)")
    ran = nvemu("run", "--real", "--", *program)
    assert (ran.returncode, ran.stdout) == (0, "real: cuInit(0)\n")
    traced = nvemu("trace", "--real", "--", *program)
    assert "cuInit(Flags=0) = SUCCESS" in traced.stderr
    examined = nvemu("doctor", "--real", "--", *program)
    assert "nvemu doctor: all fine" in examined.stdout


@without_driver
def test_the_commands_without_a_driver(
    nvemu: Callable[..., subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    for options in (["run"], ["run", "--redirect"], ["trace"]):
        done = nvemu(*options, "--real", "--", "true")
        assert done.returncode == 2
        assert done.stderr.startswith("nvemu: no NVIDIA driver is installed")
