"""Clocks of a device, in MHz."""

from __future__ import annotations

from .figures import Figures, Megahertz, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .words import EventReason

__all__ = ["ClockDomain", "ClockEventCounters", "ClockFault", "Clocks"]


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
    """How long each reason has held the clocks down since the driver loaded, in nanoseconds.

    ``total_base_clocks`` is how long they were below the base clock, whatever the reason.
    """

    __slots__ = (
        "board_limit",
        "hw_power_brake_slowdown",
        "hw_thermal_slowdown",
        "low_utilization",
        "reliability",
        "sw_power_cap",
        "sw_thermal_slowdown",
        "sync_boost",
        "total_base_clocks",
    )

    board_limit: int | None
    low_utilization: int | None
    reliability: int | None
    total_base_clocks: int | None
    sw_power_cap: int | None
    sync_boost: int | None
    sw_thermal_slowdown: int | None
    hw_thermal_slowdown: int | None
    hw_power_brake_slowdown: int | None

    @property
    def total_app_clocks(self) -> int | None:
        """How long they were below what applications ask for: the sum of the reasons for it."""
        reasons = (
            *(self.sw_power_cap, self.sw_thermal_slowdown, self.sync_boost),
            *(self.board_limit, self.low_utilization, self.reliability),
        )
        known = [reason for reason in reasons if reason is not None]
        return sum(known) if known else None


class ClockFault(Figures):
    """What a monitor has found wrong with a clock: the clock's number, and bits for the faults,
    both as nvml.h has them in nvmlClkMonFaultInfo_t."""

    __slots__ = ("domain", "mask")

    domain: int
    mask: int


class Clocks(Rows):
    """The four clock domains of a device, the pairs it supports, and what holds it back.

    ``steps`` lists the supported pairs as the plan writes them, one row for each memory clock:
    ``[memory, highest graphics, lowest graphics, step]``; NVML shows whole megahertz of what may be
    fractions (in steps of 7.5: 1530, 1522, 1515). ``event_reasons`` names what holds the clocks
    down now: "gpu_idle", "sw_power_cap", ... ``states`` has the performance state that goes with
    each row of ``steps``. ``adaptive`` says whether the chip stretches its clocks when the voltage
    drops. ``faults`` are those that the clocks' monitors have found; None: it has no monitors.
    """

    __slots__ = (
        "adaptive",
        "auto_boost",
        "auto_boost_default",
        "event_counters",
        "event_reasons",
        "faults",
        "graphics",
        "memory",
        "sm",
        "states",
        "steps",
        "video",
    )
    kinds = (("faults", ClockFault),)

    adaptive: bool | None
    faults: list[ClockFault] | None
    states: list[int] | None
    graphics: ClockDomain
    sm: ClockDomain
    memory: ClockDomain
    video: ClockDomain
    event_counters: ClockEventCounters
    auto_boost: bool | None
    auto_boost_default: bool | None
    event_reasons: list[EventReason]
    steps: list[tuple[float, float, float, float]] | None

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
        return None if self.steps is None else [int(step[0]) for step in self.steps]

    def supported_graphics(self, memory: int) -> list[int] | None:
        """Return the graphics clocks that go with a memory clock, highest first.

        None means that the device has no such memory clock.
        """
        for clock, highest, lowest, between in self.steps or ():
            if clock == memory:
                step = max(between, 1)
                return [int(highest - n * step) for n in range(int((highest - lowest) // step) + 1)]
        return None
