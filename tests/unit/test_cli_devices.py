"""`nvemu devices`: a client like any other, which shows NVML and CUDA side by side."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator import Fault, Gpu, Scenario
from emulator.cli.devices_table import show
from emulator.cli.findings import Finding, Pair, SeenGpu, pairs

Done = subprocess.CompletedProcess[str]
RunIn = Callable[..., Done]

TWO = Scenario(gpus=[Gpu("h100-sxm5-80gb"), Gpu("t4", memory_used="1 GiB")], driver="550.163.01")


@pytest.fixture
def devices(nvemu_command: list[str]) -> list[str]:
    return [*nvemu_command, "devices"]


def rows(text: str) -> list[list[str]]:
    """The table's rows: the words between two spaces or more."""
    return [[part.strip() for part in row.split("  ") if part.strip()] for row in text.splitlines()]


class TestGpusThatBothFind:
    def test_stand_side_by_side(self, run_in: RunIn, devices: list[str]) -> None:
        done = run_in(TWO, devices)
        assert (done.returncode, done.stderr) == (0, "")
        table = rows(done.stdout)
        assert ["name", "NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"] in table
        assert ["bus id", "00000000:1B:00.0", "0000:1B:00.0"] in table
        assert ["compute cap.", "7.5", "7.5"] in table
        assert "!=" not in done.stdout

    def test_memory_in_use_is_told_by_nvml(self, run_in: RunIn, devices: list[str]) -> None:
        table = rows(run_in(TWO, devices).stdout)
        used = [row[1] for row in table if row[:1] == ["memory"]]
        assert used[1] == "1024 of 15360 MiB in use"

    def test_versions_and_the_libraries_files_stand_in_the_head(
        self, run_in: RunIn, devices: list[str]
    ) -> None:
        nvml, cuda = run_in(TWO, devices).stdout.splitlines()[:2]
        assert nvml.startswith("NVML /")
        assert nvml.endswith(
            "/lib/libnvidia-ml.so.550.163.01: driver 550.163.01, CUDA 12.4, 2 GPUs"
        )
        assert cuda.endswith("/lib/libcuda.so.550.163.01: CUDA 12.4, 2 GPUs")

    def test_are_matched_whatever_order_and_choice_cuda_has(
        self, run_in: RunIn, devices: list[str]
    ) -> None:
        done = run_in(TWO, [*devices, "--json"], CUDA_VISIBLE_DEVICES="1")
        assert json.loads(done.stdout)["same"] == [[1, 0]]
        table = rows(run_in(TWO, devices, CUDA_VISIBLE_DEVICES="1").stdout)
        assert ["index", "0", "not found"] in table
        assert ["index", "1", "0"] in table


