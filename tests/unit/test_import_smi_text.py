"""`nvidia-smi -q` text as the XML's tree, however it was pasted; cut or mixed up, one error."""

from __future__ import annotations

import pytest
from smi_text import LOG

from emulator.imports.smi.trees.texttree import text_tree
from emulator.imports.smi.trees.titles import tag_of
from emulator.imports.smi.trees.tree import Node
from emulator.scenario.errors import ScenarioFileError

LINES = LOG.split("\n")


def tree(text: str = LOG) -> Node:
    found = text_tree(text, "box.txt")
    assert found is not None
    return found


def shape(node: Node) -> tuple[object, ...]:
    """All of a tree but the lines."""
    return (node.tag, node.text, node.attributes, *map(shape, node.children))


def number(part: str, nth: int = 1) -> int:
    """The number of the nth line that has a part."""
    return [index for index, line in enumerate(LINES, 1) if part in line][nth - 1]


def refused(text: str) -> ScenarioFileError:
    with pytest.raises(ScenarioFileError) as caught:
        text_tree(text, "box.txt")
    assert caught.value.file == "box.txt"
    return caught.value


class TestTree:
    def test_the_head(self):
        root = tree()
        assert root.tag == "nvidia_smi_log"
        head = ("timestamp", "driver_version", "cuda_version", "attached_gpus")
        expected = ["Mon Mar  2 10:20:30 2026", "550.163.01", "12.4", "2"]
        assert [root.told(tag) for tag in head] == expected

    def test_gpus_have_their_bus_id(self):
        gpus = list(tree().all("gpu"))
        assert [gpu.attributes for gpu in gpus] == [
            {"id": "00000000:07:00.0"},
            {"id": "00000000:3B:00.0"},
        ]
        assert [gpu.told("product_name") for gpu in gpus] == ["NVIDIA A100-SXM4-80GB", "Tesla T4"]

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("mig_mode/current_mig", "Enabled"),
            ("serial", "1320000000001"),
            ("gpu_module_id", "1"),
            ("inforom_version/img_version", "G506.0210.00.03"),
            ("inforom_version/pwr_object", "N/A"),
            ("pci/pci_bus", "07"),
            ("pci/pci_device_id", "20B210DE"),
            ("pci/pci_bus_id", "00000000:07:00.0"),
            ("pci/pci_gpu_link_info/pcie_gen/max_link_gen", "4"),
            ("pci/pci_gpu_link_info/pcie_gen/max_device_link_gen", "4"),
            ("pci/pci_gpu_link_info/link_widths/current_link_width", "16x"),
            ("pci/tx_util", "12 KB/s"),
            ("clocks_event_reasons/clocks_event_reason_gpu_idle", "Not Active"),
            ("clocks_event_reasons/clocks_event_reason_hw_slowdown", "Active"),
            ("clocks_event_reasons/clocks_event_reason_hw_thermal_slowdown", "Active"),
            ("clocks_event_reasons/clocks_event_reason_display_clocks_setting", "Not Active"),
            ("fb_memory_usage/total", "81920 MiB"),
            ("utilization/gpu_util", "93 %"),
            ("ecc_errors/aggregate/sram_uncorrectable_secded", "3"),
            ("retired_pages/multiple_single_bit_retirement/retired_count", "N/A"),
            ("retired_pages/pending_retirement", "N/A"),
            ("remapped_rows/row_remapper_histogram/row_remapper_histogram_max", "640 bank(s)"),
            ("clocks/mem_clock", "1593 MHz"),
        ],
    )
    def test_a_value_is_where_the_xml_has_it(self, path: str, text: str):
        found = tree().find("gpu")
        assert found is not None
        node = found.find(path)
        assert node is not None
        assert node.text == text
        assert text in LINES[node.line - 1]

    def test_mig_devices_are_in_one_element(self):
        devices = list(tree().all("gpu/mig_devices/mig_device"))
        assert [each.told("gpu_instance_id") for each in devices] == ["1", "5"]
        shared = "device_attributes/shared/multiprocessor_count"
        assert devices[0].told(shared) == "42"
        assert devices[0].told("ecc_error_count/volatile_count/sram_uncorrectable") == "0"
        assert devices[0].told("bar1_memory_usage/total") == "65535 MiB"

    def test_each_process_is_an_element(self):
        first, second = tree().all("gpu/processes/process_info")
        tags = ["gpu_instance_id", "compute_instance_id", "pid", "type", "process_name"]
        assert [node.tag for node in first.children] == [*tags, "used_memory"]
        assert first.told("process_name") == "/usr/bin/Xorg"
        assert second.told("process_name") == "python3 train.py : all"
        assert second.told("used_memory") == "3072 MiB"

    def test_no_processes_are_an_empty_element(self):
        node = tree().find("gpu/processes")
        assert node is not None
        assert (node.text, node.children) == ("", [])

    def test_a_section_with_nothing_in_it(self):
        node = tree().find("gpu/gpu_memory_power_readings")
        assert node is not None
        assert (node.text, node.children) == ("", [])


