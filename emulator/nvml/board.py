"""The board that carries the GPU: part numbers, firmware, configuration storage (inforom)."""

from __future__ import annotations

from binascii import crc32

from ..machine.clock import SECOND
from ..machine.words import WORDS
from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device
    from ..machine.board import Inforom

__all__: list[str] = []

INFOROM_OBJECTS = ("oem", "ecc", "power")  # in the order of nvmlInforomObject_t

PEER_TYPES = WORDS["PeerType"]
GUID = 16  # bytes of a GUID, and of a serial number, in nvmlPlatformInfo_t


def inforom_of(device: Device) -> Inforom:
    """The storage of a board that has one."""
    if device.inforom.image is None:
        raise NvmlError(status.NOT_SUPPORTED)
    return device.inforom


@implements("nvmlDeviceGetInforomVersion")
def inforom_version(device: Device, object: int) -> Optional[str]:  # noqa: A002 (the C name)
    if object >= len(INFOROM_OBJECTS):
        return None
    return getattr(device.inforom, INFOROM_OBJECTS[object])  # type: ignore[no-any-return]


@implements("nvmlDeviceValidateInforom")
def validate_inforom(device: Device) -> None:
    if inforom_of(device).corrupted:
        raise NvmlError(status.CORRUPTED_INFOROM)


@implements("nvmlDeviceGetInforomConfigurationChecksum")
def inforom_checksum(device: Device) -> int:
    """Of what the objects PWR and ECC hold: another one after ECC was switched (nvml.h)."""
    validate_inforom(device)
    inforom, limit, ecc = device.inforom, device.power.default_limit, device.ecc.pending
    held = (inforom.power, limit, inforom.ecc, ecc)
    return crc32(repr(held).encode())


@implements("nvmlDeviceGetBBXTimeData_v1")
def black_box_time(nvml: Nvml, device: Device) -> dict[str, int]:
    before = inforom_of(device).bbx_run_time or 0
    return {"timeRun": before + nvml.machine.clock.elapsed() // SECOND}


@implements("nvmlDeviceGetBridgeChipInfo")
def bridges(device: Device) -> dict[str, Any]:
    versions = (device.board.bridges or [])[: constants.MAX_PHYSICAL_BRIDGE]
    if not versions:
        raise NvmlError(status.NOT_SUPPORTED)
    chips = [{"type": constants.BRIDGE_CHIP_PLX, "fwVersion": version} for version in versions]
    return {"bridgeCount": len(chips), "bridgeChipInfo": chips}


@implements("nvmlDeviceGetPlatformInfo")
def platform_info(device: Device) -> dict[str, Any]:
    """Versions of the struct call the same things by other names."""
    platform = device.platform
    if platform.peer_type is None:
        raise NvmlError(status.NOT_SUPPORTED)
    chassis = (platform.chassis_serial_number or "").encode().ljust(GUID, b"\0")
    slot, tray, host = (
        number or 0 for number in (platform.slot_number, platform.tray_index, platform.host_id)
    )
    return {
        "ibGuid": bytes.fromhex(platform.ib_guid or "").ljust(GUID, b"\0"),
        **dict.fromkeys(("chassisSerialNumber", "rackGuid"), chassis),
        **dict.fromkeys(("slotNumber", "chassisPhysicalSlotNumber"), slot),
        **dict.fromkeys(("trayIndex", "computeSlotIndex"), tray),
        **dict.fromkeys(("hostId", "nodeIndex"), host),
        "peerType": PEER_TYPES.index(platform.peer_type),
        "moduleId": device.board.module_id or 0,
    }


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
