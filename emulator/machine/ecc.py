"""Error correction: modes, counters, retired pages, remapped rows."""

from __future__ import annotations

from .figures import Figures, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = [
    "LOCATIONS",
    "Ecc",
    "EccCounts",
    "RemappedRows",
    "RetiredPages",
    "SramError",
    "SramSources",
]


#: The memories that errors are counted in, in the order of nvmlMemoryLocation_t. Products until
#: Volta tell the SRAMs apart; later ones count them as one.
LOCATIONS = (
    *("l1_cache", "l2_cache", "dram", "register_file", "texture_memory", "texture_shared", "cbu"),
    "sram",
)


class EccCounts(Figures):
    """Error counts of one lifetime: since the driver loaded (volatile) or ever (aggregate).

    ``dram`` is the device's memory, ``cbu`` the convergence barrier unit. Until Volta each SRAM is
    counted apart, from Turing on all of them in the figures that begin with ``sram``.
    """

    __slots__ = (
        "cbu_correctable",
        "cbu_uncorrectable",
        "dram_correctable",
        "dram_uncorrectable",
        "l1_cache_correctable",
        "l1_cache_uncorrectable",
        "l2_cache_correctable",
        "l2_cache_uncorrectable",
        "register_file_correctable",
        "register_file_uncorrectable",
        "sram_correctable",
        "sram_uncorrectable_parity",
        "sram_uncorrectable_secded",
        "texture_memory_correctable",
        "texture_memory_uncorrectable",
        "texture_shared_correctable",
        "texture_shared_uncorrectable",
    )

    sram_correctable: int | None
    sram_uncorrectable_parity: int | None
    sram_uncorrectable_secded: int | None
    dram_correctable: int | None
    dram_uncorrectable: int | None
    l1_cache_correctable: int | None
    l1_cache_uncorrectable: int | None
    l2_cache_correctable: int | None
    l2_cache_uncorrectable: int | None
    register_file_correctable: int | None
    register_file_uncorrectable: int | None
    texture_memory_correctable: int | None
    texture_memory_uncorrectable: int | None
    texture_shared_correctable: int | None
    texture_shared_uncorrectable: int | None
    cbu_correctable: int | None
    cbu_uncorrectable: int | None

    @property
    def sram_uncorrectable(self) -> int | None:
        """Parity and SEC-DED errors together, as drivers before 535 report them."""
        parity, secded = self.sram_uncorrectable_parity, self.sram_uncorrectable_secded
        return None if parity is None or secded is None else parity + secded

    @property
    def correctable(self) -> int | None:
        """All correctable errors."""
        return self._total("correctable")

    @property
    def uncorrectable(self) -> int | None:
        """All uncorrectable errors."""
        return self._total("uncorrectable")

    @property
    def cleared(self) -> dict[str, int]:
        """The figures that the product counts, each at zero."""
        return _cleared(self)

    def _total(self, severity: str) -> int | None:
        counts = [getattr(self, f"{location}_{severity}") for location in LOCATIONS]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None


def _cleared(counts: Figures) -> dict[str, int]:
    names: tuple[str, ...] = counts.__slots__
    return {name: 0 for name in names if getattr(counts, name) is not None}


class SramError(Figures):
    """An uncorrectable SRAM error: where it was seen, and how often."""

    __slots__ = (
        *("address", "count", "extended_location", "location", "parity", "sublocation", "unit"),
    )

    unit: int
    location: int
    sublocation: int
    extended_location: int
    address: int
    parity: bool
    count: int


class SramSources(Figures):
    """Where the aggregate uncorrectable SRAM errors arose."""

    __slots__ = ("l2", "microcontroller", "other", "pcie", "sm")

    l2: int | None
    sm: int | None
    microcontroller: int | None
    pcie: int | None
    other: int | None

    @property
    def cleared(self) -> dict[str, int]:
        """The figures that the product has, each at zero."""
        return _cleared(self)


class Ecc(Rows):
    """ECC mode and counts. ``current`` is None on a product without ECC.

    ``pending`` becomes ``current`` at the next reset. ``threshold_exceeded`` is the row "SRAM
    Threshold Exceeded"; ``channel_repair_pending`` and ``tpc_repair_pending`` appear from 555 on.
    ``sram_errors`` are the distinct uncorrectable ones, which Blackwell remembers.
    """

    __slots__ = (
        "aggregate",
        "channel_repair_pending",
        "current",
        "default",
        "pending",
        "sram_errors",
        "sram_sources",
        "threshold_exceeded",
        "tpc_repair_pending",
        "volatile",
    )
    kinds = (("sram_errors", SramError),)
    empty = (("sram_errors", ()),)

    current: bool | None
    pending: bool | None
    default: bool | None
    volatile: EccCounts
    aggregate: EccCounts
    sram_sources: SramSources
    sram_errors: list[SramError]
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
    """Page retirement (before Ampere): addresses retired by cause. All None if not supported.

    The times are when each was retired, in seconds since the epoch, as many as are known.
    """

    __slots__ = ("double_bit", "double_bit_times", "pending", "single_bit", "single_bit_times")

    single_bit: list[int] | None
    single_bit_times: list[int] | None
    double_bit: list[int] | None
    double_bit_times: list[int] | None
    pending: bool | None


class RemappedRows(Figures):
    """Row remapping (from Ampere on). All None if not supported.

    The histogram's figures count memory banks by the spare rows left: ``banks_max`` all of them,
    ``banks_none`` none. ``unrepairable`` says that memory has failed which nothing replaces.
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
        "unrepairable",
    )

    correctable: int | None
    uncorrectable: int | None
    pending: bool | None
    failure: bool | None
    unrepairable: bool | None
    banks_max: int | None
    banks_high: int | None
    banks_partial: int | None
    banks_low: int | None
    banks_none: int | None
