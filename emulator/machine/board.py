"""The board that carries the GPU: part numbers and firmware."""

from __future__ import annotations

from .figures import Figures, Microseconds

__all__ = ["Board", "Gsp", "Inforom"]


class Board(Figures):
    """Identity of the board. ``id`` is unique in a machine and shared by the GPUs of one board."""

    __slots__ = (
        "fru_part_number",
        "gpu_part_number",
        "id",
        "module_id",
        "multi_gpu",
        "part_number",
        "vbios_version",
    )

    id: int
    part_number: str | None
    gpu_part_number: str | None
    fru_part_number: str | None
    module_id: int | None
    multi_gpu: bool
    vbios_version: str | None


class Inforom(Figures):
    """Versions of the objects in the board's configuration storage.

    ``bbx_flush_time`` is microseconds since the epoch and ``bbx_flush_duration`` the length of
    the last black box flush.
    """

    __slots__ = ("bbx_flush_duration", "bbx_flush_time", "ecc", "image", "oem", "power")

    image: str | None
    oem: str | None
    ecc: str | None
    power: str | None
    bbx_flush_time: int | None
    bbx_flush_duration: Microseconds | None


class Gsp(Figures):
    """GPU System Processor firmware. ``version`` is None when the driver runs without it."""

    __slots__ = ("default", "enabled", "version")

    version: str | None
    enabled: bool | None
    default: bool | None
