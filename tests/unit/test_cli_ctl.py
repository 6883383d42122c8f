"""`nvemu ctl`: running testbeds listed, looked at, and changed from another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Change, Fault, Gpu, Scenario, Testbed
from emulator.cli.ctl_words import FIELDS, figures_of, value
from emulator.scenario import ScenarioError
from emulator.testbed import launcher, running
from emulator.testbed.running import NotRunningError

ROOT = Path(__file__).resolve().parent.parent.parent
TWO = Scenario(
    name="two",
    gpus=[Gpu("t4", count=2, temperature=36)],
    faults=[Fault("nvmlDeviceGetName", device=1, calls="2-3", returns="TIMEOUT")],
)

Ctl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    with Testbed(TWO) as testbed:
        yield testbed


@pytest.fixture
def ctl(nvemu: Callable[..., Any], testbed: Testbed) -> Ctl:
    """`nvemu ctl ...`, steering this test's testbed."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = nvemu(
            "ctl", *arguments, env=os.environ | {"NVEMU_TESTBED": str(testbed.folder)}
        )
        return done

    return run


@pytest.fixture
def program(testbed: Testbed) -> Iterator[subprocess.Popen[str]]:
    """A program that has loaded a testbed's library, until its stdin is closed."""
    code = "import ctypes, sys; ctypes.CDLL('libnvidia-ml.so.1'); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=testbed.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        yield program
        program.kill()


