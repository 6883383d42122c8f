"""Facts: what a source tells of a machine, figure by figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ..scenario import Fault

__all__ = ["Facts", "GpuFacts", "Note", "Told"]


class Told(Struct, frozen=True):
    """One figure as a source tells it.

    Attributes:
        path: of the figure, as a scenario's GPU has it: ("power", "limit"), ("fans", "all",
            "speed"), ("mig", "instances"); or of its identity: ("name",), ("uuid",), ("serial",),
            ("pci_bus_id",).
        value: in the machine's unit (bytes, milliwatts, ...); None: not supported ("N/A").
        step: how exact it is, in the same unit: 1 << 20 where it is told in whole MiB. Within it,
            a profile's value is as good. 0: exactly.
        where: its place in the source.
    """

    path: tuple[str, ...]
    value: Any
    step: int = 0
    where: str = ""


class Note(Struct, frozen=True):
    """Something that was not carried over as it stands in the source, and why."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


class GpuFacts(Struct, frozen=True):
    """What is told of one GPU; of a figure that is told twice, the last counts."""

    told: tuple[Told, ...]

    def value(self, *path: str) -> Any:
        """What is told of a figure; None also where nothing is."""
        found = self.find(*path)
        return None if found is None else found.value

    def find(self, *path: str) -> Told | None:
        """What is told of a figure, with its place."""
        return next((told for told in reversed(self.told) if told.path == path), None)

    def __iter__(self) -> Iterator[Told]:
        return iter({told.path: told for told in self.told}.values())


class Facts(Struct, frozen=True):
    """What is told of a machine.

    Attributes:
        driver: its driver version as the source says it; empty if it does not.
        cuda: the CUDA version that goes with it, likewise ("12.4").
        gpus: in NVML's order.
        faults: what goes wrong on it.
        notes: what could not be made out, or has no place here.
        origin: an address of where it was published, if it was.
    """

    driver: str
    gpus: tuple[GpuFacts, ...]
    cuda: str = ""
    faults: tuple[Fault, ...] = ()
    notes: tuple[Note, ...] = ()
    origin: str = ""
