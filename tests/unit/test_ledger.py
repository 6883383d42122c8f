"""What processes hold: across processes, and gone when they are."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import F_DUPFD, LOCK_EX, fcntl, lockf
from pathlib import Path
from types import SimpleNamespace

import pytest

from emulator.machine.ledger.ledger import Ledger, TakenError
from emulator.machine.ledger.records import HEADER, MOST, WORD
from emulator.machine.memory import Memory

GIB = 1 << 30
SIZE = 80 * GIB
HIGH = 200  # descriptors from here on are the test's own

#: Processes that allocate and die at random, and how many rounds of them.
CROWD = 64 if "NVEMU_STRESS" in os.environ else 16


def gpu(index: int = 0, mode: str = "DEFAULT", instances: int = 0) -> SimpleNamespace:
    """What the ledger looks at of a device, of 80 GiB."""
    memory = Memory({"total": SIZE, "reserved": 0, "used": 0})
    places = range(1 + instances)
    return SimpleNamespace(
        index=index,
        uuid=f"GPU-{index}",
        memory=memory,
        compute_mode=mode,
        place=0,
        places=places,
        instance=lambda place: None,
        processes=[],
        accounting=SimpleNamespace(enabled=False),
        utilization=SimpleNamespace(gpu=50, memory=20),
    )


def instance(device: SimpleNamespace, place: int, size: int) -> SimpleNamespace:
    """What it looks at of an instance of a device."""
    memory = Memory({"total": size, "reserved": 0, "used": 0})
    return SimpleNamespace(**{**vars(device), "place": place, "places": (place,), "memory": memory})


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def open_ledger(tmp_path: Path, said: list[str]) -> Callable[..., Ledger]:
    """A ledger of the test's folder, as a process opens it."""

    opened: list[Ledger] = []  # a process has it for as long as it lives

    def open_(*devices: object, folder: str = str(tmp_path)) -> Ledger:
        ledger = Ledger(devices or [gpu()])  # type: ignore[arg-type]
        opened.append(ledger)
        ledger.folder = folder
        ledger.say_once = lambda text: said.append(text) if text not in said else None
        return ledger

    return open_


class Child:
    """A forked process that does something and then waits until it is told to end."""

    def __init__(self, work: Callable[[], object]) -> None:
        ready, write = os.pipe()
        write_ready = fcntl(write, F_DUPFD, HIGH)
        os.close(write)
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                work()
                os.write(write_ready, b"1")
                while True:
                    signal.pause()
            except TakenError:
                code = 2
            finally:
                os._exit(code)
        os.close(write_ready)
        self.done = os.read(ready, 1) == b"1"
        os.close(ready)

    def kill(self) -> int:
        os.kill(self.pid, signal.SIGKILL)
        return os.waitpid(self.pid, 0)[1]


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[], object]], Child]]:
    children: list[Child] = []

    def start_(work: Callable[[], object]) -> Child:
        children.append(Child(work))
        return children[-1]

    yield start_
    for child in children:
        with suppress(ProcessLookupError, ChildProcessError):
            child.kill()


class TestOneProcess:
    def test_what_is_taken_is_held_until_it_is_given_back(self, open_ledger):
        device = gpu()
        ledger = open_ledger(device)
        assert ledger.take(device, 3 * GIB)
        assert (ledger.held(device), ledger.free(device)) == (3 * GIB, 77 * GIB)
        ledger.give(device, 3 * GIB)
        assert (ledger.held(device), ledger.free(device)) == (0, SIZE)

    def test_no_more_than_there_is(self, open_ledger):
        device = gpu()
        ledger = open_ledger(device)
        assert ledger.take(device, SIZE)
        assert not ledger.take(device, 1)
        assert ledger.held(device) == SIZE

    def test_what_the_scenario_says_is_in_use_counts(self, open_ledger):
        device = gpu()
        device.memory.used = 70 * GIB
        ledger = open_ledger(device)
        assert not ledger.take(device, 11 * GIB)
        assert ledger.take(device, 10 * GIB)
        assert ledger.used(device) == SIZE

    def test_a_change_that_uses_more_than_is_left_leaves_nothing(self, open_ledger):
        device = gpu()
        ledger = open_ledger(device)
        ledger.take(device, 70 * GIB)
        device.memory.used = 20 * GIB
        assert (ledger.used(device), ledger.free(device)) == (SIZE, 0)

    def test_who_only_looks_opens_nothing_while_nobody_holds_anything(
        self, open_ledger, start, tmp_path: Path
    ):
        device = gpu()
        for folder in (str(tmp_path), ""):
            ledger = open_ledger(device, folder=folder)
            assert (ledger.held(device), ledger.processes(device)) == (0, [])
            assert not (tmp_path / "ledger").exists()
        ledger = open_ledger(device)
        assert start(lambda: open_ledger(device).enter(device, GIB)).done
        assert ledger.held(device) == GIB

    def test_devices_are_apart(self, open_ledger):
        devices = [gpu(0), gpu(1)]
        ledger = open_ledger(*devices)
        ledger.take(devices[1], GIB)
        assert [ledger.held(device) for device in devices] == [0, GIB]

    def test_an_instance_has_memory_of_its_own_which_its_device_has_too(self, open_ledger):
        whole = gpu(1, instances=7)
        ledger = open_ledger(gpu(0), whole)
        one, other = instance(whole, 1, 10 * GIB), instance(whole, 2, 20 * GIB)
        assert not ledger.take(one, 11 * GIB)
        assert ledger.take(one, 10 * GIB)
        assert ledger.take(other, 11 * GIB)
        assert [ledger.held(device) for device in (one, other, whole)] == [
            10 * GIB,
            11 * GIB,
            21 * GIB,
        ]

    def test_without_a_folder(self, open_ledger, start):
        device = gpu()
        ledger = open_ledger(device, folder="")
        ledger.open()
        child = start(lambda: ledger.take(device, GIB))
        assert child.done
        assert ledger.held(device) == GIB
        child.kill()
        assert ledger.held(device) == 0


