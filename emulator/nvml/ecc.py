"""Error correction: its mode, and the errors counted."""

from __future__ import annotations

from ..machine.drivers import branch
from ..machine.ecc import LOCATIONS
from . import _status as status
from .architectures import need
from .buffers import put_list
from .library import Nvml, NvmlError, implements, implements_each
from .mig.devices import is_mig_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device
    from ..machine.ecc import EccCounts, SramError

__all__ = ["LIFETIMES", "counts_of"]

LIFETIMES = ("volatile", "aggregate")  # in the order of nvmlEccCounterType_t
SEVERITIES = ("correctable", "uncorrectable")  # in the order of nvmlMemoryErrorType_t

#: nvml.h says to this day that a GPU in MIG mode does not tell volatile errors. It does not in a
#: published `nvidia-smi -q` of an A100 with 510.47.03; but of one with 535.54.03, and of an H200
#: with 610.43.02, all of them are 0.
VOLATILE_IN_MIG_MODE_FROM = 535


def counts_of(device: Device, lifetime: int) -> EccCounts:
    """The errors of a lifetime (nvmlEccCounterType_t), of a device with ECC."""
    if lifetime >= len(LIFETIMES):
        raise NvmlError(status.INVALID_ARGUMENT)
    if not device.ecc.current:
        raise NvmlError(status.NOT_SUPPORTED)
    return getattr(device.ecc, LIFETIMES[lifetime])  # type: ignore[no-any-return]


def told_counts(nvml: Nvml, device: Device, lifetime: int) -> EccCounts:
    """Of a GPU in MIG mode older drivers have no volatile counts: its MIG devices have them."""
    counts = counts_of(device, lifetime)
    divided = device.mig.current and not is_mig_device(device)
    is_old = branch(nvml.machine.driver) < VOLATILE_IN_MIG_MODE_FROM
    if divided and is_old and LIFETIMES[lifetime] == "volatile":
        raise NvmlError(status.NOT_SUPPORTED)
    return counts


def severity_of(error_type: int) -> str:
    if error_type >= len(SEVERITIES):
        raise NvmlError(status.INVALID_ARGUMENT)
    return SEVERITIES[error_type]


@implements("nvmlDeviceGetTotalEccErrors")
def total_errors(nvml: Nvml, device: Device, error_type: int, counter_type: int) -> Optional[int]:
    return getattr(  # type: ignore[no-any-return]
        told_counts(nvml, device, counter_type), severity_of(error_type)
    )


@implements("nvmlDeviceGetMemoryErrorCounter")
def memory_errors(
    nvml: Nvml, device: Device, error_type: int, counter_type: int, location_type: int
) -> Optional[int]:
    """A MIG device has volatile uncorrectable errors of its SRAM alone (nvml.h)."""
    if location_type >= len(LOCATIONS):
        raise NvmlError(status.INVALID_ARGUMENT)
    name = f"{LOCATIONS[location_type]}_{severity_of(error_type)}"
    counts = told_counts(nvml, device, counter_type)
    if is_mig_device(device) and (name, counter_type) != ("sram_uncorrectable", 0):
        return None
    return getattr(counts, name)  # type: ignore[no-any-return]


@implements("nvmlDeviceGetDetailedEccErrors")
def detailed_errors(
    nvml: Nvml, device: Device, error_type: int, counter_type: int
) -> dict[str, Optional[int]]:
    """The struct of the time before SRAM was counted as one: which is the L2 cache in it then."""
    severity, counts = severity_of(error_type), told_counts(nvml, device, counter_type)
    l2_cache = getattr(counts, "l2_cache_" + severity)
    return {
        "l1Cache": getattr(counts, "l1_cache_" + severity) or 0,
        "l2Cache": getattr(counts, "sram_" + severity) if l2_cache is None else l2_cache,
        "deviceMemory": getattr(counts, "dram_" + severity),
        "registerFile": getattr(counts, "register_file_" + severity) or 0,
    }


@implements("nvmlDeviceGetSramEccErrorStatus")
def sram_errors(device: Device) -> dict[str, Optional[int]]:
    volatile, aggregate = device.ecc.volatile, counts_of(device, 1)
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


@implements("nvmlDeviceGetSramUniqueUncorrectedEccErrorCounts")
def unique_sram_errors(device: Device, error_counts: Any) -> dict[str, Any]:
    """The list lies where the client's struct points; NULL asks how many there are."""
    need(device, "BLACKWELL")
    if not device.ecc.current:
        raise NvmlError(status.NOT_SUPPORTED)
    errors = device.ecc.sram_errors
    if error_counts.entries:
        kind = "nvmlEccSramUniqueUncorrectedErrorEntry_v1_t"
        put_list(error_counts, "entryCount", "entries", kind, [entry(error) for error in errors])
    return {"entryCount": len(errors)}


def entry(error: SramError) -> dict[str, int]:
    return {
        "unit": error.unit,
        "location": error.location,
        "sublocation": error.sublocation,
        "extlocation": error.extended_location,
        "address": error.address,
        "isParity": error.parity,
        "count": error.count,
    }


@implements("nvmlDeviceSetEccMode")
def set_mode(nvml: Nvml, device: Device, ecc: int) -> None:
    if device.ecc.current is None:
        raise NvmlError(status.NOT_SUPPORTED)
    nvml.machine.alter(device, {"ecc": {"pending": bool(ecc)}})


@implements("nvmlDeviceClearEccErrorCounts")
def clear_counts(nvml: Nvml, device: Device, counter_type: int) -> None:
    """What is cleared of the aggregate counts has no place of origin any more."""
    counts = told_counts(nvml, device, counter_type).cleared
    cleared: dict[str, Any] = {LIFETIMES[counter_type]: counts}
    if counter_type == LIFETIMES.index("aggregate"):
        cleared["sram_sources"] = device.ecc.sram_sources.cleared
        cleared["sram_errors"] = []
    nvml.machine.alter(device, {"ecc": cleared})


implements_each(
    {
        "nvmlDeviceGetDefaultEccMode": lambda device: device.ecc.default,
        "nvmlDeviceGetEccMode": lambda device: (device.ecc.current, device.ecc.pending),
    }
)
