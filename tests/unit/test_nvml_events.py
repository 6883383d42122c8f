"""Events: what devices tell of, when, to whom, and how they are waited for."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from nvml_client import A100, RTX_4090, T4, library, refused

import emulator
from emulator import Change, Gpu, Scenario
from emulator.scenario import ScenarioError, toml

SINGLE, DOUBLE, PSTATE, XID, CLOCK = 0x1, 0x2, 0x4, 0x8, 0x10
POWER, MIG, RETIRED, RETIRE_FAILED = 0x80, 0x100, 0x400, 0x800
CONTAINED, UNCONTAINED, UNAVAILABLE, RECOVERY = 0x1000, 0x2000, 0x4000, 0x8000
FOREVER = 0xFFFFFFFF  # milliseconds


@contextmanager
def listening(*gpus: Gpu | str, **scenario: Any) -> Iterator[SimpleNamespace]:
    """A machine, its handles, and a set that listens to all that each device has."""
    chosen = [gpu if isinstance(gpu, Gpu) else Gpu(gpu) for gpu in gpus]
    with emulator.Emulation(Scenario(gpus=chosen, **scenario)) as emulation:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(len(chosen))]
        made = pynvml.nvmlEventSetCreate()
        for handle in handles:
            types = pynvml.nvmlDeviceGetSupportedEventTypes(handle)
            pynvml.nvmlDeviceRegisterEvents(handle, types, made)
        yield SimpleNamespace(
            machine=emulation.machine, control=emulation.control, handles=handles, set=made
        )
        pynvml.nvmlShutdown()


def events(listened: SimpleNamespace) -> list[tuple[int, int]]:
    """The types and data of the events that are there."""
    found = []
    with suppress(pynvml.NVMLError_Timeout, pynvml.NVMLError_GpuIsLost):
        while True:
            data = pynvml.nvmlEventSetWait_v2(listened.set, 0)
            found.append((data.eventType, data.eventData))
    return found


class TestWhatDevicesTellOf:
    @pytest.mark.parametrize(
        ("profile", "more"),
        [
            (T4, SINGLE | DOUBLE | RETIRED | RETIRE_FAILED | 0x200),
            (A100, 0x3F00 | SINGLE | DOUBLE),
            (RTX_4090, 0),
        ],
    )
    def test_by_product(self, profile: str, more: int) -> None:
        with listening(profile) as found:
            types = pynvml.nvmlDeviceGetSupportedEventTypes(found.handles[0])
            assert types == PSTATE | XID | CLOCK | UNAVAILABLE | RECOVERY | more

    def test_only_what_has_a_battery_tells_of_the_power_source(self) -> None:
        with listening(Gpu(T4, figures={"power": {"source": "AC"}})) as found:
            assert pynvml.nvmlDeviceGetSupportedEventTypes(found.handles[0]) & POWER
            found.control.set(0, power={"source": "BATTERY"})
            assert events(found) == [(POWER, 0)]
            source = ctypes.c_uint()
            library().nvmlDeviceGetPowerSource(found.handles[0], ctypes.byref(source))
            assert source.value == 1


class TestRegistering:
    def test_a_type_that_the_device_lacks_is_refused_with_all_the_others(self) -> None:
        with listening(RTX_4090) as found:
            made = pynvml.nvmlEventSetCreate()
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceRegisterEvents(found.handles[0], XID | DOUBLE, made)
            found.control.xid(0, 31)
            with refused("TIMEOUT"):
                pynvml.nvmlEventSetWait_v2(made, 0)

    def test_a_type_that_does_not_exist(self) -> None:
        with listening(T4) as found, refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceRegisterEvents(found.handles[0], 1 << 40, found.set)

    def test_what_was_before_is_not_recorded(self) -> None:
        with listening(T4) as found:
            found.control.xid(0, 31)
            late = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(found.handles[0], XID, late)
            with refused("TIMEOUT"):
                pynvml.nvmlEventSetWait_v2(late, 0)
            assert events(found) == [(XID, 31)]

    def test_types_add_up(self) -> None:
        with listening(T4) as found:
            made = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(found.handles[0], XID, made)
            pynvml.nvmlDeviceRegisterEvents(found.handles[0], DOUBLE, made)
            found.control.xid(0, 48)
            assert events(SimpleNamespace(set=made)) == [(DOUBLE, 0), (XID, 48)]

    def test_a_set_that_was_freed_is_none(self) -> None:
        with listening(T4) as found:
            pynvml.nvmlEventSetFree(found.set)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlEventSetWait_v2(found.set, 0)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlEventSetFree(found.set)


class TestDelivery:
    def test_each_event_once_to_each_set(self) -> None:
        with listening(T4) as found:
            other = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(found.handles[0], XID, other)
            found.control.xid(0, 31)
            assert events(found) == events(SimpleNamespace(set=other)) == [(XID, 31)]
            assert events(found) == events(SimpleNamespace(set=other)) == []

    def test_it_names_the_device_and_no_instance(self) -> None:
        with listening(T4, T4) as found:
            found.control.xid(1, 13)
            data = pynvml.nvmlEventSetWait_v2(found.set, 0)
            assert pynvml.nvmlDeviceGetIndex(data.device) == 1
            assert data.gpuInstanceId == data.computeInstanceId == 0xFFFFFFFF

    def test_the_first_version_writes_a_struct_without_instances(self) -> None:
        with listening(T4) as found:
            found.control.xid(0, 13)
            words = (ctypes.c_ulonglong * 4)(0, 0, 0, 0x1234567887654321)
            assert not library().nvmlEventSetWait(found.set, words, 0)
            assert words[0] == ctypes.cast(found.handles[0], ctypes.c_void_p).value
            assert list(words[1:]) == [XID, 13, 0x1234567887654321]

    def test_in_the_order_in_which_they_happened(self) -> None:
        with listening(T4, T4) as found:
            for device, number in ((1, 31), (0, 43), (1, 45)):
                found.control.xid(device, number)
            assert events(found) == [(XID, 31), (XID, 43), (XID, 45)]


class TestWhatMakesEvents:
    @pytest.mark.parametrize(
        ("profile", "figures", "expected"),
        [
            (T4, {"performance_state": 5}, [(PSTATE, 0)]),
            (T4, {"clocks": {"graphics": {"current": 405}}}, [(CLOCK, 0)]),
            (T4, {"ecc": {"volatile": {"sram_correctable": 1}}}, [(SINGLE, 0)]),
            (T4, {"ecc": {"volatile": {"dram_uncorrectable": 1}}}, [(DOUBLE, 0), (XID, 48)]),
            (A100, {"remapped_rows": {"uncorrectable": 1}}, [(RETIRED, 0), (XID, 63)]),
            (A100, {"remapped_rows": {"failure": True}}, [(RETIRE_FAILED, 0), (XID, 64)]),
            (T4, {"retired_pages": {"double_bit": [1]}}, [(RETIRED, 0), (XID, 63)]),
            (A100, {"mig": {"current": True}}, [(MIG, 0)]),
            (T4, {"recovery_action": "GPU_RESET"}, [(RECOVERY, 0), (XID, 154)]),
            (T4, {"failure": "reset_required"}, [(UNAVAILABLE, 0)]),
            (T4, {"failure": "lost"}, [(XID, 79), (UNAVAILABLE, 0)]),
            (T4, {"memory_used": "1 GiB"}, []),
        ],
    )
    def test_a_figure(
        self, profile: str, figures: dict[str, Any], expected: list[tuple[int, int]]
    ) -> None:
        with listening(profile) as found:
            found.control.set(0, **figures)
            assert events(found) == expected
            found.control.set(0, **figures)  # as it was
            assert events(found) == []

    def test_instances_of_mig(self) -> None:
        with listening(Gpu(A100, figures={"mig": {"current": True, "pending": True}})) as found:
            found.control.set(0, mig={"instances": [{"profile": "1g.10gb"}]})
            assert events(found) == [(MIG, 0)]

    @pytest.mark.parametrize(
        ("number", "companions"),
        [
            (94, [DOUBLE, CONTAINED]),
            (95, [DOUBLE, UNCONTAINED]),
            (48, [DOUBLE]),
            (92, [0x200]),
            (13, []),
        ],
    )
    def test_an_xid_and_what_comes_with_it(self, number: int, companions: list[int]) -> None:
        with listening(A100) as found:
            found.control.xid(0, number)
            assert events(found) == [*((kind, 0) for kind in companions), (XID, number)]

    def test_an_xid_and_the_figure_that_it_is_about_are_one_event(self) -> None:
        with listening(T4) as found:
            found.control.change(Change(device=0, xid=79, set={"failure": "lost"}))
            assert events(found) == [(UNAVAILABLE, 0), (XID, 79)]
            worse = {"ecc": {"volatile": {"dram_uncorrectable": 1}}}
            found.control.change(Change(device=0, xid=94, add=worse, set={"failure": "N/A"}))
            assert events(found) == [(DOUBLE, 0), (XID, 94)]

    def test_the_scenario_at_its_times(self) -> None:
        changes = [
            Change(at="10 s", device=0, xid=31),
            Change(
                **{"at": "20 s", "every": "5 s", "until": "30 s"},
                add={"ecc": {"volatile": {"dram_correctable": 1}}},
            ),
        ]
        with listening(T4, clock="manual", changes=changes) as found:
            found.machine.clock.advance(9)
            assert events(found) == []
            found.machine.clock.advance(1)
            assert events(found) == [(XID, 31)]
            found.machine.clock.advance(100)
            assert set(events(found)) == {(SINGLE, 0)}

    def test_what_a_python_function_changes(self) -> None:
        def fail(machine: emulator.Machine) -> None:
            machine.devices[0].failure = "lost"

        with listening(T4, clock="manual", changes=[Change(at=5, run=fail)]) as found:
            found.machine.clock.advance(5)
            assert events(found) == [(XID, 79), (UNAVAILABLE, 0)]


class TestALostDevice:
    def test_what_it_told_first_then_each_wait_is_refused_at_once(self) -> None:
        with listening(T4, T4) as found:
            found.control.kill(0)
            assert pynvml.nvmlEventSetWait_v2(found.set, FOREVER).eventData == 79
            assert pynvml.nvmlEventSetWait_v2(found.set, FOREVER).eventType == UNAVAILABLE
            for _ in range(2):
                with refused("GPU_IS_LOST"):
                    pynvml.nvmlEventSetWait_v2(found.set, FOREVER)

    def test_when_it_is_back_waits_go_on(self) -> None:
        with listening(T4) as found:
            found.control.kill(0)
            events(found)
            found.control.restore(0)
            found.control.xid(0, 31)
            assert events(found) == [(XID, 31)]

    def test_a_set_that_does_not_listen_to_it_does_not_mind(self) -> None:
        with listening(T4, T4) as found:
            made = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(found.handles[1], XID, made)
            found.control.kill(0)
            with refused("TIMEOUT"):
                pynvml.nvmlEventSetWait_v2(made, 0)


@contextmanager
def waiting(found: SimpleNamespace) -> Iterator[list[Any]]:
    """A thread that waits for ever; what its wait came to is there when the block has ended."""
    came: list[Any] = []
    data = pynvml.c_nvmlEventData_t()

    def wait() -> None:
        code = library().nvmlEventSetWait_v2(found.set, ctypes.byref(data), FOREVER)
        came.append((code, data.eventType, data.eventData))

    thread = threading.Thread(target=wait)
    thread.start()
    while not found.machine.events._bells:
        assert thread.is_alive()
    yield came
    thread.join(60)
    assert not thread.is_alive()


class TestWaiting:
    @pytest.mark.parametrize(
        "act",
        [
            lambda found: found.control.xid(0, 31),
            lambda found: found.machine.clock.advance(60),
        ],
        ids=["live control", "a clock that is advanced"],
    )
    def test_what_another_thread_does_ends_it(self, act: Callable[[Any], None]) -> None:
        changes = [Change(at="1 min", xid=31)]
        with listening(T4, clock="manual", changes=changes) as found:
            with waiting(found) as came:
                act(found)
            assert came == [(0, XID, 31)]

    def test_the_clock_ends_it(self) -> None:
        changes = [Change(at="20 min", device=0, xid=31)]
        with listening(T4, clock="600x", changes=changes) as found:
            data = pynvml.nvmlEventSetWait_v2(found.set, FOREVER)
            assert (data.eventType, data.eventData) == (XID, 31)

    def test_nothing_else_does_and_it_does_not_spin(self) -> None:
        with listening(T4) as found:
            before = resource.getrusage(resource.RUSAGE_THREAD)
            with refused("TIMEOUT"):
                pynvml.nvmlEventSetWait_v2(found.set, 300)
            after = resource.getrusage(resource.RUSAGE_THREAD)
            assert after.ru_nvcsw - before.ru_nvcsw < 20  # times that the thread went to sleep

    def test_freeing_the_set_ends_it(self) -> None:
        with listening(T4) as found:
            with waiting(found) as came:
                pynvml.nvmlEventSetFree(found.set)
            assert [code for code, *_ in came] == [pynvml.NVML_ERROR_TIMEOUT]

    @pytest.mark.parametrize("end", [pynvml.nvmlShutdown, None], ids=["shutdown", "the scenario"])
    def test_the_library_s_end_ends_it(self, end: Callable[[], None] | None) -> None:
        with ExitStack() as stack, listening(T4) as found:
            came = stack.enter_context(waiting(found))
            if end is not None:
                end()
                pynvml.nvmlInit()
        [(code, *_)] = came
        assert code in (pynvml.NVML_ERROR_UNINITIALIZED, pynvml.NVML_ERROR_TIMEOUT)

    def test_no_set_outlives_the_library_s_end(self) -> None:
        with listening(T4) as found:
            nothing_registered = pynvml.nvmlEventSetCreate()
            pynvml.nvmlShutdown()
            pynvml.nvmlInit()
            for made in (found.set, nothing_registered):
                for function, arguments in (
                    (pynvml.nvmlEventSetWait_v2, (made, 0)),
                    (pynvml.nvmlDeviceRegisterEvents, (found.handles[0], XID, made)),
                    (pynvml.nvmlEventSetFree, (made,)),
                ):
                    with refused("INVALID_ARGUMENT"):
                        function(*arguments)

    def test_a_load_that_comes_and_goes_changes_states_by_itself(self) -> None:
        curve = [["100 min", 0], ["100 min", 100], ["150 min", 100], ["150 min", 0]]
        busy = Gpu(T4, figures={"load": {"curve": curve}})
        with listening(busy, clock="3000x") as found:
            made = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(found.handles[0], PSTATE, made)
            states = [pynvml.nvmlDeviceGetPerformanceState(found.handles[0])]
            for _ in range(2):
                assert pynvml.nvmlEventSetWait_v2(made, FOREVER).eventType == PSTATE
                states.append(pynvml.nvmlDeviceGetPerformanceState(found.handles[0]))
            assert states == [8, 0, 8]

    def test_it_leaves_no_descriptor_behind(self) -> None:
        with listening(T4) as found:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(10):
                with refused("TIMEOUT"):
                    pynvml.nvmlEventSetWait_v2(found.set, 1)
            assert len(os.listdir("/proc/self/fd")) == before

    def test_other_calls_go_on_meanwhile(self) -> None:
        with listening(T4) as found:
            with waiting(found) as came:
                assert pynvml.nvmlDeviceGetCount() == 1
                found.control.xid(0, 31)
            assert came == [(0, XID, 31)]

    def test_a_signal_ends_it(self) -> None:
        with listening(T4) as found:
            handler = signal.signal(signal.SIGALRM, lambda *_: None)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                with refused("TIMEOUT"):
                    pynvml.nvmlEventSetWait_v2(found.set, FOREVER)
            finally:
                signal.signal(signal.SIGALRM, handler)

    def test_a_fork_s_child_goes_on_without_the_parent_s_waits(self) -> None:
        with listening(T4) as found:
            with waiting(found) as came:
                child = os.fork()
                if not child:
                    found.control.xid(0, 45)
                    os._exit(events(found) != [(XID, 45)])
                assert os.waitpid(child, 0)[1] == 0
                assert not came
                found.control.xid(0, 31)
            assert came == [(0, XID, 31)]


class TestScenarios:
    @pytest.mark.parametrize("number", [0, 1000, -1, True, "79"])
    def test_what_is_no_xid_is_refused(self, number: Any) -> None:
        with pytest.raises(ScenarioError, match="expected an integer from 1 to 999"):
            Change(xid=number)

    def test_it_is_written_as_it_is_read(self) -> None:
        scenario = Scenario(gpus=[Gpu(T4)], changes=[Change(at="10 s", device=0, xid=79)])
        text = toml.dumps(scenario)
        assert "xid = 79" in text
        assert toml.loads(text).changes == scenario.changes


class TestSystemEvents:
    """GPUs that the driver is bound to, and unbound from."""

    UNBIND, BIND = 1, 2

    @pytest.fixture
    def system(self) -> Iterator[SimpleNamespace]:
        with emulator.Emulation(Scenario(gpus=[Gpu(T4, count=2)])) as emulation:
            pynvml.nvmlInit()
            request = (ctypes.c_ulonglong * 2)(16 | 1 << 24, 0)
            assert not library().nvmlSystemEventSetCreate(request)
            yield SimpleNamespace(emulation=emulation, control=emulation.control, set=request[1])
            pynvml.nvmlShutdown()

    @staticmethod
    def register(system: SimpleNamespace, types: int) -> int:
        request = (ctypes.c_ulonglong * 3)(24 | 1 << 24, types, system.set)
        return int(library().nvmlSystemRegisterEvents(request))

    @staticmethod
    def wait(system: SimpleNamespace, room: int = 4) -> tuple[int, list[tuple[int, int]]]:
        data = (ctypes.c_ulonglong * (2 * room))()
        request = (ctypes.c_ulonglong * 4)(32 | 1 << 24, system.set, ctypes.addressof(data), room)
        code = library().nvmlSystemEventSetWait(request)
        count = request[3] >> 32
        return code, [(data[2 * row], data[2 * row + 1]) for row in range(count)]

    def test_a_gpu_that_is_taken_out_and_put_in_again(self, system: SimpleNamespace) -> None:
        assert not self.register(system, self.UNBIND | self.BIND)
        pci = system.emulation.machine.devices[1].pci
        gpu = pci.domain << 16 | pci.bus << 8 | pci.device
        system.control.set(1, failure="unplugged")
        system.control.restore(1)
        assert self.wait(system) == (0, [(self.UNBIND, gpu), (self.BIND, gpu)])
        assert self.wait(system) == (pynvml.NVML_ERROR_TIMEOUT, [])

    def test_what_there_is_no_room_for_comes_next(self, system: SimpleNamespace) -> None:
        self.register(system, self.UNBIND)
        system.control.set(None, failure="unplugged")
        assert [len(self.wait(system, room=1)[1]) for _ in range(3)] == [1, 1, 0]

    def test_only_what_is_registered(self, system: SimpleNamespace) -> None:
        self.register(system, self.BIND)
        system.control.set(0, failure="unplugged")
        assert self.wait(system)[0] == pynvml.NVML_ERROR_TIMEOUT

    def test_what_is_wrong_with_a_request(self, system: SimpleNamespace) -> None:
        assert self.register(system, 4) == pynvml.NVML_ERROR_INVALID_ARGUMENT
        assert self.wait(system, room=0)[0] == pynvml.NVML_ERROR_INVALID_ARGUMENT
        self.register(system, self.UNBIND)
        system.control.set(0, failure="unplugged")
        for nowhere in (0, 8):
            wait = (ctypes.c_ulonglong * 4)(32 | 1 << 24, system.set, nowhere, 4)
            assert library().nvmlSystemEventSetWait(wait) == pynvml.NVML_ERROR_INVALID_ARGUMENT
        assert len(self.wait(system)[1]) == 1
        request = (ctypes.c_ulonglong * 2)(16 | 2 << 24, system.set)
        code = library().nvmlSystemEventSetFree(request)
        assert code == pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH

    def test_a_set_that_was_freed_is_none(self, system: SimpleNamespace) -> None:
        request = (ctypes.c_ulonglong * 2)(16 | 1 << 24, system.set)
        assert not library().nvmlSystemEventSetFree(request)
        assert library().nvmlSystemEventSetFree(request) == pynvml.NVML_ERROR_INVALID_ARGUMENT
        assert self.wait(system)[0] == pynvml.NVML_ERROR_INVALID_ARGUMENT
