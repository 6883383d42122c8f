"""`nvemu doctor -- PROGRAM`: for each verdict, programs that have exactly this fault."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from emulator.doctor import VERDICTS
from emulator.stubfiles import stub

Nvemu = Callable[..., subprocess.CompletedProcess[str]]
Compile = Callable[..., Path]

HERE = Path(__file__).parent
NVML = ("open", "libnvidia-ml.so.1", "nvml")
CUDA = ("open", "libcuda.so.1", "cuda")
BOTH = (*NVML, *CUDA)

#: A stand-in for libcuda.
SHIM = """
int cuInit(unsigned flags) { (void)flags; return 0; }
int cuDeviceGetCount(int *devices) { return *devices = 1, 0; }
"""

#: Looks another way, and ends with 5.
LOOK = 'int main(void) { return access("/proc/driver/nvidia/version", 0), 5; }'

PYNVML = """
import pynvml
try:
    pynvml.nvmlInit()
    print("GPU", pynvml.nvmlDeviceGetCount())
except pynvml.NVMLError as error:
    print("CPU", error)
"""


class Case(NamedTuple):
    """What is run on what, and what doctor says.

    `seeks` are arguments of seeker.c; `options` doctor's; `scenario` a gallery's name or TOML.
    """

    verdict: str
    seeks: tuple[str, ...]
    says: str
    scenario: str = ""
    options: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


def fault(function: str, then: str) -> str:
    """A scenario with a GPU and one fault."""
    return f'[[gpu]]\nprofile = "t4"\n[[fault]]\nfunction = "{function}"\n{then}\n'


CASES = {
    "nvml": Case("fine", NVML, "1 device seen"),
    "cuda-context": Case("fine", (*CUDA, "capability", "memory", "context"), "and taken"),
    "both": Case("fine", BOTH, "1 device seen"),
    "second-name": Case(
        "fine",
        ("run", "sh", "-c", f"'{{seeker}}' open libcuda.so.9; '{{seeker}}' {' '.join(CUDA)}"),
        "1 device seen",
    ),
    "ended-by-timeout": Case("fine", (*NVML, "exit", "124"), "1 device seen"),
    "nothing": Case("never-asked", ("exit", "0"), "no search for libnvidia-ml or libcuda"),
    "never-called": Case("never-asked", CUDA[:2], "libcuda.so.1 was loaded and never called"),
    "other-name": Case("not-found", ("open", "libcuda.so.9"), "libcuda.so.9 is not there"),
    "other-path": Case("not-found", ("open", "/opt/none/libcuda.so.1"), "/opt/none/libcuda.so.1"),
    "absent": Case("not-found", NVML, "libnvidia-ml.so.1 is not there",
                   "container-without-driver-libraries"),
    "broken-symlink": Case("not-found", CUDA, "libcuda.so.1 is not there",
                           "library-broken-symlink"),
    "looked-for": Case("not-found", ("access", "/opt/none/libcuda.so.1"), "/opt/none/libcuda.so.1"),
    "plug-in": Case("not-found", ("open", "libggml-cuda.so"), "libggml-cuda.so is not there"),
    "32-bit": Case("wrong-class", CUDA, "another kind of machine",
                   '[loader]\ncuda = "wrong-class"\n'),
    "empty": Case("unloadable", CUDA, "is no library", "library-empty"),
    "not-elf": Case("unloadable", CUDA, "is no library", '[loader]\ncuda = "not-elf"\n'),
    "dependency": Case(
        "unloadable", CUDA, "needs libnvidia-none.so.1",
        '[loader]\ncuda = { state = "missing-dependency", needs = "libnvidia-none.so.1" }\n',
    ),
    "shim": Case("other-library", ("open", "{shim}", "cuda"), "it opened {shim}"),
    "dlsym": Case(
        "symbol-missing", ("open", "libcuda.so.1", "need", "cuGetProcAddress_v2", "cuda"),
        "libcuda.so.1 does not have cuGetProcAddress_v2", options=("--driver", "470.256.02"),
    ),
    "in-between": Case(
        "symbol-missing", (*CUDA, "need", "cuGetProcAddress_v2", "exit", "0"),
        "cuGetProcAddress_v2", options=("--driver", "470.256.02"),
    ),
    "nvml-init": Case("init-failed", NVML, "nvmlInit_v2 answered DRIVER_NOT_LOADED (9)",
                      "driver-not-loaded"),
    "mismatch": Case("init-failed", NVML, "LIB_RM_VERSION_MISMATCH (18)",
                     "library-version-mismatch"),
    "cuda-init": Case("init-failed", CUDA, "cuInit answered UNKNOWN (999)", "uvm-module-missing"),
    "both-init": Case("init-failed", BOTH, "answered", "driver-not-loaded"),
    "count-fails": Case("init-failed", NVML, "nvmlDeviceGetCount_v2 answered UNKNOWN (999)",
                        fault("nvmlDeviceGetCount_v2", 'returns = "UNKNOWN"')),
    "no-devices-nvml": Case("no-devices", NVML, "nvmlDeviceGetCount_v2 counted 0", "no-devices"),
    "no-devices-cuda": Case("no-devices", CUDA, "cuInit answered NO_DEVICE (100)", "no-devices"),
    "hidden": Case("no-devices", CUDA, "cuInit answered NO_DEVICE (100)",
                   "hidden-by-cuda-visible-devices"),
    "hidden-from-child": Case(
        "no-devices",
        ("run", "sh", "-c", f"'{{seeker}}' {' '.join(CUDA)};"
         f" CUDA_VISIBLE_DEVICES=-1 '{{seeker}}' {' '.join(CUDA)}"),
        "cuInit answered NO_DEVICE (100)",
    ),
    "hidden-beside-nvml": Case("no-devices", BOTH, "CUDA_VISIBLE_DEVICES=-1 hides them; cuInit",
                               variables=(("CUDA_VISIBLE_DEVICES", "-1"),)),
    "too-old": Case("rejected", (*CUDA, "capability"), "compute capability",
                    '[[gpu]]\nprofile = "t4"\n[gpu.figures]\ncompute_capability = [3, 7]\n'),
    "too-little": Case("rejected", (*CUDA, "memory"), "less memory than programs ask for",
                       "zero-memory"),
    "lost": Case("rejected", (*NVML, "temperature"),
                 "nvmlDeviceGetTemperature answered GPU_IS_LOST",
                 fault("nvmlDeviceGetTemperature", 'returns = "GPU_IS_LOST"')),
    "no-handle": Case("rejected", (*NVML, "temperature"), "nvmlDeviceGetHandleByIndex_v2 answered",
                      fault("nvmlDeviceGetHandleBy*", 'returns = "UNKNOWN"')),
    "handle-not-permitted": Case("rejected", (*NVML, "temperature"), "answered NO_PERMISSION (4)",
                                 fault("nvmlDeviceGetHandleBy*", 'returns = "NO_PERMISSION"')),
    "no-context-in-child": Case(
        "rejected",
        ("run", "sh", "-c", f"'{{seeker}}' {' '.join(CUDA)};"
         f" '{{seeker}}' {' '.join(CUDA)} context"),
        "cuCtxCreate_v2 answered NOT_PERMITTED", "context-not-permitted",
    ),
    "no-context": Case("rejected", (*CUDA, "context"), "cuCtxCreate_v2 answered NOT_PERMITTED",
                       fault("cuCtxCreate_v2", 'returns = "NOT_PERMITTED"')),
    "gave-up": Case("rejected", (*NVML, "exit", "3"), "the last that it asked"),
    "only-nvml": Case("cuda-failed", BOTH, "cuInit answered UNKNOWN (999)", "uvm-module-missing"),
    "only-nvml-found": Case("cuda-failed", BOTH, "libcuda.so.1 is not there",
                            "cuda-absent-nvml-fine"),
    "only-cuda": Case("nvml-failed", (*CUDA, *NVML), "nvmlInit_v2 answered UNKNOWN (999)",
                      fault("nvmlInit_v2", 'returns = "UNKNOWN"')),
    "only-cuda-found": Case("nvml-failed", (*CUDA, *NVML), "libnvidia-ml.so.1 is not there",
                            "nvml-absent-cuda-fine"),
    "genuine": Case("runtime-refused", ("open", "libcuda.so.1", "runtime"), "genuine"),
    "proc": Case("other-way", ("access", "/proc/driver/nvidia/version"),
                 "looked at /proc/driver/nvidia/version"),
    "device-node": Case("other-way", ("access", "/dev/nvidia0"), "looked at /dev/nvidia0"),
    "nvidia-smi": Case("other-way", ("run", "nvidia-smi-of-nowhere", "-L"),
                       "ran nvidia-smi-of-nowhere, which is not there"),
    "nvidia-smi-in-a-shell": Case("other-way", ("run", "sh", "-c", "nvidia-smi-of-nowhere; true"),
                                  "sh looked for nvidia-smi-of-nowhere in vain"),
    "crash": Case("inside-a-call", NVML, "was ended by signal 11 inside nvmlInit_v2",
                  "init-crashes"),
    "crash-in-child": Case("inside-a-call", ("run", "{seeker}", *NVML),
                           "was ended by signal 11 inside nvmlInit_v2", "init-crashes"),
    "hang": Case("inside-a-call", NVML, "hung inside nvmlInit_v2", "init-hangs",
                 options=("--timeout", "2")),
    "slow": Case("inside-a-call", NVML, "hung inside nvmlDeviceGetCount_v2",
                 fault("nvmlDeviceGetCount_v2", 'delay = "1h"'), options=("--timeout", "2")),
    "exit": Case("inside-a-call", CUDA, "exited with 7 inside cuInit",
                 fault("cuInit", "exit = 7")),
}  # fmt: skip


@pytest.fixture(scope="session")
def seeker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program seeker.c."""
    target = tmp_path_factory.mktemp("doctor") / "seeker"
    subprocess.run(["cc", "-o", target, HERE / "seeker.c", "-ldl"], check=True)
    return target


