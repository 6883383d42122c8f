"""What `nvidia-smi -q -x` tells of a machine, in the newest generation of its XML and in pieces.

smi_v13.xml is the output of an emulated H100, with the fields added that drivers from 570 on print.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator import ScenarioError
from emulator.imports.facts import Facts, GpuFacts
from emulator.imports.making import scenario_of
from emulator.imports.smi.mapping import ELEMENTS, FIGURES
from emulator.imports.smi.reading import Output, parse, read
from emulator.imports.smi.tables.rest import DERIVED, NOT_KEPT
from emulator.machine import DRIVERS, Device, Figures
from emulator.scenario import ScenarioFileError
from emulator.scenario.tree import names

V13 = Path(__file__).with_name("smi_v13.xml")

T4 = """
    <product_name>Tesla T4</product_name>
    <product_brand>NVIDIA</product_brand>
"""


def output(*gpus: str, head: str = "<driver_version>550.163.01</driver_version>") -> Output:
    """What is read in the XML of GPUs with these elements."""
    elements = "".join(
        f'<gpu id="00000000:{0x3B + place:02X}:00.0">{gpu}</gpu>' for place, gpu in enumerate(gpus)
    )
    return parse(f"<nvidia_smi_log>\n{head}\n{elements}\n</nvidia_smi_log>", "smi.xml")


def one(gpu: str) -> GpuFacts:
    """What is told of a T4 with these elements beside its name."""
    [found] = output(T4 + gpu).facts.gpus
    return found


def figures(facts: GpuFacts) -> dict[str, Any]:
    return {".".join(told.path): told.value for told in facts}


def texts(facts: Facts) -> list[str]:
    return [note.text for note in facts.notes]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return read(V13).facts


class TestTheNewestGeneration:
    def test_its_versions(self, facts: Facts):
        assert (facts.driver, facts.cuda) == ("580.126.09", "13.0")

    @pytest.mark.parametrize(
        ("figure", "value"),
        {
            "name": "NVIDIA H100 80GB HBM3",
            "uuid": "GPU-00000001-0002-0003-0004-000000000005",
            "pci_bus_id": "00000000:1B:00.0",
            "pdi": 0xA1,
            "display_mode": False,
            "persistence_mode": True,
            "platform.peer_type": "SWITCH",
            "platform.ib_guid": "00000000000000c3",
            "platform.slot_number": 3,
            "board.module_id": 5,
            "inforom.bbx_run_time": 86400,
            "inforom.bbx_flush_time": 1722405177891000,
            "recovery_action": "NONE",
            "pci.device_id": 0x233010DE,
            "pci.current_width": 16,
            "pci.atomics_inbound": [
                *("FETCHADD_32", "FETCHADD_64", "SWAP_32", "SWAP_64", "CAS_32", "CAS_64"),
            ],
            "performance_state": 0,
            "clocks.event_reasons": ["sw_power_cap"],
            "clocks.event_counters.sw_power_cap": 1_500_000,
            "clocks.event_counters.hw_thermal_slowdown": 7000,
            "clocks.steps": [[2619, 1980, 345, 15], [1593, 1980, 345, 15]],
            "memory.total": 81559 << 20,
            "memory.used": 1030 << 20,
            "ecc.tpc_repair_pending": True,
            "ecc.volatile.dram_correctable": 0,
            "remapped_rows.unrepairable": False,
            "remapped_rows.banks_max": 2560,
            "temperature.gpu": 29,
            "temperature.shutdown_margin": -8,
            "power.usage": 698_500,
            "power.instant": 690_250,
            "power.memory_usage": 60_330,
            "power.limit": 700_000,
            "fabric.clique_id": 7,
            "fabric.degraded_bandwidth": True,
            "fabric.route_unhealthy": True,
            "fabric.health_summary": "UNHEALTHY",
            "fabric.global_manager_connected": True,
            "fans": [],
        }.items(),
    )
    def test_a_figure(self, facts: Facts, figure: str, value: object):
        assert figures(facts.gpus[0])[figure] == value

    def test_what_deprecated_fields_say_is_not_told(self, facts: Facts):
        told = figures(facts.gpus[0])
        assert "power.voltage" not in told
        assert "clocks.graphics.application" not in told

    def test_a_process(self, facts: Facts):
        assert facts.gpus[0].value("processes") == [
            {
                "pid": 4242,
                "name": "python3 train.py --name <a&b>",
                "type": "C",
                "used_memory": 1 << 30,
            }
        ]

    def test_a_note_for_each_field_that_is_not_kept(self, facts: Facts):
        fields = [note.where.rpartition(" ")[2].rpartition("/")[2] for note in facts.notes]
        assert fields == [
            *("bank_remapper_pending", "gpu_temp_max", "current_base_power", "edpp_multiplier"),
            "something_new",
        ]
        assert facts.notes[-1].where.startswith("line 575, gpu 00000000:1B:00.0, ")
        assert facts.notes[-1].text == "field not known"

    def test_only_what_differs_is_in_the_scenario(self, facts: Facts):
        [gpu] = scenario_of(facts).scenario.gpus
        assert gpu.profile == "h100-sxm5-80gb"
        assert gpu.name is None
        assert "temperature" not in gpu.figures
        assert gpu.figures["platform"]["chassis_serial_number"] == "CHASSIS-7"


class TestTables:
    @pytest.mark.parametrize("figure", sorted({figure for figure, _ in FIGURES.values()}))
    def test_each_figure_is_one_of_the_machine_s(self, figure: str):
        if figure not in ("uuid", "serial"):  # the scenario's GPU has these
            group: type[Figures] = Device
            for part in figure.split("."):
                hint = names(group)[part]
                group = hint if isinstance(hint, type) and issubclass(hint, Figures) else group

    def test_no_field_is_in_two_of_them(self):
        tables = [FIGURES, ELEMENTS, DERIVED, NOT_KEPT]
        paths = [path for table in tables for path in table]
        assert len(paths) == len(set(paths))


class TestOlderNames:
    def test_power(self):
        told = figures(
            one(
                "<power_readings><power_draw>35.10 W</power_draw><power_limit>60.00 W"
                "</power_limit><enforced_power_limit>60.00 W</enforced_power_limit>"
                "</power_readings>"
            )
        )
        assert (told["power.usage"], told["power.limit"]) == (35_100, 60_000)
        assert "power.firmware_limit" not in told

    def test_a_laptop_s_limit_is_its_firmware_s(self):
        told = figures(
            one(
                "<gpu_power_readings><current_power_limit>80.00 W</current_power_limit>"
                "<requested_power_limit>N/A</requested_power_limit></gpu_power_readings>"
            )
        )
        assert (told["power.firmware_limit"], told["power.limit"]) == (80_000, None)

    def test_throttle_reasons(self):
        told = one(
            "<clocks_throttle_reasons>"
            "<clocks_throttle_reason_sw_power_cap>Active</clocks_throttle_reason_sw_power_cap>"
            "<clocks_throttle_reason_display_clocks_setting>Active"
            "</clocks_throttle_reason_display_clocks_setting></clocks_throttle_reasons>"
        )
        reasons = ["sw_power_cap", "display_clock_setting"]
        assert told.value("clocks", "event_reasons") == reasons

    def test_the_board_s_part_number(self):
        told = figures(one("<gpu_part_number>900-2G183-0000-001</gpu_part_number>"))
        assert told["board.part_number"] == "900-2G183-0000-001"
        assert "board.gpu_part_number" not in told

    def test_uncorrectable_errors_in_one_number(self):
        told = figures(
            one(
                "<ecc_mode><current_ecc>Enabled</current_ecc></ecc_mode><ecc_errors><aggregate>"
                "<sram_uncorrectable>9</sram_uncorrectable></aggregate></ecc_errors>"
            )
        )
        assert told["ecc.aggregate.sram_uncorrectable_secded"] == 9
        assert told["ecc.aggregate.sram_uncorrectable_parity"] == 0

    def test_the_link_of_gpu_and_slot(self):
        told = one(
            "<pci><pci_gpu_link_info><pcie_gen><max_link_gen>2</max_link_gen></pcie_gen>"
            "</pci_gpu_link_info></pci>"
        )
        assert told.value("pci", "host_max_generation") == 2

    def test_a_product_without_an_average_of_its_power(self):
        told = figures(
            one(
                "<gpu_power_readings><average_power_draw>N/A</average_power_draw>"
                "<instant_power_draw>20.00 W</instant_power_draw></gpu_power_readings>"
            )
        )
        assert told["power.usage"] == 20_000
        assert "power.instant" not in told


class TestWhatStandsInAValuesPlace:
    def test_nothing(self):
        told = figures(one("<temperature><memory_temp>[N/A]</memory_temp></temperature>"))
        assert told["temperature.memory"] is None

    def test_an_element_that_is_not_there_at_all(self):
        told = figures(one("<remapped_rows>N/A</remapped_rows>"))
        assert told["remapped_rows.correctable"] is None
        assert told["remapped_rows.banks_max"] is None

    @pytest.mark.parametrize(
        ("state", "field", "figure"),
        [
            (
                "<mig_mode><current_mig>Enabled</current_mig></mig_mode>",
                "<utilization><gpu_util>N/A</gpu_util></utilization>",
                "utilization.gpu",
            ),
            (
                "<ecc_mode><current_ecc>Disabled</current_ecc></ecc_mode>",
                "<ecc_errors><volatile><dram_correctable>N/A</dram_correctable></volatile>"
                "</ecc_errors>",
                "ecc.volatile.dram_correctable",
            ),
            (
                "<performance_state>GPU requires reset</performance_state>",
                "<encoder_stats><session_count>N/A</session_count></encoder_stats>",
                "encoder.sessions",
            ),
        ],
    )
    def test_a_state_that_hides_it(self, state: str, field: str, figure: str):
        assert figure in figures(one(field))
        assert figure not in figures(one(state + field))

    @pytest.mark.parametrize(
        ("text", "failure"), [("GPU is lost", "lost"), ("[GPU requires reset]", "reset_required")]
    )
    def test_a_gpu_that_has_failed(self, text: str, failure: str):
        found = output(T4, f"{T4}<fan_speed>{text}</fan_speed>").facts
        assert [gpu.value("failure") for gpu in found.gpus] == [None, failure]
        assert not found.faults

    def test_permissions_make_a_note(self):
        found = output(f"{T4}<accounting_mode>Insufficient Permissions</accounting_mode>").facts
        assert texts(found) == ["who ran nvidia-smi was not permitted to see it: not told"]

    @pytest.mark.parametrize(
        ("text", "code"),
        [("Unknown Error", "UNKNOWN"), ("[Unknown Error]", "UNKNOWN"), ("Timeout", "TIMEOUT")],
    )
    def test_an_error_is_the_function_s(self, text: str, code: str):
        [fault] = output(T4, f"{T4}<fan_speed>{text}</fan_speed>").facts.faults
        assert "nvmlDeviceGetFanSpeed" in fault.function
        assert (fault.device, fault.returns) == (1, code)

    def test_an_error_in_the_parts_of_an_element(self):
        pages = "<retired_count>Unknown Error</retired_count>"
        [fault] = output(
            f"{T4}<retired_pages><double_bit_retirement>{pages}</double_bit_retirement>"
            "</retired_pages>"
        ).facts.faults
        assert "nvmlDeviceGetRetiredPages" in fault.function

    def test_clocks_that_one_function_failed_to_list(self):
        clocks = "<value>5001 MHz</value><supported_graphics_clock>Unknown Error"
        found = output(
            f"{T4}<supported_clocks><supported_mem_clock>{clocks}</supported_graphics_clock>"
            "</supported_mem_clock></supported_clocks>"
        ).facts
        [fault] = found.faults
        assert fault.function == ("nvmlDeviceGetSupportedGraphicsClocks",)
        assert found.gpus[0].find("clocks", "steps") is None

    def test_a_library_without_the_fabric(self):
        """As a newer nvidia-smi finds it; the status is a code itself."""
        text = "Function Not Found"
        parts = "".join(f"<{tag}>{text}</{tag}>" for tag in ("state", "status", "cliqueId"))
        [fault] = output(f"{T4}<fabric>{parts}</fabric>").facts.faults
        assert fault.returns == "FUNCTION_NOT_FOUND"

    @pytest.mark.parametrize("text", ["Insufficient Permissions", "Not Found"])
    @pytest.mark.parametrize(
        "path", [("power_smoothing",), ("gpu_utilization_samples", "duration"), ("ibmnpu", "mode")]
    )
    def test_of_what_is_left_out_nothing_is_said(self, path: tuple[str, ...], text: str):
        for tag in reversed(path):
            text = f"<{tag}>{text}</{tag}>"
        facts = output(T4 + text).facts
        assert (texts(facts), facts.faults) == ([], ())

    @pytest.mark.parametrize(
        ("tag", "row"),
        [("processes", "process_info"), ("accounted_processes", "accounted_process_info")],
    )
    def test_a_process_without_a_pid_is_left_out(self, tag: str, row: str):
        rows = "".join(f"<{row}><pid>{pid}</pid></{row}>" for pid in ("N/A", "7", "Not Found"))
        facts = output(f"{T4}<{tag}>{rows}</{tag}>").facts
        figure = ("processes",) if tag == "processes" else ("accounting", "ended")
        assert [each["pid"] for each in facts.gpus[0].value(*figure)] == [7]
        assert texts(facts).count("a process without a pid is left out") == 2

    def test_a_process_of_a_type_of_newer_drivers(self):
        row = "<process_info><pid>7</pid><type>O</type></process_info>"
        facts = output(f"{T4}<processes>{row}</processes>").facts
        assert facts.gpus[0].value("processes")[0]["type"] == "C"
        assert texts(facts) == ["type 'O' is not known: it is 'C'"]

    def test_a_function_that_answers_elsewhere_has_not_failed(self):
        found = output(
            f"{T4}<utilization><gpu_util>Unknown Error</gpu_util><memory_util>3 %</memory_util>"
            "</utilization>"
        ).facts
        assert not found.faults
        assert "no function fails for this field alone" in texts(found)[0]

    def test_what_each_product_has_is_not_supported_by_a_fault(self):
        [fault] = output(f"{T4}<persistence_mode>N/A</persistence_mode>").facts.faults
        assert fault.returns == "NOT_SUPPORTED"

    def test_a_word_of_newer_drivers(self):
        found = output(f"{T4}<product_architecture>Rubin</product_architecture>").facts
        assert texts(found) == ["'Rubin' is not known: not told"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("gpu", "said"),
        [
            ("<fan_speed>fast</fan_speed>", "such as '30 %', found 'fast'"),
            ("<temperature><gpu_temp>36 F</gpu_temp></temperature>", "gpu_temp: expected a value"),
            ("<persistence_mode>maybe</persistence_mode>", "found 'maybe'"),
            ("<uuid>GPU-1</uuid>", "uuid: expected"),
            ("<performance_state>P99999999999999999999999999999999999999999</performance_state>",
             "such as 'P0'"),
            ("<temperature>warm</temperature>", "expected elements in it, found 'warm'"),
        ],
    )  # fmt: skip
    def test_a_value_that_nvidia_smi_does_not_print(self, gpu: str, said: str):
        with pytest.raises(ScenarioError, match=r"smi\.xml:") as raised:
            output(f"{T4}\n{gpu}")
        assert said in str(raised.value)
        assert raised.value.line is not None


def test_gpus_that_are_not_shown_make_a_note():
    found = output(T4, head="<attached_gpus>8</attached_gpus>").facts
    assert texts(found) == ["8 GPUs are attached, 1 are shown: those alone are imported"]


def test_free_memory_of_nonsense_is_refused_with_its_line():
    sizes = "<total>9 MiB</total>\n<used>1 MiB</used>\n<free>some</free>"
    with pytest.raises(ScenarioFileError, match=r"^smi\.xml:8: free: .* found 'some'"):
        output(f"{T4}<fb_memory_usage>{sizes}</fb_memory_usage>")


def test_a_version_is_told_without_what_610_adds_to_it():
    note = "[Deprecated; will be removed in CUDA 14.0. Use KMD Version instead]"
    head = f"<driver_version>610.43.02 {note}</driver_version>"
    assert output(T4, head=head).facts.driver == "610.43.02"


@pytest.mark.parametrize("driver", [*DRIVERS, "535.54.03", "470.74"])
def test_the_driver_s_version(driver: str):
    assert output(T4, head=f"<driver_version>{driver}</driver_version>").facts.driver == driver
