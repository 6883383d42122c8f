"""Testbeds: what programs of one run share, and how a program is run in it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from typing import Any

import pytest

from emulator import Gpu, Machine, Scenario, Testbed, plans
from emulator.stubfiles import stub
from emulator.testbed import TestbedError, furnish
from emulator.testbed.program import ProgramError, Relay
from emulator.vocabulary import handlers

TWO = Scenario(name="two", gpus=[Gpu("t4", count=2)], driver="550.163.01")


class TestContent:
    def test_libraries_have_every_name_that_programs_ask_for(self) -> None:
        with Testbed(TWO) as testbed:
            for base, library in (("libcuda.so", "cuda"), ("libnvidia-ml.so", "nvml")):
                real = testbed.libraries / f"{base}.550.163.01"
                assert real.read_bytes() == stub(library, "550.163.01").read_bytes()
                assert not real.is_symlink()
                assert (testbed.libraries / base).resolve() == real
                assert (testbed.libraries / f"{base}.1").resolve() == real

    def test_libraries_bear_the_version_that_the_driver_says_it_is(self) -> None:
        with Testbed(TWO.but(driver_version="550.54.15")) as testbed:
            real = testbed.libraries / "libcuda.so.550.54.15"
            assert real.read_bytes() == stub("cuda", "550.163.01").read_bytes()
            assert (testbed.libraries / "libcuda.so.1").resolve() == real

    def test_plan_is_the_scenario_resolved(self) -> None:
        with Testbed(TWO) as testbed:
            plan = json.loads((testbed.folder / "plan.json").read_text())
        assert (plan["name"], plan["driver"], len(plan["gpus"])) == ("two", "550.163.01", 2)
        assert plan["trace"] is None

    def test_trace_is_a_file_of_the_testbed(self) -> None:
        with Testbed(TWO, trace=True) as testbed:
            plan = json.loads((testbed.folder / "plan.json").read_text())
            assert plan["trace"] == str(testbed.trace_file)
            assert testbed.trace_file.read_text() == ""

    def test_boot_file_leads_to_nvemu_and_a_python(self) -> None:
        with Testbed(TWO) as testbed:
            rows = (testbed.folder / "boot").read_text().splitlines()
        boot = dict(row.split("=", 1) for row in rows)
        assert (Path(boot["root"]) / "emulator" / "runtime" / "boot.py").is_file()
        assert boot["python"] == sys.executable
        assert boot["driver"] == "550.163.01"

    def test_is_private_and_removed_at_the_end(self) -> None:
        with Testbed(TWO) as testbed:
            assert testbed.folder.stat().st_mode & 0o777 == 0o700
        assert not testbed.folder.exists()

    def test_is_removed_when_it_cannot_be_furnished(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emulator.testbed.testbed.tempfile.tempdir", str(tmp_path))
        monkeypatch.setattr("emulator.testbed.libraries.stub", lambda *_: tmp_path / "missing")
        with pytest.raises(FileNotFoundError), Testbed(TWO):
            pass
        assert list(tmp_path.iterdir()) == []


class TestFurnishing:
    def test_again_replaces_what_differs_and_leaves_the_rest(self, tmp_path: Path) -> None:
        furnish(tmp_path, "550.163.01")
        cuda, nvml = (
            tmp_path / "lib" / f"{name}.so.550.163.01" for name in ("libcuda", "libnvidia-ml")
        )
        kept = nvml.stat().st_ino
        cuda.write_text("of another nvemu")
        (tmp_path / "lib" / "libcuda.so.1").unlink()
        furnish(tmp_path, "550.163.01")
        assert nvml.stat().st_ino == kept
        linked = tmp_path / "lib" / "libcuda.so"
        assert linked.read_bytes() == stub("cuda", "550.163.01").read_bytes()

    def test_a_folder_that_cannot_go_on_the_library_path_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a:b").mkdir()
        with pytest.raises(TestbedError, match="cannot go on LD_LIBRARY_PATH"):
            furnish(tmp_path / "a:b", "550.163.01")

    def test_a_folder_mounted_noexec_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mounted: Callable[..., Any] = lambda _: type("", (), {"f_flag": os.ST_NOEXEC})  # noqa: E731
        monkeypatch.setattr(os, "statvfs", mounted)
        with pytest.raises(TestbedError, match="mounted noexec: set TMPDIR"):
            furnish(tmp_path, "550.163.01")


class TestEnvironment:
    def test_adds_to_that_of_this_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MINE", "kept")
        monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
        with Testbed(TWO) as testbed:
            made = testbed.environment()
        assert made["MINE"] == "kept"
        assert made["LD_LIBRARY_PATH"] == str(testbed.libraries)
        assert made["NVEMU_TESTBED"] == str(testbed.folder)

    def test_or_to_a_given_one(self) -> None:
        with Testbed(TWO) as testbed:
            made = testbed.environment({"LD_LIBRARY_PATH": "/mine"})
        assert made.keys() == {"LD_LIBRARY_PATH", "NVEMU_TESTBED"}
        assert made["LD_LIBRARY_PATH"] == f"{testbed.libraries}:/mine"


class TestRun:
    @pytest.mark.parametrize(
        ("script", "status"), [("exit 3", 3), ("kill -SEGV $$", -signal.SIGSEGV), ("true", 0)]
    )
    def test_gives_back_the_status(self, script: str, status: int) -> None:
        with Testbed(TWO) as testbed:
            assert testbed.run(["sh", "-c", script]) == status

    def test_serves_in_any_thread(self) -> None:
        found: list[int] = []
        with Testbed(TWO) as testbed:
            thread = threading.Thread(target=lambda: found.append(testbed.run(["false"])))
            thread.start()
            thread.join(60)
        assert found == [1]

    def test_is_not_misled_by_threads_that_take_signals(self) -> None:
        stop = threading.Event()
        idle = threading.Thread(target=stop.wait)
        idle.start()
        try:
            with Testbed(TWO) as testbed:
                assert [testbed.run(["true"]) for _ in range(20)] == [0] * 20
        finally:
            stop.set()
            idle.join()

    def test_leaves_this_process_signals_as_they_were(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        handlers = [signal.getsignal(number) for number in (signal.SIGCHLD, signal.SIGINT)]
        with Testbed(TWO) as testbed:
            testbed.run(["true"])
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
        assert [signal.getsignal(n) for n in (signal.SIGCHLD, signal.SIGINT)] == handlers

    def test_what_cannot_run_is_an_error_with_a_shells_status(self) -> None:
        with Testbed(TWO) as testbed, pytest.raises(ProgramError, match="no-such") as caught:
            testbed.run(["no-such-program"])
        assert caught.value.status == 127


#: Each process starts one more, up to 300, and is gone after half a minute.
CHAIN = """
import os, time
for _ in range(300):
    if os.fork():
        time.sleep(30)
        os._exit(0)
    time.sleep(0.001)
