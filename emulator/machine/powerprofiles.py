"""Workload power profiles: what work a device is tuned for (Blackwell and newer)."""

from __future__ import annotations

from .figures import Figures, Rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .words import WorkloadProfile

__all__ = ["PowerProfile", "PowerProfiles"]


class PowerProfile(Figures):
    """A profile that the device has: the lower the priority's number, the higher it is; and those
    that cannot be in force beside it."""

    __slots__ = ("conflicts", "name", "priority")

    name: WorkloadProfile
    priority: int
    conflicts: list[WorkloadProfile]


class PowerProfiles(Rows):
    """The profiles that a device has, and those that are asked for; none on a product without."""

    __slots__ = ("requested", "supported")
    kinds = (("supported", PowerProfile),)
    empty = (("supported", ()),)

    supported: list[PowerProfile]
    requested: list[WorkloadProfile]

    def __init__(self, table: Mapping[str, Any]) -> None:
        super().__init__({"requested": [], **table})

    @property
    def enforced(self) -> list[str]:
        """Those in force: of several in conflict, the one that comes first."""
        asked = [profile for profile in self.supported if profile.name in self.requested]
        asked.sort(key=lambda profile: profile.priority)
        chosen: list[PowerProfile] = []
        for profile in asked:
            barred = any(
                profile.name in other.conflicts or other.name in profile.conflicts
                for other in chosen
            )
            if not barred:
                chosen.append(profile)
        return [profile.name for profile in chosen]
