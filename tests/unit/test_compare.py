"""`nvemu compare`: what is counted as a difference, and the fidelity figure."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator import Gpu, Scenario, Testbed
from emulator.imports.captures.format import Call, Capture, Header, dumps, read
from emulator.imports.captures.playing import scenario_of_capture
from emulator.imports.deriving.fields import FIELDS
from emulator.imports.deriving.tables import NVML
from emulator.nvml import _constants as constants
from emulator.recording.bare import FigureComparison, bare, compare_figures
from emulator.recording.comparing import compare
from emulator.recording.fidelity import compared, own_machine
from emulator.recording.moving import kind_of, kind_of_figure
from emulator.recording.recorder import record
from emulator.recording.report import as_text, percent, summary
from emulator.recording.saving import captured
from emulator.scenario import toml

CAPTURES = sorted((Path(__file__).parents[1] / "captures").glob("*.capture"))
Nvemu = Callable[..., subprocess.CompletedProcess[str]]

CHANGED = {"bar1": {"total": 1 << 27}, "power": {"default_limit": 66000}, "brand": "QUADRO"}


def capture_of(scenario: Scenario) -> Capture:
    with Testbed(scenario, trace=True, capture=True) as testbed:
        return captured(testbed, record(testbed))


@pytest.fixture(scope="module")
def box() -> Capture:
    """A machine that has some figures otherwise than its profile, on an older driver."""
    gpus = [
        Gpu("t4", uuid=f"GPU-{index}" + "0" * 7 + "-1111-2222-3333-444444444444", figures=CHANGED)
        for index in (1, 2)
    ]
    return capture_of(Scenario(driver="535.261.03", gpus=gpus))


def call(function: str, code: int = 0, out: Any = None, **inputs: Any) -> Call:
    return Call("nvml", function, inputs, code, out)


def counts(recorded: Call, found: Call | None) -> dict[str, tuple[int, int]]:
    result = compare([recorded], [] if found is None else [found], {})
    return {kind: (tally.agree, tally.all) for kind, tally in result.tallies.items() if tally.all}


class TestCounting:
    def test_an_answer_is_a_figure(self) -> None:
        one = call("nvmlDeviceGetMaxClockInfo", out={"clock": 1590}, device="GPU-0", type=0)
        other = call("nvmlDeviceGetMaxClockInfo", out={"clock": 1600}, device="GPU-0", type=0)
        assert counts(one, one) == {"answer": (1, 1)}
        assert counts(one, other) == {"answer": (0, 1)}

    def test_a_clock_as_it_is_now_is_a_reading(self) -> None:
        def clock(which: int, megahertz: int) -> Call:
            inputs = {"device": "GPU-0", "clockType": 0, "clockId": which}
            return call("nvmlDeviceGetClock", out={"clockMHz": megahertz}, **inputs)

        assert counts(clock(0, 300), clock(0, 1590)) == {"reading": (0, 1)}
        assert counts(clock(3, 300), clock(3, 1590)) == {"answer": (0, 1)}

    def test_a_struct_has_several_and_readings_are_counted_apart(self) -> None:
        def memory(used: int, total: int = 16 << 30) -> Call:
            out = {"memory": {"total": total, "free": total - used, "used": used}}
            return call("nvmlDeviceGetMemoryInfo", out=out, device="GPU-0")

        assert counts(memory(1), memory(2)) == {"answer": (1, 1), "reading": (0, 2)}
        assert counts(memory(1), memory(1, 15 << 30)) == {"answer": (0, 1), "reading": (1, 2)}

    def test_functions_and_figures_are_of_one_kind(self) -> None:
        """What is a reading as a function's output is one as a figure of a published machine."""
        rows = [(name, *row) for name, outputs in NVML.items() for row in outputs.items()]
        fields = {value: name for name, value in vars(constants).items() if name.startswith("FI_")}
        for (number, scope), figure in FIELDS.items():
            value = f"values.{fields[number]}[{scope}].value"
            rows.append(("nvmlDeviceGetFieldValues", value, figure))
        for function, output, figure in rows:
            kind = kind_of_figure(figure)
            if "{" not in figure and kind != "answer":
                assert (function, output, kind_of(function, output, {})) == (function, output, kind)

    def test_an_identity_is_no_difference(self) -> None:
        one = call("nvmlDeviceGetUUID", out={"uuid": "GPU-1"}, device="GPU-0")
        other = call("nvmlDeviceGetUUID", out={"uuid": "GPU-2"}, device="GPU-0")
        result = compare([one], [other], {})
        assert (result.percent, result.differences) == (100, ())
        assert result.tallies["identity"].all == 1

    def test_a_status_is_an_answer_of_a_reading_too(self) -> None:
        one = call("nvmlDeviceGetPowerUsage", out={"power": 27000}, device="GPU-0")
        refused = call("nvmlDeviceGetPowerUsage", code=3, device="GPU-0")
        assert counts(one, refused) == {"answer": (0, 1)}
        [difference] = compare([refused], [one], {}).differences
        assert (difference.kind, difference.recorded, difference.found) == (
            "code",
            "NOT_SUPPORTED",
            "SUCCESS",
        )

    def test_what_both_refuse_counts_nothing(self) -> None:
        """Who has no handler at all refuses everything, as a product does that lacks much."""
        refused = call("nvmlDeviceGetFanSpeed", code=3, device="GPU-0")
        lost = call("nvmlDeviceGetFanSpeed", code=15, device="GPU-0")
        result = compare([refused], [refused], {})
        assert (result.refusals, result.percent, result.differences) == (1, 100, ())
        assert counts(refused, refused) == {}
        assert counts(refused, lost) == {"answer": (0, 1)}

    def test_what_is_not_answered_is_missing(self) -> None:
        one = call("nvmlDeviceGetBrand", out={"type": 1}, device="GPU-7")
        [difference] = compare([one], [], {}).differences
        assert (difference.kind, difference.found) == ("missing", None)

    def test_a_field_has_a_name_and_as_many_bits_as_its_type(self) -> None:
        def field(value: int, code: int = 0) -> Call:
            inside = {"fieldId": 188, "scopeId": 0, "valueType": 1, "nvmlReturn": code}
            out = {"values": [{**inside, "timestamp": value, "value": {"ullVal": value}}]}
            asked = [{"fieldId": 188, "scopeId": 0}]
            return call("nvmlDeviceGetFieldValues", out=out, device="GPU-0", values=asked)

        garbage = 5 | 0xABCD << 32
        assert counts(field(5), field(garbage)) == {"answer": (2, 2)}
        [difference] = compare([field(5)], [field(6)], {}).differences
        assert difference.figure == "values.FI_DEV_POWER_MAX_LIMIT[0].value"
        assert compare([field(5, code=3)], [field(6, code=3)], {}).refusals == 1
        [difference] = compare([field(5)], [field(5, code=3)], {}).differences
        assert (difference.kind, difference.figure, difference.found) == (
            "code",
            "values.FI_DEV_POWER_MAX_LIMIT[0]",
            "NOT_SUPPORTED",
        )

    @pytest.mark.parametrize(
        ("number", "shown"), [(100, "100.0 %"), (99.99, "99.9 %"), (97.44, "97.4 %"), (0, "0.0 %")]
    )
    def test_the_figure_is_100_only_where_all_agree(self, number: float, shown: str) -> None:
        assert percent(number) == shown


