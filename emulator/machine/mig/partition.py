"""A MIG device: a compute instance of a GPU, in place of the whole."""

from __future__ import annotations

from ..engines import Processor
from ..memory import Region
from ..uuids import derived
from .profiles import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..device import Device
    from ..processes import Process
    from .gpuinstance import GpuInstance
    from .profiles import ComputeProfile

    Base = Device  # it is one in all that it has, which a checker cannot see
else:
    Base = object

__all__ = ["Partition"]

#: CUDA attributes that MIG takes away: no L2 cache is set aside (CUDA programming guide).
LOST = {"MAX_PERSISTING_L2_CACHE_SIZE": 0}

MIB = 1 << 20


class Partition(Base):
    """A compute instance and the GPU instance that it is in, as one device.

    What it does not have of its own is the GPU's.

    Attributes:
        parent: the GPU.
        gpu_instance: that it is in.
        kind: its own profile.
        start: the first of its compute slices, in the GPU instance.
        slices: how many they are.
        id: its number in the GPU instance.
        label: "1g.10gb", or "1c.3g.40gb" where it does not have all compute slices.
        name: "NVIDIA A100-SXM4-80GB MIG 1g.10gb".
        memory: the GPU instance's.
        bar1: the GPU instance's part of the GPU's, less a MiB, as nvidia-smi shows them.
    """

    def __init__(
        self, gpu_instance: GpuInstance, slices: int, start: int, identity: int, uuid: str | None
    ) -> None:
        parent = self.parent = gpu_instance.parent
        self.gpu_instance = gpu_instance
        self.start = start
        self.slices = slices
        self.id = identity
        self.kind: ComputeProfile = next(
            each for each in gpu_instance.compute_kinds if each.slices == slices
        )
        self.uuid = uuid or "MIG-" + derived(f"{parent.uuid}/{gpu_instance.id}/{identity}")
        self.label = self.kind.name
        self.name = f"{parent.name} MIG {self.label}"
        self.memory = gpu_instance.memory
        bar1 = parent.bar1.total
        self.bar1 = Region({"total": bar1 and max(self._share(bar1) - MIB, 0), "used": 0})
        self.processor = Processor(
            {
                "multiprocessors": self.kind.multiprocessors,
                "cores_per_multiprocessor": parent.processor.cores_per_multiprocessor,
                "l2_cache": self._share(parent.processor.l2_cache),
            }
        )
        copies = gpu_instance.kind.copies
        self.cuda = {**parent.cuda, **LOST, "ASYNC_ENGINE_COUNT": copies}

    def _share(self, amount: int) -> int:
        """The part of the GPU's memory slices that the GPU instance has."""
        return amount * self.gpu_instance.kind.size // whole(self.gpu_instance.known).size

    @property
    def is_there(self) -> bool:
        """False once it was destroyed."""
        parent = self.gpu_instance
        return parent.is_there and any(each is self for each in parent.compute_instances)

    @property
    def ids(self) -> tuple[int, int]:
        """Those of the GPU instance and of the compute instance."""
        return self.gpu_instance.id, self.id

    @property
    def trace_name(self) -> str:
        """How a trace names it: `GPU-0/2/0`."""
        return f"{self.gpu_instance.trace_name}/{self.id}"

    @property
    def processes(self) -> list[Process]:  # type: ignore[override]
        """The scenario's processes that are in it."""
        return [
            process
            for process in self.parent.processes
            if (process.gpu_instance, process.compute_instance) == self.ids
        ]

    @property
    def failure(self) -> str | None:  # type: ignore[override]
        """The GPU's; one that was destroyed is lost to those who still have it."""
        return self.parent.failure or (None if self.is_there else "lost")

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
        """As `Device.place`: the GPU's first seat, and one for each compute slice. No other
        compute instance begins at the same slice as long as this one is there."""
        return 1 + self.gpu_instance.start + self.start

    @property
    def places(self) -> Sequence[int]:
        """As `Device.places`: the seats of the GPU instance, whose memory is shared."""
        first = 1 + self.gpu_instance.start
        return range(first, first + self.gpu_instance.kind.slices)

    @property
    def context_memory(self) -> int:
        """Bytes that a CUDA context takes."""
        return self.parent.context_memory_of(self.processor)

    def cuda_attribute(self, name: str) -> int | None:
        """A CUDA device attribute, as `Device.cuda_attribute`."""
        from ..cuda import attribute

        return attribute(self, name)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """What it does not have is the GPU's."""
            return getattr(self.parent, name)

    def __repr__(self) -> str:
        return f"Partition(name={self.name!r}, uuid={self.uuid!r})"
