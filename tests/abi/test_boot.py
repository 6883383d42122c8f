"""How a stub comes to life in programs of every kind, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator import Fault, Gpu, Scenario, Testbed

HERE = Path(__file__).parent
EIGHT = Scenario(gpus=[Gpu("h100-sxm5-80gb", count=8)])
Run = Callable[..., list[str]]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A C program that does what its arguments say."""
    program = tmp_path_factory.mktemp("host") / "host"
    command = ["cc", "-O1", "-o", program, HERE / "host.c", "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return program


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    with Testbed(EIGHT) as made:
        yield made


def execute(
    testbed: Testbed, *command: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    environment = testbed.environment() | variables
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


class TestProgramWithoutPython:
    def test_sees_the_scenario(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "init", "count", "name", "shutdown", "count")
        assert lines(done) == [
            "init: 0",
            "count: 0 8",
            "name: 0 NVIDIA H100 80GB HBM3",
            "shutdown: 0",
            "count: 1 77",
        ]

    def test_both_libraries_share_one_interpreter(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "cuinit", "init", "cucount", "count")
        assert lines(done) == ["cuinit: 0", "init: 0", "cucount: 0 8", "count: 0 8"]

    def test_threads_come_and_go(self, host: Path, testbed: Testbed) -> None:
        assert lines(execute(testbed, host, "init", "threads")) == ["init: 0", "threads: 0 wrong"]

    def test_threads_may_be_the_first_to_call(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "threads", "init", "threads")
        assert lines(done) == ["threads: 800 wrong", "init: 0", "threads: 0 wrong"]

    def test_both_libraries_are_called_first_at_the_same_time(
        self, host: Path, testbed: Testbed
    ) -> None:
        for _ in range(10):
            done = execute(testbed, host, "both", "count", "cucount", "fork", "count")
            assert lines(done) == [
                "both: 0 0",
                "count: 0 8",
                "cucount: 0 8",
                "count: 0 8",
                "child: 0",
            ]

    def test_libraries_are_closed_and_opened_again(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "init", "reopen", "count")
        assert lines(done) == ["init: 0", "reopen: ok", "count: 0 8"]

    def test_a_forked_child_goes_on_with_nvml(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "init", "fork", "count", "threads", "shutdown")
        assert lines(done) == [
            "init: 0",
            "count: 0 8",
            "threads: 0 wrong",
            "shutdown: 0",
            "child: 0",
        ]

    def test_a_forked_child_cannot_use_its_parents_cuda(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "cuinit", "fork", "cucount", "cuinit")
        assert lines(done) == ["cuinit: 0", "cucount: 3 77", "cuinit: 3", "child: 0"]

    def test_a_child_forked_before_cuda_was_used_may_use_it(
        self, host: Path, testbed: Testbed
    ) -> None:
        done = execute(testbed, host, "init", "fork", "cuinit", "cucount")
        assert lines(done) == ["init: 0", "cuinit: 0", "cucount: 0 8", "child: 0"]

    def test_a_call_at_exit_is_answered(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "init", "atexit")
        assert lines(done) == ["init: 0", "at exit: 0 8"]

    def test_locale_and_environment_stay_the_hosts(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "init", "locale", LC_ALL="C.UTF-8")
        assert lines(done)[1] == "locale: C, LC_CTYPE=(null)"

    def test_a_cleared_environment_does_not_lose_the_testbed(
        self, host: Path, testbed: Testbed
    ) -> None:
        done = subprocess.run(
            [host, "init", "count"],
            env={"LD_LIBRARY_PATH": str(testbed.libraries)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert lines(done) == ["init: 0", "count: 0 8"]

    def test_pythons_variables_are_not_read(self, host: Path, testbed: Testbed) -> None:
        done = execute(testbed, host, "init", PYTHONHOME="/nonexistent", PYTHONPATH="/nonexistent")
        assert lines(done) == ["init: 0"]


class TestProgramThatCannotBeServed:
    """One line on stderr that names what to do, and the library's own code; never a crash."""

    def fails(self, testbed: Testbed, host: Path, code: int, cuda: int, says: str) -> None:
        done = execute(testbed, host, "init", "count", "cuinit", "text", NVEMU_TESTBED="")
        assert done.returncode == 0
        assert done.stdout.splitlines()[:3] == [
            f"init: {code}",
            f"count: {code} 77",
            f"cuinit: {cuda}",
        ]
        said = done.stderr.splitlines()
        assert [line.startswith("nvemu: ") for line in said] == [True, True]  # one per library
        assert all(says in line for line in said)

    def test_no_testbed(self, host: Path, testbed: Testbed) -> None:
        (testbed.folder / "boot").unlink()
        self.fails(testbed, host, 9, 100, "no testbed: start the program with `nvemu run`")

    def test_no_libpython(self, host: Path, testbed: Testbed) -> None:
        edit_boot(testbed, "libpython=", "")
        self.fails(testbed, host, 9, 100, "no libpython to embed in this program: install")

    def test_a_libpython_that_is_none(self, host: Path, testbed: Testbed) -> None:
        edit_boot(testbed, "libpython=", "libpython=/nonexistent/libpython3.so\n")
        self.fails(testbed, host, 9, 100, "cannot load Python's shared library")

    def test_a_python_that_was_removed(self, host: Path, testbed: Testbed) -> None:
        edit_boot(testbed, "home=", "home=/nonexistent\n")
        self.fails(testbed, host, 9, 100, "has no standard library under /nonexistent any more")

    def test_a_boot_file_that_others_may_write(self, host: Path, testbed: Testbed) -> None:
        (testbed.folder / "boot").chmod(0o666)
        self.fails(testbed, host, 9, 100, "no testbed: start the program with `nvemu run`")

    def test_a_damaged_plan(self, host: Path, testbed: Testbed) -> None:
        plan = testbed.folder / "plan.json"
        plan.write_text(plan.read_text()[:500])
        self.fails(testbed, host, 999, 999, "plan.json is damaged")

    def test_a_plan_that_is_gone(self, host: Path, testbed: Testbed) -> None:
        (testbed.folder / "plan.json").write_text("[]")
        self.fails(testbed, host, 999, 999, "is not a plan of this version of nvemu")

    def test_a_package_that_is_gone(self, host: Path, testbed: Testbed) -> None:
        edit_boot(testbed, "root=", "root=/nonexistent\n")
        self.fails(testbed, host, 999, 999, "No module named '_nvemu.runtime'")

    def test_an_emulator_of_another_version(
        self, host: Path, testbed: Testbed, tmp_path: Path
    ) -> None:
        copy = copy_package(tmp_path)
        for tables in copy.glob("*/_functions.py"):
            text = re.sub(r"(?m)^FINGERPRINT = .*$", 'FINGERPRINT = "other"', tables.read_text())
            tables.write_text(text)
        edit_boot(testbed, "root=", f"root={tmp_path}\n")
        self.fails(testbed, host, 999, 999, "from different versions of nvemu: install nvemu again")


def test_an_emulator_that_raises(host: Path, testbed: Testbed, tmp_path: Path) -> None:
    copy = copy_package(tmp_path)
    module = copy / "nvml" / "system.py"
    module.write_text(module.read_text().replace("    nvml.init()\n", "    1 / 0\n"))
    edit_boot(testbed, "root=", f"root={tmp_path}\n")
    done = execute(testbed, host, "init", "count")
    assert done.stdout.splitlines() == ["init: 999", "count: 1 77"]
    assert re.fullmatch(
        r"nvemu: nvmlInit_v2: internal error, reported as UNKNOWN: "
        r"ZeroDivisionError: division by zero \(system\.py:\d+\)\n",
        done.stderr,
    )


def copy_package(folder: Path) -> Path:
    """The installed package's runtime, to be tampered with."""
    source = Path(sys.modules["emulator"].__file__ or "").parent
    ignored = shutil.ignore_patterns("__pycache__", "_stubs", "scenario", "cli")
    return shutil.copytree(source, folder / "emulator", ignore=ignored)


def edit_boot(testbed: Testbed, key: str, line: str) -> None:
    """Replace the line of `key` in the testbed's boot file."""
    boot = testbed.folder / "boot"
    kept = [text for text in boot.read_text().splitlines(True) if not text.startswith(key)]
    boot.write_text("".join(kept) + line)


def pythons() -> dict[str, str]:
    """The interpreters of this machine by version: those on the path and pyenv's."""
    versions = [f"3.{minor}" for minor in range(6, 15)] + ["2.7"]
    found = {version: shutil.which(f"python{version}") for version in versions}
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in versions:
        for path in sorted(root.glob(f"versions/{version}.*/bin/python{version}")):
            found[version] = str(path)
    return {version: path for version, path in found.items() if path}


CLIENT = """
import ctypes, json, os, sys, threading
L = ctypes.CDLL("libnvidia-ml.so.1")
n = ctypes.c_uint(77)
answers = [L.nvmlInit_v2(), L.nvmlDeviceGetCount_v2(ctypes.byref(n)), n.value]
def work():
    for _ in range(200):
        wrong.append(L.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint())))
wrong = []
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
answers.append(sum(wrong))
sys.stdout.flush()
child = os.fork()
if not child:
    os._exit(L.nvmlDeviceGetCount_v2(ctypes.byref(n)))
answers.append(os.waitpid(child, 0)[1] >> 8)
answers.append(sorted(m for m in sys.modules if "emulator" in m or "nvemu" in m)[:1])
sys.stdout.write(json.dumps([list(sys.version_info[:2]), answers]))
"""


@pytest.mark.parametrize(("version", "python"), pythons().items())
def test_python_programs_of_any_version(version: str, python: str, testbed: Testbed) -> None:
    done = execute(testbed, python, "-W", "ignore", "-c", CLIENT)  # of a fork beside threads
    running, answers = json.loads(done.stdout)
    assert running == [int(part) for part in version.split(".")]
    if running >= [3, 9]:
        assert answers == [0, 0, 8, 0, 0, ["_nvemu"]]
        assert done.stderr == ""
    else:
        assert answers[:2] == [9, 9]
        assert done.stderr.startswith(f"nvemu: nvml: this program runs Python {version};")
        assert "nvemu needs 3.9 or newer" in done.stderr


@pytest.mark.parametrize("version", [v for v in pythons() if v not in ("2.7", "3.6", "3.7", "3.8")])
def test_any_libpython_is_embedded(version: str, host: Path, testbed: Testbed) -> None:
    home = Path(pythons()[version]).parent.parent
    library = home / "lib" / f"libpython{version}.so.1.0"
    if not library.is_file():
        pytest.skip(f"Python {version} of this machine has no shared library beside it")
    edit_boot(testbed, "libpython=", f"libpython={library}\n")
    edit_boot(testbed, "home=", f"home={home}\n")
    done = execute(testbed, host, "init", "threads", "fork", "count", "cuinit")
    assert lines(done) == ["init: 0", "threads: 0 wrong", "count: 0 8", "cuinit: 0", "child: 0"]


class TestPythonProgram:
    def run(self, testbed: Testbed, code: str) -> subprocess.CompletedProcess[str]:
        return execute(testbed, sys.executable, "-c", code)

    def test_a_host_with_its_own_package_named_emulator(
        self, testbed: Testbed, tmp_path: Path
    ) -> None:
        (tmp_path / "emulator.py").write_text("mine = True\n")
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
            "import ctypes; print(ctypes.CDLL('libnvidia-ml.so.1').nvmlInit_v2())\n"
            "import emulator; print(emulator.mine)\n"
        )
        assert lines(self.run(testbed, code)) == ["0", "True"]

    def test_shutdown_registered_before_the_first_call(self, testbed: Testbed) -> None:
        code = (
            "import atexit, ctypes\n"
            "L = ctypes.CDLL('libnvidia-ml.so.1')\n"
            "atexit.register(lambda: print('shutdown', L.nvmlShutdown()))\n"
            "print(L.nvmlInit_v2())\n"
        )
        assert lines(self.run(testbed, code)) == ["0", "shutdown 0"]

    def test_a_c_destructor_after_python_has_ended(self, testbed: Testbed, tmp_path: Path) -> None:
        source = tmp_path / "late.c"
        source.write_text(
            "#include <stdio.h>\nint nvmlShutdown(void);\n"
            "__attribute__((destructor)) static void late(void)\n"
            '{ printf("late: %d\\n", nvmlShutdown()); fflush(stdout); }\n'
        )
        library = tmp_path / "late.so"
        stub = testbed.libraries / "libnvidia-ml.so.1"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, stub], check=True)
        code = (
            "import ctypes\nL = ctypes.CDLL('libnvidia-ml.so.1')\n"
            f"ctypes.CDLL({str(library)!r})\nprint(L.nvmlInit_v2(), flush=True)\n"
        )
        done = self.run(testbed, code)
        assert lines(done) == ["0", "late: 1"]  # UNINITIALIZED: the library is gone by then

    def test_ctrl_c_reaches_the_program(self, testbed: Testbed) -> None:
        code = (
            "import ctypes, _thread, threading, time\n"
            "L = ctypes.CDLL('libnvidia-ml.so.1'); L.nvmlInit_v2()\n"
            "threading.Timer(0.2, _thread.interrupt_main).start()\n"
            "n = ctypes.c_uint()\n"
            "try:\n"
            "    while True: L.nvmlDeviceGetCount_v2(ctypes.byref(n))\n"
            "except KeyboardInterrupt: print('interrupted')\n"
        )
        assert lines(self.run(testbed, code)) == ["interrupted"]


SIGNALLED = """
import ctypes, signal
class Late(Exception):
    def __init__(self, what, code):
        super().__init__(what, code)
def late(*_):
    raise Late("too late", 3)
signal.signal(signal.SIGALRM, late)
L = ctypes.CDLL("libnvidia-ml.so.1")
{before}
signal.setitimer(signal.ITIMER_REAL, {delay})
try:
    while True:
        {call}
except Late as error:
    print(error.args)
print(L.nvmlInit_v2())
"""


@pytest.mark.parametrize(
    ("before", "delay", "call"),
    [
        ("", 0.004, "L.nvmlInit_v2()"),  # while nvemu starts
        ("L.nvmlInit_v2()", 0.05, "L.nvmlDeviceGetCount_v2(ctypes.byref(ctypes.c_uint()))"),
    ],
)
def test_what_a_signal_handler_raises_reaches_the_program(
    before: str, delay: float, call: str, testbed: Testbed
) -> None:
    code = SIGNALLED.format(before=before, delay=delay, call=call)
    assert lines(execute(testbed, sys.executable, "-c", code)) == ["('too late', 3)", "0"]


def test_a_trace_that_cannot_be_written_changes_no_answer(host: Path) -> None:
    with Testbed(EIGHT, trace=True) as testbed:
        testbed.trace_file.unlink()
        testbed.trace_file.symlink_to("/dev/full")
        done = execute(testbed, host, "init", "count")
    assert done.stdout.splitlines() == ["init: 0", "count: 0 8"]
    assert done.stderr.splitlines() == [
        f"nvemu: the trace {testbed.trace_file} is not complete: No space left on device"
    ]


def test_the_real_file_is_opened_by_its_absolute_path(host: Path, testbed: Testbed) -> None:
    code = (
        "import ctypes, os\n"
        f"path = os.path.realpath({str(testbed.libraries / 'libcuda.so')!r})\n"
        "print(os.path.basename(path), ctypes.CDLL(path).cuInit(0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=False
    )
    assert lines(done) == ["libcuda.so.580.126.09 0"]


def test_faults_count_calls_in_each_process(host: Path) -> None:
    faults = [Fault("nvmlInit_v2", calls="1-2", returns="DRIVER_NOT_LOADED")]
    with Testbed(Scenario(gpus=[Gpu("t4")], faults=faults)) as testbed:
        done = execute(testbed, host, "init", "init", "init", "count")
    assert lines(done) == ["init: 9", "init: 9", "init: 0", "count: 0 1"]


def test_the_testbed_is_private_and_goes_away() -> None:
    with Testbed(EIGHT) as testbed:
        folder = testbed.folder
        assert folder.stat().st_mode & 0o777 == 0o700
        names = {path.name: os.path.islink(path) for path in testbed.libraries.iterdir()}
        assert names == {
            "libcuda.so": True,
            "libcuda.so.1": True,
            "libcuda.so.580.126.09": False,
            "libnvidia-ml.so": True,
            "libnvidia-ml.so.1": True,
            "libnvidia-ml.so.580.126.09": False,
        }
    assert not folder.exists()
