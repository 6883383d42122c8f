"""Power and voltage of a device: milliwatts, millijoules, microvolts."""

from __future__ import annotations

from .clock import SECOND
from .figures import Figures, Milliwatts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .words import PowerMizerMode, PowerSource

__all__ = ["ModulePower", "Power"]


class ModulePower(Figures):
    """The readings of a module that carries more than the GPU (Grace Hopper); else all None."""

    __slots__ = ("default_limit", "instant", "limit", "max_limit", "min_limit", "usage")

    usage: Milliwatts | None
    instant: Milliwatts | None
    limit: Milliwatts | None
    default_limit: Milliwatts | None
    min_limit: Milliwatts | None
    max_limit: Milliwatts | None

    @property
    def enforced_limit(self) -> int | None:
        """The limit in force: the set one."""
        return self.limit


class Power(Figures):
    """What the GPU draws and may draw, in milliwatts.

    ``usage`` is the average over about a second that nvidia-smi shows, ``instant`` a sample,
    ``memory_usage`` the memory's share where the board measures it, ``total_energy`` millijoules
    since the driver loaded, ``voltage`` the graphics voltage in microvolts. ``source`` is where the
    power of a laptop comes from; a product without one has it from the mains always.
    ``firmware_limit`` is in force on a laptop, where there is no ``limit`` to set.
    ``mizer_mode`` is a hint to the driver, one of ``mizer_modes``, where a product has them;
    ``mode`` is one of ``modes``, numbers of the product's own.
    """

    __slots__ = (
        "_counted",
        "_rest",
        "default_limit",
        "firmware_limit",
        "instant",
        "limit",
        "managed",
        "max_limit",
        "memory_usage",
        "min_limit",
        "mizer_mode",
        "mizer_modes",
        "mode",
        "modes",
        "module",
        "source",
        "total_energy",
        "usage",
        "voltage",
    )

    usage: Milliwatts | None
    instant: Milliwatts | None
    memory_usage: Milliwatts | None
    limit: Milliwatts | None
    firmware_limit: Milliwatts | None
    default_limit: Milliwatts | None
    min_limit: Milliwatts | None
    max_limit: Milliwatts | None
    module: ModulePower
    managed: bool | None
    mizer_mode: PowerMizerMode | None
    mizer_modes: list[PowerMizerMode] | None
    mode: int | None
    modes: list[int] | None
    source: PowerSource | None
    total_energy: int | None
    voltage: int | None

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__(table)
        self.module = ModulePower(table.get("module", {}))
        self._counted = 0  # when the energy was last counted, in nanoseconds since the start
        self._rest = 0.0  # millijoules that were less than one then

    def count(self, now: int, energy: float | None = None) -> None:
        """Let the total energy have grown until a time since the start.

        By so many millijoules, or else as the usage in force makes it.
        """
        passed = max(now - self._counted, 0)
        self._counted += passed
        if self.total_energy is None or (energy is None and self.usage is None):
            return
        grown = (self.usage or 0) * passed / SECOND if energy is None else energy
        whole, self._rest = divmod(self._rest + grown, 1)
        self.total_energy += int(whole)

    @property
    def enforced_limit(self) -> int | None:
        """The limit in force: the set one, or the firmware's where none can be set."""
        return self.firmware_limit if self.limit is None else self.limit
