"""A device: one GPU of the machine."""

from __future__ import annotations

from _thread import RLock

from .figures import Figures
from .groups import GROUPS, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .board import Board, Gsp, Inforom, Platform
    from .clocks import Clocks
    from .confidential import Confidential, DramEncryption
    from .ecc import Ecc, RemappedRows, RetiredPages
    from .engines import CaptureSessions, Encoder, Processor, Utilization
    from .licensing import Licensing
    from .links.fabric import Fabric
    from .links.links import NvLink
    from .links.nvlink import C2c, LinkSettings
    from .links.topology import Topology
    from .load.load import Load
    from .memory import Memory, MemoryLimit, Region
    from .mig.gpuinstance import GpuInstance
    from .mig.partition import Partition
    from .modes import Accounting, Mig
    from .pci import Pci
    from .power import Power
    from .powerprofiles import PowerProfiles
    from .processes import Process
    from .smoothing import PowerSmoothing
    from .thermal import Fan, Temperature
    from .vgpu.vgpu import Vgpu
    from .words import (
        AddressingMode,
        Architecture,
        Availability,
        Brand,
        ComputeMode,
        Failure,
        RecoveryAction,
        VirtualizationMode,
    )

__all__ = ["Device"]

#: What a context takes for each multiprocessor, in bytes. nvidia-smi shows some 105 MiB for an idle
#: context on a T4 (40 of them), 415 MiB on an A100 (108), 520 MiB on an H100 (132): public reports.
CONTEXT_MEMORY = 4 << 20

#: As many as any product has that MIG divides.
COMPUTE_SLICES = 7


