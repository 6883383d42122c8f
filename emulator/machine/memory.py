"""Memory of a device, in bytes."""

from __future__ import annotations

from .figures import Bytes, Figures

__all__ = ["Memory", "Region"]


class Region(Figures):
    """A memory with a total and a used part: BAR1, or what confidential computing protects."""

    __slots__ = ("total", "used")

    total: Bytes
    used: Bytes

    @property
    def free(self) -> int:
        """Bytes not in use."""
        return self.total - self.used


class Memory(Figures):
    """The frame buffer.

    ``total`` is all of it, ``reserved`` what the driver and firmware keep, ``used`` what processes
    hold; ``nvmlMemory_v2_t`` reports the three apart, ``nvmlMemory_t`` counts ``reserved`` as used.
    ``context`` is what one CUDA context takes; None: it follows from the multiprocessors.
    """

    __slots__ = ("bus_width", "context", "reserved", "total", "used")

    total: Bytes
    reserved: Bytes
    used: Bytes
    bus_width: int  # bits
    context: Bytes | None

    @property
    def usable(self) -> int:
        """Bytes that are not reserved: what ``cuDeviceTotalMem`` reports."""
        return max(self.total - self.reserved, 0)

    @property
    def free(self) -> int:
        """Bytes that the scenario leaves to processes; what they hold of these is the ledger's."""
        return max(self.usable - self.used, 0)
