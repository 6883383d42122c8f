"""Accounting: what processes used of a device, while they run and when they have ended."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pynvml
import pytest
from nvml_client import A100, T4, library, playing, refused
from nvml_newest import values
from workers import Worker

from emulator import Change, Gpu, Machine, Scenario, Testbed
from emulator.machine.ledger.book import BOOK, LONGEST, append, clear, entries
from emulator.plans import plan_of

MIB = 1 << 20
SECOND = 1_000_000_000
PYTHON = {"pid": 4242, "name": "python3", "type": "C", "used_memory": 3072 * MIB}
XORG = {"pid": 77, "name": "Xorg", "type": "G", "used_memory": 5 * MIB}
ENDED = {
    **{"pid": 41, "started": "10 s", "ended": "100 s", "max_memory": "7 GiB"},
    **{"utilization": 62, "memory_utilization": 11},
}


def gpu(profile: str = T4, **accounting: Any) -> Gpu:
    """A busy GPU with two processes."""
    figures = {"processes": [PYTHON, XORG], "accounting": accounting}
    return Gpu(profile, utilization=90, figures=figures)


class TestTheMode:
    def test_it_is_off_until_it_is_switched_on(self) -> None:
        with playing(gpu(), user="root") as (_, [handle]):
            assert pynvml.nvmlDeviceGetAccountingMode(handle) == 0
            pynvml.nvmlDeviceSetAccountingMode(handle, 1)
            assert pynvml.nvmlDeviceGetAccountingMode(handle) == 1
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [4242, 77]

    def test_while_it_is_off_there_are_no_accounts_but_a_buffer(self) -> None:
        with playing(gpu()) as (_, [handle]):
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == []
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetAccountingStats(handle, 4242)
            assert pynvml.nvmlDeviceGetAccountingBufferSize(handle) == 4000

    def test_who_is_not_root_may_not_set_it(self) -> None:
        with playing(gpu(enabled=True), user="unprivileged") as (_, [handle]):
            with refused("NO_PERMISSION"):
                pynvml.nvmlDeviceSetAccountingMode(handle, 0)
            with refused("NO_PERMISSION"):
                pynvml.nvmlDeviceClearAccountingPids(handle)
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [4242, 77]

    def test_the_host_of_vgpus_keeps_none_of_its_own(self) -> None:
        host = Gpu(A100, figures={"virtualization_mode": "HOST_VGPU"})
        with playing(host, user="root") as (_, [handle]):
            pynvml.nvmlDeviceSetAccountingMode(handle, 1)
            assert pynvml.nvmlDeviceGetAccountingMode(handle) == 1
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetAccountingPids(handle)

    def test_a_mode_that_does_not_exist(self) -> None:
        with playing(gpu(), user="root") as (_, [handle]), refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceSetAccountingMode(handle, 2)

    def test_a_product_without_it(self) -> None:
        lacking = gpu(enabled="N/A", buffer_size="N/A")
        with playing(lacking, user="root") as (_, [handle]):
            for name in ("GetAccountingMode", "GetAccountingBufferSize", "GetAccountingPids"):
                with refused("NOT_SUPPORTED"):
                    getattr(pynvml, "nvmlDevice" + name)(handle)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetAccountingMode(handle, 1)

    def test_in_mig_mode_it_is_off_and_stays_so(self) -> None:
        figures = {"mig": {"current": True, "pending": True}, "accounting": {"enabled": True}}
        with playing(Gpu(A100, figures=figures), user="root") as (_, [handle]):
            assert pynvml.nvmlDeviceGetAccountingMode(handle) == 0
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetAccountingMode(handle, 1)


class TestTheScenarioSProcesses:
    def test_of_one_that_runs_the_time_is_not_told(self) -> None:
        started = {**PYTHON, "started": "0 s", "max_memory": "5 GiB", "utilization": 80}
        figures = {"processes": [started, XORG], "accounting": {"enabled": True}}
        with playing(Gpu(T4, utilization=90, figures=figures)) as (machine, [handle]):
            stats = pynvml.nvmlDeviceGetAccountingStats(handle, 4242)
            assert (stats.gpuUtilization, stats.maxMemoryUsage) == (80, 5120 * MIB)
            assert (stats.isRunning, stats.time) == (1, 0)
            assert stats.startTime == machine.clock.start // 1000
            assert pynvml.nvmlDeviceGetAccountingStats(handle, 77).gpuUtilization == 10

    def test_one_that_had_ended_before(self) -> None:
        with playing(gpu(enabled=True, ended=[ENDED])) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [41, 4242, 77]
            stats = pynvml.nvmlDeviceGetAccountingStats(handle, 41)
            assert (stats.isRunning, stats.time) == (0, 90_000)
            assert (stats.gpuUtilization, stats.memoryUtilization) == (62, 11)
            assert stats.maxMemoryUsage == 7 << 30
            assert stats.startTime == (machine.clock.start + 10 * SECOND) // 1000

    def test_one_that_a_change_takes_away_has_ended_then(self) -> None:
        change = Change(at="30 s", set={"processes": [XORG]})
        with playing(gpu(enabled=True), clock="manual", changes=[change]) as (machine, [handle]):
            machine.clock.advance(500)
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [4242, 77]
            stats = pynvml.nvmlDeviceGetAccountingStats(handle, 4242)
            assert (stats.isRunning, stats.time) == (0, 30_000)
            assert (stats.gpuUtilization, stats.maxMemoryUsage) == (45, 3072 * MIB)

    def test_without_accounting_it_is_forgotten(self) -> None:
        change = Change(at="30 s", set={"processes": []})
        with playing(gpu(), clock="manual", user="root", changes=[change]) as (machine, [handle]):
            machine.clock.advance(500)
            pynvml.nvmlDeviceSetAccountingMode(handle, 1)
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == []

    def test_cleared_are_those_that_have_ended(self) -> None:
        with playing(gpu(enabled=True, ended=[ENDED]), user="root") as (_, [handle]):
            pynvml.nvmlDeviceClearAccountingPids(handle)
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [4242, 77]

    def test_switched_off_and_on_it_knows_those_that_run(self) -> None:
        with playing(gpu(enabled=True, ended=[ENDED]), user="root") as (_, [handle]):
            pynvml.nvmlDeviceSetAccountingMode(handle, 0)
            pynvml.nvmlDeviceSetAccountingMode(handle, 1)
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [4242, 77]

    def test_the_buffer_keeps_the_latest(self) -> None:
        ended = [{"pid": pid, "ended": f"{pid} s"} for pid in range(1, 10)]
        with playing(gpu(enabled=True, buffer_size=4, ended=ended)) as (_, [handle]):
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [8, 9, 4242, 77]
            with refused("NOT_FOUND"):
                pynvml.nvmlDeviceGetAccountingStats(handle, 7)

    def test_of_two_of_one_process_id_the_later_one_is_known(self) -> None:
        again = [{**ENDED, "ended": "200 s"}, ENDED, {**ENDED, "pid": 77}]
        with playing(gpu(enabled=True, ended=again)) as (_, [handle]):
            assert pynvml.nvmlDeviceGetAccountingPids(handle) == [41, 4242, 77]
            assert pynvml.nvmlDeviceGetAccountingStats(handle, 41).time == 190_000
            assert pynvml.nvmlDeviceGetAccountingStats(handle, 77).isRunning == 1

    def test_what_is_not_known_is_not_available(self) -> None:
        hidden = {"pid": 1, "name": "hidden", "type": "C", "used_memory": "N/A"}
        figures = {
            **{"processes": [hidden], "accounting": {"enabled": True}},
            "utilization": {"gpu": "N/A", "memory": "N/A"},
        }
        with playing(Gpu(T4, figures=figures)) as (_, [handle]):
            stats = pynvml.c_nvmlAccountingStats_t()
            assert not library().nvmlDeviceGetAccountingStats(handle, 1, ctypes.byref(stats))
            assert stats.maxMemoryUsage == (1 << 64) - 1  # NVML_VALUE_NOT_AVAILABLE
            assert stats.gpuUtilization == stats.memoryUtilization == (1 << 32) - 1

    def test_a_process_that_there_is_not(self) -> None:
        with playing(gpu(enabled=True)) as (_, [handle]), refused("NOT_FOUND"):
            pynvml.nvmlDeviceGetAccountingStats(handle, 5)


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    with Testbed(Scenario(gpus=[Gpu(T4, count=2, utilization=60)], user="root")) as testbed:
        yield testbed


@pytest.fixture
def start(testbed: Testbed) -> Iterator[Callable[[], Worker]]:
    """`start()`: a process of the testbed."""
    workers: list[Worker] = []

    def start_() -> Worker:
        workers.append(Worker(testbed))
        return workers[-1]

    yield start_
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()


def context_memory() -> int:
    return Machine(plan_of(Scenario(gpus=[Gpu(T4)]))).devices[0].context_memory


class TestProcessesThatAreThere:
    def hold(self, worker: Worker, device: int, size: int) -> int:
        """Hold so many bytes beside a context, and less in the end."""
        worker.start()
        context: int = worker.create(device)
        worker.free(context, worker.allocate(context, size))
        worker.allocate(context, MIB)
        return context

    def test_while_they_run(self, start: Callable[[], Worker]) -> None:
        observer, worker = start(), start()
        observer.keep_accounts(0, 1)
        self.hold(worker, 0, 300 * MIB)
        [(pid, account)] = observer.accounts(0).items()
        assert (int(pid), account["isRunning"], account["time"]) == (worker.pid, 1, 0)
        assert account["maxMemoryUsage"] == context_memory() + 300 * MIB
        assert account["gpuUtilization"] == 60
        assert observer.accounts(1) == {}

    @pytest.mark.parametrize("number", [None, signal.SIGKILL, signal.SIGTERM])
    def test_when_they_have_ended_however_that_was(
        self, start: Callable[[], Worker], number: int | None
    ) -> None:
        observer, worker = start(), start()
        observer.keep_accounts(0, 1)
        self.hold(worker, 0, 300 * MIB)
        before = observer.accounts(0)[str(worker.pid)]
        worker.end(number)
        late = start()  # one that was not there
        for asked in (observer, late):
            [(pid, account)] = asked.accounts(0).items()
            assert (int(pid), account["isRunning"]) == (worker.pid, 0)
            assert account["maxMemoryUsage"] == context_memory() + 300 * MIB
            assert account["startTime"] == before["startTime"]
        assert observer.accounts(0) == late.accounts(0)

    def test_a_context_that_is_destroyed_ends_it(self, start: Callable[[], Worker]) -> None:
        observer, worker = start(), start()
        observer.keep_accounts(0, 1)
        context = self.hold(worker, 0, 300 * MIB)
        worker.destroy(context)
        account = observer.accounts(0)[str(worker.pid)]
        assert account["isRunning"] == 0
        worker.create(0)  # it goes on: the latest is known
        account = observer.accounts(0)[str(worker.pid)]
        assert (account["isRunning"], account["maxMemoryUsage"]) == (1, context_memory())

    def test_who_died_before_it_was_on_is_not_known(self, start: Callable[[], Worker]) -> None:
        observer, worker = start(), start()
        self.hold(worker, 0, MIB)
        worker.end(signal.SIGKILL)
        observer.keep_accounts(0, 1)
        assert observer.accounts(0) == {}

    def test_who_ran_when_it_was_switched_on_is_known(self, start: Callable[[], Worker]) -> None:
        observer, worker = start(), start()
        self.hold(worker, 0, MIB)
        observer.keep_accounts(0, 1)
        worker.end(signal.SIGKILL)
        assert list(observer.accounts(0)) == [str(worker.pid)]

    def test_another_process_clears_and_switches_off(self, start: Callable[[], Worker]) -> None:
        observer, other, *workers = (start() for _ in range(4))
        observer.keep_accounts(0, 1)
        for worker in workers:
            self.hold(worker, 0, MIB)
        workers[0].end(signal.SIGKILL)
        other.forget_accounts(0)
        assert list(observer.accounts(0)) == [str(workers[1].pid)]
        workers[1].end(signal.SIGKILL)
        assert list(observer.accounts(0)) == [str(workers[1].pid)]
        other.keep_accounts(0, 0)
        other.keep_accounts(0, 1)
        assert observer.accounts(0) == {}

    def test_many_are_remembered(self, start: Callable[[], Worker]) -> None:
        observer = start()
        observer.keep_accounts(0, 1)
        known = []
        for _ in range(5):
            worker = start()
            self.hold(worker, 0, MIB)
            worker.end(signal.SIGKILL)
            known.append(str(worker.pid))
            observer.accounts(0)
        assert list(observer.accounts(0)) == known


def test_the_second_version_of_stats_has_sums(run_in: Callable[..., Any]) -> None:
    def told(pid: int, name: str) -> str:
        struct = "nvmlAccountingStats_v2_t"
        return f"field('nvmlDeviceGetAccountingStats_v2', {struct!r}, {name!r}, pid={pid})(h[0])"

    names = ("isRunning", "time", "sampleCount", "sumGpuUtil", "sumFbUtil", "gpuUtilization")
    asked = [told(41, name) for name in names] + [told(4242, "isRunning"), told(5, "time")]
    found = values(run_in, [gpu(enabled=True, ended=[ENDED])], *asked)
    assert found == [0, 90_000, 540, 6200 * 540, 1100 * 540, 62, 1, "NOT_FOUND"]


class TestTheBook:
    """The ring of closed accounts that processes share."""

    def test_a_new_entry_goes_over_the_oldest(self) -> None:
        words = memoryview(bytearray(8 * 2 * BOOK)).cast("Q")
        for pid in range(LONGEST + 3):
            append(words, BOOK, (pid, 1, 2, 3, None, 5))
        found = entries(words, BOOK)
        assert [entry[0] for entry in found] == list(range(3, LONGEST + 3))
        assert found[0] == (3, 1, 2, 3, None, 5)
        assert entries(words, 0) == []
        clear(words, BOOK)
        assert entries(words, BOOK) == []
