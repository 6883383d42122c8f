"""Processes that use a device, and their shares of it."""

from __future__ import annotations

from .figures import Bytes, Figures, Nanoseconds, Percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from .device import Device
    from .words import ProcessType

__all__ = ["Process", "processes", "shares"]


class Process(Figures):
    """A client of a device.

    ``type`` is "C" (compute), "G" (graphics), "C+G" or "M+C" (compute by way of MPS), as nvidia-smi
    prints it. The two instance ids are None outside MIG. ``utilization`` and
    ``memory_utilization`` are its shares of the device's: if not given, an equal part of what those
    leave that are given. ``max_memory`` is the most memory it ever had, ``protected_memory`` what
    confidential computing protects of it, ``started`` a time of the scenario's clock: its start if
    not given.
    """

    __slots__ = (
        "compute_instance",
        "gpu_instance",
        "max_memory",
        "memory_utilization",
        "name",
        "pid",
        "protected_memory",
        "started",
        "type",
        "used_memory",
        "utilization",
    )

    pid: int
    name: str
    type: ProcessType
    used_memory: Bytes | None
    gpu_instance: int | None
    compute_instance: int | None
    max_memory: Bytes | None
    protected_memory: Bytes | None
    utilization: Percent | None
    memory_utilization: Percent | None
    started: Nanoseconds | None


def processes(rows: Iterable[Mapping[str, Any]]) -> list[Process]:
    """Return the processes of a device, one for each row of the plan."""
    return [Process(row) for row in rows]


#: Engine -> the figure of a process that gives its share, if one does.
GIVEN = {"gpu": "utilization", "memory": "memory_utilization"}


def shares(device: Device, sharers: Sequence[Process]) -> list[dict[str, int]]:
    """What each of the processes has of the device's utilisation, in percent by engine.

    An engine that the device does not have is used 0 %.
    """
    from .engines import ENGINES  # here, as most clients ask for lists alone

    columns = {
        engine: _divide(
            getattr(device.utilization, engine) or 0,
            [getattr(process, GIVEN.get(engine, ""), None) for process in sharers],
        )
        for engine in ENGINES
    }
    return [
        {engine: column[row] for engine, column in columns.items()} for row in range(len(sharers))
    ]


def _divide(whole: int, given: list[int | None]) -> list[int]:
    """Parts of a whole: those that are given, and equal ones of the rest, the first ones larger."""
    open_ = given.count(None)
    rest = max(whole - sum(part or 0 for part in given), 0)
    parts = iter([rest // open_ + (place < rest % open_) for place in range(open_)])
    return [next(parts) if part is None else part for part in given]
