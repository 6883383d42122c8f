"""`nvemu import nvidia-smi`: forms that published outputs of single drivers have."""

from __future__ import annotations

import pynvml
import pytest

import emulator
from emulator.imports.facts import Facts
from emulator.imports.making import scenario_of
from emulator.imports.smi.reading import parse

MIB = 1 << 20


def xml(driver: str, product: str, *fields: str, cuda: str = "12.4") -> Facts:
    """What an output of one GPU with some fields says."""
    head = f"<driver_version>{driver}</driver_version>\n<cuda_version>{cuda}</cuda_version>\n"
    head += "<attached_gpus>1</attached_gpus>\n"
    gpu = "\n".join((f"<product_name>{product}</product_name>", *fields))
    text = (
        f'<nvidia_smi_log>\n{head}<gpu id="00000000:00:1E.0">\n{gpu}\n</gpu>\n</nvidia_smi_log>\n'
    )
    return parse(text, "box.xml").facts


def frame_buffer(total: int, reserved: int, used: int, free: int) -> str:
    sizes = {"total": total, "reserved": reserved, "used": used, "free": free}
    parts = "\n".join(f"<{part}>{size} MiB</{part}>" for part, size in sizes.items())
    return f"<fb_memory_usage>\n{parts}\n</fb_memory_usage>"


class TestSizesThatAreRoundedEachByItself:
    @pytest.mark.parametrize(
        ("driver", "product", "sizes"),
        [
            ("595.91.07", "Tesla T4", (15360, 448, 0, 14913)),
            ("580.105.08", "NVIDIA H100 80GB HBM3", (81559, 480, 0, 81080)),
            ("550.90.12", "NVIDIA H200", (143771, 700, 1, 143072)),
            (
                "550.54.14",
                "NVIDIA GeForce GTX 1070",
                (8192, 85, 984, 7122),
            ),  # down, in the same branch
            ("535.54.03", "NVIDIA A100-SXM4-80GB", (81920, 869, 50, 80999)),
            ("525.125.06", "Quadro P2000", (5120, 66, 1, 5051)),
        ],
    )
    def test_bytes_are_found_that_are_printed_so(
        self, driver: str, product: str, sizes: tuple[int, int, int, int]
    ):
        [gpu] = xml(driver, product, frame_buffer(*sizes)).gpus
        total, reserved, used = (gpu.value("memory", p) for p in ("total", "reserved", "used"))
        found = (total, reserved, used, total - reserved - used)
        assert min(found) >= 0
        up = sum(sizes[1:]) > sizes[0]
        assert tuple(-(-size // MIB) if up else size // MIB for size in found) == sizes


class TestWithoutTheCudaLibrary:
    """As on hosts of virtual GPUs, and in containers."""

    def test_the_version_is_not_told_but_the_question_fails(self):
        facts = xml("550.54.14", "NVIDIA GeForce GTX 1070", cuda="Not Found")
        assert facts.cuda == ""
        with emulator.emulate(scenario_of(facts).scenario.but(driver="580.126.09")):
            pynvml.nvmlInit()
            with pytest.raises(pynvml.NVMLError_NotFound):
                pynvml.nvmlSystemGetCudaDriverVersion_v2()
            pynvml.nvmlShutdown()

    def test_otherwise_it_is(self):
        facts = xml("550.54.14", "NVIDIA GeForce GTX 1070")
        assert (facts.cuda, facts.faults) == ("12.4", ())


class TestRowsThatAreRemappedButInactive:
    def remapped(self, inactive: str) -> Facts:
        rows = f"<remapped_row_corr_inactive>{inactive}</remapped_row_corr_inactive>"
        return xml("595.91.07", "NVIDIA L40S", f"<remapped_rows>\n{rows}\n</remapped_rows>")

    def test_none_is_nothing_to_tell(self):
        assert self.remapped("0").notes == ()

    def test_some_are_not_kept(self):
        [note] = self.remapped("3").notes
        assert "'3' is not kept" in note.text


#: What driver 610 prints in other words: utkuozdemir/nvidia_gpu_exporter has such outputs.
NEWEST = """\
==============NVSMI LOG==============

Timestamp                                              : Tue Sep  1 20:47:29 2026
KMD Version                                            : 610.43.02
CUDA UMD Version                                       : 13.3

Attached GPUs                                          : 1
GPU 00000000:83:00.0
    Product Name                                       : NVIDIA H200
    Temperature
        GPU Current T.Limit Temp                       : 47 C
        GPU Shutdown T.Limit Temp Specification        : -8 C
        GPU Target Temperature Specification           : N/A
        Memory Max Operating T.Limit Temp Specification: 0 C
    GPU Power Readings
        GPU Ceiling Power Limit
            Current Power Limit                        : 650.00 W
            Requested Power Limit                      : 650.00 W
            Default Power Limit                        : 700.00 W
        Max Power Limit                                : 700.00 W
    Processes                                          : None
"""


def test_the_words_of_driver_610():
    facts = parse(NEWEST, "box.txt").facts
    [gpu] = facts.gpus
    assert (facts.driver, facts.cuda, facts.notes) == ("610.43.02", "13.3", ())
    for (group, figure), value in {
        ("temperature", "margin"): 47,
        ("temperature", "shutdown_margin"): -8,
        ("temperature", "target"): None,
        ("temperature", "memory_max_margin"): 0,
        ("power", "limit"): 650_000,
        ("power", "default_limit"): 700_000,
        ("power", "max_limit"): 700_000,
    }.items():
        told = gpu.find(group, figure)
        assert told is not None, figure
        assert told.value == value