class TestParts:
    """`nvidia-smi -q -d` prints some sections, and some that are not in a plain -q."""

    def part(self, *lines: str) -> Node:
        found = tree("\n".join([*LINES[:7], "Attached GPUs : 1", "GPU 00000000:07:00.0", *lines]))
        gpu = found.find("gpu")
        assert gpu is not None
        return gpu

    def test_supported_clocks(self):
        gpu = self.part(
            "    Supported Clocks",
            "        Memory                            : 5001 MHz",
            "            Graphics                      : 1590 MHz",
            "            Graphics                      : 1575 MHz",
            "        Memory                            : 405 MHz",
            "            Graphics                      : 300 MHz",
        )
        first, second = gpu.all("supported_clocks/supported_mem_clock")
        assert [node.text for node in first.children] == ["5001 MHz", "1590 MHz", "1575 MHz"]
        assert [node.tag for node in second.children] == ["value", "supported_graphics_clock"]

    def test_accounted_processes(self):
        rows = [
            f"        {title:<33} : {value}"
            for pid in (77, 4242)
            for title, value in (
                ("Process ID", pid),
                ("    GPU Utilization", "0 %"),
                ("    Max memory usage", "5 MiB"),
                ("    Is Running", "1"),
            )
        ]
        gpu = self.part("    Accounted Processes", *rows)
        found = list(gpu.all("accounted_processes/accounted_process_info"))
        assert [each.told("pid") for each in found] == ["77", "4242"]
        tags = [node.tag for node in found[1].children]
        assert tags == ["pid", "gpu_util", "max_memory_usage", "is_running"]

    def test_target_temperatures(self):
        gpu = self.part("    Supported GPU_TARGET_TEMP", "        Min      : 65 C")
        assert gpu.told("supported_gpu_target_temp/gpu_target_temp_min") == "65 C"

    def test_what_no_table_knows_follows_the_rule(self):
        gpu = self.part(
            "    Novel Section", "        Some T.Thing (x)  : 1", "        Some T.Thing (x)  : 2"
        )
        assert [node.text for node in gpu.all("novel_section/some_t_thing_x")] == ["1", "2"]


@pytest.mark.parametrize(
    ("section", "title", "tag"),
    [
        # As 570 and 580 print them in both forms.
        ("gpu", "Platform Info", "platformInfo"),
        ("platformInfo", "Module Id", "module_id"),
        ("gpu", "GPU Recovery Action", "gpu_recovery_action"),
        (
            "clocks_event_reasons_counters",
            "HW Thermal Slowdown",
            "clocks_event_reasons_counters_hw_therm_slowdown",
        ),
        (
            "clocks_event_reasons_counters",
            "SW Power Capping",
            "clocks_event_reasons_counters_sw_power_cap",
        ),
        ("gpu", "Workload Power Profiles", "power_profiles"),
        ("power_profiles", "Enforced Profiles", "power_profile_enforced_profiles"),
        ("dram_encryption_mode", "Current", "current_dram_encryption"),
        ("health", "Route Recovery in progress", "route_recovery_in_progress"),
        ("utilization", "GPU", "gpu_util"),
        ("gpu", "Display Attached", "display_attached"),
    ],
)
def test_titles_of_newer_drivers(section: str, title: str, tag: str):
    assert tag_of(section, title) == tag