class TestWidth:
    @pytest.mark.parametrize("columns", ["", "200"])
    def test_with_room_they_stand_side_by_side(
        self, run_in: RunIn, devices: list[str], columns: str
    ) -> None:
        lines = run_in(TWO, devices, COLUMNS=columns).stdout.splitlines()
        uuids = [re.findall("GPU-[0-9a-f-]{36}", row) for row in lines if row.startswith("UUID")]
        assert [len(found) for found in uuids] == [2, 2]
        assert all(row == row.rstrip() for row in lines)

    def test_without_it_nvml_stands_above_cuda(self, run_in: RunIn, devices: list[str]) -> None:
        table = run_in(TWO, devices, COLUMNS="60").stdout.splitlines()[3:]
        assert all(row == row.rstrip() and len(row) <= 60 for row in table)
        assert [row for row in table if row in ("NVML", "CUDA")] == ["NVML", "CUDA"] * 2
        uuids = [row.split()[1] for row in table if row.startswith("  UUID")]
        assert [len(uuid) for uuid in uuids] == [40] * 4
        assert uuids[::2] == uuids[1::2]

    @pytest.mark.parametrize("columns", ["60", "200"])
    def test_a_contradiction_is_marked(
        self, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        one, other = SeenGpu(0, uuid="GPU-" + "1" * 36), SeenGpu(0, uuid="GPU-" + "2" * 36)
        show(Finding("nvml", gpus=(one,)), Finding("cuda", gpus=(other,)), [Pair(one, other)])
        rows = capsys.readouterr().out.splitlines()
        assert [row for row in rows if one.uuid in row and "!=" in row]
        assert [row for row in rows if other.uuid in row and "!=" in row]


class TestJson:
    def test_has_all_that_was_found(self, run_in: RunIn, devices: list[str]) -> None:
        found = json.loads(run_in(TWO, [*devices, "--json"]).stdout)
        assert found["nvml"]["driver"] == "550.163.01"
        assert found["nvml"]["cuda"] == found["cuda"]["cuda"] == "12.4"
        assert found["same"] == [[0, 0], [1, 1]]
        assert found["nvml"]["failure"] is None
        gpu = found["nvml"]["gpus"][1]
        assert gpu["memory_used"] == 1 << 30
        assert gpu["uuid"] == found["cuda"]["gpus"][1]["uuid"]
        assert gpu["failures"] == {}

    def test_has_the_call_that_failed(self, run_in: RunIn, devices: list[str]) -> None:
        found = json.loads(run_in("driver-not-loaded", [*devices, "--json"]).stdout)
        assert found["nvml"]["failure"] == {
            "function": "nvmlInit",
            "name": "NVML_ERROR_DRIVER_NOT_LOADED",
            "code": 9,
            "text": "Driver Not Loaded",
        }


class TestFailures:
    def test_libraries_that_are_not_found(self, devices: list[str], tmp_path: Path) -> None:
        empty = {"LD_LIBRARY_PATH": str(tmp_path)}
        done = subprocess.run(devices, env=empty, capture_output=True, text=True, check=False)
        if "not found" not in done.stdout:
            pytest.skip("this machine has a driver of its own")
        assert done.returncode == 1
        assert done.stderr == ""
        assert [row.split(": ")[:3] for row in done.stdout.splitlines()] == [
            ["NVML", "dlopen -> library not found", "libnvidia-ml.so.1"],
            ["CUDA", "dlopen -> library not found", "libcuda.so.1"],
        ]

    def test_a_library_that_cannot_be_loaded(self, devices: list[str], tmp_path: Path) -> None:
        (tmp_path / "libcuda.so.1").write_text("text")
        broken = {"LD_LIBRARY_PATH": str(tmp_path)}
        done = subprocess.run(devices, env=broken, capture_output=True, text=True, check=False)
        assert f"CUDA: dlopen -> library cannot be loaded: {tmp_path}" in done.stdout

    @pytest.mark.parametrize(
        ("scenario", "nvml", "cuda"),
        [
            (
                "driver-not-loaded",
                "nvmlInit -> NVML_ERROR_DRIVER_NOT_LOADED (9): Driver Not Loaded",
                "cuInit -> CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected",
            ),
            (
                "library-version-mismatch",
                "nvmlInit -> NVML_ERROR_LIB_RM_VERSION_MISMATCH (18): "
                "Driver/library version mismatch",
                "cuInit -> CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)",
            ),
            ("no-devices", "0 GPUs", "cuInit -> CUDA_ERROR_NO_DEVICE (100)"),
        ],
    )
    def test_of_a_call_are_told_with_name_number_and_text(
        self, run_in: RunIn, devices: list[str], scenario: str, nvml: str, cuda: str
    ) -> None:
        done = run_in(scenario, devices)
        first, second = done.stdout.splitlines()
        assert nvml in first
        assert cuda in second
        assert done.returncode == 1

    def test_a_function_that_the_library_lacks(
        self, compile_c: Callable[..., Path], devices: list[str]
    ) -> None:
        library = compile_c("int cuInit(unsigned f) { return 0; }", "-shared", "-fPIC")
        library.rename(library.with_name("libcuda.so.1"))
        found = {"LD_LIBRARY_PATH": str(library.parent)}
        done = subprocess.run(devices, env=found, capture_output=True, text=True, check=False)
        expected = "cuDeviceGetCount -> function not found: not exported by libcuda.so.1"
        assert expected in done.stdout

    def test_of_one_figure_take_its_place(self, run_in: RunIn, devices: list[str]) -> None:
        lost = Fault("nvmlDeviceGetName", device=1, returns="GPU_IS_LOST")
        done = run_in(Scenario(gpus=TWO.gpus, faults=[lost]), devices)
        assert ["name", "NVML_ERROR_GPU_IS_LOST", "Tesla T4"] in rows(done.stdout)
        assert done.returncode == 0

    def test_of_one_gpu_leave_the_others(self, run_in: RunIn, devices: list[str]) -> None:
        lost = Fault("nvmlDeviceGetHandleByIndex_v2", calls=1, returns="GPU_IS_LOST")
        table = rows(run_in(Scenario(gpus=TWO.gpus, faults=[lost]), devices).stdout)
        assert ["index", "NVML_ERROR_GPU_IS_LOST", "not found"] in table
        assert ["index", "1", "1"] in table


class TestPairs:
    def test_bus_ids_match_whatever_their_domains_width(self) -> None:
        one = SeenGpu(0, bus_id="00000000:1B:00.0")
        other = SeenGpu(3, bus_id="0000:1b:00.0")
        assert pairs([one], [other]) == [Pair(one, other)]
        assert not Pair(one, other).contradicts("bus_id")

    def test_uuids_match_where_a_bus_id_is_not_told(self) -> None:
        one, other = SeenGpu(0, uuid="GPU-1", bus_id="0000:1B:00.0"), SeenGpu(0, uuid="GPU-1")
        assert pairs([one], [other]) == [Pair(one, other)]

    def test_what_neither_identifies_is_not_matched(self) -> None:
        one, other = SeenGpu(0), SeenGpu(0)
        assert pairs([one], [other]) == [Pair(one, None), Pair(None, other)]

    @pytest.mark.parametrize(
        ("nvml", "cuda", "contradicts"),
        [("T4", "T4", False), ("T4", "A100", True), ("T4", None, False), (None, None, False)],
    )
    def test_a_contradiction_needs_two_answers(
        self, nvml: Any, cuda: Any, contradicts: bool
    ) -> None:
        pair = Pair(SeenGpu(0, name=nvml), SeenGpu(0, name=cuda))
        assert pair.contradicts("name") is contradicts


def test_is_a_client_and_knows_nothing_of_the_emulation(nvemu_command: list[str]) -> None:
    python, _, program = nvemu_command
    report = subprocess.run(
        [python, "-X", "importtime", "-c", program, "devices"],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    imported = {row.rpartition("|")[2].strip() for row in report.splitlines()}
    assert "emulator.cli.findings" in imported
    inside = ("runtime", "nvml", "cuda", "machine", "scenario", "testbed")
    assert not imported & {f"emulator.{name}" for name in inside}
