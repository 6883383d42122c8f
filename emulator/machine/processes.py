"""Processes that use a device."""

from __future__ import annotations

from .figures import Bytes, Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .words import ProcessType

__all__ = ["Process", "processes"]


class Process(Figures):
    """A client of a device.

    ``type`` is "C" (compute), "G" (graphics) or "C+G", as nvidia-smi prints it. The two
    instance ids are None outside MIG.
    """

    __slots__ = ("compute_instance", "gpu_instance", "name", "pid", "type", "used_memory")

    pid: int
    name: str
    type: ProcessType
    used_memory: Bytes | None
    gpu_instance: int | None
    compute_instance: int | None


def processes(rows: Iterable[Mapping[str, Any]]) -> list[Process]:
    """Return the processes of a device, one for each row of the plan."""
    return [Process(row) for row in rows]