class TestPasted:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(LOG.lstrip("\n"), id="no blank line first"),
            pytest.param("\n".join(LINES[3:]), id="no banner"),
            pytest.param(f"```\n{LOG}```\n", id="fence"),
            pytest.param(f"Hi,\n\n~~~text\n{LOG.strip()}\n~~~\nThanks: me\n  bye", id="report"),
            pytest.param("\n".join(f"    {line}" for line in LINES), id="code block"),
            pytest.param("\n".join(f"\t{line}" for line in LINES), id="code block of tabs"),
            pytest.param("\n".join(f"> {line}".rstrip() for line in LINES), id="quote"),
            pytest.param("\n".join(f"> > {line}" for line in LINES), id="quote of a quote"),
            pytest.param("\n".join(f">{line}" for line in LINES), id="quote without space"),
            pytest.param(LOG.replace("\n", "\r\n"), id="CRLF"),
            pytest.param(LOG.replace("\n", "\r"), id="CR"),
            pytest.param(LOG.replace("        ", "\t"), id="tabs for eight spaces"),
            pytest.param(LOG.replace("    ", "\t"), id="tabs for four spaces"),
            pytest.param(LOG.replace("    ", "\xa0 \xa0 "), id="spaces of a browser"),
            pytest.param(LOG.replace("GPU 0", "\x1b[1;32mGPU\x1b[0m 0"), id="colours"),
            pytest.param(f"\x1b]0;title\x07{LOG}\x1b[?25h", id="terminal's title"),
            pytest.param(f"\ufeff{LOG}", id="byte order mark"),
            pytest.param(f"me@box:~$ nvidia-smi -q{LOG}me@box:~$ ", id="prompt"),
            pytest.param(
                f"Attached Units : 0\nGPU 0: Tesla T4 (UUID: GPU-1)\n{LOG}GPU 0: Tesla T4\n",
                id="nvidia-smi -L around",
            ),
            pytest.param(f"{LOG}\n=====NVSMI LOG=====\nAttached Units : 0\n", id="units behind"),
            pytest.param(
                "\n".join(
                    f"2026-03-02T10:{index // 60:02}:{index % 60:02}.0000000Z {line}".rstrip()
                    for index, line in enumerate(LINES)
                ),
                id="CI log",
            ),
            pytest.param("\n".join(f"gpu-1  | {line}" for line in LINES), id="compose log"),
            pytest.param("\n".join(f"{line}   " for line in LINES), id="spaces behind"),
            pytest.param(
                "\n".join(line.replace(" " * 12 + ": ", " : ") for line in LINES), id="narrow"
            ),
            pytest.param("\n\n".join(LINES), id="blank lines between"),
        ],
    )
    def test_it_is_the_same(self, text: str):
        assert shape(tree(text)) == shape(tree())

    def test_lines_are_those_of_the_file(self):
        text = f"> one\n> two\n{LOG}".replace("\n", "\r\n")
        node = tree(text).find("gpu")
        assert node is not None
        assert node.line == number("GPU 00000000:07") + 2

    @pytest.mark.parametrize(
        "text", ["", "\n", "hello: world", "GPU 0: Tesla T4", "\0" * 9999, "=NVSMI LOG="]
    )
    def test_other_text_is_none(self, text: str):
        assert text_tree(text, "box.txt") is None