class TestProcesses:
    def test_one_s_memory_is_the_other_s_lack(self, open_ledger, start):
        device = gpu()
        child = start(lambda: open_ledger(device).take(device, 79 * GIB))
        assert child.done
        mine = open_ledger(device)
        assert mine.free(device) == GIB
        assert not mine.take(device, 2 * GIB)

    def test_who_is_killed_gives_everything_back(self, open_ledger, start):
        device = gpu()
        child = start(lambda: open_ledger(device).enter(device, SIZE))
        mine = open_ledger(device)
        assert mine.held(device) == SIZE
        assert [process.pid for process in mine.processes(device)] == [child.pid]
        child.kill()
        assert mine.take(device, SIZE)
        assert mine.processes(device) == []
        mine.give(device, SIZE)

    def test_a_process_is_known_by_its_command_and_its_bytes(self, open_ledger, start):
        device = gpu()

        def work() -> None:
            ledger = open_ledger(device)
            ledger.enter(device, GIB)
            ledger.take(device, 2 * GIB)

        child = start(work)
        [process] = open_ledger(device).processes(device)
        command = Path(f"/proc/{child.pid}/cmdline").read_bytes().partition(b"\0")[0].decode()
        assert (process.pid, process.name) == (child.pid, command)
        assert (process.type, process.used_memory) == ("C", 3 * GIB)

    def test_one_without_a_context_is_not_listed(self, open_ledger, start):
        device = gpu()
        start(lambda: open_ledger(device).take(device, GIB))
        assert open_ledger(device).processes(device) == []

    def test_a_fork_s_child_holds_nothing_of_its_parent_s(self, open_ledger, start):
        device = gpu()
        mine = open_ledger(device)
        mine.take(device, GIB)

        def work() -> None:
            mine.renew_lock()
            assert mine.held(device) == GIB
            mine.give(device, GIB)  # of what it has: nothing
            assert mine.take(device, 2 * GIB)

        assert start(work).done
        assert mine.held(device) == 3 * GIB

    def test_an_exclusive_device_is_one_process_s(self, open_ledger, start):
        device = gpu(mode="EXCLUSIVE_PROCESS")
        mine = open_ledger(device)
        child = start(lambda: open_ledger(device).enter(device, GIB))
        with pytest.raises(TakenError):
            mine.enter(device, GIB)
        assert mine.held(device) == GIB
        child.kill()
        assert not mine.processes(device)
        assert mine.enter(device, GIB)
        assert mine.enter(device, GIB)
        assert not start(lambda: open_ledger(device).enter(device, GIB)).done

    def test_records_are_used_again(self, open_ledger, start):
        device = gpu()
        mine = open_ledger(device)
        for _ in range(5):
            child = start(lambda: open_ledger(device).take(device, GIB))
            assert child.done
            child.kill()
            assert mine.held(device) == 0
        assert mine.open().claimed == 0

    def test_a_host_that_closes_all_descriptors_holds_what_it_held(self, open_ledger, start):
        device = gpu()

        def work() -> None:
            ledger = open_ledger(device)
            ledger.enter(device, GIB)
            os.closerange(3, HIGH)  # as daemons do
            assert ledger.take(device, GIB)
            assert ledger.held(device) == 2 * GIB

        child = start(work)
        assert child.done
        mine = open_ledger(device)
        assert mine.held(device) == 2 * GIB
        assert len(mine.processes(device)) == 1

    def test_a_host_that_closes_all_descriptors_sees_what_it_held(self, open_ledger, start):
        device = gpu()

        def work() -> None:
            ledger = open_ledger(device)
            ledger.enter(device, GIB)
            os.closerange(3, HIGH)
            assert ledger.held(device) == GIB

        assert start(work).done

    @pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="no list of locks")
    def test_a_host_that_waits_for_a_lock_of_its_own_in_another_thread(
        self, open_ledger, start, tmp_path: Path
    ):
        """The kernel sees a deadlock: it does not tell the threads of a process apart."""
        device = gpu()
        path = tmp_path / "host"
        path.touch()
        mine = open_ledger(device)
        mine.take(device, GIB)
        with path.open("r+b") as file:
            lockf(file, LOCK_EX)

            def work() -> None:
                own = path.open("r+b")
                threading.Thread(target=lockf, args=(own, LOCK_EX), daemon=True).start()
                open_ledger(device).open().__enter__()
                while f"POSIX  ADVISORY  WRITE {os.getpid()} " not in _waiting():
                    time.sleep(0.01)
                threading.Timer(0.2, os._exit, (0,)).start()

            assert start(work).done
            assert mine.take(device, GIB)
        assert mine.held(device) == 2 * GIB


