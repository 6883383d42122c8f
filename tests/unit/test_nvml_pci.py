"""PCI addresses, identities and links."""

from __future__ import annotations

import ctypes

import pynvml
from nvml_client import A100, H100, RTX_4090, T4, library, playing, refused

from emulator import Gpu


def test_every_figure_is_the_device_s():
    with playing(H100, A100, T4, RTX_4090) as (machine, handles):
        for device, handle in zip(machine.devices, handles, strict=True):
            info, pci = pynvml.nvmlDeviceGetPciInfo(handle), device.pci
            assert (info.domain, info.bus, info.device) == (pci.domain, pci.bus, pci.device)
            assert (info.busId, info.busIdLegacy) == (pci.bus_id, pci.bus_id_legacy)
            assert info.pciDeviceId == pci.device_id
            assert info.pciSubSystemId == pci.subsystem_id
            assert pynvml.nvmlDeviceGetMaxPcieLinkGeneration(handle) == pci.max_generation
            assert pynvml.nvmlDeviceGetCurrPcieLinkGeneration(handle) == pci.current_generation
            assert pynvml.nvmlDeviceGetCurrPcieLinkWidth(handle) == pci.current_width
            assert pynvml.nvmlDeviceGetMaxPcieLinkWidth(handle) == pci.max_width
            assert pynvml.nvmlDeviceGetPcieReplayCounter(handle) == pci.replay_counter


def test_the_classes_are_in_the_extended_struct():
    with playing(H100) as (_, [handle]):
        info = pynvml.nvmlPciInfoExt_v1_t(version=pynvml.nvmlPciInfoExt_v1)
        pynvml.nvmlDeviceGetPciInfoExt(handle, ctypes.byref(info))
        assert (info.baseClass, info.subClass) == (0x03, 0x02)
        assert info.busId == "00000000:1B:00.0"


def test_the_first_functions_do_not_write_beyond_the_structs_of_their_time():
    with playing(T4) as (_, [handle]):
        for function, size in (("nvmlDeviceGetPciInfo", 32), ("nvmlDeviceGetPciInfo_v2", 36)):
            memory = (ctypes.c_ubyte * 128)(*[0xAA] * 128)
            assert library()[function](handle, memory) == 0
            assert bytes(memory[:12]) == b"0000:3B:00.0"
            assert set(memory[size:]) == {0xAA}


def test_throughput_by_direction():
    figures = {"pci": {"tx_throughput": 1000, "rx_throughput": 2000}}
    with playing(Gpu(H100, figures=figures)) as (_, [handle]):
        throughput = pynvml.nvmlDeviceGetPcieThroughput
        assert throughput(handle, pynvml.NVML_PCIE_UTIL_TX_BYTES) == 1000
        assert throughput(handle, pynvml.NVML_PCIE_UTIL_RX_BYTES) == 2000
        with refused("INVALID_ARGUMENT"):
            throughput(handle, pynvml.NVML_PCIE_UTIL_COUNT)


def test_speed_follows_the_generation():
    with playing(T4) as (machine, [handle]):
        assert pynvml.nvmlDeviceGetPcieSpeed(handle) == 2500
        machine.devices[0].pci.current_generation = 3
        assert pynvml.nvmlDeviceGetPcieSpeed(handle) == 8000
        assert pynvml.nvmlDeviceGetPcieLinkMaxSpeed(handle) == 3
