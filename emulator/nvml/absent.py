"""What no emulated product has: answered NOT_SUPPORTED on purpose, as by the real driver.

A function without a handler answers the same, but the trace marks it, and strict scenarios refuse
it: there nvemu may be what is missing.
"""

from __future__ import annotations

from . import _status as status
from .library import NvmlError, implements

__all__: list[str] = []

FUNCTIONS = (
    # Boards that carried bridges, S-class units
    "nvmlDeviceGetBridgeChipInfo",
    # Windows, and products before Maxwell
    "nvmlDeviceGetDriverModel",
    "nvmlDeviceGetDriverModel_v2",
    "nvmlDeviceGetGpuOperationMode",
    "nvmlDeviceSetDriverModel",
    "nvmlDeviceSetGpuOperationMode",
    # vGPU hosts
    "nvmlDeviceGetActiveVgpus",
    "nvmlDeviceGetCreatableVgpus",
    "nvmlDeviceGetHostVgpuMode",
    "nvmlDeviceGetSupportedVgpus",
    "nvmlDeviceGetVgpuCapabilities",
    "nvmlDeviceGetVgpuHeterogeneousMode",
    "nvmlDeviceGetVgpuMetadata",
    "nvmlGetVgpuDriverCapabilities",
    # NVLink before Ampere
    "nvmlDeviceFreezeNvLinkUtilizationCounter",
    "nvmlDeviceGetNvLinkUtilizationControl",
    "nvmlDeviceGetNvLinkUtilizationCounter",
    "nvmlDeviceResetNvLinkUtilizationCounter",
    "nvmlDeviceSetNvLinkUtilizationControl",
    # Blackwell
    "nvmlDeviceGetDramEncryptionMode",
    "nvmlDeviceGetPlatformInfo",
    # Kepler and Maxwell
    "nvmlDeviceSetAutoBoostedClocksEnabled",
    "nvmlDeviceSetDefaultAutoBoostedClocksEnabled",
    # Grace Hopper
    "nvmlDeviceGetC2cModeInfoV",
    "nvmlDeviceGetCapabilities",
    # Licensed software
    "nvmlDeviceGetGridLicensableFeatures",
    "nvmlDeviceGetGridLicensableFeatures_v2",
    "nvmlDeviceGetGridLicensableFeatures_v3",
    "nvmlDeviceGetGridLicensableFeatures_v4",
)


@implements(*FUNCTIONS, nullable=("current", "pending"))
def absent() -> None:
    raise NvmlError(status.NOT_SUPPORTED)
