"""The parts of the import that have rules of their own: units, clocks, memory, MIG, failures."""

from __future__ import annotations

from typing import Any

import pytest
from test_import_smi import T4, figures, one, output, texts

from emulator import Gpu, ScenarioError
from emulator.imports.making import scenario_of
from emulator.imports.smi import units
from emulator.imports.smi.clocks import supported_clocks
from emulator.imports.smi.differences import differences
from emulator.imports.smi.failing import failed
from emulator.imports.smi.tellings import Telling
from emulator.imports.smi.trees.tree import Node
from emulator.imports.smi.trees.xmltree import xml_tree
from emulator.machine.clocks import Clocks
from emulator.scenario.profiles import profile, profiles

MIB = 1 << 20


class TestUnits:
    @pytest.mark.parametrize(
        ("reader", "text", "value"),
        [
            (units.mebibytes, "81559 MiB", 81559 * MIB),
            (units.watts, "67.74 W", 67740),
            (units.millivolts, "662.500 mV", 662500),
            (units.celsius, "-8 C", -8),
            (units.celsius, "4294967256 C", -40),
            (units.hexadecimal, "0x2B8510DE", 0x2B8510DE),
            (units.lanes, "16x", 16),
            (units.nanoseconds, "7 us", 7000),
            (units.switched, "Not Active", False),
            (units.moment, "2024/07/31 05:52:57.891", 1722405177891000),
            (units.expiry, "Licensed (Expiry: 2027-1-31 12:0:0 GMT)", 1801396800),
            (units.expiry, "Licensed (Expiry: Permanent)", None),
        ],
    )
    def test_a_value(self, reader: units.Reader, text: str, value: object):
        assert reader(text)[0] == value

    @pytest.mark.parametrize(
        ("reader", "text"),
        [
            (units.mebibytes, "81559"),
            (units.mebibytes, "٣ MiB"),
            (units.mebibytes, "9" * 50 + " MiB"),
            (units.watts, "-1.00 W"),
            (units.hexadecimal, "no"),
            (units.switched, "perhaps"),
            (units.moment, "yesterday"),
            (units.expiry, "Licensed (Expiry: 2027-13-31 12:0:0 GMT)"),
        ],
    )
    def test_no_value(self, reader: units.Reader, text: str):
        with pytest.raises(ScenarioError, match="expected"):
            reader(text)


class TestSupportedClocks:
    def rows(self, *lists: tuple[int, list[int]]) -> tuple[Any, list[str]]:
        element = Node("supported_clocks")
        for memory, listed in lists:
            leaves = [Node("supported_graphics_clock", f"{clock} MHz") for clock in listed]
            row = Node("supported_mem_clock", children=[Node("value", f"{memory} MHz"), *leaves])
            element.children.append(row)
        telling = Telling(Node("gpu"), 0, "smi.xml")
        supported_clocks(telling, element)
        return telling.value("clocks.steps"), [note.text for note in telling.notes]

    @pytest.mark.parametrize("name", profiles())
    def test_those_of_the_catalogue_come_back(self, name: str):
        steps = profile(name).figures["clocks"].get("steps")
        if steps:
            clocks = Clocks({"steps": steps})
            lists = [(int(row[0]), clocks.supported_graphics(int(row[0])) or []) for row in steps]
            assert self.rows(*lists) == ([list(row) for row in steps], [])

    def test_steps_that_no_product_of_the_catalogue_has(self):
        listed = [int(1000.5 - 11.3 * place) for place in range(40)]
        rows, notes = self.rows((5001, listed))
        assert Clocks({"steps": rows}).supported_graphics(5001) == listed
        assert not notes

    def test_clocks_without_a_step_make_a_note(self):
        rows, [note] = self.rows((5001, [1000, 900, 300]))
        assert rows == [[5001, 1000, 300, 350]]
        assert "not at equal steps" in note


