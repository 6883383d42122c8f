"""Power and voltage of a device: milliwatts, millijoules, microvolts."""

from __future__ import annotations

from .figures import Figures, Milliwatts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["ModulePower", "Power"]


class ModulePower(Figures):
    """The readings of a module that carries more than the GPU (Grace Hopper); else all None."""

    __slots__ = ("default_limit", "limit", "max_limit", "min_limit", "usage")

    usage: Milliwatts | None
    limit: Milliwatts | None
    default_limit: Milliwatts | None
    min_limit: Milliwatts | None
    max_limit: Milliwatts | None


class Power(Figures):
    """What the GPU draws and may draw, in milliwatts.

    ``usage`` is the average over about a second that nvidia-smi shows, ``instant`` a sample,
    ``memory_usage`` the memory's share where the board measures it, ``total_energy`` millijoules
    since the driver loaded, ``voltage`` the graphics voltage in microvolts.
    """

    __slots__ = (
        "default_limit",
        "instant",
        "limit",
        "managed",
        "max_limit",
        "memory_usage",
        "min_limit",
        "module",
        "total_energy",
        "usage",
        "voltage",
    )

    usage: Milliwatts | None
    instant: Milliwatts | None
    memory_usage: Milliwatts | None
    limit: Milliwatts | None
    default_limit: Milliwatts | None
    min_limit: Milliwatts | None
    max_limit: Milliwatts | None
    module: ModulePower
    managed: bool | None
    total_energy: int | None
    voltage: int | None

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.module = ModulePower(table.get("module", {}))

    @property
    def enforced_limit(self) -> int | None:
        """The limit in force: no other limiter than the set one is emulated."""
        return self.limit
