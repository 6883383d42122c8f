"""The PCI function of a device and its link."""

from __future__ import annotations

from .figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .words import AtomicOperation, PciId

__all__ = ["Pci", "PcieErrors"]

#: Megatransfers a second on one lane, by PCI Express generation (PCI-SIG base specifications).
LANE_RATE = {1: 2500, 2: 5000, 3: 8000, 4: 16000, 5: 32000, 6: 64000}


class PcieErrors(Figures):
    """What has gone wrong on the link, counted since the driver loaded."""

    __slots__ = (
        "bad_dllps",
        "bad_tlps",
        "correctable",
        "fatal",
        "lane",
        "lcrc",
        "naks_received",
        "naks_sent",
        "non_fatal",
        "receiver",
        "recoveries",
        "unsupported_requests",
    )

    recoveries: int | None
    correctable: int | None
    naks_received: int | None
    receiver: int | None
    bad_tlps: int | None
    naks_sent: int | None
    bad_dllps: int | None
    non_fatal: int | None
    fatal: int | None
    unsupported_requests: int | None
    lcrc: int | None
    lane: int | None


class Pci(Figures):
    """Address, identity, link and counters.

    ``device_id`` and ``subsystem_id`` hold the device in the upper and the vendor in the lower 16
    bits, as NVML and nvidia-smi have them (0x233010DE). Throughput is in KB/s. ``atomics_outbound``
    and ``atomics_inbound`` are lists of "FETCHADD_32", "SWAP_64", "CAS_128" and the like.
    ``tx_bytes`` and ``rx_bytes`` are all that went out and came in since the driver loaded.
    """

    __slots__ = (
        "atomics_inbound",
        "atomics_outbound",
        "base_class",
        "bus",
        "current_generation",
        "current_width",
        "device",
        "device_id",
        "device_max_generation",
        "domain",
        "errors",
        "host_max_generation",
        "max_width",
        "replay_counter",
        "replay_rollovers",
        "rx_bytes",
        "rx_throughput",
        "sub_class",
        "subsystem_id",
        "tx_bytes",
        "tx_throughput",
    )

    domain: int
    bus: int
    device: int
    device_id: PciId
    subsystem_id: PciId
    base_class: int
    sub_class: int
    current_generation: int | None
    device_max_generation: int | None
    host_max_generation: int | None
    current_width: int | None
    max_width: int | None
    replay_counter: int | None
    replay_rollovers: int | None
    tx_throughput: int | None
    rx_throughput: int | None
    tx_bytes: int | None
    rx_bytes: int | None
    errors: PcieErrors
    atomics_inbound: list[AtomicOperation] | None
    atomics_outbound: list[AtomicOperation] | None

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.errors = PcieErrors(table.get("errors", {}))

    @property
    def address(self) -> tuple[int, int, int]:
        """Domain, bus and device."""
        return self.domain, self.bus, self.device

    @property
    def bus_id(self) -> str:
        """The address as NVML writes it: "00000000:19:00.0"; a GPU is always function 0."""
        return f"{self.domain:08X}:{self.bus:02X}:{self.device:02X}.0"

    @property
    def bus_id_legacy(self) -> str:
        """The address with a 16-bit domain, as NVML's first version and CUDA write it."""
        return f"{self.domain & 0xFFFF:04X}:{self.bus:02X}:{self.device:02X}.0"

    @property
    def max_generation(self) -> int | None:
        """The generation that this device reaches in this slot."""
        if self.device_max_generation is None or self.host_max_generation is None:
            return self.device_max_generation
        return min(self.device_max_generation, self.host_max_generation)

    @property
    def lane_rate(self) -> int | None:
        """Megatransfers a second on one lane at the current generation."""
        return LANE_RATE.get(self.current_generation or 0)
