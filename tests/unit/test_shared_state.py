"""What a program sets: every process of the testbed sees it, and no two set at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from errno import ENOLCK, ENOSPC
from signal import SIGKILL

import pynvml
import pytest
from nvml_client import playing, refused

from emulator import Gpu, Scenario, emulate
from emulator.runtime.planfile import plan as plan_in
from emulator.runtime.session import Session
from emulator.testbed import Testbed

SCENARIO = Scenario(name="two", user="root", gpus=[Gpu("h100-sxm5-80gb", count=2)])

#: Sets or asks for the power limit of GPU 1, in watts.
CLIENT = """
import ctypes, sys
nvml = ctypes.CDLL("libnvidia-ml.so.1")
assert nvml.nvmlInit_v2() == 0
device = ctypes.c_void_p()
assert nvml.nvmlDeviceGetHandleByIndex_v2(1, ctypes.byref(device)) == 0
limit = ctypes.c_uint()
for argument in sys.argv[1:] or [""]:
    if argument:
        print(nvml.nvmlDeviceSetPowerManagementLimit(device, int(argument) * 1000))
    assert nvml.nvmlDeviceGetPowerManagementLimit(device, ctypes.byref(limit)) == 0
    print(limit.value // 1000)
"""


def run(testbed: Testbed, *arguments: object) -> list[str]:
    command = [sys.executable, "-c", CLIENT, *map(str, arguments)]
    environment = testbed.environment()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def session_of(testbed: Testbed) -> Session:
    folder = str(testbed.folder)
    return Session(plan_in(folder), folder)


class TestProcesses:
    def test_a_later_process_finds_what_an_earlier_one_has_set(self):
        with Testbed(SCENARIO) as testbed:
            assert run(testbed, 300, 100) == ["0", "300", "2", "300"]
            assert run(testbed) == ["300"]

    def test_one_that_runs_sees_it_with_its_next_call(self):
        with Testbed(SCENARIO) as testbed:
            here = session_of(testbed)
            run(testbed, 250)
            here.refresh()
            assert [device.power.limit for device in here.machine.devices] == [700_000, 250_000]

    def test_live_control_and_programs_speak_in_turn(self):
        with Testbed(SCENARIO) as testbed:
            run(testbed, 300)
            testbed.control.set(1, power={"limit": 400_000})
            assert run(testbed) == ["400"]
            assert run(testbed, 500) == ["0", "500"]
            told = [entry["change"]["set"] for entry in testbed.control.entries()]
            limits = [figures["power"]["limit"] for figures in told]
            assert limits == [300_000, 400_000, 500_000]

    def test_none_is_lost_when_many_add_at_once(self):
        with Testbed(SCENARIO) as testbed:
            sessions = [session_of(testbed) for _ in range(4)]

            def count(session: Session) -> None:
                for _ in range(25):
                    with session.machine.exclusive():
                        device = session.machine.devices[0]
                        replays = device.pci.replay_counter or 0
                        session.machine.alter(device, {"pci": {"replay_counter": replays + 1}})

            with ThreadPoolExecutor() as pool:
                list(pool.map(count, sessions))
            last = session_of(testbed)
            last.refresh()
            assert last.machine.devices[0].pci.replay_counter == 100

    def test_where_the_journal_may_not_be_written_to_it_stays_in_the_process(
        self, monkeypatch, capfd
    ):
        with Testbed(SCENARIO) as testbed:
            session = session_of(testbed)
            device = session.machine.devices[0]
            with monkeypatch.context() as patched:
                patched.setattr("emulator.runtime.journal.os.open", refuse)
                session.machine.alter(device, {"power": {"limit": 300_000}})
            assert device.power.limit == 300_000
        assert "what is set stays in this process" in capfd.readouterr().err

    def test_a_journal_that_is_gone_is_nobodys_loss(self):
        with Testbed(SCENARIO) as testbed:
            (testbed.folder / "journal").unlink()
            assert run(testbed, 300) == ["0", "300"]

    @pytest.mark.parametrize("written", [0, 10])
    def test_on_a_full_disk_it_stays_in_the_process_and_the_journal_is_whole(
        self, written: int, monkeypatch, capfd
    ):
        def full(file: int, line: bytes, place: int) -> int:
            if not written:
                raise OSError(ENOSPC, "No space left on device")
            return write(file, line[:written], place)

        write = os.pwrite
        with Testbed(SCENARIO) as testbed:
            session = session_of(testbed)
            device = session.machine.devices[1]
            with monkeypatch.context() as patched:
                patched.setattr("emulator.runtime.journal.os.pwrite", full)
                session.machine.alter(device, {"power": {"limit": 300_000}})
            assert device.power.limit == 300_000
            assert run(testbed, 250) == ["0", "250"]
            session.refresh()
            assert device.power.limit == 250_000
        assert "what is set stays in this process" in capfd.readouterr().err

    def test_a_lock_that_cannot_be_had_leaves_no_file_open(self, monkeypatch, capfd):
        def refuse_lock(*_: object) -> None:
            raise OSError(ENOLCK, "No locks available")

        with Testbed(SCENARIO) as testbed:
            session = session_of(testbed)
            device = session.machine.devices[1]
            monkeypatch.setattr("fcntl.flock", refuse_lock)
            before = os.listdir("/proc/self/fd")
            for limit in range(300_000, 300_010):
                session.machine.alter(device, {"power": {"limit": limit}})
            assert len(os.listdir("/proc/self/fd")) == len(before)
            assert device.power.limit == 300_009
        assert "No locks available" in capfd.readouterr().err

    def test_a_childs_life_does_not_prolong_its_dead_parents_lock(self):
        """The parent is killed while it changes the machine, after one of its threads forked."""
        with Testbed(SCENARIO) as testbed:
            command = [sys.executable, "-c", FORKING]
            with subprocess.Popen(command, env=testbed.environment(), stdout=-1, text=True) as made:
                assert made.stdout is not None
                child = int(made.stdout.readline())
                try:
                    assert run(testbed, 300) == ["0", "300"]  # else it waits for ever
                finally:
                    os.kill(child, SIGKILL)


#: Forks a child that lives on, while another thread sets something; then it is killed.
FORKING = """
import os, signal, threading, time
import pynvml

pynvml.nvmlInit()
from _nvemu.runtime import journal
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
within = threading.Event()

def append(self, entry):
    within.set()
    time.sleep(600)

journal.Writer.append = append
set_limit = pynvml.nvmlDeviceSetPowerManagementLimit
threading.Thread(target=set_limit, args=(handle, 400_000), daemon=True).start()
within.wait()
child = os.fork()
if not child:
    time.sleep(600)
print(child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def refuse(path: str, *_: object, **__: object) -> int:
    raise PermissionError(13, "Permission denied", path)


class TestUsers:
    def test_root_may(self):
        with playing("t4", user="root") as (machine, (gpu,)):
            pynvml.nvmlDeviceSetPersistenceMode(gpu, 1)
            assert machine.devices[0].persistence_mode

    def test_others_may_not(self):
        with playing("t4", user="unprivileged") as (machine, (gpu,)):
            with refused("NO_PERMISSION"):
                pynvml.nvmlDeviceSetPersistenceMode(gpu, 1)
            assert not machine.devices[0].persistence_mode

    @pytest.mark.parametrize(("uid", "may"), [(0, True), (1000, False)])
    def test_who_runs_the_program_counts_if_the_scenario_does_not_say(self, uid, may, monkeypatch):
        monkeypatch.setattr("os.geteuid", lambda: uid)
        with playing("t4") as (machine, _):
            assert machine.privileged is may

    def test_the_arguments_are_looked_at_first(self):
        with playing("t4", user="unprivileged"), refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceSetPersistenceMode(None, 1)

    def test_what_only_asks_is_for_everyone(self):
        with playing("t4", user="unprivileged") as (_, (gpu,)):
            assert pynvml.nvmlDeviceGetPersistenceMode(gpu) == 0


class TestElements:
    def test_one_of_a_list_is_set_by_its_position(self):
        with emulate(Scenario(gpus=[Gpu("rtx-4090")])) as machine:
            (device,) = machine.devices
            before = len(device.fans)
            machine.alter(device, {"fans": {"0": {"speed": 77}}})
            assert device.fans[0].speed == 77
            assert len(device.fans) == before