def machine(testbed: Testbed) -> dict[str, Any]:
    """The devices as a program finds them that starts now."""
    code = (
        "import json, pynvml as n; n.nvmlInit()\n"
        "h = n.nvmlDeviceGetHandleByIndex(0)\n"
        "def ask(f, *a):\n"
        "    try: return f(*a)\n"
        "    except n.NVMLError as e: return e.value\n"
        "print(json.dumps({'temperature': ask(n.nvmlDeviceGetTemperature, h, 0),\n"
        "    'used': n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2).used,\n"
        "    'second': ask(n.nvmlDeviceGetHandleByIndex, 1) == 15}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=testbed.environment(), capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class TestList:
    def test_has_a_line_for_each(
        self, ctl: Ctl, testbed: Testbed, program: subprocess.Popen[str]
    ) -> None:
        head, *lines = ctl("list").stdout.splitlines()
        assert head.split() == ["ID", "SCENARIO", "LAUNCHER", "AGE", "PROCESSES", "FOLDER"]
        (line,) = (line for line in lines if str(testbed.folder) in line)
        identity, scenario, pid, age, unit, *processes, folder = line.split()
        assert f"nvemu-{identity}" == testbed.folder.name
        assert (scenario, pid, unit) == ("two", str(os.getpid()), "s")
        assert int(age) < 60
        assert processes[0] == str(program.pid)
        assert folder == str(testbed.folder)

    def test_as_data(self, ctl: Ctl, testbed: Testbed, program: subprocess.Popen[str]) -> None:
        found = json.loads(ctl("list", "--json").stdout)
        (mine,) = (each for each in found if each["folder"] == str(testbed.folder))
        assert mine["launcher"] == os.getpid()
        assert [process["pid"] for process in mine["processes"]] == [program.pid]

    def test_finds_one_in_another_temporary_folder_by_its_programs(
        self, ctl: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emulator.testbed.testbed.tempfile.tempdir", str(tmp_path))
        with Testbed(TWO) as elsewhere:
            command = ["sleep", "60"]
            with subprocess.Popen(command, env=elsewhere.environment()) as program:
                try:
                    assert str(elsewhere.folder) in ctl("list").stdout
                finally:
                    program.kill()

    def test_has_none_of_others_making(self, testbed: Testbed) -> None:
        assert testbed.folder in [each.folder for each in running.every()]
        for path, mode in ((testbed.folder, 0o702), (testbed.folder / "plan.json", 0o620)):
            before = path.stat().st_mode
            path.chmod(mode)
            assert testbed.folder not in [each.folder for each in running.every()]
            path.chmod(before)

    def test_says_when_there_is_none(self, nvemu: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
        found = running.every()
        monkeypatch.setattr(running, "_running", lambda: iter(()))
        with pytest.raises(NotRunningError, match="one running testbed; none is running"):
            running.find()
        monkeypatch.setattr(running, "_running", lambda: iter(found * 2))
        if found:
            with pytest.raises(NotRunningError, match=f"launcher.*{found[0].id}"):
                running.find()


class TestChoosing:
    def test_by_id_folder_or_process(
        self, testbed: Testbed, program: subprocess.Popen[str]
    ) -> None:
        identity = testbed.folder.name.removeprefix("nvemu-")
        for which in (identity, testbed.folder.name, testbed.folder, str(program.pid)):
            assert running.find(which).folder == testbed.folder

    def test_of_what_is_not_there_lists_what_is(self, nvemu: Ctl, testbed: Testbed) -> None:
        done = nvemu("ctl", "show", "-t", "nowhere")
        assert done.returncode == 2
        assert done.stderr.startswith(
            "nvemu: expected the id, folder or a process of a running testbed, found nowhere; "
        )
        assert f"{testbed.folder.name[6:]} (two, {os.getpid()})" in done.stderr

    def test_is_the_programs_own_within_a_run(self, nvemu: Ctl, nvemu_command: list[str]) -> None:
        code = (
            "import subprocess, pynvml; pynvml.nvmlInit()\n"
            f"subprocess.run({[*nvemu_command, 'ctl', 'set', 'all', 'temperature=77']})\n"
            "print(pynvml.nvmlDeviceGetTemperature(pynvml.nvmlDeviceGetHandleByIndex(0), 0))\n"
        )
        done = nvemu("run", "--", sys.executable, "-c", code)
        assert done.stdout == "all GPUs: temperature=77\n77\n"


class TestChanging:
    def test_figures(self, ctl: Ctl, testbed: Testbed) -> None:
        done = ctl("set", "0", 'memory.used="1 GiB"', "temperature=95")
        assert done.stdout == 'GPU 0: memory.used="1 GiB", temperature=95\n'
        assert machine(testbed) == {"temperature": 95, "used": 1 << 30, "second": False}

    def test_a_gpu_is_killed_and_restored(self, ctl: Ctl, testbed: Testbed) -> None:
        assert ctl("kill", "1").stdout == "GPU 1: lost\n"
        assert machine(testbed)["second"]
        assert ctl("restore", "1").stdout == "GPU 1: works again\n"
        assert not machine(testbed)["second"]

    def test_several_gpus_are_killed_and_restored(self, ctl: Ctl, testbed: Testbed) -> None:
        def failures() -> list[str | None]:
            devices = running.find(testbed.folder).session.machine.devices
            return [device.failure for device in devices]

        assert ctl("kill", "0,1").stdout == "GPUs 0,1: lost\n"
        assert failures() == ["lost", "lost"]
        assert ctl("restore", "0,1").stdout == "GPUs 0,1: work again\n"
        assert failures() == [None, None]
        assert ctl("kill", "all").stdout == "all GPUs: lost\n"
        assert ctl("restore", "all").stdout == "all GPUs: work again\n"
        assert failures() == [None, None]

    def test_faults_come_and_go_by_name(self, ctl: Ctl, testbed: Testbed) -> None:
        ctl("set", "0", "temperature=36")  # no fault, and does not count as one
        done = ctl("fail", "nvmlDeviceGetTemp*", "--device", 0, "--returns", "TIMEOUT")
        assert done.stdout == "added the fault live[0]\n"
        assert machine(testbed)["temperature"] == 10
        done = ctl("fail", "nvmlDeviceGetTemperature", "--returns", 15, "--name", "hot")
        assert done.stdout == "added the fault hot\n"
        assert machine(testbed)["temperature"] == 15
        assert ctl("clear", "hot").stdout == "cleared hot\n"
        assert machine(testbed)["temperature"] == 10
        done = ctl("fail", "nvmlDeviceGetName", "--returns", 3)
        assert done.stdout == "added the fault live[2]\n"
        assert ctl("clear").stdout == "cleared live[2], live[0], fault[0]\n"
        assert ctl("clear").stdout == "there is no fault to clear\n"
        assert machine(testbed)["temperature"] == 36

    def test_a_blocked_call_is_released(self, ctl: Ctl, testbed: Testbed) -> None:
        ctl("fail", "nvmlDeviceGetTemperature", "--block", "--name", "stuck")
        code = (
            "import pynvml as n; n.nvmlInit(); h = n.nvmlDeviceGetHandleByIndex(0); print(1, "
            "flush=True); print(n.nvmlDeviceGetTemperature(h, 0))"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], env=testbed.environment(), stdout=-1, text=True
        ) as program:
            assert program.stdout is not None
            program.stdout.readline()
            time.sleep(0.2)
            assert program.poll() is None
            assert ctl("release", "stuck").stdout == "released what stuck blocks\n"
            assert program.stdout.read() == "36\n"

    def test_the_clock_is_put_forward(self, ctl: Ctl, testbed: Testbed) -> None:
        said = ctl("advance", "1 h").stdout
        assert said.startswith("the clock is at 36")
        assert running.find(testbed.folder).session.machine.clock.elapsed() > 3600e9

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["set", "5", "temperature=9"], "expected the index of one of 2 GPUs, found 5"),
            (["set", "0,5", "temperature=9"], "expected the index of one of 2 GPUs, found 5"),
            (["set", "0", "temprature=9"], "temprature: no figure 'temprature'; did you mean"),
            (["set", "0", "temperature=hot"], "temperature.gpu: expected an integer"),
            (["set", "0", "memory.used=x"], "memory.used: expected an integer of bytes or a size"),
            (["set", "0", "device=1"], "device: no figure 'device'"),
            (["set", "0", "temperature"], "expected NAME=VALUE, found 'temperature'"),
            (["set", "0", "memory=1", "memory.used=1"], "expected a figure or figures in it"),
            (["set", "0", "name=a", "name=b"], "expected each name once, found 'name' twice"),
            (["kill", "a100"], "expected the UUID or the profile of a GPU"),
            (["fail", "nvmlDeviceGetTemp", "--returns", "3"], "function: expected an exported"),
            (["fail", "nvmlInit_v2", "--returns", "NOPE"], "returns: expected a code of nvml"),
            (["fail", "nvmlInit_v2"], "expected something to happen"),
            (["fail", "nvmlInit_v2", "--block", "--calls", "0"], "calls: expected a call number"),
            (["fail", "nvmlInit_v2", "--block", "--process", "1"], "process: expected the name of"),
            (["fail", "nvmlInit_v2", "--exit", "x"], "exit: expected an integer from 0 to 255"),
            (["clear", "hott"], "expected the name of a fault, found 'hott'; did you mean 'fault["),
            (["release", "x"], "expected the name of a fault, found 'x'; known: fault[0]"),
            (["advance", "soon"], "expected a number of seconds or a time such as '200 ms'"),
            (["advance", "-3"], "expected a number of seconds or a time such as '200 ms'"),
        ],
        ids=" ".join,
    )
    def test_mistakes_are_one_line_and_change_nothing(
        self, ctl: Ctl, testbed: Testbed, arguments: list[str], problem: str
    ) -> None:
        done = ctl(*arguments)
        assert done.returncode == 2
        assert done.stdout == ""
        if "hott" in arguments:  # too far from any name
            problem = problem.partition(";")[0]
        assert done.stderr.startswith(f"nvemu: {problem}")
        assert len(done.stderr.splitlines()) == 1
        assert testbed.control.entries() == []

    def test_a_damaged_journal_is_an_error(self, ctl: Ctl, testbed: Testbed) -> None:
        ctl("set", "0", "temperature=50")
        journal = testbed.folder / "journal"
        os.truncate(journal, 20)
        for command in (["set", "0", "temperature=60"], ["show"]):
            done = ctl(*command)
            assert done.returncode == 2
            assert done.stderr == f"nvemu: {journal} is damaged: it is shorter than it was\n"
        assert journal.stat().st_size == 20


