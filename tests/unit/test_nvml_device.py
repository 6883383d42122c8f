"""Finding devices, and what each of them is."""

from __future__ import annotations

import ctypes
import uuid

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, library, playing, refused

from emulator import Gpu

EIGHT = [Gpu(H100, count=8)]


class TestFinding:
    def test_count_and_index(self):
        with playing(*EIGHT) as (_, handles):
            assert pynvml.nvmlDeviceGetCount() == 8
            assert [pynvml.nvmlDeviceGetIndex(h) for h in handles] == list(range(8))
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetHandleByIndex(8)

    def test_a_machine_without_devices(self):
        with playing() as (_, handles):
            assert handles == []
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetHandleByIndex(0)

    def test_a_device_has_one_handle_however_it_is_found(self):
        with playing(*EIGHT) as (machine, handles):
            for device, handle in zip(machine.devices, handles, strict=True):
                found = [
                    pynvml.nvmlDeviceGetHandleByUUID(device.uuid),
                    pynvml.nvmlDeviceGetHandleBySerial(device.serial),
                    pynvml.nvmlDeviceGetHandleByPciBusId(device.pci.bus_id),
                    pynvml.nvmlDeviceGetHandleByPciBusId(device.pci.bus_id_legacy),
                ]
                assert {pynvml.nvmlDeviceGetIndex(each) for each in found} == {device.index}
                assert {ctypes.cast(e, ctypes.c_void_p).value for e in found} == {
                    ctypes.cast(handle, ctypes.c_void_p).value
                }

    def test_a_uuid_may_come_as_bytes(self):
        with playing(Gpu(T4, count=2)) as (machine, _):
            digits = uuid.UUID(machine.devices[1].uuid[4:]).bytes
            found = pynvml.nvmlDeviceGetHandleByUUIDV(digits, pynvml.NVML_UUID_TYPE_BINARY)
            assert pynvml.nvmlDeviceGetIndex(found) == 1

    @pytest.mark.parametrize(
        ("function", "key", "status"),
        [
            ("nvmlDeviceGetHandleByUUID", "GPU-00000000-0000-0000-0000-000000000000", "NOT_FOUND"),
            ("nvmlDeviceGetHandleBySerial", "0", "NOT_FOUND"),
            ("nvmlDeviceGetHandleByPciBusId", "0000:7F:00.0", "NOT_FOUND"),
            ("nvmlDeviceGetHandleByPciBusId", "not a bus id", "INVALID_ARGUMENT"),
        ],
    )
    def test_what_is_not_there(self, function: str, key: str, status: str):
        with playing(T4), refused(status):
            getattr(pynvml, function)(key)

    @pytest.mark.parametrize("wrong", [None, 1, 0x7FFF_0000_0000])
    def test_what_is_no_handle_is_refused_and_not_dereferenced(self, wrong: int | None):
        with playing(T4):
            index = ctypes.byref(ctypes.c_uint())
            code = library().nvmlDeviceGetIndex(ctypes.c_void_p(wrong), index)
            assert code == pynvml.NVML_ERROR_INVALID_ARGUMENT


class TestIdentity:
    def test_every_name_and_number_is_the_device_s(self):
        with playing(H100, A100, T4, RTX_4090) as (machine, handles):
            for device, handle in zip(machine.devices, handles, strict=True):
                assert pynvml.nvmlDeviceGetName(handle) == device.name
                assert pynvml.nvmlDeviceGetUUID(handle) == device.uuid
                assert pynvml.nvmlDeviceGetMinorNumber(handle) == device.minor_number
                assert pynvml.nvmlDeviceGetBoardId(handle) == device.board.id
                assert pynvml.nvmlDeviceGetBoardPartNumber(handle) == device.board.part_number
                assert pynvml.nvmlDeviceGetVbiosVersion(handle) == device.board.vbios_version
                assert pynvml.nvmlDeviceGetInforomImageVersion(handle) == device.inforom.image
                assert pynvml.nvmlDeviceGetNumGpuCores(handle) == device.processor.cores
                assert pynvml.nvmlDeviceGetModuleId(handle) == device.board.module_id

    def test_architectures_brands_and_compute_capabilities(self):
        expected = [
            (pynvml.NVML_DEVICE_ARCH_HOPPER, pynvml.NVML_BRAND_NVIDIA, (9, 0)),
            (pynvml.NVML_DEVICE_ARCH_AMPERE, pynvml.NVML_BRAND_NVIDIA, (8, 0)),
            (pynvml.NVML_DEVICE_ARCH_TURING, pynvml.NVML_BRAND_NVIDIA, (7, 5)),
            (pynvml.NVML_DEVICE_ARCH_ADA, pynvml.NVML_BRAND_GEFORCE, (8, 9)),
        ]
        with playing(H100, A100, T4, RTX_4090) as (_, handles):
            assert [
                (
                    pynvml.nvmlDeviceGetArchitecture(handle),
                    pynvml.nvmlDeviceGetBrand(handle),
                    pynvml.nvmlDeviceGetCudaComputeCapability(handle),
                )
                for handle in handles
            ] == expected

    def test_a_geforce_has_no_serial_number(self):
        with playing(RTX_4090) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetSerial(handle)

    def test_inforom_objects(self):
        with playing(H100) as (_, [handle]):
            version = pynvml.nvmlDeviceGetInforomVersion
            assert version(handle, pynvml.NVML_INFOROM_OEM) == "2.1"
            assert version(handle, pynvml.NVML_INFOROM_ECC) == "7.16"
            with refused("NOT_SUPPORTED"):
                version(handle, pynvml.NVML_INFOROM_POWER)

    def test_gsp_firmware_bears_the_driver_s_version(self):
        with playing(H100) as (_, [handle]):
            assert pynvml.nvmlDeviceGetGspFirmwareVersion(handle) == b"580.126.09"
            assert pynvml.nvmlDeviceGetGspFirmwareMode(handle) == [1, 1]

    def test_gpus_are_on_boards_of_their_own(self):
        with playing(Gpu(T4, count=2)) as (_, [one, other]):
            assert pynvml.nvmlDeviceOnSameBoard(one, one) == 1
            assert pynvml.nvmlDeviceOnSameBoard(one, other) == 0
            assert pynvml.nvmlDeviceGetMultiGpuBoard(one) == 0
