"""Error correction: modes, counters, retired pages, remapped rows."""

from __future__ import annotations

from .figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Ecc", "EccCounts", "RemappedRows", "RetiredPages", "SramSources"]


class EccCounts(Figures):
    """Error counts of one lifetime: since the driver loaded (volatile) or ever (aggregate)."""

    __slots__ = (
        "dram_correctable",
        "dram_uncorrectable",
        "sram_correctable",
        "sram_uncorrectable_parity",
        "sram_uncorrectable_secded",
    )

    sram_correctable: int | None
    sram_uncorrectable_parity: int | None
    sram_uncorrectable_secded: int | None
    dram_correctable: int | None
    dram_uncorrectable: int | None

    @property
    def sram_uncorrectable(self) -> int | None:
        """Parity and SEC-DED errors together, as drivers before 535 report them."""
        parity, secded = self.sram_uncorrectable_parity, self.sram_uncorrectable_secded
        return None if parity is None or secded is None else parity + secded

    @property
    def correctable(self) -> int | None:
        """All correctable errors."""
        sram, dram = self.sram_correctable, self.dram_correctable
        return None if sram is None or dram is None else sram + dram

    @property
    def uncorrectable(self) -> int | None:
        """All uncorrectable errors."""
        sram, dram = self.sram_uncorrectable, self.dram_uncorrectable
        return None if sram is None or dram is None else sram + dram


class SramSources(Figures):
    """Where the aggregate uncorrectable SRAM errors arose."""

    __slots__ = ("l2", "microcontroller", "other", "pcie", "sm")

    l2: int | None
    sm: int | None
    microcontroller: int | None
    pcie: int | None
    other: int | None


class Ecc(Figures):
    """ECC mode and counts. ``current`` is None on a product without ECC.

    ``pending`` becomes ``current`` at the next reset. ``threshold_exceeded`` is the row "SRAM
    Threshold Exceeded"; ``channel_repair_pending`` and ``tpc_repair_pending`` appear from 555 on.
    """

    __slots__ = (
        "aggregate",
        "channel_repair_pending",
        "current",
        "default",
        "pending",
        "sram_sources",
        "threshold_exceeded",
        "tpc_repair_pending",
        "volatile",
    )

    current: bool | None
    pending: bool | None
    default: bool | None
    volatile: EccCounts
    aggregate: EccCounts
    sram_sources: SramSources
    threshold_exceeded: bool | None
    channel_repair_pending: bool | None
    tpc_repair_pending: bool | None

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.volatile = EccCounts(table.get("volatile", {}))
        self.aggregate = EccCounts(table.get("aggregate", {}))
        self.sram_sources = SramSources(table.get("sram_sources", {}))

    def fail(self) -> None:
        """Count an error in DRAM that could not be corrected, where the product counts them."""
        for counts in (self.volatile, self.aggregate):
            if counts.dram_uncorrectable is not None:
                counts.dram_uncorrectable += 1


class RetiredPages(Figures):
    """Page retirement (before Ampere): addresses retired by cause. All None if not supported."""

    __slots__ = ("double_bit", "pending", "single_bit")

    single_bit: list[int] | None
    double_bit: list[int] | None
    pending: bool | None


class RemappedRows(Figures):
    """Row remapping (from Ampere on). All None if not supported.

    The histogram's figures count memory banks by the spare rows left: ``banks_max`` all of them,
    ``banks_none`` none.
    """

    __slots__ = (
        "banks_high",
        "banks_low",
        "banks_max",
        "banks_none",
        "banks_partial",
        "correctable",
        "failure",
        "pending",
        "uncorrectable",
    )

    correctable: int | None
    uncorrectable: int | None
    pending: bool | None
    failure: bool | None
    banks_max: int | None
    banks_high: int | None
    banks_partial: int | None
    banks_low: int | None
    banks_none: int | None
