"""A device: one GPU of the machine."""

from __future__ import annotations

from .figures import Figures
from .groups import GROUPS, build

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .board import Board, Gsp, Inforom
    from .clocks import Clocks
    from .ecc import Ecc, RemappedRows, RetiredPages
    from .engines import CaptureSessions, Encoder, Processor, Utilization
    from .links import Fabric, NvLink
    from .memory import Memory, Region
    from .modes import Accounting, Mig
    from .partition import Partition
    from .pci import Pci
    from .power import Power
    from .processes import Process
    from .thermal import Fan, Temperature
    from .words import (
        AddressingMode,
        Architecture,
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


class Device(Figures):
    """One GPU: its own figures here, the rest in groups by meaning. All of it may be changed.

    Words such as ``brand`` are the headers' names without their prefixes (``words.py`` has them
    all). ``performance_state`` is 0 to 15; P0 is the fastest. ``failure`` is None while it works.
    """

    __slots__ = (
        "_groups",
        "_outages",
        "_partitions",
        "_table",
        "accounting",
        "addressing_mode",
        "architecture",
        "bar1",
        "board",
        "brand",
        "capture",
        "clocks",
        "compute_capability",
        "compute_mode",
        "cuda",
        "display_active",
        "display_mode",
        "drain_recommended",
        "ecc",
        "encoder",
        "fabric",
        "failure",
        "fans",
        "gsp",
        "index",
        "inforom",
        "memory",
        "mig",
        "minor_number",
        "name",
        "nvlinks",
        "pci",
        "performance_state",
        "persistence_mode",
        "power",
        "processes",
        "processor",
        "profile",
        "protected_memory",
        "recovery_action",
        "remapped_rows",
        "reset_required",
        "retired_pages",
        "serial",
        "sparse_operation_mode",
        "temperature",
        "utilization",
        "uuid",
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
    reset_required: bool | None
    drain_recommended: bool | None
    recovery_action: RecoveryAction
    failure: Failure | None
    cuda: dict[str, int]
    board: Board
    inforom: Inforom
    gsp: Gsp
    pci: Pci
    processor: Processor
    memory: Memory
    bar1: Region
    protected_memory: Region
    clocks: Clocks
    power: Power
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
    fabric: Fabric
    processes: list[Process]

    def __init__(self, table: Mapping[str, Any]) -> None:
        put = super().__setattr__
        for name in _OWN:
            put(name, table.get(name))
        put("_outages", 0)
        self._outages: int
        self.compute_capability = (table["compute_capability"][0], table["compute_capability"][1])
        self._table = table
        self._groups: dict[str, Any] = {}
        self._partitions: tuple[Any, list[Partition]] = (None, [])

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
        """The device's seats in the ledger: one more for each instance it can be divided into."""
        return range(1 + (self.mig.max_instances or 0))

    @property
    def partitions(self) -> list[Partition]:
        """The MIG devices that it is divided into; none while MIG is off."""
        mig = self.mig
        if not mig.current or not mig.instances:
            return []
        if self._partitions[0] is not mig.instances:
            from .partition import partitions

            self._partitions = (mig.instances, partitions(self))
        return self._partitions[1]

    def instance(self, place: int) -> tuple[int, int] | None:
        """The ids of the GPU instance and the compute instance that have a seat in the ledger."""
        for partition in self.partitions:
            if partition.place == place:
                return partition.gpu_instance, partition.compute_instance
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
