"""The board that carries the GPU: part numbers, firmware, configuration storage (inforom)."""

from __future__ import annotations

from . import _status as status
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..machine import Device

__all__: list[str] = []

INFOROM_OBJECTS = ("oem", "ecc", "power")  # in the order of nvmlInforomObject_t


@implements("nvmlDeviceGetInforomVersion")
def inforom_version(device: Device, object: int) -> Optional[str]:  # noqa: A002 (the C name)
    if object >= len(INFOROM_OBJECTS):
        return None
    return getattr(device.inforom, INFOROM_OBJECTS[object])  # type: ignore[no-any-return]


@implements("nvmlDeviceValidateInforom")
def validate_inforom(device: Device) -> None:
    """The checksum of a storage that holds an image is right; without one there is none."""
    if device.inforom.image is None:
        raise NvmlError(status.NOT_SUPPORTED)


implements_each(
    {
        "nvmlDeviceGetBoardPartNumber": lambda device: device.board.part_number,
        "nvmlDeviceGetGspFirmwareMode": lambda device: (device.gsp.enabled, device.gsp.default),
        "nvmlDeviceGetGspFirmwareVersion": lambda device: device.gsp.version,
        "nvmlDeviceGetInforomImageVersion": lambda device: device.inforom.image,
        "nvmlDeviceGetLastBBXFlushTime": lambda device: (
            device.inforom.bbx_flush_time,
            device.inforom.bbx_flush_duration,
        ),
        "nvmlDeviceGetVbiosVersion": lambda device: device.board.vbios_version,
    }
)
