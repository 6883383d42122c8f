"""NVIDIA's own nvidia-smi divides an emulated GPU, one command after another.

As in test_nvidia_smi, NVEMU_REAL_DRIVERS names a folder with NVIDIA's programs. What is expected
are the examples of NVIDIA's MIG user guide, and outputs that users have published.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Gpu, Scenario, Testbed
from emulator.machine.drivers import branch

FOLDER = os.environ.get("NVEMU_REAL_DRIVERS", "")
DRIVERS = sorted(path.parent.name for path in Path(FOLDER).glob("*/nvidia-smi")) if FOLDER else []
A100, H100 = "a100-sxm4-80gb", "h100-sxm5-80gb"

pytestmark = pytest.mark.skipif(
    not DRIVERS, reason="NVEMU_REAL_DRIVERS does not name a folder with NVIDIA's own nvidia-smi"
)

#: What nvidia-smi prints in place of a value that it was refused for no good reason.
REFUSALS = re.compile(r"Unknown Error|Invalid Argument|ERR!|[^\x1b\x09-\x7e]")

HOLDER = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
context = ctypes.c_void_p()
assert not cuda.cuInit(0) and not cuda.cuCtxCreate_v2(ctypes.byref(context), 0, 0)
print("holding", flush=True)
sys.stdin.read()
"""


