"""Loader states: what the dynamic loader tells a program of each library, in C and in Python."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import emulator
from emulator import EmulationError, Gpu, Scenario, ScenarioError, Testbed
from emulator.imports.captures.format import Capture, Header, Table, dumps
from emulator.machine import DRIVERS, NEWEST
from emulator.plans import plan_of
from emulator.scenario import loads
from emulator.scenario.loader import STATES, Loader
from emulator.stubfiles import SONAMES, stub
from emulator.symbols import read_library, recorded_tables
from emulator.testbed import TestbedError, libraries

Done = subprocess.CompletedProcess[str]

DRIVER, OLDER = "550.163.01", "470.256.02"

#: Opens the library named first; prints why not, or where it is and which symbols it has.
C_CLIENT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

int main(int count, char **names)
{
    struct link_map *map;
    void *library = dlopen(names[1], RTLD_NOW);
    if (!library) {
        puts(dlerror());
        return 1;
    }
    dlinfo(library, RTLD_DI_LINKMAP, &map);
    puts(map->l_name);
    for (int i = 2; i < count; i++)
        printf("%s %s\\n", names[i], dlsym(library, names[i]) ? "there" : "missing");
    return 0;
}
"""
PYTHON_CLIENT = """
import ctypes, sys
try:
    library = ctypes.CDLL(sys.argv[1])
except OSError as error:
    sys.exit(print(error) or 1)
with open("/proc/self/maps") as maps:
    stem = sys.argv[1].partition(".so")[0]
    print(next(line.split()[5] for line in maps if "/" + stem in line))
for name in sys.argv[2:]:
    print(name, "there" if hasattr(library, name) else "missing")
"""
#: Calls a function of a library that it was linked to.
LINKED = "int cuInit(unsigned); int main(void) { return cuInit(0); }"
COUNT = """
import ctypes
count = ctypes.c_int()
for name, init, ask in (("libnvidia-ml.so.1", "nvmlInit_v2", "nvmlDeviceGetCount_v2"),
                        ("libcuda.so.1", "cuInit", "cuDeviceGetCount")):
    library = ctypes.CDLL(name)
    print(getattr(library, init)(0), getattr(library, ask)(ctypes.byref(count)), count.value)
"""

NOT_FOUND = "{soname}: cannot open shared object file: No such file or directory"
#: What the loader says of each state that it refuses; `place` is the folder of the file.
REFUSALS = {
    "absent": NOT_FOUND,
    "broken-symlink": NOT_FOUND,
    "unreadable": NOT_FOUND,
    "wrong-class": "{soname}: wrong ELF class: ELFCLASS32",
    "empty": "{place}/{soname}: file too short",
    "not-elf": "{place}/{soname}: invalid ELF header",
    "missing-dependency": (
        "libnvrm_gpu.so: cannot open shared object file: No such file or directory"
    ),
}
PASSED_OVER = ["absent", "broken-symlink", "unreadable", "wrong-class"]
STOPPED_AT = ["empty", "not-elf", "missing-dependency"]


def system_has(soname: str) -> bool:
    command = [sys.executable, "-c", f"import ctypes; ctypes.CDLL({soname!r})"]
    environment = {"PATH": os.environ["PATH"]}
    return not subprocess.run(command, env=environment, check=False, capture_output=True).returncode


pytestmark = pytest.mark.skipif(
    any(map(system_has, SONAMES.values())),
    reason="NVIDIA's driver is installed here: nothing of it can be absent",
)


