"""The calls that doctor keeps of a trace."""

from __future__ import annotations

from typing import Any

from emulator.doctor.gathering import Gathering


def record(t: int, function: str = "nvmlDeviceGetCount_v2", **more: Any) -> dict[str, Any]:
    """A call of process 7 that succeeded."""
    basis = {"t": t, "us": 1, "pid": 7, "tid": 7, "library": "nvml", "function": function}
    return basis | {"arguments": {}, "code": 0, "status": "SUCCESS"} | more


def times(gathering: Gathering) -> list[int]:
    return [call.record["t"] for call in gathering.calls]


def test_of_many_alike_the_first_and_last_are_kept() -> None:
    gathering = Gathering((record(t) for t in range(100)), kept=3)
    assert times(gathering) == [0, 1, 2, 97, 98, 99]
    assert gathering.made == {7: 100}


def test_one_that_is_unlike_those_before_is_kept() -> None:
    records = [record(t) for t in range(100)]
    records[50] |= {"code": 15, "status": "GPU_IS_LOST"}
    assert times(Gathering(records, kept=3)) == [0, 1, 2, 50, 97, 98, 99]


def test_each_process_has_its_own_first_and_last() -> None:
    records = [record(t, pid=pid) for t in range(10) for pid in (7, 8)]
    gathering = Gathering(records, kept=1)
    assert [(call.pid, call.record["t"]) for call in gathering.calls] == [
        *((7, 0), (8, 0)),
        *((7, 9), (8, 9)),
    ]


def test_a_call_has_one_record_and_one_that_does_not_return_has_its_last() -> None:
    called = {"code": None, "status": "CALLED"}
    records = [record(1, **called), record(1), record(2, "nvmlInit_v2", **called)]
    records.append(record(2, "nvmlInit_v2", code=None, status="SIGNAL 11"))
    gathering = Gathering(records)
    assert [call.status for call in gathering.calls] == ["SUCCESS", "SIGNAL 11"]
    assert gathering.made == {7: 2}


def test_what_is_no_call_is_passed_over() -> None:
    assert times(Gathering([{"t": 1}, {"t": 2, "pid": 7, "code": 0}, record(3)])) == [3]
