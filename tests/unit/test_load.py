"""A load, and the readings that follow it: all of them, alike in every process, at every time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvml_client import A100, H100, RTX_4090, T4, playing, refused

from emulator import Change, Gpu, Machine
from emulator.machine import FORMAT, NEWEST
from emulator.machine.load.follower import Follower
from emulator.scenario import ScenarioError
from emulator.scenario.devices import devices
from emulator.scenario.profiles import profiles
from emulator.scenario.schema import Scenario

Run = Callable[..., subprocess.CompletedProcess[str]]

GH200 = "gh200-96gb"
SECOND = 1_000_000_000
IDLE_REASON = pynvml.nvmlClocksEventReasonGpuIdle
POWER_CAP = pynvml.nvmlClocksEventReasonSwPowerCap


def machine_of(*gpus: Gpu, changes: tuple[dict[str, Any], ...] = ()) -> Machine:
    """A machine whose clock stands until it is advanced, without any API before it."""
    plan = {
        "format": FORMAT,
        "driver": NEWEST,
        "driver_version": NEWEST,
        "cuda": 13000,
        "user": None,
    }
    tables = devices(Scenario(gpus=gpus))
    return Machine({**plan, "clock": {"rate": 0}, "changes": [*changes], "gpus": tables})


def shown(machine: Machine) -> list[Any]:
    """All that follows a load, of all devices, as it can be compared."""
    for device in machine.devices:
        machine.settle(device)
    return [
        repr((d.utilization, d.power, d.temperature, d.clocks, d.fans, d.performance_state, d.pci))
        for d in machine.devices
    ]


class TestABusyDevice:
    @pytest.mark.parametrize("load", [{"load": 100}, {"utilization": 100}])
    def test_is_busy_in_all_readings(self, load: dict[str, Any]):
        with playing(Gpu(T4, **load)) as (_, [handle]):
            assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 100
            assert pynvml.nvmlDeviceGetUtilizationRates(handle).memory == 50
            assert 55_000 < pynvml.nvmlDeviceGetPowerUsage(handle) <= 70_000
            assert 60 < pynvml.nvmlDeviceGetTemperature(handle, 0) < 93
            assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) > 1_400
            assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) == 5_001
            assert pynvml.nvmlDeviceGetPerformanceState(handle) == 0
            assert not pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle) & IDLE_REASON
            assert pynvml.nvmlDeviceGetCurrPcieLinkGeneration(handle) == 3
            assert pynvml.nvmlDeviceGetPcieThroughput(handle, 1) > 0

    @pytest.mark.parametrize("name", profiles())
    def test_of_every_product_stays_within_its_limits(self, name: str):
        busy, idle = machine_of(Gpu(name, load=100)), machine_of(Gpu(name))
        device, before = busy.devices[0], idle.devices[0]
        limit = device.power.enforced_limit or device.power.default_limit
        for got, least, most in (
            (device.power.usage, before.power.usage, limit),
            (device.temperature.gpu, before.temperature.gpu, device.temperature.slowdown),
            (device.clocks.graphics.current, before.clocks.graphics.current, None),
            (device.clocks.graphics.current, 0, device.clocks.graphics.max),
            (device.utilization.gpu, 100, 100),
        ):
            if got is not None:
                assert got >= (least or 0)
                assert most is None or got <= most

    @pytest.mark.parametrize("name", profiles())
    def test_without_work_is_as_its_profile_has_it(self, name: str):
        idle, loaded = machine_of(Gpu(name)), machine_of(Gpu(name, load=0))
        for machine in (idle, loaded):
            machine.clock.advance(60)
        assert shown(idle) == shown(loaded)

    def test_an_engine_that_the_product_lacks_stays_away(self):
        busy = Gpu("p4", load={"gpu": 10, "jpeg": 50})
        with playing(busy) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetJpgUtilization(handle)

    def test_such_an_engine_has_no_samples_either(self):
        with playing(Gpu("p4", load=100)) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetSamples(handle, pynvml.NVML_JPG_UTILIZATION_SAMPLES, 0)

    def test_a_module_draws_what_its_gpu_does_and_more(self):
        with playing(GH200, Gpu(GH200, load=100)) as (machine, [_, handle]):
            idle, busy = (device.power for device in machine.devices)
            assert idle.usage is not None
            assert busy.usage is not None
            assert busy.module.usage == (idle.module.usage or 0) + busy.usage - idle.usage
            _, samples = pynvml.nvmlDeviceGetSamples(handle, pynvml.NVML_MODULE_POWER_SAMPLES, 0)
            assert samples[-1].sampleValue.uiVal == busy.module.usage


@pytest.mark.parametrize("busy", [1, 40, 100])
def test_a_product_without_any_limit_warms_up_as_others_do(busy: int):
    limits = dict.fromkeys(("limit", "default_limit", "min_limit", "max_limit"), "N/A")
    [device] = machine_of(Gpu(T4, utilization=busy, figures={"power": limits})).devices
    [idle] = machine_of(Gpu(T4)).devices
    assert device.power.usage is not None
    assert idle.power.usage is not None
    assert idle.power.usage < device.power.usage <= 10 * idle.power.usage
    assert device.temperature.gpu is not None
    assert idle.temperature.gpu is not None
    assert idle.temperature.gpu <= device.temperature.gpu < 85


class TestWhatIsPinned:
    def test_a_given_reading_stays_and_the_rest_follows(self):
        with playing(Gpu(H100, load=90, temperature=33)) as (_, [handle]):
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) == 33
            assert pynvml.nvmlDeviceGetPowerUsage(handle) > 400_000

    def test_a_change_pins_what_it_sets(self):
        change = Change(at="10 s", set={"power_usage": "123 W"})
        with playing(Gpu(H100, load=90), clock="manual", changes=[change]) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetPowerUsage(handle) > 400_000
            for _ in range(2):
                machine.clock.advance(10)
                assert pynvml.nvmlDeviceGetPowerUsage(handle) == 123_000

    def test_so_does_an_assignment(self):
        with playing(Gpu(H100, load=90), clock="manual") as (machine, [handle]):
            machine.devices[0].temperature.gpu = 44
            machine.clock.advance(60)
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) == 44

    def test_heat_that_is_given_slows_the_device_down(self):
        with playing(Gpu(T4, load=100, temperature=95)) as (_, [handle]):
            reasons = pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
            assert reasons & pynvml.nvmlClocksEventReasonHwThermalSlowdown
            assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) <= 1_590 // 2


class TestSettings:
    def test_the_power_limit_caps_power_and_clocks(self):
        with playing(Gpu(H100, load=100), clock="manual") as (machine, [handle]):
            fast = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
            warm = pynvml.nvmlDeviceGetTemperature(handle, 0)
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, 200_000)
            assert pynvml.nvmlDeviceGetPowerUsage(handle) == 200_000
            assert pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle) == POWER_CAP
            assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) < fast
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) == warm  # heat takes its time
            machine.clock.advance(300)
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) < warm

    def test_locked_and_application_clocks_are_kept(self):
        with playing(Gpu(A100, load=50)) as (_, [handle]):
            sm = pynvml.NVML_CLOCK_SM
            pynvml.nvmlDeviceSetGpuLockedClocks(handle, 600, 900)
            assert pynvml.nvmlDeviceGetClockInfo(handle, sm) == 900
            pynvml.nvmlDeviceResetGpuLockedClocks(handle)
            assert pynvml.nvmlDeviceGetClockInfo(handle, sm) == 1_410
            [memory] = pynvml.nvmlDeviceGetSupportedMemoryClocks(handle)
            pynvml.nvmlDeviceSetApplicationsClocks(handle, memory, 1_005)
            assert pynvml.nvmlDeviceGetClockInfo(handle, sm) == 1_005
            reasons = pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
            assert reasons == pynvml.nvmlClocksEventReasonApplicationsClocksSetting

    @pytest.mark.parametrize(("pair", "clock"), [((9_999, 9_999), 1_590), ((5, 5), 300)])
    def test_locked_to_what_there_is_not_it_runs_at_the_nearest(
        self, pair: tuple[int, int], clock: int
    ):
        with playing(Gpu(T4, load=100)) as (_, [handle]):
            pynvml.nvmlDeviceSetGpuLockedClocks(handle, *pair)
            assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) == clock

    def test_so_does_the_memory(self):
        with playing(Gpu(RTX_4090, load=100)) as (_, [handle]):
            pynvml.nvmlDeviceSetMemoryLockedClocks(handle, 5, 5)
            lowest = min(pynvml.nvmlDeviceGetSupportedMemoryClocks(handle))
            assert pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) == lowest

    def test_a_slow_fan_lets_the_device_grow_hot(self):
        with playing(Gpu(RTX_4090, load=100), clock="manual") as (machine, [handle]):
            warm = pynvml.nvmlDeviceGetTemperature(handle, 0)
            automatic = pynvml.nvmlDeviceGetFanSpeed_v2(handle, 0)
            for fan in range(2):
                pynvml.nvmlDeviceSetFanSpeed_v2(handle, fan, 30)
            machine.clock.advance(300)
            assert pynvml.nvmlDeviceGetFanSpeed_v2(handle, 0) == 30
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) > warm
            for fan in range(2):
                pynvml.nvmlDeviceSetDefaultFanSpeed_v2(handle, fan)
            machine.clock.advance(300)
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) == warm
            assert pynvml.nvmlDeviceGetFanSpeed_v2(handle, 0) == automatic


class TestACurve:
    CURVE = (("0 s", 0), ("10 s", 90), ("60 s", 90), ("60 s", 20))

    def test_is_followed_in_straight_lines_and_steps(self):
        gpu = Gpu(H100, load={"curve": self.CURVE})
        with playing(gpu, clock="manual") as (machine, [handle]):
            seen = []
            for seconds in (0, 5, 5, 49, 1, 60):
                machine.clock.advance(seconds)
                seen.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            assert seen == [0, 45, 90, 90, 20, 20]

    def test_runs_by_the_wall_s_clock_too(self):
        gpu = Gpu(T4, load={"curve": [["0 s", 0], ["1 h", 100]]})
        with playing(gpu, clock="36000x") as (_, [handle]):
            deadline = time.monotonic() + 20
            while pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 0:
                assert time.monotonic() < deadline

    @pytest.mark.parametrize("clock", ["manual", "3600x"])
    def test_is_read_anew_when_the_clock_is_put_forward(self, clock: str):
        """Also by less than passes between two samples."""
        gpu = Gpu(H100, load={"curve": [["0 s", 0], ["0 s", 10], ["30 s", 10], ["30 s", 90]]})
        with playing(gpu, clock=clock) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu in (10, 90)
            machine.clock.advance(30.001)
            assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 90

    def test_heat_lags_behind(self):
        with playing(Gpu(H100, load={"curve": self.CURVE}), clock="manual") as (machine, [handle]):
            heat = []
            for seconds in (0, 10, 20, 29, 2, 300):
                machine.clock.advance(seconds)
                heat.append(pynvml.nvmlDeviceGetTemperature(handle, 0))
            assert heat[0] < heat[1] < heat[2] < heat[3]
            assert heat[4] > heat[5] > heat[0]

    def test_other_engines_go_with_it(self):
        gpu = Gpu(H100, load={"curve": self.CURVE, "decoder": 50})
        with playing(gpu, clock="manual") as (machine, [handle]):
            assert pynvml.nvmlDeviceGetDecoderUtilization(handle)[0] == 0
            machine.clock.advance(10)
            assert pynvml.nvmlDeviceGetDecoderUtilization(handle)[0] == 45

    @given(st.lists(st.integers(1, 4_000), max_size=12))
    def test_readings_do_not_depend_on_when_somebody_looked(self, looks: list[int]):
        gpu = Gpu(H100, load={"curve": self.CURVE, "jitter": 10, "seed": 3})
        often, once = machine_of(gpu), machine_of(gpu)
        for milliseconds in looks:
            often.clock.advance(milliseconds / 1000)
        once.clock.advance((often.clock.elapsed() - once.clock.elapsed()) / SECOND)
        energies = [machine.devices[0].power.total_energy for machine in (often, once)]
        for machine in (often, once):
            machine.settle(machine.devices[0])
            machine.devices[0].power.total_energy = 0
        assert abs(energies[0] - energies[1]) <= 1
        assert often.devices[0].temperature.gpu == once.devices[0].temperature.gpu
        assert often.devices[0].clocks.event_counters.sw_power_cap == (
            once.devices[0].clocks.event_counters.sw_power_cap
        )
        assert repr(often.devices[0].utilization) == repr(once.devices[0].utilization)

    def test_a_change_takes_effect_at_its_time_whenever_somebody_looks(self):
        change = {"at": 7 * SECOND, "every": 9 * SECOND, "devices": [0]}
        change["add"] = {"load": {"gpu": 11}}
        gpu = Gpu(H100, load=5)
        often, once = machine_of(gpu, changes=(change,)), machine_of(gpu, changes=(change,))
        for _ in range(50):
            often.clock.advance(1)
        once.clock.advance(50)
        assert often.devices[0].load.gpu == once.devices[0].load.gpu == 60
        assert often.devices[0].temperature.gpu == once.devices[0].temperature.gpu


class TestJitter:
    def test_is_the_same_for_a_seed_and_moves_all_readings(self):
        def run(seed: int) -> list[tuple[int, int]]:
            machine = machine_of(Gpu(H100, load={"gpu": 50, "jitter": 20, "seed": seed}))
            device, seen = machine.devices[0], []
            for _ in range(30):
                machine.clock.advance(1)
                seen.append((device.utilization.gpu, device.power.usage))
            return seen

        assert run(1) == run(1) != run(2)
        assert all(30 <= share <= 70 for share, _ in run(1))
        ordered = sorted(run(1))
        assert ordered == sorted(ordered, key=lambda pair: pair[1])
        assert len(set(ordered)) > 5

    def test_calls_between_two_samples_take_none(self, monkeypatch: pytest.MonkeyPatch):
        looked: list[int] = []
        look = Follower.look
        monkeypatch.setattr(
            Follower, "look", lambda self, now: (looked.append(now), look(self, now))
        )
        gpu = Gpu(H100, count=2, load={"gpu": 50, "jitter": 20})
        with playing(gpu, clock="manual") as (machine, handles):
            machine.clock.advance(5)
            pynvml.nvmlDeviceGetPowerUsage(handles[0])
            looked.clear()
            for handle in handles * 10:
                pynvml.nvmlDeviceGetPowerUsage(handle)
            assert looked == []
            machine.clock.skip(1)
            for handle in handles * 10:
                pynvml.nvmlDeviceGetPowerUsage(handle)
            assert looked == [6 * SECOND] * 2

    def test_two_devices_do_not_stray_alike(self):
        machine = machine_of(Gpu(H100, count=2, load={"gpu": 50, "jitter": 20}))
        one, other = machine.devices
        seen = []
        for _ in range(10):
            machine.clock.advance(1)
            seen.append(one.utilization.gpu == other.utilization.gpu)
        assert not all(seen)


class TestWhatGrows:
    def test_energy_is_power_times_time_also_when_idle(self):
        with playing(Gpu(T4), Gpu(T4, load=100), clock="manual") as (machine, handles):
            energy = pynvml.nvmlDeviceGetTotalEnergyConsumption
            begin = [energy(handle) for handle in handles]
            machine.clock.advance(100)
            used = [energy(handle) - first for handle, first in zip(handles, begin, strict=True)]
            watts = [pynvml.nvmlDeviceGetPowerUsage(handle) for handle in handles]
            assert used == [milliwatts * 100 for milliwatts in watts]

    def test_energy_never_falls(self):
        drop = Change(at="50 s", set={"power_usage": "1 W"})
        curve = {"curve": [["0 s", 100], ["60 s", 0]]}
        with playing(
            Gpu(T4, power_usage="60 W"), Gpu(T4, load=curve), clock="manual", changes=[drop]
        ) as (machine, handles):
            last = [0, 0]
            for _ in range(10):
                machine.clock.advance(10)
                now = [pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) for handle in handles]
                assert all(after > before for after, before in zip(now, last, strict=True))
                last = now
            assert last[0] == 50 * 60_000 + 50 * 1_000

    def test_the_reasons_are_counted_while_they_hold(self):
        gpu = Gpu(T4, load=100, figures={"power": {"limit": "60 W"}})
        with playing(gpu, clock="manual") as (machine, [handle]):
            machine.clock.advance(30)
            status = pynvml.nvmlDeviceGetViolationStatus
            assert status(handle, pynvml.NVML_PERF_POLICY_POWER).violationTime == 30 * SECOND
            assert status(handle, pynvml.NVML_PERF_POLICY_THERMAL).violationTime == 0
            pynvml.nvmlDeviceSetPowerManagementLimit(handle, 70_000)
            machine.clock.advance(30)
            assert status(handle, pynvml.NVML_PERF_POLICY_POWER).violationTime == 30 * SECOND

    def test_links_and_slot_carry(self):
        machine = machine_of(Gpu(H100, load={"gpu": 100, "nvlink": 50, "pcie": 10}))
        device = machine.devices[0]
        machine.clock.advance(10)
        machine.settle(device)
        link = device.nvlinks[0]
        assert link.data_tx == link.data_rx == 26_562 * 1_000_000 * 5 // 1024
        assert device.pci.rx_bytes == 2 * device.pci.tx_bytes == 63_008_000_000


class TestLiveControl:
    def test_a_device_begins_to_work_and_grows_warm(self):
        with playing(T4, clock="manual") as (machine, [handle]):
            cold = pynvml.nvmlDeviceGetTemperature(handle, 0)
            machine.alter(machine.devices[0], {"load": {"gpu": 100}})
            assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 100
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) == cold
            machine.clock.advance(200)
            assert pynvml.nvmlDeviceGetTemperature(handle, 0) > cold + 20

    def test_a_load_that_is_set_ends_a_curve(self):
        gpu = Gpu(H100, load={"curve": [["0 s", 0], ["10 s", 100]]})
        with playing(gpu, clock="manual") as (machine, [handle]):
            machine.clock.advance(5)
            machine.alter(machine.devices[0], {"load": {"gpu": 30}})
            machine.clock.advance(50)
            assert pynvml.nvmlDeviceGetUtilizationRates(handle).gpu == 30


CLIENT = """
import sys, pynvml
pynvml.nvmlInit()
handle = pynvml.nvmlDeviceGetHandleByIndex(0)
if len(sys.argv) > 1:
    pynvml.nvmlDeviceSetPowerManagementLimit(handle, int(sys.argv[1]))