def as_nobody_special() -> None:
    """In a child: root without what lets it read files whose modes say no."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        if os.geteuid() == 0 and ctypes.CDLL(None).prctl(24, capability, 0, 0, 0):  # CAPBSET_DROP
            raise OSError("the capability cannot be dropped")


@pytest.fixture(params=["C", "Python"])
def client(request: pytest.FixtureRequest, compile_c: Callable[..., Path]) -> list[str]:
    if request.param == "C":
        return [str(compile_c(C_CLIENT, "-ldl"))]
    return [sys.executable, "-c", PYTHON_CLIENT]


@pytest.fixture
def see(client: list[str], tmp_path: Path) -> Callable[..., list[str]]:
    """`see(states, library, *symbols)`: the lines that a program prints; the testbed is `BED`."""

    def see(states: Any, library: str = "cuda", *symbols: str) -> list[str]:
        scenario = Scenario(driver=DRIVER, gpus=[Gpu("t4")], loader={library: states})
        command = [*client, SONAMES[library], *symbols]
        done = run_without_privilege(scenario, command, tmp_path)
        return done.splitlines()

    return see


def run_without_privilege(scenario: Scenario, command: Sequence[str], folder: Path) -> str:
    """What a program prints, run by a `Testbed` in a process that may read only what modes allow.

    The testbed's folder in it becomes `BED`.
    """
    file = folder / "scenario.toml"
    file.write_text(emulator.scenario.dumps(scenario))
    script = (
        "import subprocess, sys; from emulator import Testbed\n"
        "with Testbed(sys.argv[1]) as testbed:\n"
        "    done = subprocess.run(sys.argv[2:], env=testbed.environment(), capture_output=True,\n"
        "                          text=True)\n"
        "    assert done.stderr == '', done.stderr\n"
        "    print(done.stdout.replace(str(testbed.folder), 'BED'))\n"
    )
    root = str(Path(emulator.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", script, str(file), *command],
        env=os.environ | {"PYTHONPATH": root},
        preexec_fn=as_nobody_special,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestOneCopy:
    def test_every_state_is_tested(self) -> None:
        assert {*REFUSALS, "present", "missing-symbols", "older-table"} == STATES.keys()

    @pytest.mark.parametrize("library", SONAMES)
    @pytest.mark.parametrize("state", REFUSALS)
    def test_is_refused_in_the_loaders_words(
        self, see: Callable[..., list[str]], state: str, library: str
    ) -> None:
        text = REFUSALS[state].format(soname=SONAMES[library], place="BED/lib")
        assert see(state, library)[0] == text

    @pytest.mark.parametrize("library", SONAMES)
    def test_is_found_where_it_is_present(
        self, see: Callable[..., list[str]], library: str
    ) -> None:
        assert see("present", library)[0].startswith("BED/lib/lib")

    def test_of_one_library_leaves_the_other_as_it_is(self, run_in: Callable[..., Done]) -> None:
        scenario = Scenario(gpus=[Gpu("t4", count=3)], loader={"cuda": "absent"})
        script = COUNT.replace('("libcuda.so.1", "cuInit", "cuDeviceGetCount")', "")
        assert run_in(scenario, [sys.executable, "-c", script]).stdout == "0 0 3\n"
        cuda = [sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"]
        assert "libcuda.so.1: cannot open shared object" in run_in(scenario, cuda).stderr

    def test_ends_a_program_that_is_linked_to_it(
        self, compile_c: Callable[..., Path], run_in: Callable[..., Done]
    ) -> None:
        program = compile_c(LINKED, str(stub("cuda", DRIVER)))
        assert run_in(Scenario(gpus=[Gpu("t4")]), [program]).returncode == 0
        done = run_in(Scenario(loader={"cuda": "absent"}), [program])
        assert done.returncode == 127
        assert done.stderr.endswith(
            "error while loading shared libraries: libcuda.so.1: cannot open shared object file: "
            "No such file or directory\n"
        )

    def test_links_stay_as_a_damaged_installation_has_them(self) -> None:
        with Testbed(Scenario(driver=DRIVER, loader={"cuda": "broken-symlink"})) as testbed:
            found = {path.name for path in testbed.libraries.glob("libcuda*")}
            assert found == {"libcuda.so", "libcuda.so.1"}
            assert (testbed.libraries / "libcuda.so.1").readlink() == Path(f"libcuda.so.{DRIVER}")
        with Testbed(Scenario(driver=DRIVER, loader={"cuda": "absent"})) as testbed:
            assert list(testbed.libraries.glob("libcuda*")) == []
        with Testbed(Scenario(driver=DRIVER, loader={"cuda": "empty"})) as testbed:
            assert (testbed.libraries / "libcuda.so").resolve().stat().st_size == 0

    def test_wrong_class_is_a_32_bit_library_to_those_who_look(self) -> None:
        with Testbed(Scenario(driver=DRIVER, loader={"nvml": "wrong-class"})) as testbed:
            file = testbed.libraries / f"libnvidia-ml.so.{DRIVER}"
            done = subprocess.run(
                ["readelf", "-hl", file], capture_output=True, text=True, check=True
            )
        assert "ELF32" in done.stdout
        assert "DYN (Shared object file)" in done.stdout
        assert done.stderr == ""


class TestUnreadable:
    def test_is_refused_to_those_who_read_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if os.geteuid():
            monkeypatch.setattr(libraries, "_opens", lambda _: True)
        scenario = Scenario(driver=DRIVER, loader={"nvml": "unreadable"})
        with pytest.raises(TestbedError) as caught, Testbed(scenario):
            pass
        assert str(caught.value) == (
            f"the scenario wants libnvidia-ml.so.{DRIVER} unreadable, but you read it all the "
            "same: run as another user than root, or without its capabilities CAP_DAC_OVERRIDE and "
            "CAP_DAC_READ_SEARCH"
        )

    def test_leaves_no_testbed_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emulator.testbed.testbed.tempfile.tempdir", str(tmp_path))
        monkeypatch.setattr(libraries, "_opens", lambda _: True)
        with pytest.raises(TestbedError), Testbed(Scenario(loader={"nvml": "unreadable"})):
            pass
        assert list(tmp_path.iterdir()) == []


class TestMissingDependency:
    def test_may_be_another_one(self, see: Callable[..., list[str]]) -> None:
        state = Loader("missing-dependency", needs="libnvidia-gpucomp.so.550.163.01")
        assert see(state)[0] == NOT_FOUND.format(soname="libnvidia-gpucomp.so.550.163.01")

    @pytest.mark.parametrize("library", SONAMES)
    @pytest.mark.parametrize("driver", DRIVERS)
    def test_is_what_ldd_says_too(self, driver: str, library: str) -> None:
        scenario = Scenario(driver=driver, loader={library: "missing-dependency"})
        with Testbed(scenario) as testbed:
            file = testbed.libraries / SONAMES[library]
            said = subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout
            exported = read_library(file).symbols.keys()
        assert "\tlibnvrm_gpu.so => not found\n" in said
        assert "\tlibc.so.6 => /" in said
        recorded = recorded_tables(library)[driver].symbols.keys()
        longest = max(map(len, recorded))
        assert [len(name) for name in recorded - exported] == [longest]

    def test_that_is_not_missing_here_is_refused(self) -> None:
        state = Loader("missing-dependency", needs="libm.so.6")
        with (
            Testbed(Scenario(driver=DRIVER, loader={"cuda": state})) as testbed,
            pytest.raises(TestbedError, match=r"wants libcuda.so.1 missing-dependency, but"),
        ):
            testbed.environment()


class TestMissingSymbols:
    def test_are_not_found(self, see: Callable[..., list[str]]) -> None:
        state = Loader("missing-symbols", symbols=["cuCtxCreate_v3", "cuMem*_v2"])
        names = ["cuCtxCreate_v2", "cuCtxCreate_v3", "cuMemGetInfo", "cuMemGetInfo_v2", "cuInit"]
        where = dict(line.split() for line in see(state, "cuda", *names)[1:] if line)
        assert [name for name in names if where[name] == "missing"] == [
            "cuCtxCreate_v3",
            "cuMemGetInfo_v2",
        ]

    @pytest.mark.parametrize("library", SONAMES)
    @pytest.mark.parametrize("driver", DRIVERS)
    def test_are_just_these_to_the_loader_and_to_those_who_read_the_file(
        self, run_in: Callable[..., Done], driver: str, library: str
    ) -> None:
        recorded = recorded_tables(library)[driver]
        gone = set(recorded.of_type("FUNC")[::3])
        state = Loader("missing-symbols", symbols=sorted(gone))
        scenario = Scenario(driver=driver, loader={library: state})
        command = [sys.executable, "-c", PYTHON_CLIENT, SONAMES[library], *recorded.symbols]
        said = run_in(scenario, command).stdout.splitlines()[1:]
        assert {line.split()[0] for line in said if line.endswith(" missing")} == gone
        assert len(said) == len(recorded.symbols)
        with Testbed(scenario) as testbed:
            file = testbed.libraries / SONAMES[library]
            left = {name: row for name, row in recorded.symbols.items() if name not in gone}
            assert read_library(file).symbols == left
            listing = subprocess.run(
                ["nm", "-D", "--defined-only", file], capture_output=True, text=True, check=True
            )
            assert {line.split()[2] for line in listing.stdout.splitlines()} == left.keys()
            checked = subprocess.run(
                ["readelf", "-aW", file], capture_output=True, text=True, check=True
            )
            assert checked.stderr == ""

    def test_may_be_all(self, see: Callable[..., list[str]]) -> None:
        state = Loader("missing-symbols", symbols="*")
        assert see(state, "nvml", "nvmlInit_v2", "nvmlInit")[1:3] == [
            "nvmlInit_v2 missing",
            "nvmlInit missing",
        ]

    def test_are_not_found_by_cuGetProcAddress_either(  # noqa: N802
        self, run_in: Callable[..., Done]
    ) -> None:
        state = Loader("missing-symbols", symbols=["cuMemGetInfo*"])
        script = (
            "import ctypes; cuda = ctypes.CDLL('libcuda.so.1'); where = ctypes.c_void_p()\n"
            "for name in (b'cuMemGetInfo', b'cuMemAlloc'):\n"
            "    where.value = None\n"
            "    print(cuda.cuGetProcAddress(name, ctypes.byref(where), 12000, "
            "ctypes.c_uint64(0)), bool(where.value))\n"
        )
        scenario = Scenario(driver=OLDER, gpus=[Gpu("t4")], loader={"cuda": state})
        done = run_in(scenario, [sys.executable, "-c", script])
        assert (done.stdout, done.stderr) == ("500 False\n0 True\n", "")


class TestOlderTable:
    def test_is_that_of_the_other_driver(self, see: Callable[..., list[str]]) -> None:
        state = Loader("older-table", driver=OLDER)
        lines = see(state, "nvml", "nvmlDeviceGetCount_v2", "nvmlDeviceGetMemoryInfo_v2")
        assert lines[1:3] == ["nvmlDeviceGetCount_v2 there", "nvmlDeviceGetMemoryInfo_v2 missing"]

    @pytest.mark.parametrize("older", list(DRIVERS)[:-1])
    def test_answers_as_the_scenario_says(self, run_in: Callable[..., Done], older: str) -> None:
        script = COUNT + (
            "nvml = ctypes.CDLL('libnvidia-ml.so.1'); text = ctypes.create_string_buffer(80)\n"
            "nvml.nvmlSystemGetDriverVersion(text, 80); print(text.value.decode())\n"
        )
        newest = list(DRIVERS)[-1]
        states = dict.fromkeys(SONAMES, Loader("older-table", driver=older))
        scenario = Scenario(driver=newest, gpus=[Gpu("t4", count=2)], loader=states)
        done = run_in(scenario, [sys.executable, "-c", script])
        assert (done.stdout, done.stderr) == (f"0 0 2\n0 0 2\n{newest}\n", "")

    def test_has_the_name_of_the_scenarios_driver(self) -> None:
        state = Loader("older-table", driver=OLDER)
        with Testbed(Scenario(driver=DRIVER, loader={"cuda": state})) as testbed:
            file = testbed.libraries / f"libcuda.so.{DRIVER}"
            assert file.read_bytes() == stub("cuda", OLDER).read_bytes()


class TestSeveralCopies:
    @pytest.mark.parametrize("state", PASSED_OVER)
    def test_the_loader_passes_over(self, see: Callable[..., list[str]], state: str) -> None:
        assert see([state, "present"])[0] == see("present")[0]

    @pytest.mark.parametrize("state", STOPPED_AT)
    def test_the_loader_stops_at(self, see: Callable[..., list[str]], state: str) -> None:
        text = REFUSALS[state].format(soname="libcuda.so.1", place="BED/lib.0")
        assert see([state, "present"])[0] == text

    def test_the_first_that_can_be_loaded_wins(self, see: Callable[..., list[str]]) -> None:
        older = Loader("older-table", driver=OLDER)
        name = "cuCtxCreate_v3", "cuGetProcAddress_v2"  # of 11.4 and of 12.0
        assert see([older, "present"], "cuda", *name)[1:3] == [
            "cuCtxCreate_v3 there",
            "cuGetProcAddress_v2 missing",
        ]
        assert see(["absent", "present", older], "cuda", *name)[2] == "cuGetProcAddress_v2 there"

    def test_none_can_be_loaded(self, see: Callable[..., list[str]]) -> None:
        assert see(["absent", "wrong-class", "broken-symlink"])[0] == (
            "libcuda.so.1: wrong ELF class: ELFCLASS32"
        )
        assert see(["absent", "broken-symlink"])[0] == NOT_FOUND.format(soname="libcuda.so.1")

    def test_lie_in_folders_in_the_order_of_the_path(self) -> None:
        loader = {"cuda": ["not-elf", "empty", "present"], "nvml": ["present", "present"]}
        with Testbed(Scenario(driver=DRIVER, loader=loader)) as testbed:
            path = testbed.environment({"LD_LIBRARY_PATH": "/mine"})["LD_LIBRARY_PATH"]
            bed = testbed.folder
            assert path == f"{bed}/lib.0:{bed}/lib.1:{bed}/lib:/mine"
            found = {
                folder.name: sorted(path.name for path in folder.glob("*.so.*.*"))
                for folder in testbed.search_path
            }
        cuda, nvml = f"libcuda.so.{DRIVER}", f"libnvidia-ml.so.{DRIVER}"
        assert found == {"lib.0": [cuda], "lib.1": [cuda, nvml], "lib": [cuda, nvml]}

    def test_find_their_testbed_without_the_environment(self) -> None:
        loader = {"cuda": ["present", "empty"], "nvml": ["wrong-class", "present"]}
        scenario = Scenario(gpus=[Gpu("t4", count=5)], loader=loader)
        with Testbed(scenario) as testbed:
            environment = {"LD_LIBRARY_PATH": testbed.environment({})["LD_LIBRARY_PATH"]}
            command = [sys.executable, "-c", COUNT]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True
            )
        assert (done.stdout, done.stderr) == ("0 0 5\n0 0 5\n", "")


class TestSystemsOwnLibrary:
    @pytest.fixture
    def system(self, tmp_path: Path) -> dict[str, str]:
        """The environment of a program that finds a libcuda of another make."""
        shutil.copy(stub("cuda", OLDER), tmp_path / "libcuda.so.1")
        return {"LD_LIBRARY_PATH": str(tmp_path)}

    @pytest.mark.parametrize("state", ["absent", "broken-symlink", "wrong-class"])
    def test_in_the_way_is_told(self, system: dict[str, str], tmp_path: Path, state: str) -> None:
        with Testbed(Scenario(loader={"cuda": state})) as testbed:
            assert testbed.environment({})
            with pytest.raises(TestbedError) as caught:
                testbed.environment(system)
        assert str(caught.value) == (
            f"the scenario wants libcuda.so.1 {state}, but programs would find {tmp_path}/"
            "libcuda.so.1, which is this system's: play it where that is not, such as in a "
            "container"
        )

    def test_that_is_broken_itself_is_told(self, system: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "libcuda.so.1").write_text("")
        with (
            Testbed(Scenario(loader={"cuda": "absent"})) as testbed,
            pytest.raises(
                TestbedError, match=r"would be told '.*/libcuda[.]so[.]1: file too short'"
            ),
        ):
            testbed.environment(system)

    @pytest.mark.parametrize("state", ["present", "empty", "not-elf"])
    def test_is_not_reached_by_other_states(self, system: dict[str, str], state: str) -> None:
        with Testbed(Scenario(loader={"cuda": state})) as testbed:
            assert testbed.environment(system)

    def test_in_the_way_is_one_line_of_nvemu_run(
        self, nvemu: Callable[..., Done], system: dict[str, str], tmp_path: Path
    ) -> None:
        file = tmp_path / "no-cuda.toml"
        file.write_text('loader = { cuda = "absent" }\n')
        environment = system | {"PATH": os.environ["PATH"]}
        done = nvemu("run", "--scenario", file, "--", "true", env=environment)
        assert done.returncode == 2
        assert done.stderr.startswith("nvemu: the scenario wants libcuda.so.1 absent, but")
        assert done.stderr.count("\n") == 1


class TestScenario:
    def test_in_toml_is_that_of_python(self) -> None:
        text = (
            "[loader]\n"
            'cuda = ["wrong-class", { state = "older-table", driver = "470.256.02" }]\n'
            'nvml = { state = "missing-symbols", symbols = "nvmlInit*" }\n'
        )
        loader = {
            "cuda": [Loader("wrong-class"), Loader("older-table", driver=OLDER)],
            "nvml": Loader("missing-symbols", symbols=("nvmlInit*",)),
        }
        assert loads(text) == Scenario(name=loads(text).name, loader=loader)
        assert Loader("missing-dependency") == Loader("missing-dependency", needs="libnvrm_gpu.so")

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("loader = 3", ":1: loader: expected a table with 'nvml' and 'cuda', found 3"),
            ("[loader]\ngl = 'absent'", ":2: loader.gl: expected 'nvml' or 'cuda', found 'gl'"),
            (
                "[loader]\ncuda = 'abscent'",
                ":2: loader.cuda: expected a loader state, found 'abscent'; did you mean 'absent'?",
            ),
            ("[loader]\ncuda = 1", ":2: loader.cuda: expected a loader state, found 1"),
            ("[loader]\ncuda = ['present', []]", ":2: loader.cuda[1]: expected a loader state"),
            ("[loader]\ncuda = []", ":2: loader.cuda: expected 1 to 16 copies"),
            (
                "[loader.cuda]\nstate = ['empty']",
                ":2: loader.cuda.state: expected a loader state, found ['empty']",
            ),
            (
                "[loader.cuda]\nstate = 'empty'\nsymbol = 'cuInit'",
                ":3: loader.cuda.symbol: no such key; did you mean 'symbols'?",
            ),
            (
                "[loader.cuda]\nstate = 'empty'\nsymbols = 'cuInit'",
                ":3: loader.cuda.symbols: expected it only with the state 'missing-symbols', "
                "found 'empty'",
            ),
            (
                "[loader.cuda]\nstate = 'missing-symbols'",
                ":1: loader.cuda.symbols: expected the functions that are missing, names or globs",
            ),
            (
                "[loader.cuda]\nstate = 'missing-symbols'\nsymbols = [3]",
                ":3: loader.cuda.symbols: expected a function name, a glob",
            ),
            (
                "[loader.cuda]\nstate = 'older-table'",
                ":1: loader.cuda.driver: expected a 'driver' with the state 'older-table', "
                "found none",
            ),
            (
                "[loader.cuda]\nstate = 'missing-dependency'\nneeds = '/lib/libm.so'",
                ":3: loader.cuda.needs: expected a library's name without a folder",
            ),
            (
                f"[loader.cuda]\nstate = 'missing-dependency'\nneeds = '{'x' * 51}'",
                ":3: loader.cuda.needs: expected 1 to 50 bytes",
            ),
        ],
    )
    def test_with_a_mistake_is_refused(self, text: str, complaint: str) -> None:
        with pytest.raises(ScenarioError) as caught:
            loads(text, "lab.toml")
        assert str(caught.value).startswith("lab.toml" + complaint)

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            (
                "[loader.cuda]\nstate = 'missing-symbols'\nsymbols = ['cuInit', 'cuCtxCreate_v9']",
                "lab.toml:4: loader.cuda.symbols[1]: expected a function that driver 550.163.01's "
                "cuda exports, found 'cuCtxCreate_v9'; did you mean 'cuCtxCreate_v",
            ),
            (
                "[loader.nvml]\nstate = 'missing-symbols'\nsymbols = 'cu*'",
                "lab.toml:4: loader.nvml.symbols[0]: expected a function that driver 550.163.01's "
                "nvml exports, found 'cu*'",
            ),
            (
                "[loader.cuda]\nstate = 'older-table'\ndriver = '555.58.02'",
                "lab.toml:4: loader.cuda.driver: expected a driver older than the scenario's "
                "550.163.01 (one of 470.256.02, 525.147.05, 535.261.03), found '555.58.02'",
            ),
        ],
    )
    def test_that_its_driver_contradicts_is_refused(self, text: str, complaint: str) -> None:
        scenario = loads(f"driver = '{DRIVER}'\n{text}", "lab.toml")
        with pytest.raises(ScenarioError) as caught:
            plan_of(scenario)
        assert str(caught.value).startswith(complaint)

    def test_with_an_older_table_than_the_oldest_is_refused(self) -> None:
        state = Loader("older-table", driver=OLDER)
        with pytest.raises(ScenarioError, match="none: it is the oldest"):
            plan_of(Scenario(driver=OLDER, loader={"cuda": [state, "present"]}))

    @pytest.mark.parametrize("states", ["absent", ["present", "empty"]])
    def test_cannot_be_played_in_this_process(self, states: Any) -> None:
        with (
            pytest.raises(EmulationError, match="needs a process of its own"),
            emulator.emulate(Scenario(loader={"cuda": states})),
        ):
            pass

    def test_a_capture_can_be_where_a_scenario_without_them_names_it(self, tmp_path: Path) -> None:
        file = tmp_path / "box.capture"
        file.write_bytes(dumps(Capture(Header(libraries={"nvml": Table(NEWEST)}))))
        said = "cuda is absent: .*; or write a scenario with capture = .* and no loader states"
        with pytest.raises(EmulationError, match=said), emulator.emulate(file):
            pass
        with emulator.emulate(Scenario(capture=str(file))):
            pass

    def test_of_libraries_that_are_present_can(self) -> None:
        with emulator.emulate(Scenario(gpus=[Gpu("t4")], loader={"cuda": "present"})) as machine:
            assert len(machine.devices) == 1


class TestEnvironment:
    def test_of_the_scenario_comes_before_that_of_the_caller(self) -> None:
        scenario = Scenario(environment={"CUDA_VISIBLE_DEVICES": "-1", "OTHER": ""})
        with Testbed(scenario) as testbed:
            made = testbed.environment({"CUDA_VISIBLE_DEVICES": "0", "MINE": "kept"})
        assert (made["CUDA_VISIBLE_DEVICES"], made["OTHER"], made["MINE"]) == ("-1", "", "kept")
        assert made["LD_LIBRARY_PATH"] == str(testbed.libraries)

    @pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "LD_PRELOAD", "NVEMU_TESTBED"])
    def test_may_not_have_what_nvemu_sets(self, name: str) -> None:
        with pytest.raises(ScenarioError, match=f"environment.{name}: "):
            Scenario(environment={name: "/mine"})

    def test_reaches_programs(self, run_in: Callable[..., Done]) -> None:
        scenario = Scenario(gpus=[Gpu("t4")], environment={"CUDA_VISIBLE_DEVICES": "-1"})
        lines = run_in(scenario, [sys.executable, "-c", COUNT]).stdout.splitlines()
        assert lines[0] == "0 0 1"
        assert lines[1].startswith("100 ")  # CUDA_ERROR_NO_DEVICE