def _waiting() -> str:
    """The locks that are waited for."""
    return "".join(line.partition("-> ")[2] for line in Path("/proc/locks").open() if "-> " in line)


def test_who_is_killed_while_a_record_is_cleared_leaves_one(open_ledger, start):
    """So that the next process clears the rest of it."""

    class Recorded:
        """Words of a file that say in what order they are written."""

        def __init__(self, words: memoryview) -> None:
            self.words, self.order = words, list[int]()

        def __getitem__(self, place: object) -> object:
            return self.words[place]  # type: ignore[call-overload]

        def __setitem__(self, place: int | slice, value: object) -> None:
            self.order += [place] if isinstance(place, int) else range(place.start, place.stop)
            self.words[place] = value  # type: ignore[call-overload]

    device = gpu()
    start(lambda: open_ledger(device).enter(device, GIB)).kill()
    records = open_ledger(device).open()
    records.words = recorded = Recorded(records.words)  # type: ignore[assignment]
    with records:
        records.bury()
    first = records.base(0)
    assert sorted(recorded.order)[1:] == list(range(first, first + records.width))
    assert recorded.order[-2:] == [first, 0]


def churn(ledger: Ledger, device: SimpleNamespace, seed: int, rounds: int) -> None:
    """Take and give at random, some of the time until it is killed."""
    chance = random.Random(seed)
    ledger.enter(device, GIB // 4)
    held: list[int] = []
    for _ in range(rounds):
        size = chance.randrange(1, 4 * GIB)
        if held and chance.random() < 0.4:
            ledger.give(device, held.pop(chance.randrange(len(held))))
        elif ledger.take(device, size):
            held.append(size)
        assert 0 <= ledger.held(device) <= SIZE
        if chance.random() < 0.01:
            os.kill(os.getpid(), signal.SIGKILL)


def test_many_that_allocate_and_die_at_random_leave_nothing(open_ledger):
    """And what they hold together is never more than there is."""
    device = gpu()
    mine = open_ledger(device)
    chance = random.Random(20)
    living: set[int] = set()
    for seed in range(4 * CROWD):
        child = os.fork()
        if not child:
            code = 1
            try:
                churn(open_ledger(device), device, seed, 200)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        living.add(child)
        if len(living) >= CROWD:
            if chance.random() < 0.5:
                os.kill(chance.choice(sorted(living)), signal.SIGKILL)
            pid, status = os.wait()
            living.discard(pid)
            assert status in (0, signal.SIGKILL)
        assert 0 <= mine.held(device) <= SIZE
    for pid in living:
        _, status = os.waitpid(pid, 0)
        assert status in (0, signal.SIGKILL)
    assert mine.held(device) == 0
    assert mine.take(device, SIZE)  # the mutex is free, and every byte is there
    mine.give(device, SIZE)
    records = mine.open()
    assert not any(records.lives(index) for index in range(MOST) if not records.is_mine(index))


class TestDamage:
    def test_a_torn_file(self, open_ledger, tmp_path: Path, said: list[str]):
        (tmp_path / "ledger").write_bytes(b"\x07" * 100)
        device = gpu()
        ledger = open_ledger(device)
        assert ledger.take(device, GIB)
        assert ledger.held(device) == GIB
        assert said == [f"{tmp_path}/ledger is damaged: what processes hold is counted anew"]

    def test_a_file_that_is_cut_off_while_it_is_in_use(
        self, open_ledger, tmp_path: Path, said: list[str]
    ):
        device = gpu()
        ledger = open_ledger(device)
        ledger.take(device, GIB)
        os.truncate(tmp_path / "ledger", WORD * HEADER)
        assert ledger.take(device, GIB)
        assert ledger.held(device) == 2 * GIB
        assert len(said) == 1

    @pytest.mark.parametrize("size", [0, WORD * HEADER])
    def test_who_looks_finds_what_it_held_before_the_file_was_cut_off(
        self, open_ledger, start, tmp_path: Path, said: list[str], size: int
    ):
        device = gpu()
        ledger = open_ledger(device)
        ledger.enter(device, GIB)

        def work() -> None:
            other = open_ledger(device)
            other.enter(device, 2 * GIB)
            os.truncate(tmp_path / "ledger", size)
            assert other.held(device) == 2 * GIB

        child = start(work)
        assert child.done
        assert ledger.held(device) == 3 * GIB
        assert len(ledger.processes(device)) == 2
        child.kill()
        assert ledger.held(device) == GIB
        assert set(said) <= {f"{tmp_path}/ledger is damaged: what processes hold is counted anew"}

    @pytest.mark.parametrize("byte", [b"\0", b"\xff"])
    def test_a_file_that_is_written_over_while_it_is_in_use(
        self, open_ledger, start, tmp_path: Path, said: list[str], byte: bytes
    ):
        device = gpu()
        assert start(lambda: open_ledger(device).enter(device, 2 * GIB)).done
        ledger = open_ledger(device)
        ledger.enter(device, GIB)
        with (tmp_path / "ledger").open("r+b") as file:
            file.write(byte * WORD * HEADER)
        assert ledger.held(device) == 3 * GIB
        assert ledger.take(device, GIB)
        assert ledger.held(device) == 4 * GIB
        assert said == [f"{tmp_path}/ledger is damaged: what processes hold is counted anew"]

    def test_a_file_that_is_removed_is_made_again_by_those_who_use_it(
        self, open_ledger, start, tmp_path: Path, said: list[str]
    ):
        device = gpu()
        ledger = open_ledger(device)
        ledger.enter(device, GIB)
        (tmp_path / "ledger").unlink()
        assert ledger.held(device) == GIB
        assert start(lambda: open_ledger(device).enter(device, 2 * GIB)).done
        assert ledger.held(device) == 3 * GIB
        assert said == []

    def test_those_whose_folder_is_removed_go_on_sharing(
        self, open_ledger, start, tmp_path: Path, said: list[str]
    ):
        device = gpu()
        folder = tmp_path / "testbed"
        folder.mkdir()
        ledger = open_ledger(device, folder=str(folder))
        child = start(lambda: open_ledger(device, folder=str(folder)).enter(device, GIB))
        ledger.take(device, GIB)
        (folder / "ledger").unlink()
        folder.rmdir()
        assert ledger.take(device, GIB)
        assert ledger.held(device) == 3 * GIB
        child.kill()
        assert ledger.held(device) == 2 * GIB
        assert said == []

    def test_a_file_that_is_another_s(self, open_ledger, tmp_path: Path, said: list[str]):
        (tmp_path / "ledger").mkdir()
        device = gpu()
        ledger = open_ledger(device)
        assert ledger.take(device, GIB)
        assert ledger.held(device) == GIB
        assert len(said) == 1
        assert "not shared" in said[0]

    def test_a_folder_that_is_gone(self, open_ledger, tmp_path: Path, said: list[str]):
        device = gpu()
        ledger = open_ledger(device, folder=str(tmp_path / "gone"))
        assert ledger.take(device, GIB)
        assert ledger.held(device) == GIB
        assert said == []

    def test_a_file_for_other_gpus(self, open_ledger, start, said: list[str]):
        device, other = gpu(0), gpu(1)
        other.index = 0
        child = start(lambda: open_ledger(device).take(device, GIB))
        ledger = open_ledger(other)
        assert ledger.held(other) == 0
        assert len(said) == 1
        child.kill()
        later = open_ledger(other)
        assert later.take(other, GIB)
        assert len(said) == 1

    def test_no_descriptor_is_left(self, open_ledger, monkeypatch, said: list[str]):
        def refuse(*_: object) -> int:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(os, "open", refuse)
        monkeypatch.setattr(os, "memfd_create", refuse)
        device = gpu()
        ledger = open_ledger(device)
        assert ledger.take(device, GIB)
        assert ledger.held(device) == GIB
        assert len(said) == 2