class TestMemory:
    def told(self, driver: str, *sizes: int) -> dict[str, int]:
        parts = ("total", "reserved", "used", "free")
        inner = "".join(
            f"<{part}>{size} MiB</{part}>" for part, size in zip(parts, sizes, strict=True)
        )
        head = f"<driver_version>{driver}</driver_version>"
        gpu = f"{T4}<fb_memory_usage>{inner}</fb_memory_usage>"
        told = figures(output(gpu, head=head).facts.gpus[0])
        return {part: told[f"memory.{part}"] for part in parts[:3]}

    def test_sizes_that_add_up(self):
        assert self.told("550.163.01", 16384, 400, 1000, 14984) == {
            "total": 16384 * MIB,
            "reserved": 400 * MIB,
            "used": 1000 * MIB,
        }

    @pytest.mark.parametrize(
        ("driver", "sizes"),
        [
            ("535.54.03", (81920, 869, 50, 80999)),
            ("535.161.08", (81559, 551, 0, 81007)),
            ("575.51.02", (8188, 390, 2026, 5773)),
            ("590.44.01", (97887, 637, 65720, 31531)),
        ],
    )
    def test_sizes_that_do_not_are_printed_so_again(self, driver: str, sizes: tuple[int, ...]):
        """Published; each is rounded by itself, up from 550 on."""
        told = self.told(driver, *sizes)
        free = told["total"] - told["reserved"] - told["used"]
        rounds_up = driver >= "550"
        printed = [-(-size // MIB) if rounds_up else size // MIB for size in (*told.values(), free)]
        assert tuple(printed) == sizes

    def test_what_processes_have_is_not_told_again(self):
        told = figures(
            one(
                "<fb_memory_usage><total>15360 MiB</total><reserved>388 MiB</reserved>"
                "<used>100 MiB</used><free>14872 MiB</free></fb_memory_usage>"
                "<processes><process_info><pid>1</pid><type>C</type><process_name>a</process_name>"
                "<used_memory>100 MiB</used_memory></process_info></processes>"
            )
        )
        assert "memory.used" not in told


class TestMig:
    def device(self, instance: int, compute: int, memory: int, processors: int) -> str:
        return (
            f"<mig_device><gpu_instance_id>{instance}</gpu_instance_id>"
            f"<compute_instance_id>{compute}</compute_instance_id><device_attributes><shared>"
            f"<multiprocessor_count>{processors}</multiprocessor_count></shared>"
            f"</device_attributes><fb_memory_usage><total>{memory} MiB</total></fb_memory_usage>"
            "</mig_device>"
        )

    def told(self, *devices: str) -> Any:
        gpu = (
            "<product_name>NVIDIA A100-SXM4-80GB</product_name>"
            f"<mig_devices>{''.join(devices)}</mig_devices>"
        )
        found = output(gpu).facts
        return found.gpus[0].value("mig", "instances"), texts(found)

    def test_a_slice_with_the_memory_of_two(self):
        """Published of an A100 with 535.54.03: ids 3 to 6, 14 multiprocessors, 19968 MiB."""
        rows, notes = self.told(*(self.device(3 + each, 0, 19968, 14) for each in range(4)))
        assert [(row["profile"], row["start"]) for row in rows] == [
            ("1g.20gb", start) for start in (0, 2, 4, 6)
        ]
        assert not notes

    def test_compute_instances_share_a_gpu_instance(self):
        [row], _ = self.told(self.device(2, 0, 40192, 14), self.device(2, 1, 40192, 28))
        assert (row["profile"], row["id"], row["start"]) == ("3g.40gb", 2, 4)
        assert [each["slices"] for each in row["compute"]] == [1, 2]

    def test_what_no_profile_holds_makes_a_note(self):
        devices = [self.device(2, each, 9728, 98) for each in range(3)]
        rows, notes = self.told(*devices)
        assert rows == []
        assert notes == ["no MIG profile of the product is like this: it is left out"]

    def test_none(self):
        assert self.told("None") == (None, [])


class TestFailures:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (
                "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
                "Make sure that the latest NVIDIA driver is installed and running.",
                "DRIVER_NOT_LOADED",
            ),
            (
                "Failed to initialize NVML: Driver/library version mismatch\n"
                "NVML library version: 535.183\n",
                "LIB_RM_VERSION_MISMATCH",
            ),
            ("Failed to initialize NVML: Insufficient Permissions", "NO_PERMISSION"),
            ("Failed to initialize NVML: Unknown Error", "UNKNOWN"),
        ],
    )
    def test_init(self, text: str, code: str):
        machine = failed(f"$ nvidia-smi -q\n{text}\n$")
        assert machine is not None
        [fault] = machine.facts.faults
        assert (fault.function, fault.returns) == ("nvmlInit*", code)

    def test_the_library_s_version_is_the_driver_s(self):
        machine = failed("Failed to initialize NVML: Unknown Error\nNVML library version: 535.183")
        assert machine is not None
        assert machine.facts.driver == "535.183"

    def test_a_lost_gpu(self):
        machine = failed(
            "Unable to determine the device handle for GPU 0000:5E:00.0: GPU is lost.  Reboot the "
            "system to recover this GPU"
        )
        assert machine is not None
        [gpu] = scenario_of(machine.facts).scenario.gpus
        assert gpu.pci_bus_id == "00000000:5E:00.0"
        assert gpu.figures["failure"] == "lost"
        assert "not told" in machine.facts.notes[0].text

    def test_no_devices(self):
        machine = failed("No devices were found\n")
        assert machine is not None
        assert scenario_of(machine.facts).scenario.gpus == ()

    def test_no_library(self):
        machine = failed("NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.")
        assert machine is not None
        assert machine.fields == {"loader": {"nvml": "absent"}}

    def test_anything_else(self):
        assert failed("nvidia-smi: command not found") is None


