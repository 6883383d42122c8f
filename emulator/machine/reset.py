"""What a reset makes of a device: modes that were pending hold, and what was set is forgotten."""

from __future__ import annotations

from .clock import SECOND
from .figures import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .device import Device
    from .thermal import Fan

__all__ = ["after_reset"]

#: Figure -> the one whose value it takes.
TAKEN = {
    "ecc.current": "ecc.pending",
    "mig.current": "mig.pending",
    "dram_encryption.current": "dram_encryption.pending",
    "power.limit": "power.default_limit",
    "clocks.graphics.application": "clocks.graphics.default_application",
    "clocks.memory.application": "clocks.memory.default_application",
    "nvlink.low_power_threshold": "nvlink.low_power_threshold_default",
}

#: Figure -> its value in a device that was started anew, where it has one at all.
STARTED: dict[str, Any] = {
    "compute_mode": "DEFAULT",
    "clocks.graphics.locked": None,
    "clocks.memory.locked": None,
    "clocks.graphics.offset": 0,
    "clocks.memory.offset": 0,
    "ecc.channel_repair_pending": False,
    "ecc.tpc_repair_pending": False,
    "remapped_rows.pending": False,
    "retired_pages.pending": False,
    "reset_required": False,
    "drain_recommended": False,
    "recovery_action": "NONE",
    "hostname": None,
    "rusd_polls": None,
    "nvlink.reduced_bandwidth_mode": None,
    "power_profiles.requested": [],
}


def after_reset(device: Device, elapsed: int) -> dict[str, Any]:
    """Return the figures that a reset changes, in tables shaped like the device.

    Args:
        device: the one that is reset.
        elapsed: when, in nanoseconds since the scenario's start.
    """
    figures: dict[str, Any] = {"uptime": -(elapsed // SECOND)}
    for name, source in TAKEN.items():
        value = read(device, source.split("."))
        if value is not None:
            _put(figures, device, name, value)
    for name, value in STARTED.items():
        _put(figures, device, name, value)
    figures.setdefault("ecc", {})["volatile"] = device.ecc.volatile.cleared
    links = {str(place): link.cleared for place, link in enumerate(device.nvlinks)}
    fans = {str(place): _automatic(fan) for place, fan in enumerate(device.fans) if fan.manual}
    figures.update({name: rows for name, rows in (("nvlinks", links), ("fans", fans)) if rows})
    if device.mig.current is not None:
        figures.setdefault("mig", {})["instances"] = []
    if device.failure == "reset_required":
        figures["failure"] = None
    return figures


def _automatic(fan: Fan) -> dict[str, Any]:
    turns = None if fan.rpm is None else fan.turns(fan.automatic or 0)
    return {"manual": False, "speed": fan.automatic, "target": fan.automatic, "rpm": turns}


def _put(figures: dict[str, Any], device: Device, name: str, value: Any) -> None:
    path = name.split(".")
    held = read(device, path)
    if held is None or held == value:
        return
    *groups, last = path
    for group in groups:
        figures = figures.setdefault(group, {})
    figures[last] = value