class TestMachines:
    def test_a_profile_is_faithful_to_itself(self) -> None:
        capture = capture_of(Scenario(gpus=[Gpu("a100-sxm4-40gb"), Gpu("rtx-3060")]))
        comparison, fatal = compared(capture, own_machine(capture))
        assert (comparison.differences, fatal) == ((), ())
        assert comparison.percent == 100
        assert comparison.tallies["answer"].all > 1000

    def test_what_the_profile_has_otherwise_is_listed(self, box: Capture) -> None:
        comparison, _ = compared(box, own_machine(box))
        found = {
            (row.function, row.figure, row.recorded, row.found) for row in comparison.differences
        }
        assert {function for function, *_ in found} == {
            "nvmlDeviceGetBAR1MemoryInfo",
            "nvmlDeviceGetBrand",
            "nvmlDeviceGetFieldValues",
            "nvmlDeviceGetPowerManagementDefaultLimit",
        }
        limit = ("nvmlDeviceGetPowerManagementDefaultLimit", "defaultLimit", 66000, 70000)
        assert limit in found
        assert len(comparison.differences) == 2 * len(found)  # of each of the two GPUs
        text = as_text(comparison)
        assert "(device=GPU-0) and 1 more: recorded 66000, found 70000" in text
        assert text.splitlines()[-1] == summary(comparison)
        assert comparison.percent < 100

    def test_the_capture_played_answers_as_recorded(self, box: Capture, tmp_path: Path) -> None:
        file = tmp_path / "box.capture"
        file.write_bytes(dumps(box))
        played = scenario_of_capture(read(file), str(file)).scenario
        comparison, _ = compared(box, played)
        for tally in comparison.tallies.values():
            assert tally.agree == tally.all

    def test_the_own_machine_has_the_identities_alone(self, box: Capture) -> None:
        own = own_machine(box)
        assert (own.driver, own.capture) == ("535.261.03", None)
        assert [gpu.uuid[:6] for gpu in own.gpus if gpu.uuid] == ["GPU-10", "GPU-20"]
        assert all(gpu.figures == {} for gpu in own.gpus)

    def test_calls_that_change_something_are_not_made(self) -> None:
        calls = (
            call("nvmlInit_v2", out={}),
            call("nvmlDeviceGetHandleByIndex_v2", out={"device": "GPU-0"}, index=0),
            call("nvmlDeviceSetPersistenceMode", out={}, device="GPU-0", mode=1),
            call("nvmlDeviceGetPersistenceMode", out={"mode": 1}, device="GPU-0"),
            call("nvmlShutdown", out={}),
        )
        capture = Capture(Header(driver="580.126.09"), calls)
        comparison, _ = compared(capture, Scenario(gpus=[Gpu("t4")]))
        assert comparison.skipped == {"nvmlDeviceSetPersistenceMode": 1, "nvmlShutdown": 1}
        [difference] = comparison.differences
        assert (difference.recorded, difference.found) == (1, 0)

    @pytest.mark.parametrize("file", CAPTURES, ids=lambda path: path.stem)
    def test_nvemu_answers_as_the_real_drivers_that_were_recorded(self, file: Path) -> None:
        capture = read(file)
        assert capture.header.redacted
        comparison, fatal = compared(capture, own_machine(capture))
        assert (comparison.differences, fatal) == ((), ())

    def test_there_are_captures(self) -> None:
        assert len(CAPTURES) >= 5


