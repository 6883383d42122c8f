"""Functions that the real library answers NOT_SUPPORTED on every emulated product, and why.

One table: reason -> functions. They are not "not emulated yet": the trace does not mark them, and
strict scenarios let them pass. A function that some product of the catalogue supports has no row
here but a handler, which looks at a figure of the device.
"""

from __future__ import annotations

from . import _status as status
from .library import NvmlError, implements

__all__ = ["REFUSALS"]

REFUSALS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        # nvml.h: "For Rubin or newer"
        "adaptive power budgets are of products after Blackwell",
        ("nvmlDeviceGetAdaptiveTgpModeInfo_v1", "nvmlDeviceSetAdaptiveTgpMode_v1"),
    ),
    (
        # nvml.h of CUDA 13.5: samples of the DLPPC and PFPP controllers' power models
        "the controllers whose power models are sampled are of products after Blackwell",
        ("nvmlDevicePerfMetricsGetSamples_v1",),
    ),
    (
        "driver models are of Windows",  # nvml.h: "For windows only"
        (
            "nvmlDeviceGetDriverModel",
            "nvmlDeviceGetDriverModel_v2",
            "nvmlDeviceSetDriverModel",
        ),
    ),
    (
        # nvml.h: "For GK110 M-class and X-class Tesla products from the Kepler family"
        "operation modes are of the Kepler family, which is older than any product here",
        ("nvmlDeviceGetGpuOperationMode", "nvmlDeviceSetGpuOperationMode"),
    ),
    (
        # nvml.h marks them "RUBIN_OR_NEWER"
        "the history of NVLink's traffic and modes set without waiting are Rubin's",
        (
            "nvmlDeviceGetNvLinkTelemetrySamples_v1",
            "nvmlDeviceSetNvlinkBwModeAsync_v1",
        ),
    ),
    (
        "nothing here signs a report or has a certificate: no proof of genuineness is imitated",
        (
            "nvmlDeviceGetConfComputeGpuAttestationReport",
            "nvmlDeviceGetConfComputeGpuCertificate",
        ),
    ),
    # nvml.h marks it "RUBIN_OR_NEWER".
    ("banks are remapped from Rubin on", ("nvmlDeviceGetBankRemapperStatus_v1",)),
    (
        # The count of units is 0, so that no handle is one: INVALID_ARGUMENT comes before.
        "S-class boxes are older than any product here",
        (
            "nvmlUnitGetDevices",
            "nvmlUnitGetFanSpeedInfo",
            "nvmlUnitGetLedState",
            "nvmlUnitGetPsuInfo",
            "nvmlUnitGetTemperature",
            "nvmlUnitGetUnitInfo",
            "nvmlUnitSetLedState",
        ),
    ),
    (
        "in no header: a control call to a kernel driver, which is not there",
        ("nvmlRetry_NvRmControl",),
    ),
    (
        "auto boost can be switched on Kepler and Maxwell alone",
        (
            "nvmlDeviceSetAutoBoostedClocksEnabled",
            "nvmlDeviceSetDefaultAutoBoostedClocksEnabled",
        ),
    ),
)


_EITHER = frozenset(("nvmlDeviceGetDriverModel", "nvmlDeviceGetGpuOperationMode"))


def _refuse() -> None:
    raise NvmlError(status.NOT_SUPPORTED)


for _, _names in REFUSALS:
    # Either place that a driver model or an operation mode is put out to may be NULL: nvidia-smi's
    # `--query-gpu=gom.current` asks for one alone.
    _either = ("current", "pending") if _EITHER.intersection(_names) else ()
    implements(*_names, nullable=_either)(_refuse)
