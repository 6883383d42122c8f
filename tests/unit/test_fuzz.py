"""`nvemu fuzz`: what it finds about a program, what it leaves behind, and what it says."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from emulator import Change, Fault, Gpu, Scenario
from emulator.fuzzing import Fuzzer, Outcome, draw, ends_programs
from emulator.fuzzing.shrinking import smaller
from emulator.plans import plan_of
from emulator.scenario import load, loads
from emulator.testbed.program import ProgramError

ROOT = Path(__file__).resolve().parents[2]

#: Fails in each of the ways there are; in C, as Python takes a tenth of a second to start.
FRAGILE = """
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (nvml == NULL) return 1;
    int (*init)(void) = dlsym(nvml, "nvmlInit_v2");
    int (*count)(unsigned *) = dlsym(nvml, "nvmlDeviceGetCount_v2");
    int (*handle)(unsigned, void **) = dlsym(nvml, "nvmlDeviceGetHandleByIndex_v2");
    int (*temperature)(void *, int, unsigned *) = dlsym(nvml, "nvmlDeviceGetTemperature");
    unsigned n = 0, degrees = 0;
    void *device = NULL;
    if (init() != 0) return 1;
    if (count(&n) != 0) return 7;
    for (unsigned i = 0; i < n && i < 8; i++) {
        if (handle(i, &device) != 0) { fprintf(stderr, "Traceback: no handle\\n"); return 0; }
        int status = temperature(device, 0, &degrees);
        if (status == 15) abort();
        if (status != 0 && status != 3) { if (fork() == 0) sleep(600); sleep(600); }
    }
    return 0;
}
"""

SCENARIOS = [
    Scenario(gpus=[Gpu("t4", temperature=3), Gpu("t4")]),
    Scenario(faults=[Fault("nvmlInit*", 9)]),
    Scenario(gpus=[Gpu("t4")], faults=[Fault("nvmlDeviceGetCount*", 999, calls="1-")]),
    Scenario(
        gpus=[Gpu("h100-sxm5-80gb", count=3), Gpu("t4", name="odd")],
        faults=[Fault("nvmlShutdown", 999), Fault("nvmlDeviceGetTemperature", 15, device=3)],
    ),
    Scenario(gpus=[Gpu("t4", utilization=7)], faults=[Fault("nvmlDeviceGetTemperature", 15)]),
    Scenario(
        gpus=[Gpu("rtx-4090")],
        faults=[Fault("nvmlDeviceGetTemperature", "TIMEOUT", device=0), Fault("cuInit", 3)],
    ),
    Scenario(gpus=[Gpu("t4")], faults=[Fault("nvmlDeviceGetHandleByIndex*", 4)]),
]


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("fragile")
    source = folder / "fragile.c"
    source.write_text(textwrap.dedent(FRAGILE))
    subprocess.run(["cc", "-o", folder / "fragile", source, "-ldl"], check=True)
    return str(folder / "fragile")


def left_running(program: str) -> list[int]:
    """The processes of a program, by its path."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(folder / "exe") == program:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


