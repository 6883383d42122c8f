"""The board that carries the GPU: part numbers and firmware."""

from __future__ import annotations

from .figures import Figures, Microseconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .words import HexBytes, PeerType

__all__ = ["Board", "Gsp", "Inforom", "Platform"]


class Board(Figures):
    """Identity of the board. ``id`` is unique in a machine and shared by the GPUs of one board.

    ``bridges`` are the firmware versions of the PCIe switches between the GPUs of one board.
    """

    __slots__ = (
        "bridges",
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
    bridges: list[int] | None


class Inforom(Figures):
    """Versions of the objects in the board's configuration storage.

    ``bbx_flush_time`` is microseconds since the epoch and ``bbx_flush_duration`` the length of
    the last black box flush; ``bbx_run_time`` are the seconds, until the scenario's start, that a
    driver was loaded. ``corrupted``: its checksums are wrong.
    """

    __slots__ = (
        "bbx_flush_duration",
        "bbx_flush_time",
        "bbx_run_time",
        "corrupted",
        "ecc",
        "image",
        "oem",
        "power",
    )

    image: str | None
    oem: str | None
    ecc: str | None
    power: str | None
    bbx_flush_time: int | None
    bbx_flush_duration: Microseconds | None
    bbx_run_time: int | None
    corrupted: bool | None


class Gsp(Figures):
    """GPU System Processor firmware. ``version`` is None when the driver runs without it."""

    __slots__ = ("default", "enabled", "version")

    version: str | None
    enabled: bool | None
    default: bool | None


class Platform(Figures):
    """Where in a rack the GPU is. ``peer_type`` is None on a product without it (until Hopper).

    Which of its node's GPUs it is says the board's ``module_id``.
    """

    __slots__ = (
        *("chassis_serial_number", "host_id", "ib_guid", "peer_type", "slot_number", "tray_index"),
    )

    peer_type: PeerType | None
    ib_guid: HexBytes | None
    chassis_serial_number: str | None
    slot_number: int | None
    tray_index: int | None
    host_id: int | None