class Commands:
    """One after another, all on one machine."""

    def __init__(self, testbed: Testbed, driver: str) -> None:
        self.release = branch(driver)
        self.testbed = testbed
        self.driver = driver

    def __call__(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [Path(FOLDER) / self.driver / "nvidia-smi", *arguments],
            env=self.testbed.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert not REFUSALS.search(done.stdout), done.stdout
        return done.stdout

    def mig(self, *arguments: str, status: int = 0) -> str:
        return self("mig", *arguments, status=status)


@pytest.fixture(params=DRIVERS or ["none"])
def smi(request: pytest.FixtureRequest) -> Iterator[Commands]:
    """On an A100 in MIG mode."""
    with Testbed(Scenario(gpus=[Gpu(A100)], driver=request.param)) as testbed:
        commands = Commands(testbed, request.param)
        assert "Enabled MIG Mode for GPU 00000000:07:00.0" in commands("-mig", "1")
        yield commands


def table(text: str) -> list[list[str]]:
    """The cells of the rows that name a profile."""
    rows = (line.strip("| ").split() for line in text.splitlines() if " MIG " in line)
    return [[cell for cell in row if cell != "MIG"] for row in rows]


def test_profiles(smi: Commands):
    text = smi.mig("-lgip")
    found = {row[1]: (row[2], row[3], row[4], row[6]) for row in table(text)}
    expected = {
        "1g.10gb": ("19", "7/7", "9.50", "14"),
        "1g.10gb+me": ("20", "1/1", "9.50", "14"),
        "1g.20gb": ("15", "4/4", "19.50", "14"),
        "2g.20gb": ("14", "3/3", "19.50", "28"),
        "3g.40gb": ("9", "2/2", "39.25", "42"),
        "4g.40gb": ("5", "1/1", "39.25", "56"),
        "7g.80gb": ("0", "1/1", "79.00", "98"),
    }
    if branch(smi.driver) < 525:
        del expected["1g.20gb"]
        expected["7g.80gb"] = ("0", "1/1", "79.25", "98")  # less would be called "7g.79gb"
    assert found == expected


def test_places(smi: Commands):
    lines = smi.mig("-lgipp").splitlines()
    wide = ["GPU  0 Profile ID 15 Placements: {0,2,4,6}:2"] if branch(smi.driver) >= 525 else []
    assert lines == [
        "GPU  0 Profile ID 19 Placements: {0,1,2,3,4,5,6}:1",
        "GPU  0 Profile ID 20 Placements: {0,1,2,3,4,5,6}:1",
        *wide,
        "GPU  0 Profile ID 14 Placements: {0,2,4}:2",
        "GPU  0 Profile ID  9 Placements: {0,4}:4",
        "GPU  0 Profile ID  5 Placement : {0}:4",
        "GPU  0 Profile ID  0 Placement : {0}:8",
    ]


def test_the_user_guide_s_geometry(smi: Commands):
    made = smi.mig("-cgi", "19,14,5", "-C").splitlines()
    gpu = "Successfully created GPU instance ID {:>2} on GPU  0 using profile MIG {} (ID {:>2})"
    inner = (
        "Successfully created compute instance ID  0 on GPU  0 GPU instance ID {:>2} "
        "using profile MIG {} (ID {:>2})"
    )
    assert made == [
        gpu.format(13, "1g.10gb", 19),
        inner.format(13, "1g.10gb", 0),
        gpu.format(5, "2g.20gb", 14),
        inner.format(5, "2g.20gb", 1),
        gpu.format(1, "4g.40gb", 5),
        inner.format(1, "4g.40gb", 3),
    ]
    assert table(smi.mig("-lgi")) == [
        ["0", "1g.10gb", "19", "13", "6:1"],
        ["0", "2g.20gb", "14", "5", "4:2"],
        ["0", "4g.40gb", "5", "1", "0:4"],
    ]
    instances = [row for row in table(smi.mig("-lci")) if row[0] == "0"]
    assert [row[:5] for row in instances] == [
        ["0", "13", "1g.10gb", "0", "0"],
        ["0", "5", "2g.20gb", "1", "0"],
        ["0", "1", "4g.40gb", "3", "0"],
    ]
    assert re.findall(r"MIG (\S+) +Device +(\d): \(UUID: MIG-[0-9a-f-]{36}\)", smi("-L")) == [
        ("4g.40gb", "0"),
        ("2g.20gb", "1"),
        ("1g.10gb", "2"),
    ]


def test_without_room_it_says_so(smi: Commands):
    text = smi.mig("-cgi", "19,19,14,9", status=23)
    assert text.count("Successfully created") == 3
    assert "Unable to create a GPU instance on GPU  0 using profile 9: Insufficient" in text


def test_compute_instances(smi: Commands):
    smi.mig("-cgi", "9")
    text = smi.mig("-gi", "2", "-lcip")
    found = [row[1:5] for row in table(text)]
    assert found == [
        ["2", "1c.3g.40gb", "0", "3/3"],
        ["2", "2c.3g.40gb", "1", "1/1"],
        ["2", "3g.40gb", "2*", "1/1"],
    ]
    made = smi.mig("-gi", "2", "-cci", "0,0,0")
    assert made.count("Successfully created compute instance") == 3
    names = re.findall(r"MIG (\S+) +Device", smi("-L"))
    assert names == ["1c.3g.40gb"] * 3
    gone = smi.mig("-dci", "-ci", "0,1,2", "-gi", "2")
    assert gone.count("Successfully destroyed compute instance") == 3
    assert "Successfully destroyed GPU instance ID  2 from GPU  0" in smi.mig("-dgi")
    assert smi.mig("-lgi", status=6).strip() == "No GPU instances found: Not Found"


def test_the_plain_view(smi: Commands):
    smi.mig("-cgi", "9,14", "-C")
    text = re.sub(r" +", " ", smi())
    assert "| 0 2 0 0 | 0MiB / 40192MiB | 42 0 | 3 0 2 0 0 |" in text
    assert "| 0 3 0 1 | 0MiB / 19968MiB | 28 0 | 2 0 1 0 0 |" in text
    assert "| N/A Default |" in text  # no utilisation
    assert "Enabled" in text


def test_all_of_it_as_xml(smi: Commands):
    smi.mig("-cgi", "9", "-C")
    text = re.sub(r"\s+", " ", smi("-q", "-x"))
    device = text[text.index("<mig_devices>") : text.index("</mig_devices>")]
    for part in (
        "<index>0</index> <gpu_instance_id>2</gpu_instance_id>",
        "<compute_instance_id>0</compute_instance_id>",
        "<multiprocessor_count>42</multiprocessor_count>",
        "<total>40192 MiB</total>",
        "<total>65535 MiB</total>",
    ):
        assert part in device
    assert "N/A" in text[text.index("<utilization>") : text.index("</utilization>")]


def test_what_is_in_use_stays(smi: Commands):
    smi.mig("-cgi", "9,14", "-C")
    assert "In use by another client" in smi.mig("-dgi", status=19)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env=smi.testbed.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        assert re.search(rf"\| +0 +2 +0 +{holder.pid} +C ", smi())
        text = smi.mig("-dci", status=19)
        assert "GPU instance ID  2: In use by another client" in text
        pending = smi("-mig", "0")
        assert "pending disable state" in pending
    assert "Successfully destroyed compute instance ID  0" in smi.mig("-dci")


def test_what_a_gpu_in_mig_mode_does_not_do(smi: Commands):
    for option, refusal in (
        (("-c", "3"), "Setting compute mode to EXCLUSIVE_PROCESS is not supported"),
        (("-p", "0"), "Clearing ECC errors is not supported"),
        (("-am", "1"), "Setting accounting mode to Enabled is not supported"),
    ):
        assert smi(*option).startswith(f"{refusal} on a MIG-enabled device.")


def test_volatile_errors_are_counted_by_mig_device_and_from_535_on_by_the_gpu(smi: Commands):
    """As A100 in MIG mode were published, with 510 and with 535."""
    smi.mig("-cgi", "19", "-C")
    text = smi("-q", "-d", "ECC")
    volatile, _, aggregate = text.partition("Aggregate")
    assert re.search(f"DRAM Uncorrectable +: {'N/A' if smi.release < 535 else 0}", volatile)
    assert re.search("DRAM Uncorrectable +: 0", aggregate)
    [device] = re.findall("MIG Device.*?BAR1", smi("-q"), re.DOTALL)
    assert re.search("Volatile\n +SRAM Uncorrectable +: 0", device)


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_ordinary_user_does_not_see_gpu_instances(driver: str):
    """As published."""
    mig = {"current": True, "instances": [{"profile": "1g.10gb"}]}
    gpu = Gpu(A100, figures={"mig": mig})
    with Testbed(Scenario(gpus=[gpu], driver=driver, user="unprivileged")) as testbed:
        smi = Commands(testbed, driver)
        assert "GPU instances: Insufficient Permissions" in smi.mig("-lgi", status=4)
        assert ("1g.10gb", "6/7") in [(row[1], row[3]) for row in table(smi.mig("-lgip"))]
        assert "MIG 1g.10gb" in smi("-L")


def test_the_mode_ends_it_all(smi: Commands):
    smi.mig("-cgi", "9,14", "-C")
    assert "Disabled MIG Mode" in smi("-mig", "0")
    assert "MIG" not in smi("-L")
    assert smi.mig("-lgi", status=6 if branch(smi.driver) < 550 else 0).strip() == (
        "No MIG-enabled devices found."
    )


@pytest.mark.parametrize("driver", [each for each in DRIVERS if branch(each) >= 525])
def test_an_h100(driver: str):
    """The first of seven goes where the published output has it."""
    with Testbed(Scenario(gpus=[Gpu(H100)], driver=driver)) as testbed:
        smi = Commands(testbed, driver)
        smi("-mig", "1")
        text = smi.mig("-cgi", ",".join(["19"] * 7), "-C")
        ids = re.findall(r"created GPU instance ID +(\d+)", text)
        assert ids == ["13", "11", "12", "7", "8", "9", "10"]
        assert smi.mig("-lgip").count("0/7") == 1