class TestFuzzer:
    def test_tells_what_goes_wrong_apart_and_makes_it_small(self, fragile):
        fuzzer = Fuzzer([fragile], timeout=1, expected=(0, 1), pattern=re.compile("Traceback"))
        findings = {finding.outcome.kind: finding for finding in fuzzer.run(SCENARIOS)}
        t4 = Gpu("t4")
        assert {kind: finding.scenario for kind, finding in findings.items()} == {
            "exit": Scenario(faults=[Fault("nvmlDeviceGetCount*", 999)]),
            "crash": Scenario(gpus=[t4], faults=[Fault("nvmlDeviceGetTemperature", 15)]),
            "hang": Scenario(gpus=[t4], faults=[Fault("nvmlDeviceGetTemperature", "TIMEOUT")]),
            "stderr": Scenario(gpus=[t4], faults=[Fault("nvmlDeviceGetHandleByIndex*", 4)]),
        }
        assert {kind: (f.outcome.status, f.outcome.call) for kind, f in findings.items()} == {
            "exit": (7, "nvmlDeviceGetCount_v2 = UNKNOWN"),
            "crash": (-signal.SIGABRT, "nvmlDeviceGetTemperature = GPU_IS_LOST"),
            "hang": (None, "nvmlDeviceGetTemperature = TIMEOUT"),
            "stderr": (0, "nvmlDeviceGetHandleByIndex_v2 = NO_PERMISSION"),
        }
        assert findings["crash"].count == 2
        assert str(findings["crash"].outcome) == "crash: SIGABRT"
        assert fuzzer.played == len(SCENARIOS)
        assert left_running(fragile) == [], "neither the program nor its child"

    def test_finds_nothing_about_a_program_that_is_right(self):
        fuzzer = Fuzzer(["true"])
        assert fuzzer.run(draw(10)) == []
        assert fuzzer.played + sum(fuzzer.unplayable.values()) == 10

    def test_what_this_system_cannot_play_is_counted(self):
        fuzzer = Fuzzer(["true"])
        bad = Scenario(gpus=[Gpu("t4")], faults=[Fault("nvmlDeviceGetName", 3, device=7)])
        assert fuzzer.run([bad]) == []
        ((reason, count),) = fuzzer.unplayable.items()
        assert (count, fuzzer.played) == (1, 0)
        assert "expected the index of one of 1 GPUs, found 7" in reason

    def test_no_such_program(self):
        with pytest.raises(ProgramError, match="there is no such program on PATH"):
            Fuzzer(["no-such-program"])

    def test_an_error_on_the_way_ends_what_runs(self, fragile):
        def progress(number: int, findings: object) -> None:
            raise KeyboardInterrupt

        hanging = Scenario(gpus=[Gpu("t4")], faults=[Fault("nvmlDeviceGetTemperature", 999)])
        fuzzer = Fuzzer([fragile], timeout=60, jobs=2)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            fuzzer.run([Scenario(), hanging, hanging], progress=progress)
        assert time.monotonic() - began < 10
        assert left_running(fragile) == []


