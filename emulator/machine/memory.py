"""Memory of a device, in bytes."""

from __future__ import annotations

from .figures import Bytes, Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = ["Memory", "MemoryLimit", "Region", "limits"]


class Region(Figures):
    """A memory with a total and a used part: BAR1, or what confidential computing protects.

    ``total`` is None on a product without one: a GPU that the processor reaches over NVLink-C2C.
    """

    __slots__ = ("total", "used")

    total: Bytes | None
    used: Bytes | None

    @property
    def free(self) -> int | None:
        """Bytes not in use."""
        return None if self.total is None else self.total - (self.used or 0)


class Memory(Figures):
    """The frame buffer.

    ``total`` is all of it, ``reserved`` what the driver and firmware keep, ``used`` what the
    scenario says is in use: no less than its listed processes have, and more by what programs hold.
    ``nvmlMemory_v2_t`` reports the three apart, ``nvmlMemory_t`` counts ``reserved`` as used.
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


class MemoryLimit(Figures):
    """What the processes of one control group may take of a device: guaranteed, and at most."""

    __slots__ = ("group", "hard", "soft")

    group: str
    soft: Bytes
    hard: Bytes


def limits(rows: Iterable[Mapping[str, Any]]) -> list[MemoryLimit]:
    """Return the limits of a device, one for each row of the plan."""
    return [MemoryLimit(row) for row in rows]
