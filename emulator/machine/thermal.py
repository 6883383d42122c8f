"""Temperatures in degrees Celsius, and fans."""

from __future__ import annotations

from .figures import Celsius, Figures, Percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = ["Fan", "Temperature", "fans"]


RPM = 30  # for each percent, where a product's idle fan stands still


class Temperature(Figures):
    """Sensors and thresholds.

    Drivers show a product either by absolute thresholds (``shutdown`` 96) or, from Ada and Hopper
    on, by margins below the hottest spot's limit (``shutdown_margin`` -8, ``margin`` 56: "T.Limit"
    in nvidia-smi). ``target``, ``target_min`` and ``target_max`` are the acoustic threshold of
    boards with fans, ``platform_target`` what a laptop's firmware asks for.
    """

    __slots__ = (
        "gpu",
        "margin",
        "max_operating",
        "max_operating_margin",
        "memory",
        "memory_max",
        "memory_max_margin",
        "platform_target",
        "shutdown",
        "shutdown_margin",
        "slowdown",
        "slowdown_margin",
        "target",
        "target_max",
        "target_min",
    )

    gpu: Celsius | None
    memory: Celsius | None
    margin: Celsius | None
    shutdown: Celsius | None
    slowdown: Celsius | None
    max_operating: Celsius | None
    memory_max: Celsius | None
    shutdown_margin: Celsius | None
    slowdown_margin: Celsius | None
    max_operating_margin: Celsius | None
    memory_max_margin: Celsius | None
    target: Celsius | None
    target_min: Celsius | None
    target_max: Celsius | None
    platform_target: Celsius | None


class Fan(Figures):
    """One fan: percent of its noise-limited full speed, and revolutions a minute.

    ``automatic`` is the speed that it goes back to when nobody sets one any more; what it has at
    first if not given.
    """

    placed = True
    __slots__ = ("automatic", "manual", "max_speed", "min_speed", "rpm", "speed", "target")

    speed: Percent | None
    target: Percent | None
    min_speed: Percent | None
    max_speed: Percent | None
    rpm: int | None
    manual: bool | None
    automatic: Percent | None

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__({"automatic": table.get("speed"), **table})

    def turns(self, speed: int) -> int:
        """The revolutions a minute at a speed, in proportion to those at the speed it has."""
        return speed * self.rpm // self.speed if self.rpm and self.speed else speed * RPM


def fans(rows: Iterable[Mapping[str, Any]]) -> list[Fan]:
    """Return the fans of a device, one for each row of the plan."""
    return [Fan(row) for row in rows]
