"""Power smoothing: how a data-centre GPU keeps its power from jumping (Blackwell and newer)."""

from __future__ import annotations

from .figures import Figures, Rows

__all__ = ["PARAMETERS", "PowerSmoothing", "SmoothingProfile"]

#: In the order of NVML_POWER_SMOOTHING_PROFILE_PARAM_*.
PARAMETERS = (
    "percent_floor",
    "ramp_up_rate",
    "ramp_down_rate",
    "ramp_down_hysteresis",
    "secondary_floor",
    "activation_window",
    "target_window",
    "activation_offset",
)


class SmoothingProfile(Figures):
    """A preset: the floor in percent of the ceiling, rates in milliwatts a second, the hysteresis
    in milliseconds; the secondary floor and the activation's offset in milliwatts, its windows in
    units of their own, where the product can delay the smoothing."""

    __slots__ = PARAMETERS
    placed = True

    percent_floor: int | None
    ramp_up_rate: int | None
    ramp_down_rate: int | None
    ramp_down_hysteresis: int | None
    secondary_floor: int | None
    activation_window: int | None
    target_window: int | None
    activation_offset: int | None


class PowerSmoothing(Rows):
    """The state of power smoothing; all None on a product without it.

    ``privilege`` is that of who asks (0: may look, 1: may choose a profile, 2: may write them).
    ``ceiling``, ``min_activation_offset`` and ``min_activation_point`` are watts, the percentages
    bound a profile's floor, ``lifetime`` is percent left of the circuitry's. ``window`` is
    milliseconds. ``active_profile`` is one of ``profiles``, whose figures the administrator's
    ``override`` goes before. ``limited_time`` is nanoseconds.
    """

    __slots__ = (
        "active_profile",
        "ceiling",
        "delayed",
        "enabled",
        "immediate_ramp_down",
        "lifetime",
        "limited_time",
        "max_percent_floor",
        "min_activation_offset",
        "min_activation_point",
        "min_percent_floor",
        "override",
        "privilege",
        "profiles",
        "state_of_charge",
        "window",
    )
    kinds = (("override", SmoothingProfile), ("profiles", SmoothingProfile))
    empty = (("override", {}), ("profiles", ()))

    enabled: bool | None
    privilege: int | None
    immediate_ramp_down: bool | None
    ceiling: int | None
    max_percent_floor: int | None
    min_percent_floor: int | None
    lifetime: int | None
    active_profile: int | None
    profiles: list[SmoothingProfile]
    override: SmoothingProfile
    delayed: bool | None
    window: int | None
    min_activation_offset: int | None
    min_activation_point: int | None
    state_of_charge: bool | None
    limited_time: int | None

    def in_force(self, name: str) -> int | None:
        """A parameter as it is in force: the administrator's, or else the active profile's."""
        over: int | None = getattr(self.override, name)
        chosen = len(self.profiles) if self.active_profile is None else self.active_profile
        if over is not None or chosen >= len(self.profiles):
            return over
        value: int | None = getattr(self.profiles[chosen], name)
        return value