class Device(Figures):
    """One GPU: its own figures here, the rest in groups by meaning. All of it may be changed.

    Words such as ``brand`` are the headers' names without their prefixes (``words.py`` has them
    all). ``performance_state`` is 0 to 15; P0 is the fastest. ``failure`` is None while it works,
    ``availability`` while programs find it. ``uptime`` are the seconds that the driver had had it
    at the scenario's start; less than none after a reset. ``pdi`` and ``interrupt`` follow from the
    UUID and from the system if not given. ``rusd_polls`` are the bits of NVML_RUSD_POLL_*.
    ``nvml_functions`` are those that NVML has for the device, where these are few, as on Jetson.

    Attributes:
        dividing: held while the instances of any device are made.
    """

    __slots__ = (
        "_groups",
        "_instances",
        "_outages",
        "_table",
        "accounting",
        "addressing_mode",
        "application_clocks_restricted",
        "architecture",
        "availability",
        "bar1",
        "board",
        "brand",
        "c2c",
        "capture",
        "clocks",
        "compute_capability",
        "compute_mode",
        "confidential",
        "cuda",
        "display_active",
        "display_mode",
        "drain_recommended",
        "dram_encryption",
        "ecc",
        "encoder",
        "extended_memory",
        "fabric",
        "failure",
        "fans",
        "gpm_streaming",
        "gsp",
        "hostname",
        "index",
        "inforom",
        "interrupt",
        "licensing",
        "load",
        "memory",
        "memory_limits",
        "mig",
        "minor_number",
        "name",
        "nvlink",
        "nvlinks",
        "nvml_functions",
        "pci",
        "pdi",
        "performance_state",
        "persistence_mode",
        "platform",
        "power",
        "power_profiles",
        "power_smoothing",
        "processes",
        "processor",
        "profile",
        "protected_memory",
        "recovery_action",
        "remapped_rows",
        "reset_required",
        "retired_pages",
        "rusd_polls",
        "serial",
        "sparse_operation_mode",
        "temperature",
        "topology",
        "uptime",
        "utilization",
        "uuid",
        "vgpu",
        "virtualization_mode",
    )

    profile: str
    index: int
    minor_number: int
    name: str
    brand: Brand
    architecture: Architecture
    uuid: str
    serial: str | None
    compute_capability: tuple[int, int]
    persistence_mode: bool
    compute_mode: ComputeMode
    display_mode: bool
    display_active: bool
    addressing_mode: AddressingMode | None
    virtualization_mode: VirtualizationMode
    performance_state: int | None
    sparse_operation_mode: bool | None
    gpm_streaming: bool | None
    reset_required: bool | None
    drain_recommended: bool | None
    recovery_action: RecoveryAction
    failure: Failure | None
    availability: Availability | None
    application_clocks_restricted: bool
    extended_memory: bool | None
    hostname: str | None
    interrupt: int | None
    nvml_functions: list[str] | None
    pdi: int | None
    rusd_polls: int | None
    uptime: int | None
    cuda: dict[str, int]
    load: Load
    board: Board
    inforom: Inforom
    gsp: Gsp
    platform: Platform
    pci: Pci
    processor: Processor
    memory: Memory
    bar1: Region
    protected_memory: Region
    memory_limits: list[MemoryLimit]
    confidential: Confidential
    dram_encryption: DramEncryption
    licensing: Licensing
    clocks: Clocks
    power: Power
    power_profiles: PowerProfiles
    power_smoothing: PowerSmoothing
    temperature: Temperature
    fans: list[Fan]
    utilization: Utilization
    encoder: Encoder
    capture: CaptureSessions
    ecc: Ecc
    retired_pages: RetiredPages
    remapped_rows: RemappedRows
    mig: Mig
    accounting: Accounting
    nvlinks: list[NvLink]
    nvlink: LinkSettings
    fabric: Fabric
    c2c: C2c
    topology: Topology
    processes: list[Process]
    vgpu: Vgpu

    dividing = RLock()

    def __init__(self, table: Mapping[str, Any]) -> None:
        put = super().__setattr__
        for name in _OWN:
            put(name, table.get(name))
        put("_outages", 0)
        self._outages: int
        self.compute_capability = (table["compute_capability"][0], table["compute_capability"][1])
        self._table = table
        self._groups: dict[str, Any] = {}
        self._instances: tuple[Any, list[GpuInstance]] = (None, [])

    if not TYPE_CHECKING:  # to a type checker, a class with __getattr__ would have every name

        def __getattr__(self, name):
            """Build a group when it is first asked for; see ``groups``.

            Groups go through a dict because its setdefault is atomic: of two threads that race
            here, both get one object.
            """
            if name not in GROUPS:
                raise AttributeError(f"a device has no {name!r}")
            group = self._groups.setdefault(name, build(name, self._table.get(name)))
            setattr(self, name, group)
            return group

    def __setattr__(self, name: str, value: Any) -> None:
        """Count the failures; the loop in `__init__` goes by."""
        super().__setattr__(name, value)
        if name == "failure" and value:
            super().__setattr__("_outages", self._outages + 1)

    @property
    def performance_states(self) -> list[int]:
        """The states it may be in, P0 first, one for each row of its supported clocks; where its
        profile does not say, P0 and the one that it idles in."""
        if self.clocks.states:
            return self.clocks.states
        return sorted({0, self._table.get("performance_state") or 0})

    @property
    def is_loaded(self) -> bool:
        """Whether the scenario has a load for it from the beginning."""
        return any(name != "pinned" for name in self._table.get("load", ()))

    @property
    def outages(self) -> int:
        """How often it has failed since the scenario's start: what it held before is gone."""
        return self._outages

    def cuda_attribute(self, name: str) -> int | None:
        """Return a CUDA device attribute by its header name without CU_DEVICE_ATTRIBUTE_.

        None means that the device has no value for it.
        """
        from .cuda import attribute

        return attribute(self, name)

    @property
    def gpu_uuid(self) -> str:
        """The UUID of the whole GPU."""
        return self.uuid

    @property
    def place(self) -> int:
        """In the ledger, the first of the device's seats is its own."""
        return 0

    @property
    def places(self) -> Sequence[int]:
        """The device's seats in the ledger: one more for each compute slice it can be divided into,
        where it can be."""
        return range(1 + COMPUTE_SLICES * bool(self.mig.max_instances))

    @property
    def gpu_instances(self) -> list[GpuInstance]:
        """The GPU instances that it is divided into, by id; none while MIG is off."""
        mig = self.mig
        if not mig.current:
            return []
        if self._instances[0] is not mig.instances:
            from .mig.gpuinstance import instances

            with Device.dividing:  # the handles of two threads stand for the same objects
                rows = mig.instances
                if self._instances[0] is not rows:
                    self._instances = (rows, instances(self, rows, self._instances[1]))
        return self._instances[1]

    @property
    def partitions(self) -> list[Partition]:
        """Its MIG devices, in NVML's order: by GPU instance, then by compute instance."""
        return [each for one in self.gpu_instances for each in one.compute_instances]

    def instance(self, place: int) -> tuple[int, int] | None:
        """The ids of the GPU instance and the compute instance that have a seat in the ledger."""
        for partition in self.partitions:
            if partition.place == place:
                return partition.ids
        return None

    @property
    def context_memory(self) -> int:
        """Bytes that a CUDA context takes on this device."""
        return self.context_memory_of(self.processor)

    def context_memory_of(self, processor: Processor) -> int:
        """Bytes that a CUDA context takes for all of the GPU's multiprocessors, or for some."""
        if self.memory.context is not None:
            return self.memory.context
        return processor.multiprocessors * CONTEXT_MEMORY

    def __repr__(self) -> str:
        return f"Device(index={self.index}, name={self.name!r}, uuid={self.uuid!r})"


#: The figures that stand at the device itself.
_OWN = tuple(name for name in Device.__slots__ if name not in GROUPS and name[0] != "_")
