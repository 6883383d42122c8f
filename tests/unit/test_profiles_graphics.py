"""Workstation, consumer and laptop products, and a Jetson: what each has, and what it has not."""

from __future__ import annotations

from typing import Any

import pynvml
import pytest
from cuda_client import Client
from nvml_client import playing, refused

from emulator.machine import DRIVERS, Device, Machine
from emulator.machine.drivers import branch
from emulator.nvml import api
from emulator.scenario import Gpu, Scenario, Vocabulary, names, resolve
from emulator.scenario.profiles import profile

MIB = 1 << 20

#: Figures that a reader can hold against published outputs; their sources stand in the profiles.
PUBLISHED: dict[str, dict[str, Any]] = {
    "gtx-1050-ti": {
        "name": "NVIDIA GeForce GTX 1050 Ti",
        "compute_capability": (6, 1),
        "memory.total": 4096 * MIB,
        "pci.device_id": 0x1C8210DE,
        "power.usage": None,
        "processor.cores": 768,
    },
    "gtx-1080-ti": {
        "board.part_number": "900-1G611-2550-000",
        "power.min_limit": 125_000,
        "power.max_limit": 300_000,
        "power.total_energy": None,
        "temperature.slowdown": 93,
        "temperature.max_operating": None,
        "clocks.graphics.max": 1911,
        "clocks.memory.max": 5505,
        "clocks.video.max": 1620,
        "processor.cores": 3584,
    },
    "quadro-p2000": {
        "brand": "QUADRO",
        "memory.total": 5120 * MIB,
        "memory.reserved": 66 * MIB + MIB // 2,  # 66, of which what is free loses another one
        "clocks.graphics.application": 1075,
        "clocks.graphics.max_customer_boost": 1721,
        "power.min_limit": 75_000,
        "power.max_limit": 75_000,
        "temperature.shutdown": 104,
        "ecc.current": None,
        "retired_pages.single_bit": None,
    },
    "titan-v": {
        "compute_capability": (7, 0),
        "clocks.graphics.application": 1200,
        "clocks.memory.max": 850,
        "power.max_limit": 300_000,
        "nvlinks": [],
    },
    "titan-rtx": {
        "brand": "TITAN",
        "clocks.graphics.application": 1350,
        "power.default_limit": 280_000,
        "temperature.shutdown": 94,
    },
    "rtx-3060": {
        "memory.total": 12288 * MIB,
        "memory.reserved": 368 * MIB,
        "pci.device_id": 0x248710DE,
        "clocks.graphics.max": 2145,
        "power.max_limit": 190_000,
        "temperature.target_max": 90,
    },
    "rtx-3080": {
        "memory.total": 10240 * MIB,
        "power.max_limit": 336_000,
        "power.usage": 13_420,
        "clocks.memory.max": 9501,
    },
    "rtx-3090": {
        "memory.reserved": 450 * MIB,
        "power.max_limit": 480_000,
        "clocks.memory.max": 9751,
        "remapped_rows.pending": None,
    },
    "rtx-5090": {
        "architecture": "BLACKWELL",
        "compute_capability": (12, 0),
        "memory.total": 32607 * MIB,
        "bar1.total": 32768 * MIB,
        "power.min_limit": 400_000,
        "temperature.shutdown_margin": -5,
        "temperature.target": None,
        "ecc.current": None,
        "processor.cores": 21760,
    },
    "rtx-a5000": {
        "brand": "NVIDIA_RTX",
        "memory.total": 24564 * MIB,
        "pci.subsystem_id": 0x147E10DE,
        "ecc.current": False,
        "remapped_rows.banks_max": 192,
        "temperature.max_operating": 90,
    },
    "rtx-a6000": {
        "memory.reserved": 454 * MIB,
        "clocks.graphics.application": 1800,
        "temperature.max_operating": 93,
        "processor.cores": 10752,
    },
    "rtx-pro-6000-blackwell": {
        "memory.total": 97887 * MIB,
        "pci.device_id": 0x2BB110DE,
        "bar1.total": 131072 * MIB,
        "remapped_rows.banks_max": 512,
        "ecc.current": False,
        "processor.multiprocessors": 188,
    },
    "rtx-4060": {"remapped_rows.banks_max": 64, "ecc.current": None},
    "rtx-4090": {
        "power.voltage": 880_000,
        "remapped_rows.banks_max": 192,
        "temperature.shutdown_margin": -7,
        "temperature.slowdown": None,
    },
    "rtx-4070-laptop": {
        "pci.max_width": 8,
        "power.voltage": 630_000,
        "power.min_limit": 5_000,
        "power.max_limit": 140_000,
        "remapped_rows.banks_max": 64,
        "remapped_rows.pending": False,
        "temperature.margin": 46,
        "temperature.shutdown_margin": -12,
        "temperature.target": 87,
        "temperature.target_max": None,
        "ecc.current": None,
    },
    "rtx-4090-laptop": {
        "memory.total": 16376 * MIB,
        "power.usage": 12_000,
        "power.limit": None,
        "power.enforced_limit": 150_000,
        "fans": [],
    },
    "mx450": {
        "memory.total": 2048 * MIB,
        "power.usage": None,
        "utilization.encoder": None,
        "encoder.h264": None,
        "fans": [],
    },
}

LAPTOPS = ("mx450", "rtx-3060-laptop", "rtx-4070-laptop", "rtx-4090-laptop")
WORKSTATION = [
    name
    for name in names().profiles
    if name.startswith(("quadro-rtx", "rtx-a", "rtx-6000", "rtx-pro"))
]
GEFORCE = [name for name in names().profiles if profile(name).figures["brand"] == "GEFORCE"]
JETSON = "jetson-agx-orin"


