"""The PCI function of a device and its link."""

from __future__ import annotations

from .figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .words import AtomicOperation

__all__ = ["Pci"]

#: Megatransfers a second on one lane, by PCI Express generation (PCI-SIG base specifications).
LANE_RATE = {1: 2500, 2: 5000, 3: 8000, 4: 16000, 5: 32000, 6: 64000}


class Pci(Figures):
    """Address, identity, link and counters.

    ``device_id`` and ``subsystem_id`` hold the device in the upper and the vendor in the lower 16
    bits, as NVML and nvidia-smi have them (0x233010DE). Throughput is in KB/s. ``atomics_outbound``
    and ``atomics_inbound`` are lists of "FETCHADD_32", "SWAP_64", "CAS_128" and the like.
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
        "host_max_generation",
        "max_width",
        "replay_counter",
        "replay_rollovers",
        "rx_throughput",
        "sub_class",
        "subsystem_id",
        "tx_throughput",
    )

    domain: int
    bus: int
    device: int
    device_id: int
    subsystem_id: int
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
    atomics_inbound: list[AtomicOperation] | None
    atomics_outbound: list[AtomicOperation] | None

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
