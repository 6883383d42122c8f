"""A trace's file as records, also where processes were killed while they wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.runtime.trace import Trace
from emulator.trace import Commands, Splitter, records, whole


def record(number: int, **arguments: Any) -> dict[str, Any]:
    return {"t": number, "us": 1, "pid": 7, "tid": 7, "function": "f", "arguments": arguments}


def line(number: int, **arguments: Any) -> bytes:
    return json.dumps(record(number, **arguments)).encode()


def read(data: bytes, size: int = 1 << 20) -> list[dict[str, Any]]:
    splitter = Splitter()
    found = []
    for start in range(0, len(data), size):
        found += splitter.feed(data[start : start + size])
    return [record.fields for record in (*found, *splitter.end())]


FIRST, SECOND = line(1, name='a "{"t": 1}" in it'), line(2)


class TestTornRecords:
    @pytest.mark.parametrize("cut", range(len(FIRST)))
    def test_do_not_take_the_next_one_along(self, cut: int) -> None:
        assert read(FIRST[:cut] + SECOND + b"\n") == [record(2)]

    def test_that_lack_only_the_end_of_the_line_are_kept(self) -> None:
        both = [json.loads(FIRST), record(2)]
        assert read(FIRST + SECOND + b"\n") == both
        assert read(FIRST + b"\n" + SECOND) == both

    def test_at_the_end_are_dropped(self) -> None:
        assert read(FIRST + b"\n" + SECOND[:-1]) == [json.loads(FIRST)]

    def test_may_be_several_on_one_line(self) -> None:
        assert read(FIRST[:30] + SECOND[:9] + FIRST[:50] + SECOND + b"\n") == [record(2)]

    def test_come_as_lines_that_are_json_each(self) -> None:
        data = FIRST[:30] + SECOND + FIRST
        assert [found.text for found in whole(data)] == [SECOND, FIRST]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_does_not_depend_on_how_much_is_read_at_a_time(size: int) -> None:
    data = FIRST + b"\n" + SECOND[:20] + FIRST + b"\n" + SECOND + b"\n"
    assert read(data, size) == read(data) == [json.loads(FIRST), json.loads(FIRST), record(2)]


def test_what_is_json_and_no_record_is_passed_over() -> None:
    assert read(b'12\n"t"\n[]\n{}\n\n' + SECOND) == [record(2)]


def test_reads_what_the_runtime_writes(tmp_path: Path) -> None:
    trace = Trace(str(tmp_path / "trace.jsonl"))
    before = record(1, text='{"t": "é\x1b\n"}', limit=1.5, nothing=None, many=[True, {"a": -1}])
    trace.write(before)
    size = (tmp_path / "trace.jsonl").stat().st_size
    with (tmp_path / "trace.jsonl").open("ab") as file:
        file.write(FIRST[:40])
    trace.write(record(2))
    assert list(records(tmp_path / "trace.jsonl")) == [before, record(2)]
    assert list(records(tmp_path / "trace.jsonl", size)) == [record(2)]


def test_tells_command_lines(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "trace.jsonl")
    assert commands.of(7) == []
    Trace(str(tmp_path / "trace.jsonl")).write(record(1))
    own = Path("/proc/self/cmdline").read_text(encoding="utf-8").rstrip("\0").split("\0")
    assert commands.of(7) == own
    assert commands.of(8) == []