print(
    pynvml.nvmlDeviceGetPowerUsage(handle),
    pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
    pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
)
"""


class TestProcesses:
    def test_see_one_device(self, run_in: Run):
        """What one process sets has its effect in those that come later."""
        script = f"""{sys.executable} -c '{CLIENT}' 250000; {sys.executable} -c '{CLIENT}'"""
        scenario = Scenario(gpus=[Gpu(H100, load=100)], user="root")
        done = run_in(scenario, ["bash", "-c", script])
        first, second = done.stdout.splitlines()
        assert first == second
        assert first.split()[::2] == ["250000", str(POWER_CAP)]


class TestSamples:
    def test_they_show_the_past(self):
        gpu = Gpu(H100, load={"curve": [["0 s", 0], ["10 s", 100]]})
        with playing(gpu, clock="manual") as (machine, [handle]):
            machine.clock.advance(5)
            _, samples = pynvml.nvmlDeviceGetSamples(handle, 1, 0)
            values = [sample.sampleValue.uiVal for sample in samples]
            assert values == sorted(values)
            assert (values[0], values[-1]) == (30, 50)


class TestMistakes:
    @pytest.mark.parametrize(
        ("load", "said"),
        [
            (101, "expected 0 to 100 percent"),
            ({"memory": 101}, "0 to 100 percent"),
            ({"gpu": "5 W"}, "expected a percentage"),
            ({"gppu": 5}, "did you mean 'gpu'"),
            ({"curve": [["0 s", 0], ["10 s", 101]]}, "0 to 100 percent"),
            ({"curve": [[0, 0], [10, 90]]}, "a time such as '10 s'"),
            ({"curve": [["10 s", 0], ["5 s", 1]]}, "a time of at least"),
            ({"curve": [["10 s"]]}, "expected 2 entries"),
            ({"gpu": 5, "pinned": ["memory.used"]}, "a reading that follows a load"),
        ],
    )
    def test_each_is_said(self, load: Any, said: str):
        with pytest.raises(ScenarioError) as caught:
            devices(Scenario(gpus=[Gpu(T4, load=load)]))
        assert said in str(caught.value)

    def test_a_load_is_given_once(self):
        with pytest.raises(ScenarioError, match="either load or utilization"):
            Gpu(T4, load=1, utilization=2)
        with pytest.raises(ScenarioError, match="found both"):
            Gpu(T4, load=1, figures={"load": {"gpu": 2}})
