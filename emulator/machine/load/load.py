"""What keeps a device busy: the load that its readings follow."""

from __future__ import annotations

from ..engines import ENGINES
from ..figures import Figures, Nanoseconds, Percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..device import Device

__all__ = ["DRIVEN", "Load", "Path", "pin", "written"]

Path = tuple[str, ...]

#: The readings that follow a load; of `fans`, the speeds of those that nobody has set by hand.
DRIVEN: tuple[Path, ...] = (
    *(("utilization", engine) for engine in ENGINES),
    ("power", "usage"),
    ("power", "instant"),
    ("power", "memory_usage"),
    ("power", "module", "usage"),
    ("power", "module", "instant"),
    ("temperature", "gpu"),
    ("temperature", "margin"),
    ("temperature", "memory"),
    *(("clocks", domain, "current") for domain in ("graphics", "sm", "memory", "video")),
    ("clocks", "event_reasons"),
    ("performance_state",),
    ("pci", "current_generation"),
    ("pci", "rx_throughput"),
    ("pci", "tx_throughput"),
    ("fans",),
)


class Load(Figures):
    """How busy a device is, in percent of what each engine can do; its readings follow.

    ``gpu`` is the share of time in which kernels run. ``memory`` is half of it if not given.
    ``encoder``, ``decoder``, ``jpeg`` and ``ofa`` stand still if not given. ``pcie`` is the share
    of the slot's bandwidth that comes in, a tenth of ``gpu`` if not given; half as much goes out.
    ``nvlink`` is the share of the links' bandwidth in use each way, half of ``gpu`` if not given.
    ``curve`` gives ``gpu`` over time, as pairs of a time of the scenario's clock and a percentage:
    straight lines between them, a step where two have the same time, the first and the last value
    before and after; the other engines go with it, and are as given where it is 100. ``jitter`` is
    how far ``gpu`` strays up and down, anew each second, as ``seed`` has it. ``pinned`` names the
    readings that do not follow ("temperature.gpu"): those that somebody has set.
    """

    __slots__ = (
        "curve",
        "decoder",
        "encoder",
        "gpu",
        "jitter",
        "jpeg",
        "memory",
        "nvlink",
        "ofa",
        "pcie",
        "pinned",
        "seed",
    )

    gpu: Percent
    memory: Percent | None
    encoder: Percent | None
    decoder: Percent | None
    jpeg: Percent | None
    ofa: Percent | None
    pcie: Percent | None
    nvlink: Percent | None
    curve: list[tuple[Nanoseconds, Percent]] | None
    jitter: Percent
    seed: int
    pinned: list[str]

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__({"gpu": 0, "jitter": 0, "seed": 0, **table})
        self.curve = table.get("curve")
        self.pinned = list(table.get("pinned", ()))

    def __setattr__(self, name: str, value: Any) -> None:
        """A load that is set goes before a curve."""
        super().__setattr__(name, value)
        if name == "gpu":
            super().__setattr__("curve", None)

    def pin(self, path: Path) -> None:
        """Let a reading be what it is from now on."""
        name = ".".join(path)
        if name not in self.pinned:
            self.pinned = [*self.pinned, name]

    def is_pinned(self, path: Path) -> bool:
        """Whether a reading does not follow."""
        return ".".join(path) in self.pinned


def pin(device: Device, *tables: Mapping[str, Any]) -> None:
    """Let the readings be what they are set to that some of these tables of figures name."""
    for path in DRIVEN:
        if any(written(table, path) for table in tables):
            device.load.pin(path)


def written(table: Any, path: Path) -> bool:
    """Whether a table of figures says something of a reading; of fans, of those left alone."""
    for name in path:
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    if path != ("fans",):
        return True
    rows = table.values() if isinstance(table, dict) else table
    return any(("speed" in row or "rpm" in row) and "manual" not in row for row in rows or ())
