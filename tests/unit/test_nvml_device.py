"""Finding devices, and what each of them is."""

from __future__ import annotations

import ctypes
import uuid
from typing import Any

import pynvml
import pytest
from nvml_asking import asked, code, field, struct, uint
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
            ("nvmlDeviceGetHandleByPciBusId", "7F.0", "INVALID_ARGUMENT"),
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

    def test_a_serial_number_names_a_board_with_several_gpus_not_one_of_them(self):
        with playing(Gpu(T4, figures={"board": {"multi_gpu": True}})) as (machine, _):
            serial = machine.devices[0].serial
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlDeviceGetHandleBySerial(serial)


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

    def test_the_per_device_identifier_is_the_device_s_own(self):
        with playing(T4, Gpu(T4, figures={"pdi": 77})) as (machine, [first, second]):
            begun = machine.devices[0].uuid[4:].replace("-", "")[:16]
            assert pynvml.nvmlDeviceGetPdi(first) == int(begun, 16)
            assert pynvml.nvmlDeviceGetPdi(second) == 77

    def test_interrupts_are_numbers_that_no_other_device_has(self):
        with playing(Gpu(T4, count=2), Gpu(T4, figures={"interrupt": 99})) as (_, handles):
            found = [asked("nvmlDeviceGetIrqNum", uint)(handle) for handle in handles]
            assert len(set(found)) == 3
            assert found[2] == 99

    @pytest.mark.parametrize("extended", [False, True])
    def test_extended_memory_is_the_one_capability(self, extended: bool):
        with playing(Gpu(H100, figures={"extended_memory": extended})) as (_, [handle]):
            kind = "nvmlDeviceCapabilities_t"
            assert field("nvmlDeviceGetCapabilities", kind, "capMask")(handle) == extended

    def test_gpus_are_on_boards_of_their_own(self):
        with playing(Gpu(T4, count=2)) as (_, [one, other]):
            assert pynvml.nvmlDeviceOnSameBoard(one, one) == 1
            assert pynvml.nvmlDeviceOnSameBoard(one, other) == 0
            assert pynvml.nvmlDeviceGetMultiGpuBoard(one) == 0


class TestHostname:
    @staticmethod
    def set(handle: Any, name: bytes) -> str:
        made = struct("nvmlHostname_v1_t")
        ctypes.memmove(ctypes.addressof(made), name, len(name))
        return code("nvmlDeviceSetHostname_v1", handle, made)

    def test_there_is_none_until_it_is_set(self):
        with playing("rtx-5090") as (_, [handle]):
            read = field("nvmlDeviceGetHostname_v1", "nvmlHostname_v1_t", "value")
            assert read(handle) == ""
            assert self.set(handle, b"node-7.rack") == "SUCCESS"
            assert read(handle) == "node-7.rack"

    @pytest.mark.parametrize("name", [b"", b"a b", b"na\xc3\xafve", b"a/b", b"x" * 64])
    def test_what_is_no_hostname(self, name: bytes):
        with playing("rtx-5090") as (_, [handle]):
            assert self.set(handle, name) == "INVALID_ARGUMENT"

    def test_blackwell_has_one(self):
        with playing(H100) as (_, [handle]):
            assert self.set(handle, b"node-7") == "NOT_SUPPORTED"


class TestBoard:
    def test_a_corrupted_inforom(self):
        with playing(H100, Gpu(H100, figures={"inforom": {"corrupted": True}})) as (_, handles):
            pynvml.nvmlDeviceValidateInforom(handles[0])
            for function in (
                pynvml.nvmlDeviceValidateInforom,
                pynvml.nvmlDeviceGetInforomConfigurationChecksum,
            ):
                with refused("CORRUPTED_INFOROM"):
                    function(handles[1])

    def test_a_product_without_an_inforom(self):
        with playing(Gpu(T4, figures={"inforom": {"image": "N/A"}})) as (_, [handle]):
            for function in (
                pynvml.nvmlDeviceValidateInforom,
                pynvml.nvmlDeviceGetInforomConfigurationChecksum,
            ):
                with refused("NOT_SUPPORTED"):
                    function(handle)

    def test_the_checksum_is_of_the_configuration(self):
        with playing(Gpu(T4, count=2)) as (_, [first, second]):
            checksum = pynvml.nvmlDeviceGetInforomConfigurationChecksum
            assert checksum(first) == checksum(second)
            pynvml.nvmlDeviceSetEccMode(second, 0)
            assert checksum(first) != checksum(second)

    def test_bridges_of_a_board_with_several_gpus(self):
        with playing(T4, Gpu(T4, figures={"board": {"bridges": [0x12F0472C]}})) as (_, handles):
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetBridgeChipInfo(handles[0])
            found = pynvml.nvmlDeviceGetBridgeChipInfo(handles[1])
            assert found.bridgeCount == 1
            chip = found.bridgeChipInfo[0]
            assert (chip.type, chip.fwVersion) == (pynvml.NVML_BRIDGE_CHIP_PLX, 0x12F0472C)

    def test_as_many_bridges_as_the_struct_holds(self):
        gpu = Gpu(T4, figures={"board": {"bridges": [*range(1, 131)]}})
        with playing(gpu) as (_, [handle]):
            found = pynvml.nvmlDeviceGetBridgeChipInfo(handle)
            assert (found.bridgeCount, found.bridgeChipInfo[127].fwVersion) == (128, 128)

    def test_where_in_a_rack_a_gpu_is(self):
        place = {"slot_number": 9, "tray_index": 4, "host_id": 1, "ib_guid": "0a1b"}
        serial = {"chassis_serial_number": "1821325190"}
        with playing(Gpu("gb200-186gb", figures={"platform": {**place, **serial}})) as (_, handles):
            for version, names in (
                (1, ("chassisPhysicalSlotNumber", "computeSlotIndex", "nodeIndex", "rackGuid")),
                (2, ("slotNumber", "trayIndex", "hostId", "chassisSerialNumber")),
            ):
                info = struct(f"nvmlPlatformInfo_v{version}_t")
                assert code("nvmlDeviceGetPlatformInfo", handles[0], info) == "SUCCESS"
                assert [getattr(info, name) for name in names[:3]] == [9, 4, 1]
                assert bytes(getattr(info, names[3])).rstrip(b"\0") == b"1821325190"
                assert bytes(info.ibGuid[:3]) == b"\x0a\x1b\0"
                assert info.peerType == 1

    def test_before_blackwell_nothing_is_known_of_it(self):
        with playing(H100) as (_, [handle]):
            info = struct("nvmlPlatformInfo_v2_t")
            assert code("nvmlDeviceGetPlatformInfo", handle, info) == "NOT_SUPPORTED"
