"""Changes: what happens to the machine as its clock goes on."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator import Change, Emulation, Fault, Gpu, Machine, Scenario, ScenarioError, Testbed
from emulator.machine import Clock
from emulator.plans import plan_of

GIB = 1 << 30
TWO = [Gpu("t4", count=2)]


def machine(*changes: Change, clock: str = "manual", gpus: list[Gpu] | None = None) -> Machine:
    plan = plan_of(Scenario(gpus=gpus or TWO, clock=clock, changes=changes))
    return Machine(plan, lambda run: run)


class TestClock:
    def test_on_the_wall_it_can_be_put_forward(self) -> None:
        clock = Clock()
        clock.advance(60)
        assert 60 <= (clock.now() - time.time_ns()) / 1e9 + 1e-3 < 61
        assert 60e9 <= clock.elapsed() < 61e9

    def test_by_hand_it_stands_until_it_is_put_forward(self) -> None:
        clock = Clock(rate=0)
        assert (clock.elapsed(), clock.elapsed()) == (0, 0)
        clock.advance(1.5)
        assert clock.elapsed() == 1_500_000_000
        assert clock.now() == clock.start + 1_500_000_000

    def test_scaled_it_runs_faster(self) -> None:
        clock = Clock(start=time.time_ns() - 1_000_000_000, rate=60)
        assert 60e9 <= clock.elapsed() < 70e9

    def test_it_never_goes_back(self) -> None:
        with pytest.raises(ValueError, match="expected a time of at least 0 s, found -1"):
            Clock().advance(-1)


class TestSchedule:
    def test_at_thirty_seconds_the_second_gpu_is_lost(self) -> None:
        found = machine(Change(at="30 s", device=1, set={"failure": "lost"}))
        found.clock.advance(29.9)
        assert [device.failure for device in found.devices] == [None, None]
        found.clock.advance(0.1)
        assert [device.failure for device in found.devices] == [None, "lost"]

    def test_memory_grows_by_a_gibibyte_a_minute_until_it_is_full(self) -> None:
        found = machine(Change(at="1 min", every="1 min", device=0, add={"memory_used": "1 GiB"}))
        used = []
        for _ in range(20):
            found.clock.advance(60)
            used.append(found.devices[0].memory.used)
        usable = (15360 - 388) << 20
        assert used == [min(minute * GIB, usable) for minute in range(1, 21)]
        assert found.devices[1].memory.used == 0
        assert found.devices[0].memory.free == 0

    def test_what_shrinks_stays_above_nothing(self) -> None:
        found = machine(Change(every="1 s", add={"temperature": -5}))
        found.clock.advance(100)
        assert found.devices[0].temperature.gpu == 0

    def test_what_is_to_end_ends(self) -> None:
        found = machine(Change(at="1 s", every="1 s", until="3 s", add={"power_usage": 1000}))
        before = found.devices[0].power.usage
        found.clock.advance(100)
        assert found.devices[0].power.usage == before + 3000

    def test_what_is_late_comes_in_the_order_of_its_time(self) -> None:
        found = machine(
            Change(at="3 s", set={"temperature": 90}),
            Change(at="1 s", set={"temperature": 50}),
            Change(at="2 s", every="2 s", until="4 s", add={"temperature": 1}),
        )
        found.clock.advance(10)
        assert found.devices[0].temperature.gpu == 91

    def test_any_figure_may_change(self) -> None:
        figures = {
            "clocks": {"event_reasons": ["hw_slowdown"]},
            "ecc": {"current": False},
            "fans": [{"speed": 30}],
            "cuda": {"WARP_SIZE": 16},
        }
        found = machine(Change(set=figures)).devices[0]
        assert found.clocks.event_reasons == ["hw_slowdown"]
        assert (found.ecc.current, found.fans[0].speed) == (False, 30)
        assert found.cuda["WARP_SIZE"] == 16
        assert found.clocks.graphics.max == 1590  # the rest stays

    @pytest.mark.parametrize("until", ["1 s", "9 s"])
    def test_an_end_before_the_beginning_is_refused(self, until: str) -> None:
        again = {"every": "1 s"} if until == "1 s" else {}
        with pytest.raises(ScenarioError, match=r"change\[0\].until: expected an end after"):
            machine(Change(at="2 s", until=until, set={"failure": "lost"}, **again))

    def test_a_python_function_is_run_as_often_as_it_is_due(self) -> None:
        seen: list[int] = []
        change = Change(
            at="1 s", every="1 s", run=lambda found: seen.append(found.clock.elapsed() // 10**9)
        )
        machine(change).clock.advance(3.5)
        assert len(seen) == 3

    @given(
        st.lists(
            st.tuples(st.integers(0, 20), st.none(), st.none())
            | st.tuples(st.integers(0, 20), st.integers(1, 9), st.none() | st.integers(20, 40)),
            max_size=4,
        ),
        st.lists(st.integers(0, 15), max_size=6),
    )
    def test_late_or_often_looked_at_the_machine_is_the_same(
        self, changes: list[tuple[Any, ...]], steps: list[int]
    ) -> None:
        def made() -> Machine:
            return machine(
                *(
                    Change(at=at, every=every, until=until, add={"power_usage": 10**number})
                    for number, (at, every, until) in enumerate(changes)
                )
            )

        often, late = made(), made()
        for step in steps:
            often.clock.advance(step)
        late.clock.advance(sum(steps))
        expected = often.devices[0].power.usage
        assert late.devices[0].power.usage == expected
        base = made().devices[0].power.usage - sum(10**n for n, c in enumerate(changes) if not c[0])
        assert expected == base + sum(
            10**number * times(*change, now=sum(steps)) for number, change in enumerate(changes)
        )


def times(at: int, every: int | None, until: int | None, now: int) -> int:
    """How often a change has been due, counted one by one."""
    if every is None:
        return int(at <= now)
    moments = (at + every * step for step in range(200))
    return sum(moment <= now and (until is None or moment <= until) for moment in moments)

    def test_a_month_late_it_still_answers_at_once(self) -> None:
        """Changes that meet at one figure are made in their order, but not a billion of them."""
        both = [Change(every="1 ms", device=0, add={"temperature": step}) for step in (1, -1)]
        runs: list[Machine] = []
        found = machine(*both, Change(every="1 ms", device=1, run=runs.append))
        found.clock.advance(30 * 86400)
        assert len(runs) <= 20_000
        assert found.devices[0].temperature.gpu >= 0

    def test_changes_of_other_figures_do_not_slow_each_other_down(self) -> None:
        many = [
            Change(every="1 ms", device=index, add={"power_usage": 1, "memory_used": 1})
            for index in range(2)
        ]
        found = machine(*many)
        before = found.devices[0].power.usage
        found.clock.advance(86400)
        assert found.devices[1].power.usage - before == 86_400_000  # and one at the start


class TestCalls:
    def test_see_the_machine_as_it_is_by_now(self, nvml: Callable[..., Any]) -> None:
        scenario = Scenario(
            gpus=TWO, clock="100x", changes=[Change(at="5 s", set={"temperature": 80})]
        )
        with Emulation(scenario) as emulation:
            first = nvml("Temperature", 0)
            while nvml("Temperature", 0) == first:
                assert emulation.machine.clock.elapsed() < 60e9
            assert nvml("Temperature", 0) == 80

    def test_the_clock_that_faults_go_by_is_the_same(self, nvml: Callable[..., Any]) -> None:
        fault = Fault("nvmlDeviceGetTemperature", "GPU_IS_LOST", time="1 min-")
        with Emulation(Scenario(gpus=TWO, clock="manual", faults=[fault])) as emulation:
            assert nvml("Temperature", 0) == 36
            emulation.control.advance(60)
            assert nvml("Temperature", 0) == "GPU is lost"


@pytest.fixture
def nvml() -> Callable[..., Any]:
    """`nvml("Temperature", 0)` of the first device, or the words of its error."""
    import pynvml

    def get(what: str, *arguments: Any) -> Any:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        try:
            return getattr(pynvml, f"nvmlDeviceGet{what}")(handle, *arguments)
        except pynvml.NVMLError as error:
            return str(error)

    return get


class TestOrder:
    def test_what_is_said_stands_over_what_was_to_change_before(
        self, nvml: Callable[..., Any]
    ) -> None:
        change = Change(at="20 s", set={"temperature": 50})
        with Emulation(Scenario(gpus=TWO, clock="1000x", changes=[change])) as emulation:
            while emulation.machine.clock.elapsed() < 50e9:
                time.sleep(0.001)
            emulation.control.set(0, temperature=95)
            assert nvml("Temperature", 0) == 95

    def test_a_function_that_fails_is_said_and_harms_nobody(
        self, nvml: Callable[..., Any], capfd: pytest.CaptureFixture
    ) -> None:
        def fails(found: Machine) -> None:
            raise ValueError("boom")

        with Emulation(Scenario(gpus=TWO, changes=[Change(run=fails)])):
            assert nvml("Temperature", 0) == 36
        message = capfd.readouterr().err
        assert message.startswith("nvemu: a change of the machine: the scenario's function failed")
        assert "ValueError: boom (test_changes.py:" in message

    def test_a_change_s_function_may_call_while_live_control_speaks(
        self, nvml: Callable[..., Any]
    ) -> None:
        done = []

        def calls(found: Machine) -> None:
            done.append(nvml("Temperature", 0))

        change = Change(every="1 ms", run=calls)
        with Emulation(Scenario(gpus=TWO, changes=[change])) as emulation:
            threads = [
                threading.Thread(target=lambda: [nvml("Temperature", 0) for _ in range(50)]),
                threading.Thread(
                    target=lambda: [emulation.control.set(0, utilization=1) for _ in range(50)]
                ),
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            assert not any(thread.is_alive() for thread in threads)
        assert done

    def test_a_fork_s_child_counts_anew(self) -> None:
        code = (
            "import os, pynvml as n\nn.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(0)\n"
            "def ask():\n"
            "    try: return n.nvmlDeviceGetTemperature(h, 0)\n"
            "    except n.NVMLError as error: return error.value\n"
            "print(ask(), ask(), flush=True)\n"
            "child = os.fork()\n"
            "if not child:\n    print(ask(), ask(), flush=True)\n    os._exit(0)\n"
            "os.waitpid(child, 0)\n"
        )
        fault = Fault("nvmlDeviceGetTemperature", "TIMEOUT", calls=1)
        with Testbed(Scenario(gpus=TWO, faults=[fault])) as testbed:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                env=testbed.environment(),
                capture_output=True,
                text=True,
                check=True,
            )
        assert done.stdout == "10 36\n10 36\n"


class TestFailures:
    def test_a_lost_gpu_is_counted_and_answers_nothing_else(self, nvml: Callable[..., Any]) -> None:
        import pynvml

        with Emulation(Scenario(gpus=TWO)) as emulation:
            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(1)
            emulation.control.set(1, failure="lost")
            assert pynvml.nvmlDeviceGetCount() == 2
            with pytest.raises(pynvml.NVMLError_GpuIsLost):
                pynvml.nvmlDeviceGetName(handle)
            with pytest.raises(pynvml.NVMLError_GpuIsLost):
                pynvml.nvmlDeviceGetHandleByIndex(1)
            emulation.control.restore(1)
            assert pynvml.nvmlDeviceGetName(handle) == "Tesla T4"

    def test_one_that_needs_a_reset_says_what_the_driver_knows_of_it(
        self, nvml: Callable[..., Any]
    ) -> None:
        import pynvml

        with Emulation(Scenario(gpus=TWO)) as emulation:
            pynvml.nvmlInit()
            emulation.control.set(1, failure="reset_required")
            handle = pynvml.nvmlDeviceGetHandleByIndex(1)
            assert pynvml.nvmlDeviceGetName(handle) == "Tesla T4"
            assert pynvml.nvmlDeviceGetMemoryInfo(handle).total > 0
            for read in (pynvml.nvmlDeviceGetPowerUsage, pynvml.nvmlDeviceGetUtilizationRates):
                with pytest.raises(pynvml.NVMLError_ResetRequired):
                    read(handle)

    def test_an_unplugged_gpu_is_gone_after_the_next_init(self) -> None:
        import pynvml

        with Emulation(Scenario(gpus=TWO)) as emulation:
            pynvml.nvmlInit()
            uuid = pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(1))
            emulation.control.set(0, failure="unplugged")
            assert pynvml.nvmlDeviceGetCount() == 2
            pynvml.nvmlShutdown()
            pynvml.nvmlInit()
            assert pynvml.nvmlDeviceGetCount() == 1
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            assert pynvml.nvmlDeviceGetUUID(handle) == uuid
            assert pynvml.nvmlDeviceGetIndex(handle) == 0
