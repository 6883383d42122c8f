"""The metrics of GPU performance monitoring, each over the time between two samples.

A metric has a row by its name in nvml.h, or belongs to a family with a number in its name. Those
without either are NOT_SUPPORTED: hits and misses of caches, cycles and context switches, none of
which the machine has.
"""

from __future__ import annotations

from ..machine.clock import SECOND
from ..machine.mig.profiles import profiles, whole
from . import _constants as constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Optional

    from ..machine import Device, Machine

__all__ = ["Moment", "NAMES", "Span"]

#: nvmlGpmMetricId_t -> its name without the prefix.
NAMES: dict[int, str] = {
    value: name[len("GPM_METRIC_") :]
    for name, value in vars(constants).items()
    if name.startswith("GPM_METRIC_") and name != "GPM_METRIC_MAX"
}

MEBIBYTE = 1 << 20
STEPS = 32  # points of time that an average is taken of


class Moment:
    """What a sample remembers of a device: the time since the start, and what its links and slot
    had carried"""

    def __init__(self, machine: Machine, device: Device) -> None:
        machine.settle(device)
        self.device = device
        self.time = machine.clock.elapsed()
        self.links = [(link.data_rx or 0, link.data_tx or 0) for link in device.nvlinks]
        self.slot = (device.pci.rx_bytes or 0, device.pci.tx_bytes or 0)


class Span:
    """The time between two samples of a device."""

    def __init__(self, machine: Machine, first: Moment, last: Moment) -> None:
        self.machine = machine
        self.device = last.device
        self.first, self.last = first, last
        self._averages: dict[tuple[str, ...], Optional[float]] = {}

    def average(self, *path: str) -> Optional[float]:
        """The mean of a reading; None: the product does not have it."""
        if path not in self._averages:  # many metrics are shares of one
            self._averages[path] = self._average(path)
        return self._averages[path]

    def _average(self, path: tuple[str, ...]) -> Optional[float]:
        length = self.last.time - self.first.time
        steps = STEPS if length > 0 else 1
        times = [self.first.time + length * (2 * step + 1) // (2 * steps) for step in range(steps)]
        values = [self.machine.reading(self.device, path, time) for time in times]
        return None if None in values else sum(values) / len(values)

    def value(self, name: str) -> Optional[float]:
        """A metric by its name; None where there is none."""
        if name in READERS:
            return READERS[name](self)
        for begin, (engine, count) in ENGINES.items():
            if name.startswith(begin) and name.endswith("_UTIL"):
                return self.engine(engine, count, int(name[len(begin) : -len("_UTIL")]))
        if name.startswith("NVLINK_"):
            return self.link(name[len("NVLINK_") :])
        return self.c2c(name[len("C2C_") :]) if name.startswith("C2C_") else None

    def engine(self, name: str, count: str, number: int) -> Optional[float]:
        """One engine of a kind: all of them share the work alike."""
        known = profiles(self.device.profile)
        has = getattr(whole(known), count) if known else 1
        return self.average("utilization", name) if number < has else None

    def link(self, what: str) -> Optional[float]:
        """`TOTAL_RX_PER_SEC`, `L3_TX_PER_SEC`, or since the driver was loaded `L3_TX`."""
        which, way = what.split("_")[:2]
        number, side = which[1:], ("RX", "TX").index(way)
        links = range(len(self.last.links)) if which == "TOTAL" else [int(number)]
        if not self.last.links or links[-1] >= len(self.last.links):
            return None
        now = sum(self.last.links[each][side] for each in links)
        if not what.endswith("_PER_SEC"):
            return now * 1024
        return self.rate(sum(self.first.links[each][side] for each in links), now) / 1024

    def rate(self, before: int, now: int) -> float:
        """How much a second, between the samples."""
        length = self.last.time - self.first.time
        return (now - before) * SECOND / length if length > 0 else 0.0

    def c2c(self, what: str) -> Optional[float]:
        """`TOTAL_TX_PER_SEC`, `LINK3_DATA_RX_PER_SEC`: what would go through a slot goes there."""
        links = self.device.c2c.links
        if not links:
            return None
        one = what.startswith("LINK")
        if one and int(what[len("LINK") : what.index("_")]) >= links:
            return None
        side = "tx" if "_TX_" in what else "rx"
        total = slot(side)(self)
        return total if total is None or not one else total / links


#: Name of an engine's metrics -> its reading, and how many a MIG profile of the whole GPU has.
ENGINES = {
    "NVDEC_": ("decoder", "decoders"),
    "NVENC_": ("encoder", "encoders"),
    "NVJPG_": ("jpeg", "jpegs"),
    "NVOFA_": ("ofa", "ofas"),
}


def busy(share: float = 1) -> Callable[[Span], Optional[float]]:
    """A part of what keeps the multiprocessors busy."""

    def read(span: Span) -> Optional[float]:
        gpu = span.average("utilization", "gpu")
        return None if gpu is None else gpu * share

    return read


def slot(side: str) -> Callable[[Span], Optional[float]]:
    """MiB a second through the slot, which NVML counts in KB."""

    def read(span: Span) -> Optional[float]:
        amount = span.average("pci", f"{side}_throughput")
        return None if amount is None else amount * 1000 / MEBIBYTE

    return read


#: What kernels do while they keep the GPU busy is not the scenario's to say: half of the warps are
#: in use, and the pipes have the shares of a training in half precision.
READERS: dict[str, Callable[[Span], Optional[float]]] = {
    "GRAPHICS_UTIL": busy(),
    "SM_UTIL": busy(),
    "SM_OCCUPANCY": busy(0.5),
    "INTEGER_UTIL": busy(0.2),
    "ANY_TENSOR_UTIL": busy(0.4),
    "DFMA_TENSOR_UTIL": busy(0),
    "HMMA_TENSOR_UTIL": busy(0.4),
    "DMMA_TENSOR_UTIL": busy(0),
    "IMMA_TENSOR_UTIL": busy(0),
    "DRAM_BW_UTIL": lambda span: span.average("utilization", "memory"),
    "FP64_UTIL": busy(0),
    "FP32_UTIL": busy(0.2),
    "FP16_UTIL": busy(0.1),
    "PCIE_RX_PER_SEC": slot("rx"),
    "PCIE_TX_PER_SEC": slot("tx"),
    "PCIE_RX": lambda span: span.last.slot[0],
    "PCIE_TX": lambda span: span.last.slot[1],
}