class TestFigures:
    def test_each_that_a_scenario_gives_is_counted(self) -> None:
        given = {"bar1": {"total": 1 << 27}, "power": {"default_limit": 70000, "min_limit": 50000}}
        scenario = Scenario(gpus=[Gpu("t4", count=2, memory_total="8 GiB", figures=given)])
        comparison = compare_figures(scenario)
        assert counted(comparison) == {"answer": (2, 8), "reading": (0, 0)}
        assert [(row.gpu, row.figure) for row in comparison.differences] == [
            (gpu, figure)
            for gpu in range(2)
            for figure in ("bar1.total", "power.min_limit", "memory.total")
        ]
        assert (comparison.differences[2].told, comparison.percent) == (8 << 30, 25)

    def test_readings_are_counted_apart(self) -> None:
        given = {"clocks": {"graphics": {"current": 1590}}, "utilization": {"gpu": 90}}
        gpu = Gpu("t4", temperature=71, memory_used="1 GiB", figures=given)
        comparison = compare_figures(Scenario(gpus=[gpu]))
        assert counted(comparison) == {"answer": (0, 0), "reading": (0, 4)}
        assert (comparison.differences, comparison.percent) == ((), 100)

    def test_modes_that_somebody_chose_are_not(self) -> None:
        chosen = {"persistence_mode": True, "power": {"limit": 60000}}
        scenario = Scenario(gpus=[Gpu("t4", name="Tesla T4 X", figures=chosen)])
        assert counted(compare_figures(scenario)) == {"answer": (0, 0), "reading": (0, 0)}
        assert bare(scenario).gpus[0].figures == chosen


