"""Modes of a device that are switched and stay: MIG, accounting."""

from __future__ import annotations

from .figures import Bytes, Figures, Nanoseconds, Percent, Rows

__all__ = ["Accounting", "ComputeInstance", "EndedProcess", "Instance", "Mig"]


class ComputeInstance(Figures):
    """One compute instance of a GPU instance, which is one MIG device.

    ``slices`` are its compute slices, all of the GPU instance's if not given; ``start`` is the
    first of them, ``id`` its number in the GPU instance: the lowest free ones if not given.
    ``uuid`` is "MIG-" and a UUID; it follows from the GPU's and the ids if not given.
    """

    __slots__ = ("id", "slices", "start", "uuid")

    slices: int | None
    start: int | None
    id: int | None
    uuid: str | None


class Instance(Rows):
    """One GPU instance. ``profile`` is its kind, such as "1g.10gb".

    ``start`` is the first of its memory slices, a free place as the driver chooses it if not
    given. ``id`` follows from size and place if not given. ``compute`` are its compute instances:
    one that has all compute slices if not given, and none if the list is empty.
    """

    __slots__ = ("compute", "id", "profile", "start")
    kinds = (("compute", ComputeInstance),)

    profile: str
    start: int | None
    id: int | None
    compute: list[ComputeInstance] | None


class Mig(Rows):
    """Multi-Instance GPU mode. All None on a product without MIG.

    ``pending`` becomes ``current`` at the next reset; ``max_instances`` is 7 on A100 and H100.
    ``instances`` are the GPU instances while the mode is on; without any there is nothing for CUDA.
    """

    __slots__ = ("current", "instances", "max_instances", "pending")
    kinds = (("instances", Instance),)
    empty = (("instances", ()),)

    current: bool | None
    pending: bool | None
    max_instances: int | None
    instances: list[Instance]


class EndedProcess(Figures):
    """A process that is there no more, and what it used.

    ``started`` and ``ended`` are times of the scenario's clock, its start if not given;
    ``max_memory`` is the most memory it had, ``utilization`` and ``memory_utilization`` are its
    shares of the device over its life.
    """

    __slots__ = ("ended", "max_memory", "memory_utilization", "pid", "started", "utilization")

    pid: int
    started: Nanoseconds | None
    ended: Nanoseconds | None
    max_memory: Bytes | None
    utilization: Percent | None
    memory_utilization: Percent | None


class Accounting(Rows):
    """Per-process accounting. ``buffer_size`` counts the processes that are remembered.

    ``ended`` are those of the scenario's that are there no more: while accounting is on, each that
    a change takes from the device's processes is added. Those that were really there are not here
    but in the ledger, also when they have ended.
    """

    __slots__ = ("buffer_size", "enabled", "ended")
    kinds = (("ended", EndedProcess),)
    empty = (("ended", ()),)

    enabled: bool | None
    buffer_size: int | None
    ended: list[EndedProcess]
