"""Error correction: its mode, and the errors counted."""

from __future__ import annotations

from . import _status as status
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..machine import Device
    from ..machine.ecc import EccCounts

__all__ = ["LIFETIMES"]

LIFETIMES = ("volatile", "aggregate")  # in the order of nvmlEccCounterType_t
SEVERITIES = ("correctable", "uncorrectable")  # in the order of nvmlMemoryErrorType_t

#: From Turing on, errors are counted for the DRAM and for all SRAM together only.
LOCATIONS = {2: "dram", 7: "sram"}  # by nvmlMemoryLocation_t


def counts_of(device: Device, lifetime: int) -> EccCounts:
    if lifetime >= len(LIFETIMES):
        raise NvmlError(status.INVALID_ARGUMENT)
    if not device.ecc.current:
        raise NvmlError(status.NOT_SUPPORTED)
    return getattr(device.ecc, LIFETIMES[lifetime])  # type: ignore[no-any-return]


def severity_of(error_type: int) -> str:
    if error_type >= len(SEVERITIES):
        raise NvmlError(status.INVALID_ARGUMENT)
    return SEVERITIES[error_type]


@implements("nvmlDeviceGetTotalEccErrors")
def total_errors(device: Device, error_type: int, counter_type: int) -> Optional[int]:
    return getattr(  # type: ignore[no-any-return]
        counts_of(device, counter_type), severity_of(error_type)
    )


@implements("nvmlDeviceGetMemoryErrorCounter")
def memory_errors(
    device: Device, error_type: int, counter_type: int, location_type: int
) -> Optional[int]:
    name = f"{LOCATIONS.get(location_type)}_{severity_of(error_type)}"
    return getattr(counts_of(device, counter_type), name, None)


@implements("nvmlDeviceGetDetailedEccErrors")
def detailed_errors(device: Device, error_type: int, counter_type: int) -> dict[str, Optional[int]]:
    """The struct of the time before SRAM was counted as one."""
    severity, counts = severity_of(error_type), counts_of(device, counter_type)
    return {
        "l1Cache": 0,
        "l2Cache": getattr(counts, "sram_" + severity),
        "deviceMemory": getattr(counts, "dram_" + severity),
        "registerFile": 0,
    }


@implements("nvmlDeviceGetSramEccErrorStatus")
def sram_errors(device: Device) -> dict[str, Optional[int]]:
    volatile, aggregate = counts_of(device, 0), counts_of(device, 1)
    sources = device.ecc.sram_sources
    return {
        "aggregateUncParity": aggregate.sram_uncorrectable_parity,
        "aggregateUncSecDed": aggregate.sram_uncorrectable_secded,
        "aggregateCor": aggregate.sram_correctable,
        "volatileUncParity": volatile.sram_uncorrectable_parity,
        "volatileUncSecDed": volatile.sram_uncorrectable_secded,
        "volatileCor": volatile.sram_correctable,
        "aggregateUncBucketL2": sources.l2,
        "aggregateUncBucketSm": sources.sm,
        "aggregateUncBucketPcie": sources.pcie,
        "aggregateUncBucketMcu": sources.microcontroller,
        "aggregateUncBucketOther": sources.other,
        "bThresholdExceeded": device.ecc.threshold_exceeded,
    }


@implements("nvmlDeviceSetEccMode")
def set_mode(device: Device, ecc: int) -> None:
    if device.ecc.current is None:
        raise NvmlError(status.NOT_SUPPORTED)
    device.ecc.pending = bool(ecc)


@implements("nvmlDeviceClearEccErrorCounts")
def clear_counts(device: Device, counter_type: int) -> None:
    counts = counts_of(device, counter_type)
    for name in counts.__slots__:
        if getattr(counts, name) is not None:
            setattr(counts, name, 0)


implements_each(
    {
        "nvmlDeviceGetDefaultEccMode": lambda device: device.ecc.default,
        "nvmlDeviceGetEccMode": lambda device: (device.ecc.current, device.ecc.pending),
    }
)
