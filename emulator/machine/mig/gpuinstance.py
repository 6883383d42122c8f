"""The GPU instances of a device, as its figures describe them."""

from __future__ import annotations

from ..memory import Memory
from .partition import Partition
from .places import arrange, number, share
from .profiles import compute_profiles, profiles, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..device import Device
    from ..modes import Instance
    from .profiles import ComputeProfile, Profile

__all__ = ["GpuInstance", "instances", "rows"]


class GpuInstance:
    """A GPU instance: memory slices and compute slices of a device.

    Attributes:
        parent: the device.
        kind: its profile.
        start: the first of its memory slices.
        id: its number on the device.
        memory: its compute instances' together.
        compute_instances: those in it, by id.
    """

    __slots__ = ("compute_instances", "id", "kind", "memory", "parent", "start")

    def __init__(self, parent: Device, kind: Profile, start: int, identity: int) -> None:
        self.parent = parent
        self.kind = kind
        self.start = start
        self.id = identity
        total = min(kind.memory, parent.memory.usable)  # the H100's largest has more in the tables
        width = parent.memory.bus_width * kind.size // whole(self.known).size
        self.memory = Memory({"total": total, "reserved": 0, "used": 0, "bus_width": width})
        self.compute_instances: list[Partition] = []

    @property
    def known(self) -> dict[str, Profile]:
        """The profiles of the device."""
        return profiles(self.parent.profile)

    @property
    def compute_kinds(self) -> list[ComputeProfile]:
        """What its compute slices can be shared out into, the smallest first."""
        return compute_profiles(self.known, self.kind)

    @property
    def is_there(self) -> bool:
        """False once it was destroyed."""
        return any(each is self for each in self.parent.gpu_instances)

    @property
    def trace_name(self) -> str:
        """How a trace names it: `GPU-0/2`."""
        return f"GPU-{self.parent.index}/{self.id}"

    def places(self, kind: ComputeProfile) -> list[int]:
        """The compute slices that one more compute instance of a kind may begin at."""
        taken = {place for each in self.compute_instances for place in each.kind.span(each.start)}
        return [start for start in kind.starts if taken.isdisjoint(kind.span(start))]

    def capacity(self, kind: ComputeProfile) -> int:
        """How many more compute instances of a kind find room in it."""
        count, end = 0, 0
        for start in self.places(kind):
            if start >= end:
                count, end = count + 1, start + kind.slices
        return count

    def refill(self, row: Instance) -> None:
        """Have the compute instances of a row; those that were there before stay the same."""
        before = {(each.id, each.start, each.slices): each for each in self.compute_instances}
        wanted = row.compute or ()
        found = []
        for place, (start, slices, identity) in enumerate(share(self.known, self.kind, row)):
            uuid = wanted[place].uuid if wanted else None
            each = before.get((identity, start, slices))
            if each is None or (uuid and each.uuid != uuid):
                each = Partition(self, slices, start, identity, uuid)
            found.append(each)
        self.compute_instances = sorted(found, key=lambda each: each.id)

    def __repr__(self) -> str:
        return f"GpuInstance(id={self.id}, kind={self.kind.name!r}, start={self.start})"


def instances(
    parent: Device, wanted: Sequence[Instance], before: Sequence[GpuInstance]
) -> list[GpuInstance]:
    """The GPU instances of a device that its figures want, by id; those of `before` that are still
    there stay the same objects, which handles and contexts hold."""
    known = profiles(parent.profile)
    same = {(each.id, each.kind.name, each.start): each for each in before}
    found = []
    for row, (profile, start) in zip(wanted, arrange(parent.profile, wanted)):
        identity = number(known, profile, start) if row.id is None else row.id
        each = same.get((identity, profile.name, start))
        if each is None:
            each = GpuInstance(parent, profile, start, identity)
        each.refill(row)
        found.append(each)
    return sorted(found, key=lambda each: each.id)


def rows(found: Sequence[GpuInstance]) -> list[dict[str, Any]]:
    """GPU instances as figures, with all that could be left out."""
    return [
        {
            "profile": each.kind.name,
            "start": each.start,
            "id": each.id,
            "compute": [
                {"slices": one.slices, "start": one.start, "id": one.id, "uuid": one.uuid}
                for one in each.compute_instances
            ],
        }
        for each in found
    ]
