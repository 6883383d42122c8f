"""Unmodified monitors show the scenario's GPUs: gpustat, nvitop, glances, py3smi, nvtop and btop.

They are not part of this project. The variable NVEMU_MONITORS names the folders that have them, as
PATH does (`nox -s clients` makes them); the first has a Python with nvitop and pyte.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from monitors import (
    FOLDERS,
    Held,
    Scene,
    expected_of_glances,
    expected_of_gpustat,
    expected_of_nvitop,
    expected_of_nvtop,
    figures,
    gibibytes,
    mebibytes,
    watts,
)

from emulator import Fault, Gpu, Scenario, Testbed
from emulator.machine.drivers import branch
from emulator.scenario import load, names
from emulator.scenario.profiles import profile

MIB = 1 << 20
SUPPORTED = ("535.261.03", "550.163.01", "555.58.02", "580.126.09")  # one has each product
JETSON = "jetson-agx-orin"
COMPUTES = "MIG-01234567-89ab-5def-8123-456789abcdef"
MIG = {
    "current": True,
    "pending": True,
    "instances": [
        {"profile": "3g.40gb", "compute": [{"uuid": COMPUTES}]},
        {"profile": "2g.20gb", "compute": [{"slices": 1}, {"slices": 1}]},
    ],
}

pytestmark = pytest.mark.skipif(
    not FOLDERS, reason="NVEMU_MONITORS names no folders with gpustat, nvitop, glances, nvtop, ..."
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder, in which btop is told to show nothing but GPUs."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "btop").mkdir()
    lines = ["#? Config file for btop v. 1.3.2", 'shown_boxes = "gpu0 gpu1"', "update_ms = 200"]
    (folder / "btop" / "btop.conf").write_text("\n".join(lines) + "\n")
    return folder


Play = Callable[[Scenario], Scene]


@pytest.fixture
def play(home: Path) -> Iterator[Play]:
    """`play(scenario)`: a scene of it."""
    testbeds: list[Testbed] = []

    def start(scenario: Scenario) -> Scene:
        testbeds.append(Testbed(scenario))
        return Scene(testbeds[-1].__enter__(), home)

    yield start
    for testbed in testbeds:
        testbed.__exit__(None, None, None)


LOAD = 73  # percent that the first of two GPUs is busy
HOLD = ({0: 3000 * MIB, 1: 2000 * MIB}, {0: 1000 * MIB})  # bytes of each process, by device
FIRST = {
    "470.256.02": "rtx-3090",
    "535.261.03": "rtx-4090",
    "550.163.01": "rtx-4090",
    "580.126.09": "rtx-5090",
}


class AtWork(Scene):
    """Two different GPUs, the first busy, and processes that hold memory of them.

    Attributes:
        memory: for each device, the bytes of each process by its id.
        used: bytes in use on each device.
        filled: the same with what is reserved, for those who count that as used.
    """

    def __init__(self, testbed: Testbed, home: Path) -> None:
        super().__init__(testbed, home)
        self.held = [self.hold(sizes) for sizes in HOLD]
        self.memory = [
            {
                process.pid: device.context_memory + sizes[index]
                for process, sizes in zip(self.held, HOLD, strict=True)
                if index in sizes
            }
            for index, device in enumerate(self.devices)
        ]
        self.used = [
            device.memory.used + sum(sizes.values())
            for device, sizes in zip(self.devices, self.memory, strict=True)
        ]
        self.filled = [
            device.memory.reserved + used
            for device, used in zip(self.devices, self.used, strict=True)
        ]

    @property
    def told(self) -> list[int]:
        """What is in use, as those see it who ask for all that the driver tells."""
        return self.filled if branch(self.testbed.scenario.driver) < 510 else self.used


@pytest.fixture(scope="module", params=FIRST)
def scene(request: pytest.FixtureRequest, home: Path) -> Iterator[AtWork]:
    driver = request.param
    gpus = [Gpu(FIRST[driver], load=LOAD), Gpu("t4", temperature=61, memory_used="1 GiB")]
    with Testbed(Scenario(driver=driver, gpus=gpus)) as testbed:
        work = AtWork(testbed, home)
        yield work
        for process in work.held:
            process.end()


class TestTwoGpusAtWork:
    def test_gpustat(self, scene: AtWork):
        shown = scene.gpustat()
        assert [figures(gpu) for gpu in shown] == [
            expected_of_gpustat(index, device, bytes_)
            for index, (device, bytes_) in enumerate(zip(scene.devices, scene.told, strict=True))
        ]
        for gpu, held in zip(shown, scene.memory, strict=True):
            found = {row["pid"]: row["gpu_memory_usage"] for row in gpu["processes"]}
            assert found == {pid: mebibytes(size) for pid, size in held.items()}
            assert {row["command"] for row in gpu["processes"]} == {Path(sys.executable).name}

    def test_gpustat_s_lines(self, scene: AtWork):
        shown = scene.run("gpustat", "-cupP", "--no-color").splitlines()
        assert shown[0].endswith(scene.testbed.scenario.driver)
        for line, device, held, bytes_ in zip(
            shown[1:], scene.devices, scene.memory, scene.told, strict=True
        ):
            power = f"{watts(device.power.usage)} / {watts(device.power.enforced_limit)} W"
            total = f"{mebibytes(bytes_)} / {mebibytes(device.memory.total)} MB"
            readings = f"{device.temperature.gpu}°C, {device.utilization.gpu} %, {power} | {total}"
            assert readings in re.sub(r" +", " ", line)
            assert f"] {device.name} " in line
            found = re.findall(r"/(\d+)\((\d+)M\)", line)
            expected = {(str(pid), str(mebibytes(size))) for pid, size in held.items()}
            assert set(found) == expected

    def test_nvitop_s_view(self, scene: AtWork):
        shown = scene.run("nvitop", "-1")
        assert f"Driver Version: {scene.testbed.scenario.driver}" in shown
        for index, (device, held) in enumerate(zip(scene.devices, scene.memory, strict=True)):
            name = re.escape(device.name.removeprefix("NVIDIA "))
            assert re.search(rf"^│ +{index}  {name} +(On|Off) │ {device.pci.bus_id} ", shown, re.M)
            readings = rf" {device.temperature.gpu}C +P{device.performance_state} +\d+W / \d+W │"
            share = rf"{device.utilization.gpu}% +Default │"
            assert re.search(rf"^│.*{readings}.*{share}", shown, re.M)
            for pid, size in held.items():
                row = rf"^│ +{index} +{pid} C +\S+ +{mebibytes(size)}MiB +\d+ "
                assert re.search(row, shown, re.M)

    def test_nvitop_s_screen(self, scene: AtWork):
        readings = [
            rf"{device.utilization.gpu}% +Default │ UTL: \S+ {device.utilization.gpu}% "
            rf"+@ {device.clocks.sm.current}MHz │"
            for device in scene.devices
        ]
        processes = [
            rf"^│ +{index} +{pid} C +\S+ +{mebibytes(size)}MiB +\d+ "
            for index, held in enumerate(scene.memory)
            for pid, size in held.items()
        ]
        scene.screen("nvitop", *readings, *processes)

    def test_nvitop_s_shares_of_the_processes(self, scene: AtWork):
        shown = scene.run("nvitop", "-1")
        pids = "|".join(str(process.pid) for process in scene.held)
        shares = re.findall(rf"^│ +(\d) +(?:{pids}) C +\S+ +\d+MiB +(\d+) ", shown, re.M)
        assert sum(int(share) for device, share in shares if device == "0") == LOAD
        assert {share for device, share in shares if device == "1"} == {"0"}

    def test_nvitop_s_interface(self, scene: AtWork):
        for told, device, held, bytes_ in zip(
            scene.nvitop(), scene.devices, scene.memory, scene.told, strict=True
        ):
            assert told == expected_of_nvitop(device, bytes_) | {
                "processes": {str(pid): size for pid, size in held.items()}
            }

    def test_nvitop_selects(self, scene: AtWork):
        room = scene.run("python", "-m", "nvitop.select", "--min-free-memory", "16GiB")
        assert room.strip() == "0"
        idle = scene.run("python", "-m", "nvitop.select", "--max-gpu-utilization", "50")
        assert idle.strip() == "1"

    def test_glances(self, scene: AtWork):
        assert scene.glances() == [
            expected_of_glances(index, device, bytes_)
            for index, (device, bytes_) in enumerate(zip(scene.devices, scene.filled, strict=True))
        ]

    def test_glances_screen(self, scene: AtWork):
        rows = [
            rf" {device.name[:8]}.*? {device.utilization.gpu}% mem +"
            rf"{used * 100 / device.memory.total:.0f}% "
            for device, used in zip(scene.devices, scene.filled, strict=True)
        ]
        scene.screen("glances", " 2 GPUs ", *rows)

    def test_py3smi(self, scene: AtWork):
        shown = scene.run("py3smi")
        assert f"Driver Version: {scene.testbed.scenario.driver}" in shown
        for index, device in enumerate(scene.devices):
            limit = f"{watts(device.power.usage)}W / +{watts(device.power.limit)}W"
            total = f"{mebibytes(scene.filled[index])}MiB / +{mebibytes(device.memory.total)}MiB"
            share = rf"{device.utilization.gpu}% +Default"
            row = rf"^\| +{index} +\S+ +{device.temperature.gpu}C +{device.performance_state} +"
            assert re.search(rf"{row}{limit} \| +{total} \| +{share} \|$", shown, re.M)
            for pid, size in scene.memory[index].items():
                row = rf"^\| +{index} +\S+ +{pid} .* {mebibytes(size)}MiB \|$"
                assert re.search(row, shown, re.M)

    def test_nvtop_s_snapshot(self, scene: AtWork):
        """It shows more memory in use than nvidia-smi, on real GPUs too: Syllo/nvtop, issue 322."""
        assert scene.nvtop() == [
            expected_of_nvtop(device, bytes_)
            for device, bytes_ in zip(scene.devices, scene.filled, strict=True)
        ]

    def test_nvtop_s_screen(self, scene: AtWork):
        rows = [
            rf"^ +{pid} \S+ +{index} +Compute +(\d+%|N/A) +{mebibytes(size)}MiB "
            for index, held in enumerate(scene.memory)
            for pid, size in held.items()
        ]
        shown = scene.screen("nvtop", *rows)
        for index, device in enumerate(scene.devices):
            assert f"Device {index} [{device.name}]" in shown
            power = f"POW +{watts(device.power.usage)} / +{watts(device.power.enforced_limit)} W"
            clock = f"GPU {device.clocks.graphics.current}MHz "
            assert re.search(rf"{clock}.*TEMP +{device.temperature.gpu}°C .*{power}", shown)
            link = f"PCIe GEN {device.pci.current_generation}@ ?{device.pci.current_width}x"
            assert re.search(link, shown)
        assert len(re.findall(rf"{LOAD}%\]", shown)) == 1

    def test_btop(self, scene: AtWork):
        boxes = [
            rf"┐{re.escape(device.name.removeprefix('NVIDIA '))}┌─+┐{device.clocks.sm.current} Mhz┌"
            rf".*\n.*│GPU ■+ +{device.utilization.gpu}% .* {device.temperature.gpu}°C│"
            rf".*\n.*│PWR ■+ +{watts(device.power.usage)}W P-state: +P{device.performance_state}│"
            rf".*\n.*─{re.escape(gibibytes(bytes_))} GiB─┤"
            for device, bytes_ in zip(scene.devices, scene.filled, strict=True)
        ]
        scene.screen("btop", *boxes)


class TestMig:
    """A GPU in MIG mode: an instance in which a process computes, and one shared by two."""

    @pytest.fixture
    def scene(self, play: Play) -> Scene:
        gpu = Gpu("a100-sxm4-80gb", figures={"mig": MIG})
        return play(Scenario(driver="550.163.01", gpus=[gpu]))

    @pytest.fixture
    def held(self, scene: Scene) -> Iterator[Held]:
        held = scene.hold({0: 3000 * MIB}, CUDA_VISIBLE_DEVICES=COMPUTES)
        yield held
        held.end()

    def test_nvitop_has_a_row_for_each_device_and_the_process(self, scene: Scene, held: Held):
        shown = scene.run("nvitop", "-1")
        # Volatile errors, which the GPU tells from 535 on also in MIG mode.
        assert re.search(r"│ +0  A100-SXM4-80GB .* │  Enabled +0 │", shown)
        rows = re.findall(r"│ 0:(\d) +(\S+) @ GI/CI: (\d)/(\d) │ +(\S+) / (\S+) │", shown)
        assert [(*row[:4], row[5]) for row in rows] == [
            ("0", "3g.40gb", "2", "0", "39.25GiB"),
            ("1", "1c.2g.20gb", "3", "0", "19968MiB"),
            ("2", "1c.2g.20gb", "3", "1", "19968MiB"),
        ]
        used = re.search(rf"│ 0:0 +{held.pid} C +\S+ +(\d+MiB) ", shown)
        assert used
        assert [row[4] for row in rows] == [used[1], "0B", "0B"]

    def test_nvitop_selects_an_instance(self, scene: Scene):
        chosen = scene.run("python", "-m", "nvitop.select", "--min-free-memory", "30GiB")
        assert chosen.strip() == COMPUTES

    def test_gpustat_has_the_process_on_the_gpu(self, scene: Scene, held: Held):
        [gpu] = scene.gpustat()
        [process] = gpu["processes"]
        assert process["pid"] == held.pid
        assert gpu["memory.used"] == process["gpu_memory_usage"] > 3000  # its context takes some

    def test_a_gpu_in_mig_mode_has_no_utilization(self, scene: Scene):
        assert [gpu["proc"] for gpu in scene.glances()] == [None]
        assert [gpu["gpu_util"] for gpu in scene.nvtop()] == [None]
        assert [gpu["utilization.gpu"] for gpu in scene.gpustat()] == [None]

    def test_btop_crashes_as_reported(self, scene: Scene):
        """Its own mistake, on real GPUs in MIG mode too: aristocratos/btop, issue 1167."""
        scene.screen("btop", "ERROR: Exception in runner thread -> Cpu::")


class TestAFailure:
    def test_one_of_three_gpus_is_lost(self, play: Play):
        gpus = [Gpu("a100-sxm4-80gb"), Gpu("a100-sxm4-80gb", failure="lost"), Gpu("t4")]
        scene = play(Scenario(driver="550.163.01", gpus=gpus))
        name = scene.devices[0].name
        assert [gpu["name"] for gpu in scene.gpustat()] == [name, "((GPU is lost))", "Tesla T4"]
        assert [gpu["name"] for gpu in scene.nvitop()] == [name, "ERROR: GPU is Lost", "Tesla T4"]
        assert re.search(r"^│ +1  ERROR: GPU is Lost +N/A │", scene.run("nvitop", "-1"), re.M)
        assert [gpu["device_name"] for gpu in scene.nvtop()] == [name, "Tesla T4"]
        assert scene.glances() == []  # it gives up at the first handle that it is refused

    def test_the_driver_is_not_loaded(self, play: Play):
        failing = Fault("nvmlInit*", returns="DRIVER_NOT_LOADED")
        scene = play(Scenario(driver="550.163.01", gpus=[Gpu("t4")], faults=[failing]))
        assert "Driver Not Loaded" in scene.run("gpustat", status=1)
        assert "NVML ERROR: Driver Not Loaded" in scene.run("nvitop", "-1", status=1)
        assert scene.glances() == []
        assert scene.run("nvtop", "-s").strip() == "No GPU to monitor."

    def test_a_process_that_is_not_there(self, play: Play):
        process = {"pid": 1 << 22, "name": "gone", "type": "C", "used_memory": "3 GiB"}
        gpu = Gpu("t4", memory_used="3 GiB", figures={"processes": [process]})
        scene = play(Scenario(driver="550.163.01", gpus=[gpu]))
        assert re.search(r"│ +0 +4194304 C +N/A +3072MiB ", scene.run("nvitop", "-1"))
        [told] = scene.gpustat()
        assert (told["memory.used"], told["processes"]) == (3072, [])


class TestSystems:
    def test_a_laptop_has_no_power_limit_to_set(self, play: Play):
        scene = play(load("laptop-rtx-4070"))
        [device] = scene.devices
        limit = watts(device.power.enforced_limit)
        assert re.search(r"│ +N/A +\d+C +P8 +\d+W / N/A │", scene.run("nvitop", "-1"))
        assert [told["power_limit"] for told in scene.nvitop()] == ["N/A"]
        assert [gpu["enforced.power.limit"] for gpu in scene.gpustat()] == [limit]
        scene.screen("nvtop", rf"POW +{watts(device.power.usage)} / +{limit} W")

    def test_a_jetson_s_gpu_is_named_and_no_more(self, play: Play):
        """Its memory is the processor's, and its readings are elsewhere."""
        scene = play(load("jetson-agx-orin-devkit"))
        [gpu] = scene.gpustat()
        told = {name for name, value in figures(gpu).items() if value is not None}
        assert told == {"index", "uuid", "name"}
        assert gpu["name"] == scene.devices[0].name
        assert scene.run("nvtop", "-s").strip() == "No GPU to monitor."

    def test_eight_gpus(self, play: Play):
        scene = play(load("dgx-a100"))
        uuids = [device.uuid for device in scene.devices]
        assert len(uuids) == 8
        assert [gpu["uuid"] for gpu in scene.gpustat()] == uuids
        assert [gpu["uuid"] for gpu in scene.nvitop()] == uuids
        assert [gpu["gpu_id"] for gpu in scene.glances()] == [f"nvidia{n}" for n in range(8)]
        assert len(scene.nvtop()) == 8
        scene.screen("nvtop", *(rf"Device {n} \[{scene.devices[n].name}\]" for n in range(8)))


@pytest.mark.parametrize("name", sorted(set(names().profiles) - {JETSON}))
def test_every_product_is_shown_as_it_is(play: Play, name: str):
    """What a product has is shown, and what it has not is not."""
    first = profile(name).placement.first_driver
    driver = next(driver for driver in SUPPORTED if branch(driver) >= first)
    scene = play(Scenario(driver=driver, gpus=[Gpu(name)]))
    [device] = scene.devices
    used = device.memory.used
    told = used + (device.memory.reserved if branch(driver) < 510 else 0)
    assert [figures(gpu) for gpu in scene.gpustat()] == [expected_of_gpustat(0, device, told)]
    filled = used + device.memory.reserved
    assert scene.nvtop() == [expected_of_nvtop(device, filled)]
    assert scene.nvitop() == [expected_of_nvitop(device, told) | {"processes": {}}]
