"""Temperatures in degrees Celsius, and fans."""

from __future__ import annotations

from .figures import Celsius, Figures, Percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = ["Fan", "Temperature", "fans"]


class Temperature(Figures):
    """Sensors and thresholds.

    Drivers show a product either by absolute thresholds (``shutdown`` 96) or, from Ada and Hopper
    on, by margins below the hottest spot's limit (``shutdown_margin`` -8, ``margin`` 56: "T.Limit"
    in nvidia-smi). ``target``, ``target_min`` and ``target_max`` are the acoustic threshold of
    boards with fans.
    """

    __slots__ = (
        "gpu",
        "margin",
        "max_operating",
        "max_operating_margin",
        "memory",
        "memory_max",
        "memory_max_margin",
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


class Fan(Figures):
    """One fan: percent of its noise-limited full speed, and revolutions a minute."""

    __slots__ = ("manual", "max_speed", "min_speed", "rpm", "speed", "target")

    speed: Percent | None
    target: Percent | None
    min_speed: Percent | None
    max_speed: Percent | None
    rpm: int | None
    manual: bool | None


def fans(rows: Iterable[Mapping[str, Any]]) -> list[Fan]:
    """Return the fans of a device, one for each row of the plan."""
    return [Fan(row) for row in rows]
