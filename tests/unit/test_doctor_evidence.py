"""What was seen, put together, and the verdict on what programs of other kinds do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

from emulator.doctor import judge, report
from emulator.doctor.events import (
    Event,
    Exec,
    Load,
    Search,
    Start,
    Stop,
    SymbolBound,
    Try,
    Unload,
    parse,
)
from emulator.doctor.evidence import Evidence, attempts
from emulator.trace import Call

SECOND = 10**9
NVML, CUDA = "libnvidia-ml.so.1", "libcuda.so.1"


def start(pid: int = 7, parent: int = 1, t: int = 0, **environment: str) -> Start:
    return Start(t, pid, pid, parent, "/bin/program", ["program"], environment)


def call(t: int, function: str, code: int | None = 0, status: str = "SUCCESS", **more: Any) -> Call:
    """A call of process 7; what else is given goes into its record."""
    library = "nvml" if function.startswith("nvml") else "cuda"
    basis = {"t": t, "us": 1, "pid": 7, "tid": 7, "library": library, "function": function}
    return Call(basis | {"arguments": {}, "code": code, "status": status} | more)


def counted(t: int = 2, count: int = 1, **more: Any) -> Call:
    return call(t, "cuDeviceGetCount", arguments={"count": count}, **more)


def evidence(*seen: Event | Call, **more: Any) -> Evidence:
    """A run of process 7 in which this was seen, in this order."""
    events = [each for each in seen if isinstance(each, Event)]
    calls = [each for each in seen if isinstance(each, Call)]
    basis: dict[str, Any] = {"root": 7, "status": 0, "stopped": None, "made": {7: len(calls)}}
    basis |= {"program": ["program"], "ours": lambda path: path.startswith("/testbed/")}
    return Evidence(events=events or [start()], calls=calls, **(basis | more))


class TestRecords:
    WHOLE: ClassVar = {"t": 1, "pid": 7, "tid": 7, "event": "unload", "path": "/lib/libcuda.so.1"}

    def test_those_of_no_known_kind_and_torn_ones_are_passed_over(self) -> None:
        torn = {key: value for key, value in self.WHOLE.items() if key != "path"}
        foreign = self.WHOLE | {"event": "something"}
        wrong = self.WHOLE | {"pid": "seven"}
        assert parse([torn, foreign, {"t": 1}, wrong, self.WHOLE]) == [
            Unload(1, 7, 7, "/lib/libcuda.so.1")
        ]

    def test_more_than_is_known_is_no_trouble(self) -> None:
        assert len(parse([self.WHOLE | {"new": 1}])) == 1

    def test_events_of_other_times_are_put_in_order(self) -> None:
        events = [Unload(t, 7, 7, "/lib/x") for t in (3, 1, 2)]
        assert [each.t for each in evidence(*events).events] == [1, 2, 3]


class TestAttempts:
    def test_threads_search_at_the_same_time(self) -> None:
        found = attempts(
            [
                Search(1, 7, 7, NVML),
                Search(2, 7, 8, NVML),
                Try(3, 7, 7, f"/a/{NVML}", "RUNPATH", "absent"),
                Try(4, 7, 8, f"/b/{NVML}", "RUNPATH", "library"),
                Load(5, 7, 8, f"/b/{NVML}"),
            ]
        )
        assert [each.paths for each in found] == [
            {f"/a/{NVML}": "absent"},
            {f"/b/{NVML}": "library"},
        ]
        assert [bool(each.load) for each in found] == [False, True]

    def test_what_a_library_needs_is_a_search_of_its_own(self) -> None:
        found = attempts(
            [
                Search(1, 7, 7, "/opt/libggml-cuda.so", None, "library"),
                Load(2, 7, 7, "/opt/libggml-cuda.so"),
                Search(3, 7, 7, CUDA, "/opt/libggml-cuda.so"),
                Try(4, 7, 7, f"/a/{CUDA}", "RUNPATH", "absent"),
            ]
        )
        assert [bool(each.load) for each in found] == [True, False]

    def test_what_is_loaded_already_is_there(self, tmp_path: Path) -> None:
        file, link = tmp_path / NVML, tmp_path / "libnvidia-ml.so.9"
        file.touch()
        link.symlink_to(file)
        again = [Search(1, 7, 7, str(link), None, "library"), Search(2, 7, 7, str(link), None, "")]
        load = Load(0, 7, 7, str(file))
        assert [each.load for each in attempts([load, *again])] == [load, None]
        gone = attempts([load, Unload(0, 7, 7, str(file)), *again])
        assert [each.load for each in gone] == [None, None]


class TestCallsThatDidNotReturn:
    def called(self, t: int) -> Call:
        return call(t, "nvmlDeviceGetCount_v2", None, "CALLED")

    def test_a_thread_that_is_left_behind_as_the_program_ends_does_not_hang(self) -> None:
        ended = Stop(3 * SECOND, 7, 7)
        seen = evidence(start(), call(1, "nvmlInit_v2"), self.called(3 * SECOND - 5), ended)
        assert judge(seen).name == "fine"

    def test_one_that_was_left_behind_long_before_hangs(self) -> None:
        seen = evidence(start(), call(1, "nvmlInit_v2"), self.called(5), Stop(3 * SECOND, 7, 7))
        assert judge(seen).headline.endswith("program hung inside nvmlDeviceGetCount_v2")

    def test_in_a_loop_that_was_ended_it_does_not_hang(self) -> None:
        count = call(2, "nvmlDeviceGetCount_v2", arguments={"deviceCount": 1})
        loop = [call(1, "nvmlInit_v2"), count, self.called(SECOND)]
        stopped = {"stopped": "timeout", "status": -9}
        assert judge(evidence(*loop, ended=SECOND + 9, **stopped)).name == "fine"
        assert judge(evidence(*loop, ended=9 * SECOND, **stopped)).name == "inside-a-call"

    def test_behind_one_that_does_not_hang_there_may_be_one_that_does(self) -> None:
        blocked = call(2, "nvmlDeviceGetTemperature", None, "BLOCKED", tid=8)
        seen = [call(1, "nvmlInit_v2"), blocked, self.called(SECOND), Stop(SECOND + 9, 7, 7)]
        assert judge(evidence(start(), *seen)).text == (
            "program hung inside nvmlDeviceGetTemperature"
        )

    def test_the_signal_that_ended_the_program_is_named(self) -> None:
        seen = evidence(call(1, "cuInit", None, "CALLED"), status=-11, ended=2)
        assert judge(seen).headline.endswith("program was ended by signal 11 inside cuInit")

    def test_of_another_process_it_is_not_known(self) -> None:
        seen = evidence(start(), start(8, 7), call(1, "cuInit", None, "CALLED", pid=8))
        assert judge(seen).headline.endswith("program was killed or crashed inside cuInit")

    def test_init_that_did_not_return_answered_nothing(self) -> None:
        seen = evidence(start(), call(1, "nvmlInit_v2", None, "CALLED"), Stop(2, 7, 7), ended=3)
        assert judge(seen).headline.endswith("program hung inside nvmlInit_v2")


class TestTheLastAnswer:
    def last(self, status: int = 1, **more: Any) -> Any:
        """The verdict where a program ends after an answer of cuTexObjectCreate."""
        answer = call(3, "cuTexObjectCreate", 801, "NOT_SUPPORTED", **more)
        return judge(evidence(call(1, "cuInit"), counted(), answer, status=status))

    def test_of_a_function_that_nvemu_lacks_is_said_to_be_so(self) -> None:
        text = "cuTexObjectCreate answered NOT_SUPPORTED (801), as nvemu has no handler for it"
        assert self.last(handler=False).text == text
        assert self.last(0, handler=False).text == text

    def test_of_an_error_inside_nvemu_is_said_to_be_so(self) -> None:
        failed = call(3, "cuTexObjectCreate", 999, "UNKNOWN", error="Traceback ...\nKeyError: 1")
        verdict = judge(evidence(call(1, "cuInit"), counted(), failed))
        assert verdict.text.endswith("UNKNOWN (999), as it met an error inside nvemu")

    def test_that_says_that_something_optional_is_lacking_is_no_trouble(self) -> None:
        assert self.last(0).name == "fine"
        assert (
            self.last(1).text
            == "the last that it asked was cuTexObjectCreate, and the exit status was 1"
        )

    def test_of_a_program_that_another_ended_is_no_trouble(self) -> None:
        for status in (124, 137, 143, -9, -13, -15):
            assert judge(evidence(call(1, "cuInit"), counted(), status=status)).name == "fine"
        assert judge(evidence(call(1, "cuInit"), counted(), status=-6)).name == "rejected"

    def test_with_null_for_a_result_is_no_trouble(self) -> None:
        null = call(3, "cuMemGetInfo_v2", arguments={"free": None, "total": 5})
        assert judge(evidence(call(1, "cuInit"), counted(), null)).name == "fine"


class TestTurnedAway:
    def seen(self, *majors: int | None) -> Any:
        """The verdict where the devices have these compute capabilities."""
        names = [
            {"attrib": "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR", "pi": major, "dev": number}
            for number, major in enumerate(majors)
        ]
        asked = [call(3, "cuDeviceGetAttribute", arguments=each) for each in names]
        other = {"attrib": "CU_DEVICE_ATTRIBUTE_WARP_SIZE", "pi": 32, "dev": 0}
        asked.append(call(9, "cuDeviceGetAttribute", arguments=other))
        return judge(evidence(call(1, "cuInit"), counted(2, len(majors)), *asked))

    def test_by_all_devices(self) -> None:
        assert self.seen(3).name == "rejected"
        assert self.seen(3, 3).name == "rejected"

    def test_by_one_of_several(self) -> None:
        assert self.seen(3, 8).name == "fine"
        assert self.seen(8, 3).name == "fine"

    def test_no_answer_is_none(self) -> None:
        assert self.seen(None).name == "fine"


class TestFunctionsAskedForInVain:
    ASKED = call(3, "cuGetProcAddress", 500, "NOT_FOUND", arguments={"symbol": "cuNone"})

    def test_as_the_last_step_it_decides(self) -> None:
        verdict = judge(evidence(call(1, "cuInit"), counted(), self.ASKED))
        assert verdict.headline == "function missing: libcuda.so.1 does not have cuNone"

    def test_before_others_it_does_not(self) -> None:
        later = call(4, "cuDeviceGetName")
        assert judge(evidence(call(1, "cuInit"), counted(), self.ASKED, later)).name == "fine"

    def test_without_one_that_counts_nothing_is_seen(self) -> None:
        version = SymbolBound(2, 7, 7, "nvmlDeviceGetCount_v2", f"/testbed/{NVML}", found=False)
        seen = [start(), version, call(1, "nvmlInit_v2"), call(3, "nvmlSystemGetDriverVersion")]
        closed = call(9, "nvmlShutdown")
        verdict = judge(evidence(*seen, closed))
        assert verdict.text == "libnvidia-ml.so.1 does not have nvmlDeviceGetCount_v2"
        older = call(4, "nvmlDeviceGetCount", arguments={"deviceCount": 1})
        assert judge(evidence(*seen, older, closed)).name == "fine"


class TestDevices:
    def test_they_are_seen_without_being_counted(self) -> None:
        handle = call(2, "nvmlDeviceGetHandleByIndex_v2", arguments={"index": 0, "device": "GPU-0"})
        seen = evidence(call(1, "nvmlInit_v2"), handle)
        assert judge(seen).headline == "all fine: 1 device seen"

    def test_they_may_not_be_asked_for(self) -> None:
        version = call(1, "cuDriverGetVersion", arguments={"driverVersion": 11040})
        seen = judge(evidence(version))
        assert seen.headline == "all fine: it asked libcuda.so.1 for no devices"

    def test_a_runtime_that_is_linked_in_asks_for_the_version_and_no_more(self) -> None:
        table = call(1, "cuGetExportTable", 1, "INVALID_VALUE")
        version = call(2, "cuDriverGetVersion", arguments={"driverVersion": 11040})
        seen = judge(evidence(table, version))
        assert (seen.name, "CUDA 11.4" in seen.text) == ("runtime-refused", True)


class TestSeveralProcesses:
    FAILED = (100, "NO_DEVICE")

    def seen(self, *calls: Call) -> Any:
        return judge(evidence(start(), start(8, 7, t=1), *calls))

    def test_a_failure_after_a_success_decides(self) -> None:
        later = self.seen(call(1, "cuInit"), counted(), call(9, "cuInit", *self.FAILED, pid=8))
        assert (later.name, later.pid) == ("no-devices", 8)
        assert any("process 7" in note and "1 device seen" in note for note in later.notes)

    def test_a_success_after_a_failure_decides(self) -> None:
        later = [call(9, "cuInit", pid=8), counted(10, pid=8)]
        assert self.seen(call(1, "cuInit", *self.FAILED), *later).name == "fine"

    def test_who_took_a_device_decides(self) -> None:
        taken = [call(1, "cuInit"), counted(), call(3, "cuCtxCreate_v2")]
        seen = self.seen(*taken, call(9, "cuInit", *self.FAILED, pid=8))
        assert seen.headline == "all fine: 1 device seen, and taken"

    def test_of_those_that_did_well_who_saw_most_decides(self) -> None:
        few = [call(1, "cuInit"), counted(2, 1)]
        seen = self.seen(
            *few, call(3, "cuInit", pid=8), counted(4, 2, pid=8), call(5, "cuInit", pid=9)
        )
        assert (seen.pid, seen.headline) == (8, "all fine: 2 devices seen")

    def test_of_those_alike_the_last_decides(self) -> None:
        both = [call(1, "cuInit"), counted(2), call(3, "cuInit", pid=8), counted(4, pid=8)]
        assert self.seen(*both).pid == 8

    def test_of_many_only_some_are_told(self) -> None:
        failed = [call(t, "cuInit", t, "UNKNOWN", pid=t) for t in range(10, 40)]
        seen = judge(evidence(start(), call(1, "cuInit"), counted(), *failed))
        assert sum("process" in note for note in seen.notes) == 4


class TestOtherWays:
    def test_one_of_several_versions_is_enough(self) -> None:
        cudart = "/opt/libcudart.so.12"
        seen = judge(
            evidence(
                start(),
                Search(1, 7, 7, "libcudart.so.13"),
                Try(2, 7, 7, "/lib/libcudart.so.13", "default folders", "absent"),
                Search(3, 7, 7, cudart, None, "library"),
                Load(4, 7, 7, cudart),
            )
        )
        assert (seen.name, seen.why) == ("never-asked", [f"program loaded {cudart}"])

    def test_a_program_that_lists_libraries(self) -> None:
        shell = Start(0, 8, 8, 7, "/bin/sh", ["sh"], {})
        run = Exec(1, 8, 8, "/sbin/ldconfig", True, ["ldconfig", "-p"])
        assert judge(evidence(start(), shell, run)).text == "sh ran ldconfig"

    def test_programs_that_were_not_seen_to_start(self) -> None:
        runs = [Exec(t, t, t, "/bin/x", True, ["x", str(t)]) for t in (8, 9)]
        seen = evidence(start(), *runs, start(8, 7, t=20))
        assert judge(seen).why == ["x 9"]
        assert judge(evidence(start(), *runs, left=frozenset((8, 9)))).name == "never-asked"


def test_the_report_is_made_of_no_events_at_all() -> None:
    made = report(evidence(start()), judge(evidence(start())))
    assert (made.verdict, made.processes[0].began) == ("never-asked", 0)
    assert os.sep not in made.headline