class TestDifferences:
    def of(self, told: str, ours: str) -> list[tuple[str, str, str, str]]:
        trees = [
            xml_tree(f"<nvidia_smi_log>{text}</nvidia_smi_log>", "smi.xml") for text in (told, ours)
        ]
        found = differences(*trees, ())
        return [(each.path, each.told, each.ours, each.reason) for each in found]

    def test_none(self):
        assert self.of("<gpu><serial>1</serial></gpu>", "<gpu><serial>1</serial></gpu>") == []

    def test_a_value(self):
        assert self.of("<gpu><serial>1</serial></gpu>", "<gpu><serial>2</serial></gpu>") == [
            ("gpu[0]/serial", "1", "2", "")
        ]

    def test_the_time(self):
        [(path, *_, why)] = self.of("<timestamp>1</timestamp>", "<timestamp>2</timestamp>")
        assert path == "timestamp"
        assert why.startswith("moves on its own")

    def test_what_is_not_kept(self):
        [(*_, why)] = self.of(
            "<gpu><gpu_operation_mode><current_gom>All On</current_gom></gpu_operation_mode></gpu>",
            "<gpu><gpu_operation_mode><current_gom>N/A</current_gom></gpu_operation_mode></gpu>",
        )
        assert "no product of the catalogue has GPU operation modes" in why

    def test_a_field_of_other_drivers(self):
        serial = "<serial>1</serial>"
        found = self.of(f"<gpu>{serial}<c2c_mode>N/A</c2c_mode></gpu>", f"<gpu>{serial}</gpu>")
        [(path, _, ours, why)] = found
        assert (path, ours) == ("gpu[0]/c2c_mode", "(absent)")
        assert "drivers that print other fields" in why

    def test_a_function_that_the_driver_lacks(self):
        told, ours = (
            f"<gpu><gpu_module_id>{text}</gpu_module_id></gpu>"
            for text in ("1", "Function Not Found")
        )
        [(*_, why)] = self.of(told, ours)
        assert "is older than this nvidia-smi" in why

    @pytest.mark.parametrize(("ours", "known"), [("606 MiB", True), ("607 MiB", False)])
    def test_sizes_that_are_rounded_otherwise(self, ours: str, known: bool):
        told, ours = (
            f"<gpu><fb_memory_usage><used>{size}</used></fb_memory_usage></gpu>"
            for size in ("605 MiB", ours)
        )
        [(*_, why)] = self.of(told, ours)
        assert ("rounds sizes" in why) is known

    def test_a_gpu_more_is_no_matter_of_drivers(self):
        gpu = "<gpu><serial>1</serial></gpu>"
        [(path, *_, why)] = self.of(gpu, gpu * 2)
        assert (path, why) == ("gpu[1]/serial", "")


def test_the_identity_that_is_told_is_the_gpu_s():
    made = scenario_of(output(f"{T4}<serial>0123</serial>").facts).scenario
    assert made.gpus == (Gpu("t4", serial="0123", pci_bus_id="00000000:3B:00.0"),)
