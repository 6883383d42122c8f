"""Live control: what is said while programs run reaches their calls, and no call is lost."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import emulator
from emulator import Change, Fault, Gpu, Scenario, ScenarioError, Testbed
from emulator.control import JournalError
from emulator.runtime.journal import HEADER

HERE = Path(__file__).parent
TWO = Scenario(gpus=[Gpu("t4", count=2, temperature=36)])
SECOND = 1_000_000_000
LOST = 15

#: A program that does what it is told, a line of Python each time, and prints what came of it.
PUPPET = """
import os, signal, sys, threading, time
import pynvml

pynvml.nvmlInit()
gpus = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

def temp(gpu=0):
    try:
        return pynvml.nvmlDeviceGetTemperature(gpus[gpu], 0)
    except pynvml.NVMLError as error:
        return f"error {error.value}"
    except KeyboardInterrupt:
        return "interrupted"

def used():
    return pynvml.nvmlDeviceGetMemoryInfo(gpus[0]).used >> 20

def in_child(function):
    read, write = os.pipe()
    if os.fork() == 0:
        signal.alarm(20)
        pynvml.libLoadLock = threading.Lock()  # pynvml's own, which another thread may have held
        os.write(write, repr(function()).encode())
        os._exit(0)
    os.wait()
    os.close(write)
    return eval(os.fdopen(read).read())

print("ready", flush=True)
for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


class Puppet:
    """A program at work in a testbed."""

    def __init__(self, testbed: Testbed) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PUPPET],
            env=testbed.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._line() == "ready"

    def tell(self, what: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        return eval(self._line())

    def ask(self, what: str) -> Any:
        self.tell(what)
        return self.answer()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    """Two T4 of 36 degrees, traced."""
    with Testbed(TWO, trace=True) as testbed:
        yield testbed


@pytest.fixture
def puppet() -> Iterator[Callable[[Testbed], Puppet]]:
    """`puppet(testbed)`: a program there; a test that waits in vain fails after a minute."""
    started: list[Puppet] = []

    def start(testbed: Testbed) -> Puppet:
        started.append(Puppet(testbed))
        return started[-1]

    before = signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(60)
    yield start
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    for each in started:
        each.process.kill()
        each.process.communicate()


def _hangs(number: int, frame: object) -> None:
    raise TimeoutError("what the test awaits does not come")


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "what the test awaits does not come"
        time.sleep(0.005)


def is_blocked(testbed: Testbed, times: int = 1) -> bool:
    return testbed.trace_file.read_text().count('"BLOCKED"') >= times


def records(testbed: Testbed, function: str) -> list[dict[str, Any]]:
    lines = testbed.trace_file.read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["function"] == function]


