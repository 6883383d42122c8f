"""What a device did about broken memory: pages retired, rows remapped."""

from __future__ import annotations

from . import _status as status
from .architectures import need
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..machine import Device
    from ..machine.ecc import RemappedRows

__all__: list[str] = []

CAUSES = ("single_bit", "double_bit")  # in the order of nvmlPageRetirementCause_t


@implements("nvmlDeviceGetRetiredPages")
def retired_pages(device: Device, cause: int) -> Optional[list[int]]:
    if cause >= len(CAUSES):
        raise NvmlError(status.INVALID_ARGUMENT)
    return getattr(device.retired_pages, CAUSES[cause])  # type: ignore[no-any-return]


@implements("nvmlDeviceGetRetiredPages_v2")
def retired_pages_v2(device: Device, cause: int) -> tuple[Optional[list[int]], Optional[list[int]]]:
    """Addresses, and when each was retired: 0 where that is not known."""
    pages = retired_pages(device, cause)
    if pages is None:
        return None, None
    times: list[int] = getattr(device.retired_pages, CAUSES[cause] + "_times") or []
    return pages, [*times, *[0] * len(pages)][: len(pages)]


# ---- rows


def rows_of(device: Device) -> RemappedRows:
    """nvml.h: while a device has MIG instances, its rows cannot be asked for."""
    if device.mig.current and device.mig.instances:
        raise NvmlError(status.NOT_SUPPORTED)
    return device.remapped_rows


@implements("nvmlDeviceGetRemappedRows")
def remapped_rows(device: Device) -> tuple[Optional[int], ...]:
    rows = rows_of(device)
    return rows.correctable, rows.uncorrectable, rows.pending, rows.failure


@implements("nvmlDeviceGetRemappedRows_v2")
def remapped_rows_v2(device: Device) -> dict[str, Optional[int]]:
    """Rows that wait for a reset are counted with the others: all that is counted is active."""
    rows = rows_of(device)
    return {
        "corrActiveRemaps": rows.correctable,
        "corrInactiveRemaps": 0,
        "uncActiveRemaps": rows.uncorrectable,
        "uncInactiveRemaps": 0,
        "bPending": rows.pending,
        "bFailureOccurred": rows.failure,
    }


@implements("nvmlDeviceGetRowRemapperHistogram")
def row_histogram(device: Device) -> dict[str, Optional[int]]:
    rows = device.remapped_rows
    return {
        "max": rows.banks_max,
        "high": rows.banks_high,
        "partial": rows.banks_partial,
        "low": rows.banks_low,
        "none": rows.banks_none,
    }


@implements("nvmlDeviceGetUnrepairableMemoryFlag_v1")
def unrepairable_memory(device: Device) -> Optional[dict[str, bool]]:
    need(device, "HOPPER")
    rows = device.remapped_rows
    if rows.failure is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return {"bUnrepairableMemory": bool(rows.unrepairable)}


@implements("nvmlDeviceGetRepairStatus")
def repair_status(device: Device) -> dict[str, Optional[bool]]:
    return {
        "bChannelRepairPending": device.ecc.channel_repair_pending,
        "bTpcRepairPending": device.ecc.tpc_repair_pending,
    }


implements_each(
    {"nvmlDeviceGetRetiredPagesPendingStatus": lambda device: device.retired_pages.pending}
)