class TestShow:
    def test_the_machine_as_it_is_now(
        self, ctl: Ctl, testbed: Testbed, program: subprocess.Popen[str]
    ) -> None:
        testbed.control.set(0, temperature=95, memory_used="10 GiB")
        testbed.control.kill(1)
        testbed.control.fail("getters", library="nvml", returns="TIMEOUT", delay=1, name="slow")
        lines = ctl("show").stdout.splitlines()
        words = [line.split() for line in lines]
        assert words[0] == ["testbed", f"{testbed.folder},", "launcher", str(os.getpid())]
        assert ["scenario", "two"] in words
        assert words[4][:2] == ["process", str(program.pid)]
        head = lines.index(next(line for line in lines if line.startswith("GPU")))
        first, second = lines[head + 1], lines[head + 2]
        assert first.split()[:4] == ["0", "Tesla", "T4", "works"]
        assert "10240 of 15360 MiB  95 C" in first
        assert second.split()[:4] == ["1", "Tesla", "T4", "lost"]
        slow, own = words[-7], words[-6]
        assert slow[0] == "slow"
        assert slow[2:] == ["of", "nvml", "all", "delay,", "TIMEOUT"]
        assert own == ["fault[0]", "nvmlDeviceGetName", "GPU", "1,", "calls", "2-3", "TIMEOUT"]
        assert lines[-1] == "  fail slow"

    def test_what_programs_hold(self, ctl: Ctl, testbed: Testbed) -> None:
        testbed.control.set(1, memory_used="1 GiB")
        code = (
            "import ctypes; cuda = ctypes.CDLL('libcuda.so.1'); cuda.cuInit(0)\n"
            "cuda.cuCtxCreate_v2(ctypes.byref(ctypes.c_void_p()), 0, 1)\n"
            "cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(1 << 30))\n"
            "print(flush=True); input()"
        )
        environment = testbed.environment() | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        with subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdin=-1, stdout=-1, text=True
        ) as program:
            assert program.stdout is not None
            program.stdout.readline()
            lines = [line.split() for line in ctl("show").stdout.splitlines()]
            first, second = json.loads(ctl("show", "--json").stdout)["devices"]
            program.kill()
        held = second["processes"][0]["memory"]
        assert held > 1 << 30
        expected = {"pid": program.pid, "name": sys.executable, "memory": held}
        assert (first["processes"], second["processes"]) == ([], [expected])
        assert (first["memory"]["used"], second["memory"]["used"]) == (0, held + (1 << 30))
        assert ["1", str(program.pid), str(held >> 20), "MiB", sys.executable] in lines
        again = json.loads(ctl("show", "--json").stdout)["devices"]
        assert again[1]["memory"]["used"] == 1 << 30

    def test_as_data(self, ctl: Ctl, testbed: Testbed) -> None:
        testbed.control.set(0, temperature=95)
        testbed.control.advance(60)
        found = json.loads(ctl("show", "--json").stdout)
        assert [gpu["temperature"] for gpu in found["devices"]] == [95, 36]
        assert found["clock"]["elapsed"] > 60e9
        assert [rule["name"] for rule in found["faults"]] == ["fault[0]"]
        assert [{*entry} - {"t"} for entry in found["journal"]] == [{"change"}, {"advance"}]

    def test_runs_nothing_of_the_scenarios(self, nvemu: Ctl, tmp_path: Path) -> None:
        trap = tmp_path / "trap.py"
        trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\ndef heat(machine): pass\n")
        change = Change(run=f"{trap}:heat", set={"temperature": 70})
        with Testbed(Scenario(gpus=[Gpu("t4")], changes=[change])) as testbed:
            testbed.control.change(change)
            done = nvemu("ctl", "show", "-t", testbed.folder)
        assert "70 C" in done.stdout
        assert not (tmp_path / "sprung").exists()


