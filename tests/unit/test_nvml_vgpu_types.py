"""vGPU types: what a host's GPU can be divided into."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_client import A100, H100, RTX_4090, T4, library, playing, refused
from vgpu_host import host, type_id

from emulator import Gpu
from emulator.machine.vgpu.products import PRODUCTS

GIB, MIB = 1 << 30, 1 << 20


def names(handle: Any) -> list[str]:
    return [pynvml.nvmlVgpuTypeGetName(each) for each in pynvml.nvmlDeviceGetSupportedVgpus(handle)]


class TestTypes:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            # vgpuConfig.xml of 510.47.03 and mdevctl's list, as published
            ("GRID T4-1B", (222, "NVS", 1, 4, (5120, 2880), 45, 16)),
            ("GRID T4-1Q", (230, "Quadro", 1, 4, (5120, 2880), 60, 16)),
            ("GRID T4-2Q", (231, "Quadro", 2, 4, (7680, 4320), 60, 8)),
            ("GRID T4-16A", (229, "NVS", 16, 1, (1280, 1024), 60, 1)),
            ("GRID T4-4C", (319, "Compute", 4, 1, (4096, 2160), 60, 4)),
            ("GRID T4-16C", (321, "Compute", 16, 1, (4096, 2160), 60, 1)),
        ],
    )
    def test_what_a_type_has(self, name: str, expected: tuple[Any, ...]):
        with playing(host()) as (_, [handle]):
            number = type_id(handle, name)
            assert expected == (
                number,
                pynvml.nvmlVgpuTypeGetClass(number),
                pynvml.nvmlVgpuTypeGetFramebufferSize(number) // GIB,
                pynvml.nvmlVgpuTypeGetNumDisplayHeads(number),
                pynvml.nvmlVgpuTypeGetResolution(number),
                pynvml.nvmlVgpuTypeGetFrameRateLimit(number),
                pynvml.nvmlVgpuTypeGetMaxInstances(handle, number),
            )

    def test_they_come_in_the_driver_s_order(self):
        with playing(host()) as (_, [handle]):
            sizes = [name.removeprefix("GRID T4-") for name in names(handle)]
            assert sizes == [
                *("1B", "2B", "2B4", "1Q", "2Q", "4Q", "8Q", "16Q", "1A", "2A", "4A", "8A", "16A"),
                *("1B4", "16C", "4C", "8C"),
            ]

    def test_memory_that_the_host_keeps(self):
        with playing(host()) as (_, [handle]):
            kept = {
                name: pynvml.nvmlVgpuTypeGetFbReservation(type_id(handle, name)) // MIB
                for name in ("GRID T4-1Q", "GRID T4-8Q")
            }
            assert kept == {"GRID T4-1Q": 128, "GRID T4-8Q": 576}

    def test_bar1_and_licence_follow_from_the_series(self):
        with playing(host()) as (_, [handle]):
            for name, size, licence in (
                ("GRID T4-8A", 256, "GRID-Virtual-Apps,3.0"),
                ("GRID T4-8C", 4096, "NVIDIA-vComputeServer,9.0;Quadro-Virtual-DWS,5.0"),
            ):
                number = type_id(handle, name)
                assert pynvml.nvmlVgpuTypeGetBAR1Info(number).bar1Size == size
                assert pynvml.nvmlVgpuTypeGetLicense(number) == licence

    def test_device_ids(self):
        with playing(host()) as (_, [handle]):
            number = type_id(handle, "GRID T4-8Q")
            assert pynvml.nvmlVgpuTypeGetDeviceID(number) == (0x1EB8, 0x1EB8130F)

    @pytest.mark.parametrize(
        ("product", "name", "number"),
        [
            (A100, "GRID A100DX-4C", 615),
            (A100, "GRID A100DX-7-80C", 626),
            (A100, "GRID A100DX-1-10CME", 705),
            (H100, "NVIDIA H100XM-80C", 0x1888),  # unpublished: the subsystem id
        ],
    )
    def test_other_products(self, product: str, name: str, number: int):
        with playing(host(product=product)) as (_, [handle]):
            assert type_id(handle, name) == number

    @pytest.mark.parametrize(
        ("name", "profile", "most"),
        [
            ("GRID A100DX-1-10C", 19, 7),
            ("GRID A100DX-3-40C", 9, 2),
            ("GRID A100DX-4C", 0xFFFFFFFF, 20),
        ],
    )
    def test_mig_backed_types(self, name: str, profile: int, most: int):
        with playing(host(product=A100)) as (_, [handle]):
            number = type_id(handle, name)
            assert pynvml.nvmlVgpuTypeGetGpuInstanceProfileId(number) == profile
            assert pynvml.nvmlVgpuTypeGetMaxInstances(handle, number) == most

    @pytest.mark.parametrize(
        ("name", "most"),
        [
            ("GRID T4-16Q", 16),
            ("GRID T4-8Q", 16),
            ("GRID T4-8A", 1),
            ("GRID T4-2B", 1),
        ],
    )
    def test_how_many_a_vm_may_have(self, name: str, most: int):
        with playing(host()) as (_, [handle]):
            assert pynvml.nvmlVgpuTypeGetMaxInstancesPerVm(type_id(handle, name)) == most

    def test_a_scenario_s_own_types(self):
        own = [{"name": "NVIDIA RTX Pro 6000 Blackwell DC-48Q", "id": 0x604}]
        with playing(host(types=own)) as (_, [handle]):
            assert list(pynvml.nvmlDeviceGetSupportedVgpus(handle)) == [0x604]
            assert pynvml.nvmlVgpuTypeGetFramebufferSize(0x604) == 48 * GIB
            assert pynvml.nvmlVgpuTypeGetMaxInstances(handle, 0x604) == 1

    def test_no_two_types_of_a_product_share_an_id(self):
        for _, runs in PRODUCTS.values():
            seen: set[tuple[str, int]] = set()
            for subsystem, first, types in runs:
                for at, _ in enumerate(types.split()):
                    one = (first if first is not None else subsystem) + at
                    other = (subsystem if subsystem is not None else first) + at
                    assert not seen & {("id", one), ("subsystem", other)}
                    seen |= {("id", one), ("subsystem", other)}


class TestErrors:
    def test_an_unknown_type(self):
        with playing(host()):
            for call in (
                pynvml.nvmlVgpuTypeGetName,
                pynvml.nvmlVgpuTypeGetFramebufferSize,
                pynvml.nvmlVgpuTypeGetLicense,
                pynvml.nvmlVgpuTypeGetResolution,
                pynvml.nvmlVgpuTypeGetGspHeapSize,
            ):
                with refused("INVALID_ARGUMENT"):
                    call(99999)

    def test_a_display_that_a_type_does_not_have(self):
        with playing(host()) as (_, [handle]):
            number = type_id(handle, "GRID T4-8A")
            width, height = ctypes.c_uint(), ctypes.c_uint()
            call = library().nvmlVgpuTypeGetResolution
            assert call(number, 0, ctypes.byref(width), ctypes.byref(height)) == 0
            assert call(number, 1, ctypes.byref(width), ctypes.byref(height)) == 2

    def test_a_buffer_that_is_too_small_is_told_its_size(self):
        with playing(host()) as (_, [handle]):
            number, name = type_id(handle, "GRID T4-8Q"), ctypes.create_string_buffer(64)
            call = library().nvmlVgpuTypeGetName
            size = ctypes.c_uint(4)
            assert call(number, name, ctypes.byref(size)) == 7
            assert size.value == len("GRID T4-8Q") + 1
            assert call(number, name, ctypes.byref(size)) == 0
            assert name.value == b"GRID T4-8Q"
            assert call(number, name, None) == 2
            assert call(number, None, ctypes.byref(size)) == 2

    @pytest.mark.parametrize("mode", ["NONE", "PASSTHROUGH", "VGPU", "HOST_VSGA"])
    def test_no_host(self, mode: str):
        with playing(Gpu(T4, figures={"virtualization_mode": mode})) as (_, [handle]):
            for call in (
                pynvml.nvmlDeviceGetSupportedVgpus,
                pynvml.nvmlDeviceGetCreatableVgpus,
                pynvml.nvmlDeviceGetActiveVgpus,
                pynvml.nvmlDeviceGetHostVgpuMode,
                pynvml.nvmlDeviceGetVgpuSchedulerCapabilities,
                pynvml.nvmlDeviceGetVgpuMetadata,
            ):
                with refused("NOT_SUPPORTED"):
                    call(handle)
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlVgpuTypeGetName(231)

    def test_a_product_without_vgpus_hosts_none(self):
        gpu = Gpu(RTX_4090, figures={"virtualization_mode": "HOST_VGPU"})
        with playing(gpu) as (_, [handle]), refused("NOT_SUPPORTED"):
            pynvml.nvmlDeviceGetSupportedVgpus(handle)

    def test_a_type_of_another_gpu(self):
        with playing(host(), host(product=A100)) as (_, [t4, a100]):
            number = type_id(a100, "GRID A100DX-4C")
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlVgpuTypeGetMaxInstances(t4, number)


class TestCreatable:
    def test_all_on_an_idle_gpu(self):
        with playing(host()) as (_, [handle]):
            assert pynvml.nvmlDeviceGetCreatableVgpus(handle) == (
                pynvml.nvmlDeviceGetSupportedVgpus(handle)
            )

    def test_only_of_the_size_that_runs(self):
        with playing(host("GRID T4-4Q")) as (_, [handle]):
            found = [
                pynvml.nvmlVgpuTypeGetName(each)
                for each in pynvml.nvmlDeviceGetCreatableVgpus(handle)
            ]
            assert found == ["GRID T4-4Q", "GRID T4-4A", "GRID T4-4C"]

    def test_none_when_it_is_full(self):
        with playing(host("GRID T4-8Q", "GRID T4-8Q")) as (_, [handle]):
            assert list(pynvml.nvmlDeviceGetCreatableVgpus(handle)) == []

    def test_other_sizes_beside_it_where_they_are_mixed(self):
        with playing(host("GRID T4-8Q", heterogeneous=True)) as (_, [handle]):
            sizes = {
                pynvml.nvmlVgpuTypeGetFramebufferSize(each) // GIB
                for each in pynvml.nvmlDeviceGetCreatableVgpus(handle)
            }
            assert sizes == {1, 2, 4, 8}
