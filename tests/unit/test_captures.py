"""The file of a capture: written, read back, and damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.cli.launching import choose
from emulator.imports.captures.format import (
    Call,
    Capture,
    Header,
    Table,
    call_line,
    dumps,
    header_line,
    loads,
    read,
)
from emulator.plans import find_scenario, plan_of
from emulator.scenario import Scenario, ScenarioError
from emulator.scenario.errors import ScenarioFileError

HEADER = Header(driver="550.163.01", libraries={"nvml": Table("550.163.01", ("nvmlInit",))})
CALLS = (
    Call("nvml", "nvmlInit_v2", {}, 0, {}),
    Call("nvml", "nvmlDeviceGetTemperature", {"device": "GPU-0", "sensorType": 0}, 0, {"temp": 41}),
    Call("nvml", "nvmlDeviceGetName", {"device": "GPU-0"}, 0, {"name": "NVIDIA \N{SNOWMAN} T4"}),
    Call("nvml", "nvmlDeviceGetFanSpeed", {"device": "GPU-0"}, 3),
    Call("nvml", "nvmlDeviceGetMemoryInfo", {"device": "GPU-0"}, 0, {"memory": {"total": 1 << 34}}),
    Call("cuda", "cuDeviceGetUuid", {"dev": "GPU-0"}, 0, {"uuid": {"bytes": [7] * 16}}),
)
CAPTURE = Capture(HEADER, CALLS)
GOOD = dumps(CAPTURE)


def call(**fields: Any) -> bytes:
    """A header and a call of which some fields are other ones."""
    row = {"library": "nvml", "function": "nvmlDeviceGetTemperature", "in": {}, "code": 3} | fields
    return header_line(HEADER) + json.dumps(row).encode() + b"\n"


def test_is_read_back_as_it_was() -> None:
    assert loads(GOOD) == CAPTURE


def test_has_a_line_for_the_header_and_each_call() -> None:
    assert GOOD.splitlines()[0] == (
        b'{"nvemu":"capture","format":1,"driver":"550.163.01","libraries":{"nvml":{"stub":'
        b'"550.163.01","lacking":["nvmlInit"],"hidden":[]}},"redacted":false,"made":"record",'
        b'"origin":""}'
    )
    assert call_line(CALLS[3]) == (
        b'{"library":"nvml","function":"nvmlDeviceGetFanSpeed","in":{"device":"GPU-0"},"code":3}\n'
    )


def test_functions_that_nvemu_does_not_know_are_passed_over_with_a_note() -> None:
    found = loads(call(function="nvmlOfTheFuture"))
    assert found.calls == ()
    [note] = found.notes
    assert str(note).startswith("line 2: nvmlOfTheFuture is not known to this nvemu")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "box.capture:1: expected a capture"),
        (b"\0" * 4096, "box.capture:1: expected a whole line"),
        (b"driver = 1\n", "box.capture:1: expected a capture"),
        (b'{"nvemu":"plan","format":1}\n', "box.capture:1: expected a capture"),
        (b'{"nvemu":"capture","format":2}\n', "box.capture:1: expected a capture of format 1, fou"),
        (b'{"nvemu":"capture","format":1,"x":1}\n', "box.capture:1: expected the header of a capt"),
        (b'{"nvemu":"capture","format":1,"made":"up"}\n', "box.capture:1: expected made to be one"),
        (
            b'{"nvemu":"capture","format":1,"libraries":{"nvml":{"stub":"1.2"}}}\n',
            "box.capture:1: expected libraries.nvml.stub to be a recorded driver, found '1.2'",
        ),
        (
            b'{"nvemu":"capture","format":1,"libraries":{"gl":{"stub":"550.163.01"}}}\n',
            "box.capture:1: expected the library 'nvml' or 'cuda', found 'gl'",
        ),
        (GOOD[:-1], "box.capture:7: expected a whole line"),
        (GOOD + b"\n", "box.capture:8: expected a call of a capture"),
        (GOOD + b"{\n", "box.capture:8: expected a call of a capture"),
        (GOOD + b"[]\n", "box.capture:8: expected a call of a capture"),
        (GOOD + b'{"a":' * 100_000 + b"\n", "box.capture:8: expected a call of a capture"),
        (call(library="gl"), "box.capture:2: expected the library 'nvml' or 'cuda', found 'gl'"),
        (call(code="3"), "box.capture:2: expected a call of a capture"),
        (call(**{"in": {"devise": 1}}), "found 'devise'; did you mean 'device'?"),
        (call(**{"in": {"device": 1}}), "nvmlDeviceGetTemperature: in.device: expected a device"),
        (call(code=0, out={"temp": "41"}), "out.temp: expected an integer, found '41'"),
        (call(code=0, out={"temp": True}), "out.temp: expected an integer, found True"),
        (call(code=0, out={"temp": 1 << 64}), "out.temp: expected an integer"),
        (call(code=0, out={"device": "GPU-0"}), "answers in, found 'device'"),
        (
            call(library="cuda", function="cuTexRefSetMipmapLevelBias", **{"in": {"bias": [1]}}),
            "in.bias: expected a number, found [1]",
        ),
        (
            call(function="nvmlDeviceGetMemoryInfo", out={"memory": {"totl": 1}}),
            "out.memory: no field 'totl'; did you mean 'total'?",
        ),
        (
            call(function="nvmlDeviceGetSupportedMemoryClocks", out={"clocksMHz": 3}),
            "out.clocksMHz: expected a list, found 3",
        ),
    ],
)
def test_a_damaged_one_is_refused_with_the_line(data: bytes, said: str) -> None:
    with pytest.raises(ScenarioFileError) as caught:
        loads(data)
    assert said in str(caught.value)
    assert str(caught.value).startswith("box.capture:")


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_one_is_never_half_read(data: st.DataObject) -> None:
    """Any bytes of it may be others, or missing."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 40)))
    damaged = GOOD[:start] + data.draw(st.binary(max_size=8)) + GOOD[end:]
    lines = damaged.count(b"\n")
    found = read_or_refused(damaged)
    if isinstance(found, ScenarioError):
        assert (found.file, found.line in range(1, lines + 2)) == ("box.capture", True)
    else:
        assert len(found.calls) + len(found.notes) <= lines
        assert loads(dumps(found)).calls == found.calls