class TestLeftBehind:
    @pytest.fixture
    def killed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of a testbed whose launcher was killed, in a temporary folder of its own."""
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        code = (
            f"import sys, time; sys.path.insert(0, {str(ROOT)!r}); from emulator import Testbed\n"
            "with Testbed() as t: print(t.folder, flush=True); time.sleep(60)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=-1, text=True) as process:
            assert process.stdout is not None
            folder = Path(process.stdout.readline().strip())
            assert launcher.keeper(folder) == process.pid
            process.kill()
        assert folder.parent == tmp_path
        return folder

    def test_is_not_running_and_is_removed(
        self, testbed: Testbed, killed: Path, nvemu: Ctl
    ) -> None:
        assert killed not in [each.folder for each in running.every()]
        assert f"removed {killed}" in nvemu("ctl", "clean").stdout.splitlines()
        assert not killed.exists()
        assert testbed.folder.exists()

    def test_stays_while_programs_use_it(self, killed: Path, nvemu: Ctl) -> None:
        code = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(flush=True); input()"
        command = [sys.executable, "-c", code, str(killed / "lib" / "libcuda.so.1")]
        with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as program:
            assert program.stdout is not None
            program.stdout.readline()
            done = nvemu("ctl", "clean")
            program.kill()
        assert f"nvemu: {killed} stays, as programs still use it" in done.stderr.splitlines()
        assert killed.exists()

    def test_stays_while_programs_name_it(
        self, killed: Path, nvemu: Ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A program that has not loaded its libraries may do so yet."""
        link = tmp_path / "link"
        link.symlink_to(tmp_path)
        monkeypatch.setenv("TMPDIR", str(link))
        for named in (killed, link / killed.name):
            with subprocess.Popen(["sleep", "60"], env={"NVEMU_TESTBED": str(named)}) as program:
                done = nvemu("ctl", "clean")
                program.kill()
            assert f"nvemu: {killed} stays, as programs still use it" in done.stderr.splitlines()
            assert killed.exists()
        assert f"removed {killed}" in nvemu("ctl", "clean").stdout.splitlines()

    def test_and_not_provably_nvemus_stays(self, killed: Path, nvemu: Ctl) -> None:
        (killed / "journal").chmod(0o666)
        nvemu("ctl", "clean")
        assert killed.exists()

    def test_a_forks_child_does_not_keep_its_parents(self) -> None:
        with Testbed(TWO) as testbed:
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(write, b"\n")
                signal.pause()
            os.read(read, 1)
            launcher.let_go(testbed._kept)
            try:
                assert launcher.keeper(testbed.folder) is None
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


