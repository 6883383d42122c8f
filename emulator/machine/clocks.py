"""Clocks of a device, in MHz."""

from __future__ import annotations

from .figures import Figures, Megahertz

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .words import EventReason

__all__ = ["ClockDomain", "ClockEventCounters", "Clocks"]


class ClockDomain(Figures):
    """One clock: what it is now and what it may become.

    ``application`` and ``default_application`` are what ``nvidia-smi -ac`` sets and restores,
    ``locked`` the (lowest, highest) pair of ``nvidia-smi -lgc``, ``offset`` the overclocking
    offset. GeForce products have no application clocks.
    """

    __slots__ = (
        "application",
        "current",
        "default_application",
        "locked",
        "max",
        "max_customer_boost",
        "max_offset",
        "min_offset",
        "offset",
    )

    current: Megahertz | None
    max: Megahertz | None
    application: Megahertz | None
    default_application: Megahertz | None
    max_customer_boost: Megahertz | None
    locked: tuple[int, int] | None
    offset: Megahertz | None
    min_offset: Megahertz | None
    max_offset: Megahertz | None


class ClockEventCounters(Figures):
    """How long each reason has held the clocks down since the driver loaded, in nanoseconds."""

    __slots__ = (
        "hw_power_brake_slowdown",
        "hw_thermal_slowdown",
        "sw_power_cap",
        "sw_thermal_slowdown",
        "sync_boost",
    )

    sw_power_cap: int | None
    sync_boost: int | None
    sw_thermal_slowdown: int | None
    hw_thermal_slowdown: int | None
    hw_power_brake_slowdown: int | None


class Clocks(Figures):
    """The four clock domains of a device, the pairs it supports, and what holds it back.

    ``steps`` lists the supported pairs as the plan writes them, one row for each memory clock:
    ``[memory, highest graphics, lowest graphics, step]``. ``event_reasons`` names what holds the
    clocks down now: "gpu_idle", "sw_power_cap", ...
    """

    __slots__ = (
        "auto_boost",
        "auto_boost_default",
        "event_counters",
        "event_reasons",
        "graphics",
        "memory",
        "sm",
        "steps",
        "video",
    )

    graphics: ClockDomain
    sm: ClockDomain
    memory: ClockDomain
    video: ClockDomain
    event_counters: ClockEventCounters
    auto_boost: bool | None
    auto_boost_default: bool | None
    event_reasons: list[EventReason]
    steps: list[tuple[int, int, int, int]] | None

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.graphics = ClockDomain(table.get("graphics", {}))
        self.sm = ClockDomain(table.get("sm", {}))
        self.memory = ClockDomain(table.get("memory", {}))
        self.video = ClockDomain(table.get("video", {}))
        self.event_counters = ClockEventCounters(table.get("event_counters", {}))
        self.event_reasons = list(table.get("event_reasons", ()))

    def supported_memory(self) -> list[int] | None:
        """Return the supported memory clocks, highest first; None if they cannot be chosen."""
        return None if self.steps is None else [step[0] for step in self.steps]

    def supported_graphics(self, memory: int) -> list[int] | None:
        """Return the graphics clocks that go with a memory clock, highest first.

        None means that the device has no such memory clock.
        """
        for clock, highest, lowest, step in self.steps or ():
            if clock == memory:
                return list(range(highest, lowest - 1, -max(step, 1)))
        return None