def read_or_refused(data: bytes) -> Capture | ScenarioError:
    try:
        return loads(data)
    except ScenarioError as error:
        return error


class TestPlaces:
    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        missing = tmp_path / "box.capture"
        with pytest.raises(ScenarioFileError, match=r"box\.capture: cannot be read: No such file"):
            read(missing)
        with pytest.raises(ScenarioFileError, match="cannot be read"):
            find_scenario(str(missing))
        with pytest.raises(ScenarioFileError, match="cannot be read"):
            plan_of(Scenario(capture=str(missing)))

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ScenarioFileError, match="cannot be read: Is a directory"):
            read(tmp_path)

    def test_a_capture_stands_beside_the_scenario_that_names_it(self, tmp_path: Path) -> None:
        (tmp_path / "box.capture").write_bytes(GOOD)
        box = tmp_path / "box.toml"
        box.write_text('capture = "box.capture"\n[[gpu]]\nprofile = "t4"\n')
        answers = plan_of(find_scenario(box))["answers"]
        assert answers["nvml"]["nvmlDeviceGetFanSpeed"] == [[{"device": "GPU-0"}, 3, None]]

    def test_a_scenario_of_fewer_gpus_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "box.capture").write_bytes(GOOD)
        box = tmp_path / "box.toml"
        box.write_text('name = "box"\ncapture = "box.capture"\n')
        said = r"box\.toml:2: capture: expected a GPU for each .*, 1 or more; found 0; `nvemu"
        with pytest.raises(ScenarioError, match=said):
            plan_of(find_scenario(box))

    def test_another_driver_has_functions_of_its_own(self, tmp_path: Path) -> None:
        """What the recorded one lacked may not be there at all."""
        file = tmp_path / "box.capture"
        lacking = ("nvmlDeviceGetFanControlPolicy_v2",)
        header = Header("550.163.01", {"nvml": Table("550.163.01", lacking)})
        file.write_bytes(dumps(Capture(header, CALLS[:4])))
        assert [copy.symbols for copy in choose(str(file), None, None).loader["nvml"]] == [lacking]
        chosen = choose(str(file), None, "470.256.02")
        assert chosen.loader.keys() == {"cuda"}
        assert plan_of(chosen)["driver"] == "470.256.02"

    def test_fewer_gpus_in_its_place_are_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "box.capture"
        other = Call("nvml", "nvmlDeviceGetFanSpeed", {"device": "GPU-1"}, 3)
        file.write_bytes(dumps(Capture(Header("550.163.01"), (other,))))
        assert plan_of(choose(str(file), "t4:2", None))["answers"]
        with pytest.raises(ScenarioError, match=r"found 1; .*; --gpus replaced"):
            choose(str(file), "t4", None)

    def test_a_damaged_capture_is_named_itself(self, tmp_path: Path) -> None:
        (tmp_path / "box.capture").write_bytes(GOOD[:-1])
        box = tmp_path / "box.toml"
        box.write_text('capture = "box.capture"\n')
        with pytest.raises(ScenarioFileError, match=r"box\.capture:7: "):
            plan_of(find_scenario(box))

    def test_a_scenario_without_one_has_nothing_of_it_in_its_plan(self) -> None:
        assert "answers" not in plan_of(Scenario())
