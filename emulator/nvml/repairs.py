"""What a device did about broken memory: pages retired, rows remapped."""

from __future__ import annotations

from .library import implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..machine import Device

__all__: list[str] = []

CAUSES = ("single_bit", "double_bit")  # in the order of nvmlPageRetirementCause_t


@implements("nvmlDeviceGetRetiredPages")
def retired_pages(device: Device, cause: int) -> Optional[list[int]]:
    return getattr(device.retired_pages, CAUSES[cause]) if cause < len(CAUSES) else None


@implements("nvmlDeviceGetRetiredPages_v2")
def retired_pages_v2(device: Device, cause: int) -> tuple[Optional[list[int]], Optional[list[int]]]:
    """Addresses and timestamps; when a page was retired is not part of the machine's state."""
    pages = retired_pages(device, cause)
    return pages, None if pages is None else [0] * len(pages)


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


@implements("nvmlDeviceGetRepairStatus")
def repair_status(device: Device) -> dict[str, Optional[bool]]:
    return {
        "bChannelRepairPending": device.ecc.channel_repair_pending,
        "bTpcRepairPending": device.ecc.tpc_repair_pending,
    }


implements_each(
    {
        "nvmlDeviceGetRemappedRows": lambda device: (
            device.remapped_rows.correctable,
            device.remapped_rows.uncorrectable,
            device.remapped_rows.pending,
            device.remapped_rows.failure,
        ),
        "nvmlDeviceGetRetiredPagesPendingStatus": lambda device: device.retired_pages.pending,
    }
)
