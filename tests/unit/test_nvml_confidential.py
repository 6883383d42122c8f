"""Confidential computing: off unless a scenario says otherwise, and what is set when it is on."""

from __future__ import annotations

import ctypes
from typing import Any

import pynvml
import pytest
from nvml_asking import code, struct, uint64
from nvml_client import A100, H100, T4, playing, refused

from emulator import Gpu

ON: dict[str, Any] = {"enabled": True, "cpu": "AMD_SEV_SNP", "environment": "PROD"}
GIB = 1 << 30


def confidential(**figures: Any) -> Gpu:
    return Gpu(H100, figures={"confidential": {**ON, **figures}})


def settings() -> Any:
    found = pynvml.c_nvmlSystemConfComputeSettings_v1_t()
    pynvml.nvmlSystemGetConfComputeSettings(ctypes.byref(found))
    return found


class TestOff:
    def test_state_and_capabilities(self):
        with playing(H100):
            state = pynvml.nvmlSystemGetConfComputeState()
            assert (state.environment, state.ccFeature, state.devToolsMode) == (0, 0, 0)
            assert pynvml.nvmlSystemGetConfComputeGpusReadyState() == 0
            found = pynvml.nvmlSystemGetConfComputeCapabilities()
            assert (found.cpuCaps, found.gpusCaps) == (0, 1)

    @pytest.mark.parametrize("profile", [T4, A100])
    def test_products_that_are_not_capable(self, profile: str):
        with playing(profile):
            assert pynvml.nvmlSystemGetConfComputeCapabilities().gpusCaps == 0

    def test_nothing_can_be_set(self):
        with playing(H100) as (_, [handle]):
            for setter, arguments in (
                (pynvml.nvmlSystemSetConfComputeGpusReadyState, (1,)),
                (pynvml.nvmlDeviceSetConfComputeUnprotectedMemSize, (handle, uint64(1024))),
                (pynvml.nvmlSystemSetConfComputeKeyRotationThresholdInfo, (60,)),
            ):
                with refused("NOT_SUPPORTED"):
                    setter(*arguments)

    def test_a_machine_without_devices(self):
        with playing():
            assert pynvml.nvmlSystemGetConfComputeState().ccFeature == 0


class TestOn:
    def test_settings(self):
        gpu = confidential(devtools=True, multi_gpu="PROTECTED_PCIE")
        with playing(gpu):
            found = settings()
            assert (found.environment, found.ccFeature) == (2, 1)
            assert (found.devToolsMode, found.multiGpuMode) == (1, 1)
            assert pynvml.nvmlSystemGetConfComputeCapabilities().cpuCaps == 3

    def test_gpus_take_work_once_it_is_said(self):
        with playing(confidential()):
            assert pynvml.nvmlSystemGetConfComputeGpusReadyState() == 0
            pynvml.nvmlSystemSetConfComputeGpusReadyState(1)
            assert pynvml.nvmlSystemGetConfComputeGpusReadyState() == 1
            with refused("INVALID_ARGUMENT"):
                pynvml.nvmlSystemSetConfComputeGpusReadyState(2)

    def test_keys_rotate_at_a_threshold_that_is_set_before(self):
        with playing(confidential()):
            read = pynvml.nvmlSystemGetConfComputeKeyRotationThresholdInfo
            assert read().attackerAdvantage == 60
            pynvml.nvmlSystemSetConfComputeKeyRotationThresholdInfo(52)
            assert read().attackerAdvantage == 52
            for outside in (49, 66):
                with refused("INVALID_ARGUMENT"):
                    pynvml.nvmlSystemSetConfComputeKeyRotationThresholdInfo(outside)
            pynvml.nvmlSystemSetConfComputeGpusReadyState(1)
            with refused("INVALID_STATE"):
                pynvml.nvmlSystemSetConfComputeKeyRotationThresholdInfo(53)

    def test_memory_is_protected_but_for_what_is_left_out(self):
        with playing(confidential()) as (machine, [handle]):
            total = machine.devices[0].memory.total
            pynvml.nvmlDeviceSetConfComputeUnprotectedMemSize(handle, uint64(GIB >> 10))
            sizes = pynvml.nvmlDeviceGetConfComputeMemSizeInfo(handle)
            assert sizes.unprotectedMemSizeKib << 10 == GIB
            assert sizes.protectedMemSizeKib << 10 == total - GIB
            used = pynvml.nvmlDeviceGetConfComputeProtectedMemoryUsage(handle)
            assert (used.total, used.used + used.free) == (total - GIB, total - GIB)
            with refused("INVALID_ARGUMENT"):
                size = uint64((total >> 10) + 1)
                pynvml.nvmlDeviceSetConfComputeUnprotectedMemSize(handle, size)

    def test_no_more_is_left_out_than_there_is(self):
        with playing(confidential(unprotected_memory="1 TiB")) as (machine, [handle]):
            sizes = pynvml.nvmlDeviceGetConfComputeMemSizeInfo(handle)
            total = machine.devices[0].memory.total
            assert sizes.protectedMemSizeKib == 0
            assert sizes.unprotectedMemSizeKib << 10 == total
            used = pynvml.nvmlDeviceGetConfComputeProtectedMemoryUsage(handle)
            assert (used.total, used.used, used.free) == (0, 0, 0)

    @pytest.mark.parametrize(
        ("function", "kind"),
        [
            ("nvmlDeviceGetConfComputeGpuCertificate", "nvmlConfComputeGpuCertificate_t"),
            (
                "nvmlDeviceGetConfComputeGpuAttestationReport",
                "nvmlConfComputeGpuAttestationReport_t",
            ),
        ],
    )
    def test_no_proof_of_genuineness_is_imitated(self, function: str, kind: str):
        with playing(confidential(), strict=True) as (_, [handle]):
            assert code(function, handle, struct(kind)) == "NOT_SUPPORTED"


class TestDramEncryption:
    def test_it_is_switched_for_the_next_reset(self):
        with playing("rtx-5090") as (_, [handle]):
            assert list(pynvml.nvmlDeviceGetDramEncryptionMode(handle)) == [0, 0]
            pynvml.nvmlDeviceSetDramEncryptionMode(handle, 1)
            assert list(pynvml.nvmlDeviceGetDramEncryptionMode(handle)) == [0, 1]

    def test_products_without_it(self):
        with playing(H100) as (_, [handle]):
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceGetDramEncryptionMode(handle)
            with refused("NOT_SUPPORTED"):
                pynvml.nvmlDeviceSetDramEncryptionMode(handle, 1)