def counted(comparison: FigureComparison) -> dict[str, tuple[int, int]]:
    return {kind: (tally.agree, tally.all) for kind, tally in comparison.tallies.items()}


class TestCommand:
    @pytest.fixture
    def file(self, box: Capture, tmp_path: Path) -> Path:
        path = tmp_path / "box.capture"
        path.write_bytes(dumps(box))
        return path

    def test_ends_as_diff_does(self, nvemu: Nvemu, file: Path) -> None:
        done = nvemu("compare", file)
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.splitlines()[-1].startswith("fidelity 98.")
        done = nvemu("compare", file, "--scenario", file)
        assert done.returncode == 0
        assert done.stdout.startswith("fidelity 100.0 %")
        assert nvemu("compare", file.with_name("missing.capture")).returncode == 2

    def test_as_json_has_each_difference(self, nvemu: Nvemu, file: Path) -> None:
        done = nvemu("compare", file, "--format", "json")
        said = json.loads(done.stdout)
        assert 90 < said["fidelity"] < 100
        assert said["answers"]["answer"]["all"] - said["answers"]["answer"]["agree"] == len(
            said["differences"]
        )
        assert said["differences"][0].keys() >= {"kind", "function", "inputs", "recorded", "found"}

    def test_of_a_scenario_compares_its_figures(self, nvemu: Nvemu, tmp_path: Path) -> None:
        path = tmp_path / "published.toml"
        scenario = Scenario(gpus=[Gpu("t4", figures={"brand": "QUADRO"})])
        path.write_text(toml.dumps(scenario))
        done = nvemu("compare", path)
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "Another value:",
            "  GPU-0 brand: told QUADRO, nvemu NVIDIA",
            "",
            "fidelity 0.0 %: 0 of 1 figures agree",
        ]
        said = json.loads(nvemu("compare", path, "--format", "json").stdout)
        assert (said["fidelity"], said["figures"]["answer"]) == (0, {"agree": 0, "all": 1})

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"", "cut off"),
            (b"not a capture\n", "expected a capture"),
            (b'{"nvemu":"capture","format":9}\n', "format 9"),
        ],
    )
    def test_of_a_damaged_file_names_it(
        self, nvemu: Nvemu, tmp_path: Path, content: bytes, problem: str
    ) -> None:
        path = tmp_path / "bad.capture"
        path.write_bytes(content)
        done = nvemu("compare", path)
        assert (done.returncode, done.stdout) == (2, "")
        assert str(path) in done.stderr
        assert problem in done.stderr or not content
        assert "Traceback" not in done.stderr

    def test_live_needs_a_driver_and_no_scenario(self, nvemu: Nvemu, file: Path) -> None:
        done = nvemu("compare", file, "--live", "--scenario", "default")
        assert done.returncode == 2
        assert "no scenario" in done.stderr
        done = nvemu("compare", "box.toml", "--live")
        assert done.returncode == 2

    def test_wants_a_capture_or_a_scenario(self, nvemu: Nvemu) -> None:
        done = nvemu("compare", "box.json")
        assert done.returncode == 2
        assert ".capture or .toml" in done.stderr