class TestDraw:
    def test_a_seed_draws_the_same_each_time(self):
        first = draw(60, seed=3)
        assert draw(60, seed=3) == first
        assert draw(60, seed=4) != first
        assert len({repr(scenario) for scenario in first}) == 60
        assert first[0] == Scenario()

    def test_in_each_process_too(self, tmp_path):
        code = "import emulator.fuzzing as f; print(f.draw(30, seed=3))"
        drawn = {
            subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
                cwd=tmp_path,
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(drawn) == 1

    def test_scenarios_that_end_programs_are_told_apart(self):
        for fault in (
            *(Fault("cuInit", signal="SIGSEGV"), Fault("cuInit", exit=0)),
            *(Fault("cuInit", block=True), Fault("cuInit", delay="1 min")),
        ):
            assert ends_programs(Scenario(faults=[fault]), timeout=10)
        assert not ends_programs(Scenario(faults=[Fault("cuInit", 3, delay=1)]), timeout=10)
        assert not any(ends_programs(scenario, 1) for scenario in draw(100))


class TestSmaller:
    FULL = Scenario(
        gpus=[Gpu("h100-sxm5-80gb", count=2, temperature=3), Gpu("t4")],
        faults=[Fault("cuInit", 3, calls=2), Fault("nvmlDeviceGetName", 3, device=2)],
        changes=[Change(at=3, device=0, set={"temperature": 3})],
        environment={"A": "1"},
        clock="manual",
    )

    def test_each_can_be_played_and_is_another_one(self):
        found = list(smaller(self.FULL))
        assert all(plan_of(scenario) for scenario in found)
        assert self.FULL not in found

    def test_leads_down_to_nothing(self):
        scenario, steps = self.FULL, 0
        while (less := next(smaller(scenario), None)) is not None:
            scenario, steps = less, steps + 1
        assert scenario == Scenario()
        assert steps < 20


class TestCommand:
    def test_reports_saves_and_says_how_to_replay(self, fragile, nvemu, tmp_path):
        options = ("--scenarios", 40, "--timeout", 1, "--expect-exit", "0,1", "--stderr", "Trace")
        done = nvemu("fuzz", *options, "--gpus", "t4:2", "--", fragile, cwd=tmp_path)
        assert done.returncode == 1, done.stderr
        assert done.stderr == ""
        assert "40 scenarios played, " in done.stdout
        files = sorted((tmp_path / ".nvemu" / "failures").glob("*.toml"))
        assert files
        replays = re.findall(r"(?m)^\d+: (nvemu run --scenario (\S+) -- .+)$", done.stdout)
        assert sorted(tmp_path / file for _, file in replays) == files
        command, file = next(r for r in replays if "-hang-" not in r[1])
        again = nvemu(*shlex.split(command)[1:], cwd=tmp_path)
        assert again.returncode not in (0, 1) or "Trace" in again.stderr
        assert loads((tmp_path / file).read_text()).gpus in ((), (Gpu("t4"),))
        assert sorted(path.name for path in tmp_path.iterdir()) == [".nvemu"]

    def test_ends_with_0_when_there_is_nothing_to_report(self, nvemu, tmp_path):
        done = nvemu("fuzz", "--scenarios", 5, "--", "true", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"^\d scenarios played, 0 findings\n", done.stdout, re.MULTILINE)
        assert list(tmp_path.iterdir()) == []

    def test_plays_the_gallery(self, nvemu, tmp_path):
        """`false` fails in each, so that one finding counts them all."""
        options = ("--scenarios", 0, "--gallery", "--hostile", "--save", tmp_path / "found")
        done = nvemu("fuzz", *options, "--", "false", cwd=tmp_path)
        assert done.returncode == 1
        (file,) = (tmp_path / "found").glob("*.toml")
        assert file.name == "false-exit-1.toml"
        assert load(file).gpus == ()
        assert "driver-not-loaded" not in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (("--expect-exit", "a", "--", "true"), "expected exit statuses from 0 to 255"),
            (("--expect-exit", "256", "--", "true"), "expected exit statuses from 0 to 255"),
            (("--stderr", "(", "--", "true"), "expected a regular expression, found '('"),
            (("--gpus", "t5", "--", "true"), "expected a GPU profile, found 't5'"),
            (("--driver", "1", "--", "true"), "expected a driver version"),
            (("--timeout", "0", "--", "true"), "0.0 is not in the range x>0"),
            (("--", "no-such-program"), "cannot run no-such-program"),
            ((), "missing argument"),
        ],
    )
    def test_mistakes(self, arguments, problem, nvemu):
        done = nvemu("fuzz", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert problem in done.stderr
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_and_its_programs(self, number, fragile, start_nvemu, tmp_path):
        environment = os.environ | {"TMPDIR": str(tmp_path)}
        scenario = ("--scenarios", 200, "--timeout", 60, "--expect-exit", "0,1,7")
        process = start_nvemu("fuzz", *scenario, "--gpus", "t4", "--", fragile, env=environment)
        while not left_running(fragile):
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate()
        assert process.returncode == -number
        assert left_running(fragile) == []
        assert list(tmp_path.iterdir()) == []

    def test_without_hypothesis_it_says_what_to_install(self, tmp_path):
        program = (
            "import sys; sys.modules['hypothesis'] = None; sys.path.insert(0, sys.argv.pop(1))"
        )
        run = "; from emulator.cli import main; main()"
        command = [sys.executable, "-c", program + run, str(ROOT), "fuzz", "--", "true"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 2
        assert done.stderr.endswith('pip install "nvemu[fuzz]"\n')

    def test_outcomes_are_named_for_people(self):
        assert str(Outcome("exit", 7)) == "exit 7"
        assert str(Outcome("crash", -11)) == "crash: SIGSEGV"
        assert str(Outcome("hang", None)) == "hang"