class TestWords:
    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("95", 95),
            ("0.5", 0.5),
            ("true", True),
            ("10 GiB", "10 GiB"),
            ('"10 GiB"', "10 GiB"),
            ("'95'", "95"),
            ("[1, 2]", [1, 2]),
            ("{gpu = 3}", {"gpu": 3}),
            ("N/A", "N/A"),
            ("2024-01-01", "2024-01-01"),
            ("1\nx = 2", "1\nx = 2"),
            ("", ""),
            ("[" * 5000, "[" * 5000),
        ],
    )
    def test_are_toml_or_text(self, text: str, meant: object) -> None:
        assert value(text) == meant

    def test_with_dots_are_tables(self) -> None:
        words = ["memory.used=1", "memory.total=2", "name=x=y"]
        assert figures_of(words) == {"memory": {"used": 1, "total": 2}, "name": "x=y"}
        with pytest.raises(ScenarioError, match="expected NAME=VALUE"):
            figures_of(["memory.=1"])

    def test_every_field_of_a_fault_is_an_option_with_its_description(self, nvemu: Ctl) -> None:
        from emulator.cli.ctl import fail

        options = {each.name: each for each in fail.params}
        assert {*FIELDS, "function", "testbed"} == options.keys()
        assert all(len(options[name].help) > 15 for name in FIELDS)  # type: ignore[attr-defined]

    def test_of_every_option_make_the_fault(self, ctl: Ctl, testbed: Testbed) -> None:
        hook = Path(__file__).with_name("live_host.py")
        ctl(
            *("fail", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetTemperature", "--library", "nvml"),
            *("--device", 0, "--device", "t4", "--process", "python*", "--thread", "main"),
            *("--time", "1 s-2 s", "--after", "nvmlInit*", "--calls", 2, "--calls", "4-"),
            *("--probability", 0.5, "--seed", 7, "--delay", "1 ms", "--block", "--signal", "TERM"),
            *("--exit", 0, "--run", f"{hook}:main", "--name", "42"),
        )
        ctl(
            *("fail", "nvmlDeviceGetMemoryInfo", "--returns", 0, "--writes", "memory.total=5"),
            *("--corrupt", "memory.used=max"),
        )
        first, second = (entry["faults"][0] for entry in testbed.control.entries())
        assert first["name"] == "42"
        assert first["functions"] == ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetTemperature"]
        assert first["devices"] == [0, 1]
        assert first["calls"] == [[2, 2, 1], [4, None, 1]]
        assert (first["process"], first["thread"]) == ("python*", "main")
        assert first["time"] == [1_000_000_000, 2_000_000_000]
        assert (first["probability"], first["seed"], first["delay"]) == (0.5, 7, 1_000_000)
        assert (first["block"], first["signal"], first["exit"]) == (True, 15, 0)
        assert first["run"] == [str(hook), "main"]
        assert second["code"] == 0
        assert second["writes"] == {"memory": {"total": 5}}
        assert second["corrupt"] == {"memory.used": "max"}
