"""Machines of many kinds, printed by NVIDIA's own nvidia-smi, imported, and printed again.

The programs are found as in test_nvidia_smi. What comes back is the same but for the time, and the
machine has the same figures as far as nvidia-smi told them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis.strategies import DataObject, data
from test_nvidia_smi import DRIVERS, PROCESSES, Played, pytestmark

from emulator import Fault, Gpu, Machine, Scenario, strategies
from emulator.imports.facts import Told
from emulator.imports.making import Imported, scenario_of
from emulator.imports.smi.differences import Difference, differences
from emulator.imports.smi.reading import Output, parse
from emulator.machine import Device
from emulator.machine.drivers import branch
from emulator.machine.mig.gpuinstance import rows
from emulator.plans import plan_of
from emulator.scenario.profiles import profile

__all__ = ["pytestmark"]

VIEW = ["-q", "-x"]

LICENCE = {
    "feature": "NVIDIA_RTX",
    "product": "NVIDIA RTX Virtual Workstation",
    "enabled": True,
    "licensed": True,
    "expires": 1801396800,
}
MIG = {
    "current": True,
    "pending": True,
    "instances": [
        {"profile": "3g.40gb", "compute": [{"slices": 1}, {"slices": 2}]},
        {"profile": "2g.20gb"},
        {"profile": "1g.10gb"},
    ],
}
IN_INSTANCE = {"pid": 4242, "name": "python3", "type": "C", "used_memory": "3 GiB"} | {
    "gpu_instance": 2,
    "compute_instance": 0,
}
ERRORS = {
    "volatile": {"sram_correctable": 1, "dram_correctable": 2, "dram_uncorrectable": 3},
    "aggregate": {"dram_correctable": 20, "sram_uncorrectable_secded": 5},
}
LOCATIONS = {"l2_cache_correctable": 3, "register_file_uncorrectable": 1, "dram_uncorrectable": 9}
BOOST = {"auto_boost": True, "auto_boost_default": True}
SWITCHED = {
    "persistence_mode": True,
    "compute_mode": "EXCLUSIVE_PROCESS",
    "display_active": True,
    "accounting": {"enabled": True, "ended": [{"pid": 7, "ended": 5_000_000_000}]},
    "reset_required": True,
}

MACHINES: dict[str, list[Gpu]] = {
    "one GPU": [Gpu("t4", temperature=61, power_usage="47.5 W", memory_used="3 GiB")],
    "eight GPUs": [Gpu("h100-sxm5-80gb", count=8)],
    "mixed": [Gpu("t4"), Gpu("a100-pcie-40gb"), Gpu("v100-pcie-32gb")],
    "MIG": [Gpu("a100-sxm4-80gb", figures={"mig": MIG, "processes": [IN_INSTANCE]})],
    "MIG of an H100": [
        Gpu(
            "h100-sxm5-80gb",
            figures={
                "mig": {"current": True, "instances": [{"profile": "1g.10gb"}] * 7},
                "fabric": {"state": "IN_PROGRESS"},
            },
        )
    ],
    "laptop": [Gpu("rtx-4070-laptop", power_usage="11.15 W")],
    "GeForce": [Gpu("rtx-3090", figures={"fans": {"all": {"speed": 63}}})],
    "GeForce of 2016": [Gpu("gtx-1080-ti", figures={"display_mode": True})],
    "processes": [Gpu("t4", figures={"processes": PROCESSES})],
    "guest": [
        Gpu(
            "t4",
            name="GRID T4-8Q",
            figures={"virtualization_mode": "VGPU", "licensing": {"licenses": [LICENCE]}},
        )
    ],
    "passed through": [Gpu("a10", figures={"virtualization_mode": "PASSTHROUGH"})],
    "host of vGPUs": [Gpu("a16", figures={"virtualization_mode": "HOST_VGPU"})],
    "needs a reset": [Gpu("t4"), Gpu("t4", failure="reset_required")],
    "under load": [Gpu("a100-sxm4-40gb", load=93), Gpu("a100-sxm4-40gb", load=11)],
    "memory errors": [Gpu("a100-sxm4-40gb", figures={"ecc": ERRORS})],
    "errors by location": [Gpu("p100-pcie-16gb", figures={"ecc": {"aggregate": LOCATIONS}})],
    "retired pages": [
        Gpu("t4", figures={"retired_pages": {"single_bit": [0x42000], "pending": True}})
    ],
    "remapped rows": [
        Gpu(
            "a100-sxm4-80gb",
            figures={
                "remapped_rows": {"uncorrectable": 4, "pending": True, "banks_max": 638},
                "clocks": {"event_reasons": ["sw_power_cap", "hw_thermal_slowdown"]},
            },
        )
    ],
    "ECC off": [Gpu("a10", figures={"ecc": {"current": False, "pending": True}})],
    "switched": [Gpu("t4", figures=SWITCHED, uuid="GPU-00112233-4455-6677-8899-aabbccddeeff")],
    "less memory": [Gpu("t4", memory_total="12 GiB", memory_used=1_234_567)],
    "uneven memory": [
        Gpu("h100-sxm5-80gb", memory_used=3_300_000, figures={"memory": {"reserved": 123456789}})
    ],
    "slower link": [
        Gpu("a100-pcie-40gb", figures={"pci": {"host_max_generation": 3, "current_width": 8}})
    ],
    "other clocks": [
        Gpu("t4", figures={"clocks": {"steps": [[5001, 1522.5, 307.5, 7.5]], **BOOST}})
    ],
}

FAULTS = {
    "nvmlDeviceGetFanSpeed": "UNKNOWN",
    "nvmlDeviceGetUtilizationRates": "UNKNOWN",
    "nvmlDeviceGetTemperature": "TIMEOUT",
    "nvmlDeviceGetPersistenceMode": "NOT_SUPPORTED",
}


def printed(scenario: Scenario) -> tuple[str, Output]:
    """What nvidia-smi prints of a machine, and what the import reads in it."""
    output = Played(scenario, VIEW).output
    return output, parse(output, "smi.xml")


def again(found: Output, made: Imported) -> list[Difference]:
    """What differs when nvidia-smi prints the imported machine."""
    _, ours = printed(made.scenario)
    assert found.tree is not None
    assert ours.tree is not None
    return [each for each in differences(found.tree, ours.tree, ()) if each.path != "timestamp"]


def told_alike(found: Output, first: Scenario, second: Scenario) -> list[Any]:
    """The figures that were told and that the two machines do not have alike."""
    ours, theirs = Machine(plan_of(first)), Machine(plan_of(second))
    for machine in (ours, theirs):
        machine.catch_up()
    return [
        (told.path, *values)
        for one, other, gpu in zip(ours.devices, theirs.devices, found.facts.gpus, strict=True)
        for told in gpu
        if not same(step_of(told), *(values := [figure(each, told.path) for each in (one, other)]))
    ]


def step_of(told: Told) -> int:
    """How exactly nvidia-smi prints a figure."""
    return 1 << 20 if told.path[0] == "memory" else told.step


def same(step: int, ours: Any, theirs: Any) -> bool:
    if step and ours is not None and theirs is not None:
        return bool(abs(ours - theirs) <= step)
    return bool(ours == theirs)


def figure(device: Device, path: tuple[str, ...]) -> Any:
    """A figure of a device as it is at work, in a form that can be compared."""
    if path in FORMS:
        return FORMS[path](device)
    value: Any = device
    for part in path:
        value = value[0] if part == "all" and value else getattr(value, part, None)
    return repr(value) if isinstance(value, list) else value


#: Figures that may be written in several ways -> what they come to.
FORMS: dict[tuple[str, ...], Callable[[Device], Any]] = {
    ("pci_bus_id",): lambda device: device.pci.bus_id,
    ("pci", "host_max_generation"): lambda device: device.pci.max_generation,
    ("processes",): lambda device: sorted(map(repr, device.processes)),
    ("mig", "instances"): lambda device: repr(rows(device.gpu_instances)),
    ("memory", "used"): lambda device: max(
        device.memory.used, sum(each.used_memory or 0 for each in device.processes)
    ),
    # SRIOV from Ampere on, and without mixed sizes, if not given
    ("vgpu", "host_mode"): lambda device: device.vgpu.host_mode or "SRIOV",
    ("vgpu", "heterogeneous"): lambda device: bool(device.vgpu.heterogeneous),
}


@pytest.mark.parametrize("driver", DRIVERS or ["none"])
@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_comes_back(driver: str, name: str):
    gpus = MACHINES[name]
    first = max(profile(gpu.profile).placement.first_driver for gpu in gpus)
    if branch(driver) < first:
        pytest.skip(f"needs driver {first} or newer")
    scenario = Scenario(driver=driver, gpus=gpus)
    _, found = printed(scenario)
    made = scenario_of(found.facts)
    assert not made.notes
    assert again(found, made) == []
    assert made.scenario.driver == driver
    assert told_alike(found, scenario, made.scenario) == []


@pytest.mark.parametrize("driver", DRIVERS or ["none"])
class TestWhatFails:
    def test_a_function(self, driver: str):
        faults = [Fault(name, device=1, returns=code) for name, code in FAULTS.items()]
        _, found = printed(Scenario(driver=driver, gpus=[Gpu("t4", count=2)], faults=faults))
        made = scenario_of(found.facts)
        assert {fault.returns for fault in made.scenario.faults} == set(FAULTS.values())
        assert again(found, made) == []

    @pytest.mark.parametrize(
        "machine",
        [
            Scenario(),
            Scenario(gpus=[Gpu("t4", failure="lost")]),
            Scenario(gpus=[Gpu("t4")], faults=[Fault("nvmlInit*", returns="DRIVER_NOT_LOADED")]),
            Scenario(
                gpus=[Gpu("t4")], faults=[Fault("nvmlInit*", returns="LIB_RM_VERSION_MISMATCH")]
            ),
            Scenario(gpus=[Gpu("t4")], faults=[Fault("nvmlInit*", returns="NO_PERMISSION")]),
            Scenario(
                gpus=[Gpu("t4")],
                faults=[Fault("nvmlDeviceGetHandleByIndex_v2", returns="UNKNOWN")],
            ),
            Scenario(gpus=[Gpu("t4")], loader={"nvml": "absent"}),
        ],
        ids=["none", "lost", "not loaded", "mismatch", "permission", "handle", "no library"],
    )
    def test_nvidia_smi_itself(self, driver: str, machine: Scenario):
        output, found = printed(machine.but(driver=driver))
        made = scenario_of(found.facts, **found.fields)
        assert found.tree is None
        assert Played(made.scenario.but(driver=driver), VIEW).output == output


@pytest.mark.parametrize("driver", DRIVERS or ["none"])
class TestDrawn:
    @settings(max_examples=5)
    @given(data=data())
    def test_machines_come_back(self, driver: str, data: DataObject):
        drawn = data.draw(strategies.machines(driver=driver, max_gpus=2))
        assume(all(map(can_be_printed, drawn.gpus)))
        _, found = printed(drawn)
        if found.tree is None:
            return
        made = scenario_of(found.facts)
        assert again(found, made) == []
        unlike = told_alike(found, drawn, made.scenario)
        # of figures that one call answers, one that is not there leaves none of them to be told
        assert [each for each in unlike if each[2] is not None] == []


def can_be_printed(gpu: Gpu) -> bool:
    """Whether nvidia-smi prints a GPU, and what is out of the ordinary about it: no name of blanks
    or of a product that it is not, no power beyond the seven digits of a C float, no memory of
    which the last MiB cannot be rounded up. A Jetson has no bus id to print."""
    return (
        (gpu.failure != "unplugged" and gpu.profile != "jetson-agx-orin")
        and (gpu.name is None or (bool(gpu.name.strip()) and gpu.name != "Tesla T4"))
        and (gpu.power_usage is None or gpu.power_usage in range(1000, 10_000_001))
        and (gpu.memory_total is None or gpu.memory_total <= 1 << 50)
    )
