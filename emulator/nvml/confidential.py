"""Confidential computing: possible on no emulated product while it is switched off."""

from __future__ import annotations

from .library import implements

TYPE_CHECKING = False

__all__: list[str] = []


@implements("nvmlSystemGetConfComputeState")
def state() -> dict[str, int]:
    return {"environment": 0, "ccFeature": 0, "devToolsMode": 0}


@implements("nvmlSystemGetConfComputeSettings", "nvmlSystemGetConfComputeSettings_v2")
def settings() -> dict[str, int]:
    return {**state(), "multiGpuMode": 0}


@implements("nvmlSystemGetConfComputeCapabilities")
def capabilities() -> dict[str, int]:
    return {"cpuCaps": 0, "gpusCaps": 0}


@implements("nvmlSystemGetConfComputeGpusReadyState")
def ready_state() -> int:
    return 0


@implements("nvmlDeviceGetConfComputeMemSizeInfo")
def memory_sizes() -> dict[str, int]:
    return {"protectedMemSizeKib": 0, "unprotectedMemSizeKib": 0}