class TestCut:
    def test_it_is_refused_wherever_it_is_cut(self):
        """But between two processes, which nothing tells from the end, and in the last value: what
        is left of "3072 MiB" the reader of values has to refuse."""
        text = LOG.rstrip()
        between = text.index(": 5 MiB") + len(": ")
        accepted = {*range(between + 1, between + len("5 MiB\n") + 1 + len("        "))}
        begin = text.index(": 2\n") + len(": 2")
        for end in range(begin, text.rindex("3072 MiB") + 1):
            near = "\n" in text[end - 2 : end + 2]  # in the middle of a line each third will do
            if end not in accepted and (near or end % 3 == 0):
                error = refused(text[:end])
                assert error.line is not None
                assert error.line <= text.count("\n", 0, end) + 1

    @pytest.mark.parametrize(
        ("last", "nth", "problem"),
        [
            (
                "SRAM Uncorrectable SEC-DED    : 0",
                1,
                "cut in GPU 00000000:07:00.0: the output ends after "
                "ecc_errors/volatile/sram_uncorrectable_secded, before processes",
            ),
            (
                "        Aggregate",
                1,
                "cut in GPU 00000000:07:00.0: the output ends in ecc_errors/aggregate",
            ),
            (
                "GPU 00000000:3B",
                1,
                "cut in GPU 00000000:3B:00.0: nothing is told of it",
            ),
            (
                "Process ID  ",
                2,
                "cut in GPU 00000000:3B:00.0: the last process has no used_memory",
            ),
        ],
    )
    def test_it_says_where(self, last: str, nth: int, problem: str):
        line = number(last, nth)
        error = refused("\n".join(LINES[:line]))
        assert str(error) == f"box.txt:{line}: {problem}"

    def test_gpus_are_missing(self):
        line = number("Processes    ")
        error = refused("\n".join(LINES[:line]))
        assert error.line == number("Attached")
        assert error.problem == (
            f"'2' GPUs are attached, found 1 in the output, which ends on line {line}; "
            "if that is all (nvidia-smi -i), write 1 here"
        )

    def test_the_user_says_that_it_is_all(self):
        text = "\n".join(LINES[: number("Processes    ")])
        assert len(list(tree(text.replace(": 2\n", ": 1\n", 1)).all("gpu"))) == 1

    def test_of_some_sections_only(self):
        """`-q -d` has no last section of its own; the other GPUs tell which it is."""
        part = [*LINES[:9], "    Power", "        Draw : 1 W", "    Clocks", "        SM : 1 MHz"]
        whole = [*part, *LINES[number("GPU 00000000:3B") - 1 :][:1], *part[9:]]
        assert len(list(tree("\n".join(whole)).all("gpu"))) == 2
        error = refused("\n".join(whole[:-2]))
        assert error.line == len(whole) - 2
        assert "ends after power/draw, where other GPUs go on" in error.problem

    def test_the_beginning_is_missing(self):
        start = number("Clocks Event Reasons")
        error = refused("\n".join(LINES[start:]))
        assert "the beginning is missing" in error.problem
        assert error.line == number("GPU 00000000:3B") - 2 - start


class TestMixedUp:
    def test_two_outputs(self):
        error = refused(LOG + LOG)
        assert error.line == len(LINES) + 3
        assert "a second output of nvidia-smi begins here, the first on line 4" in error.problem

    def test_the_line_of_a_gpu_is_missing(self):
        lines = LINES.copy()
        del lines[number("GPU 00000000:3B") - 1]
        error = refused("\n".join(lines))
        assert error.problem.startswith(
            f"product_name stands a second time in 00000000:07:00.0, first on line "
            f"{number('Product Name')}: "
        )
        assert error.line == number("Product Name", 2) - 1

    def test_the_title_of_a_section_is_missing(self):
        lines = LINES.copy()
        del lines[number("        Aggregate") - 1]
        error = refused("\n".join(lines))
        assert "sram_uncorrectable_secded stands a second time in volatile" in error.problem

    @pytest.mark.parametrize("between", ["--More--", "[  12.5] NVRM: Xid", "\0\0"])
    def test_something_between(self, between: str):
        line = number("FB Memory Usage", 2)
        error = refused("\n".join([*LINES[:line], between, *LINES[line:]]))
        assert error.line == line + 1
        assert f"goes on on line {line + 2}" in error.problem

    def test_lost_indentation(self):
        error = refused("\n".join(line.strip() for line in LINES))
        assert error.line == number("Product Name")
        assert "indentation" in error.problem

    def test_indented_too_deep(self):
        deep = [" " * depth + "x" for depth in range(4, 5000)]
        lines = [*LINES[: number("Product Name")], *deep]
        assert "too deep" in refused("\n".join(lines)).problem

    @pytest.mark.parametrize("count", ["3", "", "two", "9" * 5000, "-1"])
    def test_a_number_of_gpus_that_is_none(self, count: str):
        error = refused(LOG.replace(": 2\n", f": {count}\n", 1))
        assert error.line == number("Attached")
        assert len(error.problem) < 200