@pytest.fixture
def shim(compile_c: Compile) -> Path:
    """A library that says it is libcuda and is not nvemu's."""
    return compile_c(SHIM, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1")


@pytest.fixture
def doctor(nvemu: Nvemu) -> Callable[..., dict[str, Any]]:
    """`doctor(*arguments)`: its report, as JSON."""

    def run(*arguments: object, **options: Any) -> dict[str, Any]:
        done = nvemu("doctor", "--json", *arguments, **options)
        assert done.stdout, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == report["status"]
        return report

    return run


@pytest.mark.parametrize("name", CASES)
def test_the_verdict(
    name: str, doctor: Callable[..., Any], seeker: Path, shim: Path, tmp_path: Path
) -> None:
    case = CASES[name]
    if name == "absent" and shutil.which("nvidia-smi"):
        pytest.skip("a driver is installed here: no library can be absent")
    options = list(case.options)
    if "\n" in case.scenario:
        (tmp_path / "scenario.toml").write_text(case.scenario)
        options += ["--scenario", str(tmp_path / "scenario.toml")]
    elif case.scenario:
        options += ["--scenario", case.scenario]
    places = {"seeker": seeker, "shim": shim}
    seeks = [word.format(**places) for word in case.seeks]
    report = doctor(*options, "--", seeker, *seeks, env=os.environ | dict(case.variables))
    assert report["verdict"] == case.verdict, report["headline"]
    assert case.says.format(**places) in report["headline"]


def test_no_verdict_is_without_a_program() -> None:
    shown_elsewhere = {"unseen"}
    assert {case.verdict for case in CASES.values()} | shown_elsewhere == set(VERDICTS)


def test_statuses_tell_verdicts_apart() -> None:
    statuses = [kind.status for kind in VERDICTS.values()]
    assert len(set(statuses)) == len(statuses)
    assert not {1, 2} & set(statuses)
    assert max(statuses) < 124


class TestLinked:
    """Programs and libraries that are linked to libcuda.so.1, and to what is not there."""

    LIBRARY = "int cuInit(unsigned); int use(void) { return cuInit(0); }"
    #: Calls a function that driver 470 does not have, as the last of three.
    PROGRAM = """
    int cuInit(unsigned);
    int cuDeviceGetCount(int *);
    int cuGetProcAddress_v2(const char *, void **, int, unsigned long long, void *);
    int main(void)
    {
        int count;
        void *function;
        cuInit(0);
        cuDeviceGetCount(&count);
        return cuGetProcAddress_v2("cuInit", &function, 12000, 0, 0);
    }
    """

    @pytest.mark.parametrize("binding", ["lazy", "now"])
    def test_to_a_function_that_the_driver_lacks(
        self, doctor: Callable[..., Any], compile_c: Compile, binding: str
    ) -> None:
        library = stub("cuda", "555.58.02")
        program = compile_c(self.PROGRAM, library, f"-Wl,-z,{binding}")
        for command in ([program], ["sh", "-c", f"'{program}'; exit $?"]):
            report = doctor("--driver", "470.256.02", "--", *command)
            assert report["verdict"] == "symbol-missing"
            assert report["headline"].endswith("libcuda.so.1 does not have cuGetProcAddress_v2")
            assert report["program_status"] == 127

    @pytest.mark.parametrize("also", [(), NVML])
    def test_to_a_library_that_is_not_there(
        self, doctor: Callable[..., Any], seeker: Path, compile_c: Compile, also: tuple[str, ...]
    ) -> None:
        needed = compile_c("int x;", "-shared", "-fPIC", "-Wl,-soname,libcublas.so.12")
        plug_in = compile_c(
            self.LIBRARY,
            "-shared",
            "-fPIC",
            "-Wl,--no-as-needed",
            needed,
            stub("cuda", "555.58.02"),
        )
        report = doctor("--", seeker, *also, "open", plug_in)
        assert report["verdict"] == ("cuda-failed" if also else "not-found")
        assert report["headline"].endswith("libcublas.so.12 is not there")
        assert f"asked for by {plug_in}" in report["why"]


def test_a_variable_that_names_the_first_device_hides_none(
    doctor: Callable[..., Any], seeker: Path
) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "0"}
    report = doctor("--scenario", "no-devices", "--", seeker, *CUDA, env=environment)
    assert report["verdict"] == "no-devices"
    assert not any("Unset" in advice for advice in report["advice"])