"""


class TestRelay:
    def test_a_signal_that_came_before_the_program_keeps_it_from_starting(
        self, tmp_path: Path
    ) -> None:
        with Relay() as relay:
            os.kill(os.getpid(), signal.SIGTERM)
            assert relay.run(["touch", f"{tmp_path}/started"], os.environ) == -signal.SIGTERM
        assert not (tmp_path / "started").exists()

    def test_a_signal_that_is_ignored_here_does_not(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            with Relay() as relay:
                os.kill(os.getpid(), signal.SIGHUP)
                assert relay.run(["true"], os.environ) == 0
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_a_signal_that_came_after_the_program_is_dropped(self) -> None:
        with Relay() as relay:
            assert relay.run(["true"], os.environ) == 0
            os.kill(os.getpid(), signal.SIGTERM)

    def test_what_a_program_is_just_starting_ends_with_it(self) -> None:
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        with Relay() as relay:
            command = [sys.executable, "-S", "-c", CHAIN]
            assert relay.run(command, os.environ, timeout=0.3) == -signal.SIGKILL
            assert relay.timed_out
        os.close(writer)
        assert select([reader], [], [], 20)[0]  # nobody has the other end
        os.close(reader)

    @pytest.mark.parametrize("timeout", [math.inf, math.nan])
    def test_timeout_that_is_never(self, timeout: float) -> None:
        with Relay() as relay:
            assert relay.run(["true"], os.environ, timeout=timeout) == 0
            assert not relay.timed_out


UNHANDLED = (
    "import ctypes; L = ctypes.CDLL('libnvidia-ml.so.1'); L.nvmlInit_v2()\n"
    "print(L.nvmlUnitGetCount(None))\n"
)


FORGET = "from emulator import vocabulary; del vocabulary.handlers()['nvml']['nvmlUnitGetCount']; "


@pytest.fixture
def no_unit_count(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if nobody had written a handler for nvmlUnitGetCount."""
    plans.placed.cache_clear()
    monkeypatch.delitem(handlers()["nvml"], "nvmlUnitGetCount")
    yield
    plans.placed.cache_clear()


class TestStrictScenario:
    def test_names_what_nobody_answers(self, no_unit_count: None) -> None:
        with Testbed(Scenario(gpus=[Gpu("t4")], strict=True)) as testbed:
            environment = testbed.environment()
            for _ in range(2):
                subprocess.run([sys.executable, "-c", UNHANDLED], env=environment, check=True)
            assert testbed.unhandled == ["nvmlUnitGetCount"]

    def test_is_an_error_of_the_run(self, nvemu_command: list[str], tmp_path: Path) -> None:
        scenario = tmp_path / "strict.toml"
        scenario.write_text('strict = true\n[[gpu]]\nprofile = "t4"\n')
        *python, source = nvemu_command
        source = source.replace("main()", FORGET + "main()")
        command = ["run", "--scenario", scenario, "--", sys.executable, "-c", UNHANDLED]
        done = subprocess.run(
            [*python, source, *map(str, command)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 125
        assert done.stdout == "2\n"
        problem = "no handler answers nvmlUnitGetCount"
        assert done.stderr == f"nvemu: strict scenario: {problem}\n"


class TestPlanFile:
    def test_leaves_out_what_gpus_share_and_the_machine_is_the_same(self) -> None:
        gpus = [
            Gpu("h100-sxm5-80gb", count=4),
            Gpu("t4", temperature=70),
            Gpu("h100-sxm5-80gb", memory_used="1 GiB", figures={"fans": [{"speed": 3}]}),
            Gpu("t4"),
        ]
        with Testbed(Scenario(gpus=gpus)) as testbed:
            text = (testbed.folder / "plan.json").read_text()
            written, full = json.loads(text)["gpus"], testbed.plan["gpus"]
            assert len(json.dumps(written)) < 0.6 * len(json.dumps(full))
            read, whole = Machine(json.loads(text)), Machine(json.loads(json.dumps(testbed.plan)))
        for one, other in zip(read.devices, whole.devices, strict=True):
            assert figures(one) == figures(other)


def figures(group: Any) -> Any:
    """A device's figures, or a group's or a list's, as plain values."""
    if isinstance(group, list):
        return [figures(entry) for entry in group]
    names = [name for kind in type(group).__mro__ for name in getattr(kind, "__slots__", ())]
    known = {name: getattr(group, name) for name in names if name[0] != "_"}
    return {name: figures(value) for name, value in known.items()} if known else group
