"""A MIG device: a compute instance of a GPU, in place of the whole."""

from __future__ import annotations

from _blake2 import blake2b

from .engines import Processor
from .memory import Memory
from .mig import arrange, profiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .device import Device
    from .mig import Profile
    from .modes import Instance

    Base = Device  # it is one in all that it has, which a checker cannot see
else:
    Base = object

__all__ = ["Partition", "partitions"]

#: CUDA attributes that MIG takes away: no L2 cache is set aside (CUDA programming guide).
LOST = {"MAX_PERSISTING_L2_CACHE_SIZE": 0}


class Partition(Base):
    """A compute instance and the GPU instance that it is in, as CUDA sees them: as one device.

    What it does not have of its own is the GPU's.

    Attributes:
        parent: the GPU.
        kind: the GPU instance's.
        slices: compute slices of the compute instance.
        gpu_instance: id of the GPU instance; it follows from size and place, as on real ones: 0 is
            the whole, 1 and 2 the halves, and so on.
        compute_instance: id of the compute instance in it.
        label: "1g.10gb", or "1c.3g.40gb" where it does not have all compute slices.
        name: "NVIDIA A100-SXM4-80GB MIG 1g.10gb".
        memory: the GPU instance's.
        seat: of the GPU's seats in the ledger, its own.
        seats: those of all that are in the GPU instance, which share its memory.
    """

    def __init__(
        self,
        parent: Device,
        kind: Profile,
        slices: int,
        ids: tuple[int, int],
        uuid: str | None,
        memory: Memory,
    ) -> None:
        self.parent = parent
        self.kind = kind
        self.slices = slices
        self.gpu_instance, self.compute_instance = ids
        self.uuid = uuid or _uuid(parent.uuid, ids)
        part = "" if slices == kind.slices else f"{slices}c."
        self.label = part + kind.name
        self.name = f"{parent.name} MIG {self.label}"
        self.memory = memory
        self.seat = 0
        self.seats: Sequence[int] = ()
        self.processor = Processor(
            {
                "multiprocessors": self._multiprocessors(),
                "cores_per_multiprocessor": parent.processor.cores_per_multiprocessor,
                "l2_cache": self._share(parent.processor.l2_cache),
            }
        )
        self.cuda = {**parent.cuda, **LOST, "ASYNC_ENGINE_COUNT": kind.engines}

    def _share(self, amount: int) -> int:
        """The part of the GPU's memory slices that the GPU instance has."""
        return amount * self.kind.size // _slices(self.parent)

    def _multiprocessors(self) -> int:
        if self.slices == self.kind.slices:
            return self.kind.multiprocessors
        least = min(profile.multiprocessors for profile in profiles(self.parent.profile).values())
        return self.slices * least

    @property
    def outages(self) -> int:
        """As `Device.outages`."""
        return self.parent.outages

    @property
    def gpu_uuid(self) -> str:
        """As `Device.gpu_uuid`."""
        return self.parent.uuid

    @property
    def place(self) -> int:
        """As `Device.place`."""
        return self.seat

    @property
    def places(self) -> Sequence[int]:
        """As `Device.places`."""
        return self.seats

    @property
    def context_memory(self) -> int:
        """Bytes that a CUDA context takes."""
        return self.parent.context_memory_of(self.processor)

    def cuda_attribute(self, name: str) -> int | None:
        """A CUDA device attribute, as `Device.cuda_attribute`."""
        from .cuda import attribute

        return attribute(self, name)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """What it does not have is the GPU's."""
            return getattr(self.parent, name)

    def __repr__(self) -> str:
        return f"Partition(name={self.name!r}, uuid={self.uuid!r})"


def partitions(parent: Device) -> list[Partition]:
    """The MIG devices of a GPU, in NVIDIA's order: by GPU instance, then by compute instance."""
    found: list[Partition] = []
    rows = parent.mig.instances
    for row, (profile, start) in zip(rows, arrange(parent.profile, rows)):
        number = _slices(parent) // profile.size - 1 + start // profile.size
        found += _compute_instances(parent, row, profile, number)
    found.sort(key=lambda each: (each.gpu_instance, each.compute_instance))
    for place, each in enumerate(found, 1):
        each.seat = place
    for each in found:
        each.seats = [other.seat for other in found if other.gpu_instance == each.gpu_instance]
    return found


def _compute_instances(
    parent: Device, row: Instance, profile: Profile, number: int
) -> list[Partition]:
    total = min(profile.memory, parent.memory.usable)  # the H100's largest has more in the tables
    whole = {"total": total, "reserved": 0, "used": 0}
    width = parent.memory.bus_width * profile.size // _slices(parent)
    memory = Memory({**whole, "bus_width": width})
    slices = row.compute_slices or [profile.slices]
    uuids: Sequence[str | None] = row.uuids or [None] * len(slices)
    return [
        Partition(parent, profile, size, (number, place), uuid, memory)
        for place, (size, uuid) in enumerate(zip(slices, uuids))
    ]


def _slices(device: Device) -> int:
    """So many slices has a GPU's memory."""
    return max(profile.size for profile in profiles(device.profile).values())


def _uuid(parent: str, ids: tuple[int, int]) -> str:
    """A UUID that follows from the GPU's and the instances' ids: of version 5, as real ones are."""
    digest = bytearray(blake2b(f"{parent}/{ids[0]}/{ids[1]}".encode(), digest_size=16).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return "MIG-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