def test_the_folder_that_is_gone_is_not_shown(doctor: Callable[..., Any], seeker: Path) -> None:
    report = doctor("--scenario", "library-empty", "--", seeker, *CUDA)
    assert report["headline"].endswith("nvemu's libcuda.so.1 is no library")
    assert any("nvemu's libcuda.so.1: empty" in line for line in report["why"])


def test_a_changed_path_is_named(doctor: Callable[..., Any], seeker: Path) -> None:
    report = doctor("--", "env", "LD_LIBRARY_PATH=/none", seeker, *CUDA)
    assert report["verdict"] == "not-found"
    assert "it has changed LD_LIBRARY_PATH to '/none'" in report["why"]


def test_the_advice_knows_what_is_there(doctor: Callable[..., Any], seeker: Path) -> None:
    there, absent = (
        doctor("--", seeker, "access", path) for path in ("/sys/bus/pci", "/dev/nvidia9")
    )
    assert there["verdict"] == absent["verdict"] == "other-way"
    assert "--devices" not in there["advice"][0]
    assert "--devices" in absent["advice"][0]


class TestUnseen:
    @pytest.fixture
    def static(self, compile_c: Compile) -> Path:
        """A program that is linked statically."""
        return compile_c(LOOK, "-static", "-w")

    def test_a_static_program(self, doctor: Callable[..., Any], static: Path) -> None:
        for command in ([static], ["sh", "-c", f"{static}; true"]):
            report = doctor("--", *command)
            assert (report["verdict"], report["why"]) == ("unseen", [str(static)])

    @pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace here")
    def test_is_seen_by_strace(self, doctor: Callable[..., Any], static: Path) -> None:
        report = doctor("--strace", "--", static)
        assert report["verdict"] == "other-way"
        assert f"{static.name} looked at /proc/driver/nvidia/version" in report["headline"]
        assert report["program_status"] == 5

    @pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace here")
    def test_also_where_a_process_becomes_it(
        self, doctor: Callable[..., Any], static: Path
    ) -> None:
        report = doctor("--strace", "--", "sh", "-c", f"exec {static}")
        assert report["verdict"] == "other-way"
        assert "looked at /proc/driver/nvidia/version" in report["headline"]

    @pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace here")
    def test_a_program_that_is_not_there_is_refused(self, nvemu: Nvemu) -> None:
        done = nvemu("doctor", "--strace", "--", "/nowhere/program")
        assert done.returncode == 127
        assert "there is no such file" in done.stderr

    def test_what_outlives_the_program_is_named(
        self, doctor: Callable[..., Any], tmp_path: Path
    ) -> None:
        begun = tmp_path / "begun"
        os.mkfifo(begun)
        sleep = f"{{ echo > {begun}; exec sleep 3 >/dev/null 2>&1; }}"
        report = doctor("--", "sh", "-c", f"{sleep} & read line < {begun}; exit 0")
        assert report["verdict"] == "never-asked"
        assert any("still running" in note for note in report["notes"])


class TestHosts:
    """The same in other languages."""

    def test_python(self, doctor: Callable[..., Any]) -> None:
        program = (sys.executable, "-c", PYNVML)
        assert doctor("--", *program)["verdict"] == "fine"
        assert doctor("--scenario", "driver-not-loaded", "--", *program)["verdict"] == "init-failed"
        lacking = ("--scenario", "container-without-driver-libraries")
        assert doctor(*lacking, "--", *program)["verdict"] == "not-found"

    @pytest.mark.skipif(not shutil.which("go"), reason="there is no Go toolchain here")
    def test_go(self, doctor: Callable[..., Any], tmp_path: Path) -> None:
        (tmp_path / "look.go").write_text(
            'package main\n\nimport "os"\n\n'
            'func main() { _, err := os.ReadFile("/proc/driver/nvidia/version"); _ = err }\n'
        )
        build = ["go", "build", "-o", "look", "look.go"]
        cache = {"GOCACHE": str(tmp_path / "cache"), "CGO_ENABLED": "0"}
        subprocess.run(build, cwd=tmp_path, env=os.environ | cache, check=True)
        assert doctor("--", tmp_path / "look")["verdict"] == "unseen"