class TestSixteenProcesses:
    def test_a_change_reaches_all_and_no_call_is_lost(
        self, testbed: Testbed, compile_c: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        program = compile_c((HERE / "live_host.c").read_text())
        commands = [[program], [sys.executable, HERE / "live_host.py"]]
        hosts = [
            subprocess.Popen(
                [*map(str, commands[number % 2]), "36", "95", "5"],
                env=testbed.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(16)
        ]
        for host in hosts:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
        time.sleep(0.3)
        said = time.monotonic_ns()
        testbed.control.set(0, temperature=95)
        time.sleep(0.7)
        answers = [tuple(map(int, host.communicate()[0].split())) for host in hosts]
        calls, changed, other = zip(*answers, strict=True)
        late = [(when - said) / 1e6 for when in changed]
        with capsys.disabled():
            print(f"\n16 processes, {sum(calls)} calls: changed after {max(late):.1f} ms at most")
        assert min(changed) > said
        assert max(late) < 2000
        assert set(other) == {0}
        assert len(records(testbed, "nvmlDeviceGetTemperature")) == sum(calls)


class TestFaults:
    def test_come_and_go_while_threads_are_inside_calls(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        program.ask("[sys.setswitchinterval(1e-5), globals().update(seen=[], go=True)]")
        loop = "lambda: [seen.append(temp()) for _ in iter(lambda: go, False)]"
        program.ask(f"[threading.Thread(target={loop}).start() for _ in range(4)]")
        for _ in range(30):
            name = testbed.control.fail("nvmlDeviceGetTemperature", returns=LOST)
            time.sleep(0.01)
            testbed.control.clear(name)
            time.sleep(0.01)
        program.ask("[globals().update(go=False), time.sleep(0.5)]")
        count, kinds = program.ask("len(seen), set(seen)")
        assert kinds == {36, f"error {LOST}"}
        assert program.ask("temp()") == 36
        assert len(records(testbed, "nvmlDeviceGetTemperature")) == count + 1

    def test_stand_before_the_scenarios_own(self, puppet: Callable[[Testbed], Puppet]) -> None:
        own = Fault("nvmlDeviceGetTemperature", returns="TIMEOUT")
        with Testbed(Scenario(gpus=[Gpu("t4", temperature=36)], faults=[own])) as testbed:
            program = puppet(testbed)
            assert program.ask("temp()") == "error 10"
            name = testbed.control.fail("nvmlDeviceGetTemperature", returns=LOST)
            assert program.ask("temp()") == f"error {LOST}"
            testbed.control.clear(name)
            assert program.ask("temp()") == "error 10"
            testbed.control.clear("fault[0]")
            assert program.ask("temp()") == 36

    def test_reach_both_libraries_of_a_process(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        count = "__import__('ctypes').CDLL('libcuda.so.1').cuInit(0)"
        assert program.ask(count) == 0
        testbed.control.fail("cuInit", returns=100)
        assert program.ask("temp()") == 36  # the other library hears of it first
        assert program.ask(count) == 100

    def test_by_the_number_of_a_process_is_refused(self, testbed: Testbed) -> None:
        with pytest.raises(ScenarioError, match=r"process: expected the name of a process"):
            testbed.control.fail("nvmlInit_v2", returns=1, process=1)
        assert testbed.control.entries() == []


class TestBlockedCalls:
    @pytest.fixture
    def program(self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]) -> Puppet:
        program = puppet(testbed)
        testbed.control.fail(
            "nvmlDeviceGetTemperature", block=True, returns="TIMEOUT", name="stuck"
        )
        program.tell("temp()")
        eventually(lambda: is_blocked(testbed))
        return program

    def test_released_go_on_and_the_next_is_blocked(
        self, program: Puppet, testbed: Testbed
    ) -> None:
        testbed.control.release("stuck")
        assert program.answer() == "error 10"
        program.tell("temp()")
        eventually(lambda: is_blocked(testbed, 2))
        testbed.control.release()
        assert program.answer() == "error 10"

    def test_cleared_go_on_and_the_next_is_not(self, program: Puppet, testbed: Testbed) -> None:
        testbed.control.clear("stuck")
        assert program.answer() == "error 10"
        assert program.ask("temp()") == 36

    def test_ctrl_c_reaches_a_python_program(self, program: Puppet) -> None:
        program.process.send_signal(signal.SIGINT)
        assert program.answer() == "interrupted"

    def test_other_threads_go_on(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        testbed.control.fail("nvmlDeviceGetTemperature", block=True, name="stuck")
        program.ask("threading.Thread(target=temp).start()")
        eventually(lambda: is_blocked(testbed))
        assert program.ask("used()") >= 0

    def test_sigterm_ends_a_c_program(
        self, testbed: Testbed, compile_c: Callable[..., Path]
    ) -> None:
        testbed.control.fail("nvmlDeviceGetTemperature", block=True)
        command = [compile_c((HERE / "live_host.c").read_text()), "36", "95", "1"]
        with subprocess.Popen(
            list(map(str, command)), env=testbed.environment(), stdin=-1, stdout=-1
        ) as host:
            eventually(lambda: is_blocked(testbed))
            host.terminate()
            assert host.wait(20) == -signal.SIGTERM

    def test_cleared_before_it_began_to_block_does_not(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        testbed.control.fail("nvmlDeviceGetTemperature", delay="500 ms", block=True, name="stuck")
        program.ask("threading.Thread(target=lambda: globals().update(done=temp())).start()")
        time.sleep(0.1)
        testbed.control.clear("stuck")
        program.ask("used()")  # the process hears of it while the call is delayed
        assert program.ask("[time.sleep(1), globals().get('done')][1]") == 36


class TestWhoHears:
    def test_a_process_that_starts_later_does_all_in_order(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        for temperature in (50, 60, 70):
            testbed.control.set(0, temperature=temperature)
        testbed.control.clear(testbed.control.fail("nvmlDeviceGetTemperature", returns=LOST))
        assert puppet(testbed).ask("temp(0), temp(1)") == (70, 36)

    def test_a_gpu_is_lost_and_comes_back(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        testbed.control.kill(1)
        assert program.ask("temp(0), temp(1)") == (36, f"error {LOST}")
        testbed.control.restore(1)
        assert program.ask("temp(1)") == 36

    def test_a_forks_child_hears_what_its_parent_has_and_what_comes(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        testbed.control.set(0, temperature=50)
        assert program.ask("in_child(temp)") == 50
        assert program.ask("temp()") == 50
        program.tell("in_child(lambda: [temp(), time.sleep(1), temp()])")
        time.sleep(0.5)
        testbed.control.set(0, temperature=60)
        assert program.answer() == [50, None, 60]

    def test_forks_in_the_midst_of_calls_and_news_do_not_hang(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        program.ask("[sys.setswitchinterval(1e-5), globals().update(go=True)]")
        loop = "lambda: [temp() for _ in iter(lambda: go, False)]"
        program.ask(f"[threading.Thread(target={loop}).start() for _ in range(3)]")
        program.tell("[in_child(temp) in (36, 'error 15') for _ in range(100)]")
        for _ in range(300):
            fault = Fault("nvmlDeviceGetTemperature", returns=LOST, process="nobody*")
            testbed.control.clear(testbed.control.fail(fault))
        assert program.answer() == [True] * 100
        program.ask("globals().update(go=False)")

    def test_a_process_without_a_free_file_descriptor_hears_of_it_later(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        assert program.ask("temp()") == 36
        limit = "__import__('resource').setrlimit(__import__('resource').RLIMIT_NOFILE, {})"
        program.ask(limit.format("(0, 4096)"))
        testbed.control.set(0, temperature=50)
        assert program.ask("temp()") == 36
        program.ask(limit.format("(4096, 4096)"))
        assert program.ask("temp()") == 50


#: A program whose signal handlers call, too, and that counts its Ctrl-C.
NERVOUS = """
import collections, signal, time
import pynvml

pynvml.nvmlInit()
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
seen = collections.Counter()

def temp():
    try:
        return pynvml.nvmlDeviceGetTemperature(gpu, 0)
    except pynvml.NVMLError as error:
        return f"error {error.value}"

def alarmed(*_):
    try:
        temp()
    finally:  # once at a time: they must not pile up on a busy machine
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

signal.signal(signal.SIGALRM, alarmed)
alarmed()
armed = False

def interrupted(*_):
    global armed
    seen["interrupt"] += 1
    if armed:  # else it would be raised where nobody catches it
        armed = False
        raise KeyboardInterrupt

signal.signal(signal.SIGINT, interrupted)
end = time.monotonic() + 2
print("ready", flush=True)
while time.monotonic() < end:
    try:
        armed = True
        while time.monotonic() < end:
            seen[temp()] += 1
        armed = False
    except KeyboardInterrupt:
        seen["raised"] += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(dict(seen), flush=True)
"""


def test_signal_handlers_that_call_and_raise_in_the_midst_of_news_lose_nothing() -> None:
    with (
        Testbed(TWO) as testbed,
        subprocess.Popen(
            [sys.executable, "-c", NERVOUS], env=testbed.environment(), stdout=-1, text=True
        ) as program,
    ):
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        end, sent = time.monotonic() + 1.7, 0
        while time.monotonic() < end:
            name = testbed.control.fail("nvmlDeviceGetTemperature", returns=LOST)
            program.send_signal(signal.SIGINT)
            time.sleep(0.005)
            testbed.control.clear(name)
            time.sleep(0.005)
            sent += 1
        seen = eval(program.communicate(timeout=30)[0])
    assert program.returncode == 0
    assert seen.keys() == {36, f"error {LOST}", "interrupt", "raised"}
    # Two that come before the program runs again are one to the kernel.
    assert sent // 2 < seen["interrupt"] <= sent


FORKS = r"""
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static int (*temperature)(void *, int, unsigned *), (*start_cuda)(unsigned);
static void *device;
static volatile int go = 1, odd;
static void *loop(void *unused)
{
    unsigned read;
    while (go) {
        int status = temperature(device, 0, &read);
        odd += status && status != 15;
        start_cuda(0);
    }
    return unused;
}
int main(void)
{
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW), *cuda = dlopen("libcuda.so.1", RTLD_NOW);
    int (*init)(void) = (int (*)(void))dlsym(nvml, "nvmlInit_v2");
    int (*handle)(unsigned, void **) =
        (int (*)(unsigned, void **))dlsym(nvml, "nvmlDeviceGetHandleByIndex_v2");
    temperature = (int (*)(void *, int, unsigned *))dlsym(nvml, "nvmlDeviceGetTemperature");
    start_cuda = (int (*)(unsigned))dlsym(cuda, "cuInit");
    pthread_t threads[3];
    int hung = 0, forks = 0;
    if (init() || handle(0, &device))
        return 1;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], 0, loop, 0);
    for (; forks < 60 && !hung; forks++) {
        pid_t child = fork();
        if (!child) {
            alarm(10);
            unsigned read;
            temperature(device, 0, &read);
            start_cuda(0);
            _exit(0);
        }
        waitpid(child, &hung, 0);
    }
    go = 0;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], 0);
    printf("%d forks, %d hung, %d odd\n", forks, hung, odd);
    return 0;
}
"""


def test_a_c_program_that_forks_among_threads_in_the_midst_of_news(
    compile_c: Callable[..., Path],
) -> None:
    with Testbed(TWO) as testbed:
        command = [str(compile_c(FORKS, "-pthread"))]
        with subprocess.Popen(command, env=testbed.environment(), stdout=-1, text=True) as program:
            end = time.monotonic() + 30
            while program.poll() is None and time.monotonic() < end:
                fault = Fault("nvmlDeviceGetTemperature", returns=LOST, process="nobody*")
                testbed.control.clear(testbed.control.fail(fault))
                testbed.control.set(0, temperature=50)
                time.sleep(0.001)
            program.kill()
            assert program.communicate()[0] == "60 forks, 0 hung, 0 odd\n"


WRITER = """
import sys
from pathlib import Path
from emulator.control import Control, Journal
from emulator.plans import plan_of
from emulator import Gpu, Scenario

gpus = plan_of(Scenario(gpus=[Gpu("t4", count=2)]))["gpus"]
control = Control(gpus, Journal(Path(sys.argv[1])))
for number in range(50):
    if number % 5:
        control.set(1, memory_used=int(sys.argv[2]) * 1000 + number)
    else:
        print(control.fail("nvmlInit_v2", returns=999))
"""


class TestJournal:
    def test_of_several_writers_loses_nothing(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        command = [sys.executable, "-c", WRITER, str(testbed.folder / "journal")]
        environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
        writers = [
            subprocess.Popen([*command, str(n)], env=environment, stdout=-1, text=True)
            for n in range(8)
        ]
        names = [name for writer in writers for name in writer.communicate()[0].split()]
        assert len(names) == len(set(names)) == 8 * 10
        used = [
            entry["change"]["set"]["memory"]["used"]
            for entry in testbed.control.entries()
            if "change" in entry
        ]
        assert sorted(used) == [w * 1000 + n for w in range(8) for n in range(50) if n % 5]
        for writer in range(8):
            mine = [value for value in used if value // 1000 == writer]
            assert mine == sorted(mine)
        last = "pynvml.nvmlDeviceGetMemoryInfo(gpus[1], version=pynvml.nvmlMemory_v2).used"
        testbed.control.clear()
        assert puppet(testbed).ask(last) == used[-1]

    def test_bears_a_writer_that_was_killed_half_way(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        testbed.control.set(0, temperature=50)
        with (testbed.folder / "journal").open("ab") as file:
            file.write(b'{"change": {"devices": [0], "set": {"temp')
        assert program.ask("temp()") == 50
        testbed.control.set(0, temperature=60)
        assert program.ask("temp()") == 60
        assert len(testbed.control.entries()) == 2

    @pytest.mark.parametrize("line", [b"{garbage}\n", b"\xff\xfe\n", b"[]\n", b'{"lock": 1}\n'])
    def test_what_is_garbage_in_it_is_passed_over_with_a_word(
        self, testbed: Testbed, line: bytes, run_python: Callable[..., Any]
    ) -> None:
        testbed.control.set(0, temperature=50)
        damage(testbed.folder / "journal", line)
        testbed.control.set(1, temperature=60)
        done = run_python(testbed, PUPPET, "temp(0), temp(1)\n")
        assert done.stdout == "ready\n(50, 60)\n"
        assert done.stderr.startswith("nvemu: ")
        assert len(done.stderr.splitlines()) == 1

    def test_garbage_in_it_is_an_error_for_whoever_reads_it_all(self, testbed: Testbed) -> None:
        damage(testbed.folder / "journal", b"{garbage}\n")
        with pytest.raises(JournalError, match="journal is damaged"):
            testbed.control.entries()

    def test_that_was_cut_short_is_an_error_and_stays_as_it_is(
        self, testbed: Testbed, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        program = puppet(testbed)
        testbed.control.set(0, temperature=50)
        assert program.ask("temp()") == 50
        journal = testbed.folder / "journal"
        os.truncate(journal, HEADER + 10)
        before = journal.read_bytes()
        with pytest.raises(JournalError, match="shorter than it was"):
            testbed.control.set(0, temperature=60)
        assert journal.read_bytes() == before
        assert program.ask("temp()") == 50

    def test_of_a_testbed_that_is_gone_leaves_its_programs_as_they_are(
        self, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        with Testbed(TWO) as testbed:
            program = puppet(testbed)
            testbed.control.set(0, temperature=50)
            assert program.ask("temp()") == 50
            testbed.control.set(0, temperature=60)
        assert program.ask("temp(), temp(1)") == (50, 36)
        with pytest.raises(FileNotFoundError):
            testbed.control.set(0, temperature=60)


def damage(journal: Path, line: bytes) -> None:
    """Append a line that no entry is."""
    content = journal.read_bytes() + line
    journal.write_bytes((len(content) - HEADER).to_bytes(HEADER, "little") + content[HEADER:])


@pytest.fixture
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_python(testbed, code, stdin)`: what the program did in the testbed."""

    def run(testbed: Testbed, code: str, told: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code]
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60}
        return subprocess.run(command, env=testbed.environment(), input=told, check=True, **options)

    return run


class TestClock:
    CHANGES = (
        Change(at="10 s", device=0, set={"temperature": 80}),
        Change(at="20 s", every="10 s", device=0, add={"memory_used": "1 GiB"}),
    )

    def test_advances_in_all_processes(self, puppet: Callable[[Testbed], Puppet]) -> None:
        scenario = Scenario(gpus=[Gpu("t4", temperature=36)], changes=self.CHANGES)
        with Testbed(scenario) as testbed:
            first = puppet(testbed)
            before = first.ask("temp(), used()")
            testbed.control.advance(31)
            second = puppet(testbed)
            for program in (first, second):
                assert program.ask("temp(), used()") == (80, before[1] + 2048)
            testbed.control.advance(10)
            for program in (second, first):
                assert program.ask("used()") == before[1] + 3072

    def test_by_hand_stands_until_it_is_advanced(self, puppet: Callable[[Testbed], Puppet]) -> None:
        scenario = Scenario(gpus=[Gpu("t4", temperature=36)], clock="manual", changes=self.CHANGES)
        with Testbed(scenario) as testbed:
            program = puppet(testbed)
            testbed.control.advance(9.999)
            assert program.ask("temp()") == 36
            testbed.control.advance(0.001)
            assert program.ask("temp()") == puppet(testbed).ask("temp()") == 80

    def test_orders_what_is_said_among_the_scenarios_changes(
        self, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        """Whatever a program did meanwhile: it called, it was idle, it had not started."""
        scenario = Scenario(gpus=[Gpu("t4", temperature=36)], clock="manual", changes=self.CHANGES)
        with Testbed(scenario) as testbed:
            busy, idle = puppet(testbed), puppet(testbed)
            testbed.control.set(0, temperature=50)
            assert busy.ask("temp()") == 50
            testbed.control.advance(15)
            assert busy.ask("temp()") == 80
            testbed.control.set(0, temperature=60)
            assert [program.ask("temp()") for program in (busy, idle, puppet(testbed))] == [60] * 3

    def test_of_the_wall_does_so_too(self, puppet: Callable[[Testbed], Puppet]) -> None:
        change = Change(at="2 s", set={"temperature": 80})
        scenario = Scenario(gpus=[Gpu("t4", temperature=36)], changes=[change])
        with Testbed(scenario) as testbed:
            start = json.loads((testbed.folder / "plan.json").read_text())["clock"]["start"]
            idle = puppet(testbed)
            testbed.control.set(0, temperature=50)
            assert time.time_ns() < start + 2 * SECOND, "this machine is too slow for the test"
            time.sleep(max(start + 2.1 * SECOND - time.time_ns(), 0) / SECOND)
            assert [program.ask("temp()") for program in (idle, puppet(testbed))] == [80] * 2
            testbed.control.set(0, temperature=60)
            assert [program.ask("temp()") for program in (idle, puppet(testbed))] == [60] * 2

    def test_changes_happen_once_whichever_thread_comes_first(
        self, puppet: Callable[[Testbed], Puppet]
    ) -> None:
        changes = [
            Change(at=0, every="1 ms", until="10 s", set={"temperature": 40}),
            Change(at=0, every="2 ms", until="10 s", add={"memory_used": "1 MiB"}),
        ]
        scenario = Scenario(gpus=[Gpu("t4", temperature=40)], clock="20x", changes=changes)
        with Testbed(scenario) as testbed:
            program = puppet(testbed)
            program.ask("[sys.setswitchinterval(1e-6), globals().update(seen=set(), go=True)]")
            loop = "lambda: [seen.add(temp()) for _ in iter(lambda: go, False)]"
            program.ask(f"[threading.Thread(target={loop}).start() for _ in range(6)]")
            time.sleep(1)
            program.ask("[globals().update(go=False), time.sleep(0.3)]")
            assert program.ask("seen") == {40}
            testbed.control.advance(10)
            assert program.ask("used()") == puppet(testbed).ask("used()")

    def test_does_not_go_back(self, testbed: Testbed) -> None:
        with pytest.raises(ValueError, match=r"expected a number of seconds .*, found -1"):
            testbed.control.advance(-1)


class TestInThisProcess:
    def test_the_end_lets_go_of_calls_that_are_blocked(self) -> None:
        statuses: list[int] = []
        with emulator.Emulation(TWO) as emulation:
            emulation.control.fail("nvmlInit_v2", block=True, returns=9)
            library = ctypes.CDLL("libnvidia-ml.so.1")
            thread = threading.Thread(target=lambda: statuses.append(library.nvmlInit_v2()))
            thread.daemon = True
            thread.start()
            time.sleep(0.1)
            assert statuses == []
        thread.join(20)
        assert statuses == [9]

    def test_says_the_same_at_once(self) -> None:
        import pynvml

        with emulator.Emulation(TWO) as emulation:
            pynvml.nvmlInit()
            gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
            emulation.control.set(0, temperature=95)
            assert pynvml.nvmlDeviceGetTemperature(gpu, 0) == 95
            names = [emulation.control.fail("nvmlDeviceGetName", returns=LOST) for _ in range(2)]
            assert names == ["live[0]", "live[1]"]
            emulation.control.clear()
            assert pynvml.nvmlDeviceGetName(gpu) == "Tesla T4"
            with pytest.raises(ScenarioError, match="index of one of 2 GPUs, found 2"):
                emulation.control.kill(2)