def device(name: str, driver: str = "580.126.09") -> Device:
    plan = resolve(Scenario(driver=driver, gpus=[Gpu(name)]), Vocabulary({}, {}))
    return Machine(plan).devices[0]


@pytest.mark.parametrize(
    ("name", "path", "published"),
    [(name, path, value) for name, rows in PUBLISHED.items() for path, value in rows.items()],
)
def test_figures_are_as_published(name: str, path: str, published: object):
    found: Any = device(name)
    for part in path.split("."):
        found = getattr(found, part)
    assert found == published


@pytest.mark.parametrize(
    ("name", "memory", "published"),
    [
        ("quadro-p2000", 3504, [1721, 1708, 1695, 1683, 1670, 1657, 1645, 1632, 1620, 1607]),
        ("quadro-p2000", 405, [607, 594, 582, 569, 556, 544, 531, 518, 506, 493, 480, 468, 455]),
        ("titan-v", 850, [1912, 1905, 1897, 1890]),
        ("rtx-3080", 405, list(range(420, 209, -15))),
        ("rtx-5090", 14001, [3090, 3082, 3075, 3067, 3060, 3052, 3045, 3037, 3030]),
        ("rtx-5090", 405, [885, 877, 870, 862]),
    ],
)
def test_graphics_clocks_are_on_the_published_grid(name: str, memory: int, published: list[int]):
    clocks = device(name).clocks.supported_graphics(memory)
    assert clocks is not None
    assert clocks[: len(published)] == published
    assert clocks[-1] == device(name).clocks.graphics.current


@pytest.mark.parametrize("name", GEFORCE)
def test_a_geforce_has_no_application_clocks_and_no_ecc_in_use(name: str):
    with playing(name) as (_, [handle]):
        for clock in (pynvml.NVML_CLOCK_GRAPHICS, pynvml.NVML_CLOCK_MEM):
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetApplicationsClock(handle, clock)
        with refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetMigMode(handle)
        if name != "rtx-4090":
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetEccMode(handle)


@pytest.mark.parametrize("name", WORKSTATION)
def test_a_workstation_s_has_ecc_switched_off_and_a_serial_number(name: str):
    with playing(name) as (_, [handle]):
        assert pynvml.nvmlDeviceGetEccMode(handle) == [0, 0]
        assert pynvml.nvmlDeviceGetDefaultEccMode(handle) == [0]
        assert len(pynvml.nvmlDeviceGetSerial(handle)) == 13


@pytest.mark.parametrize("name", LAPTOPS)
class TestLaptops:
    def test_have_no_fans(self, name: str):
        with playing(name) as (_, [handle]):
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetFanSpeed(handle)
            assert pynvml.nvmlDeviceGetPerformanceState(handle) == 8

    def test_have_a_limit_in_force_that_nobody_sets(self, name: str):
        with playing(name) as (_, [handle]):
            default = pynvml.nvmlDeviceGetPowerManagementDefaultLimit(handle)
            assert pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) == default
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetPowerManagementLimit(handle)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetPowerManagementLimit(handle, default)

    def test_tell_no_limit_before_530(self, name: str):
        for driver in DRIVERS:
            if branch(driver) >= profile(name).placement.first_driver:
                told = device(name, driver).power.enforced_limit is not None
                assert told == (branch(driver) >= 530)


class TestJetson:
    def test_the_functions_that_it_has_are_nvml_s(self):
        assert set(device(JETSON).nvml_functions or ()) < set(api.names)

    def test_nvml_knows_name_uuid_and_compute_capability(self):
        with playing(JETSON) as (machine, [handle]):
            assert pynvml.nvmlDeviceGetName(handle) == "Orin (nvgpu)"
            assert pynvml.nvmlDeviceGetCudaComputeCapability(handle) == (8, 7)
            assert pynvml.nvmlDeviceGetIndex(handle) == 0
            uuid = pynvml.nvmlDeviceGetUUID(handle)  # as `nvidia-smi -L` shows it, without "GPU-"
            assert f"GPU-{uuid}" == machine.devices[0].uuid
            assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByUUID(uuid)) == 0

    def test_no_field_has_a_value(self):
        with playing(JETSON) as (_, [handle]):
            values = pynvml.nvmlDeviceGetFieldValues(handle, list(range(1, pynvml.NVML_FI_MAX)))
            codes = {value.nvmlReturn for value in values}
            assert codes == {pynvml.NVML_ERROR_NOT_SUPPORTED}

    @pytest.mark.parametrize(
        "getter",
        [
            *("PciInfo_v3", "MemoryInfo", "BAR1MemoryInfo", "UtilizationRates", "PowerUsage"),
            *("ComputeMode", "PersistenceMode", "DisplayActive", "PerformanceState", "FanSpeed"),
            *("EccMode", "MigMode", "Serial", "VbiosVersion", "EnforcedPowerLimit", "Brand"),
        ],
    )
    def test_nvml_has_none_of_the_rest(self, getter: str):
        with playing(JETSON) as (_, [handle]), refused("NOT_SUPPORTED"):
            getattr(pynvml, f"nvmlDeviceGet{getter}")(handle)

    def test_a_wrong_handle_is_told_first(self):
        with playing(JETSON), refused("INVALID_ARGUMENT"):
            pynvml.nvmlDeviceGetPowerUsage(None)

    def test_cuda_knows_an_integrated_gpu_with_the_system_s_memory(self):
        with playing(JETSON) as (machine, _):
            client = Client()
            client.cuInit(0)
            assert client.size("cuDeviceTotalMem_v2", 0) == 62841 * MIB
            assert machine.devices[0].cuda_attribute("INTEGRATED") == 1
            assert machine.devices[0].pci.bus_id == "00000000:00:00.0"
