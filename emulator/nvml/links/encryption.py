"""Encryption of NVLink (NVLE), and the remap tables that the fabric's manager locks for it."""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements
from ..permissions import check_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device

__all__: list[str] = []


def require(nvml: Nvml, figure: object) -> None:
    """What a device has is for root alone (nvml.h)."""
    if figure is None:
        raise NvmlError(status.NOT_SUPPORTED)
    check_root(nvml)


@implements("nvmlDeviceSetNvlinkNvleReady_v1")
def set_ready(nvml: Nvml, device: Device, set_nvle_ready: Any) -> None:
    if device.nvlink.encryption is None:
        raise NvmlError(status.NOT_SUPPORTED)
    nvml.machine.alter(device, {"nvlink": {"encryption_ready": bool(set_nvle_ready.bNvleReady)}})


@implements("nvmlDeviceGetNvlinkNvlePrivateInfo_v1")
def private_info(nvml: Nvml, device: Device) -> dict[str, Any]:
    info = device.nvlink.encryption_info
    require(nvml, info)
    data = bytes.fromhex(info or "")[: constants.NVLINK_NVLE_PRIVATE_INFO_SIZE]
    return {"data": data, "size": len(data)}


@implements("nvmlDeviceSetupNvlinkNvleEncryptionKey_v1")
def set_key(device: Device, encryption_key: Any) -> None:
    """A key between this GPU and another; it can be set, and not read."""
    settings = device.nvlink
    if not settings.encryption or settings.fabric_address is None:
        raise NvmlError(status.NOT_SUPPORTED)
    infos = (encryption_key.localGpuNvlePrivateInfo, encryption_key.remoteGpuNvlePrivateInfo)
    if encryption_key.localGpuAlid != settings.fabric_address or any(
        info.size > constants.NVLINK_NVLE_PRIVATE_INFO_SIZE for info in infos
    ):
        raise NvmlError(status.INVALID_ARGUMENT)


@implements("nvmlDeviceGetNvlinkRemapTableInfo_v1")
def remap_table(nvml: Nvml, device: Device) -> dict[str, Any]:
    table = device.nvlink.remap_table
    require(nvml, table)
    rows = (table or [])[: constants.NVLINK_MAX_REMAP_TABLE_ENTRIES_V2]
    return {
        "alid": device.nvlink.fabric_address,
        "flaRemapTabAddr": [fabric for fabric, _ in rows],
        "gpaRemapTabAddr": [physical for _, physical in rows],
        "remapTabSize": len(rows),
    }


@implements("nvmlDeviceLockNvlinkRemapTable_v1")
def lock_remap_table(nvml: Nvml, device: Device) -> dict[str, Optional[bool]]:
    """Lock it, unless that is disabled; says how it is then."""
    if device.nvlink.remap_table is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if not device.nvlink.remap_lock_disabled:
        nvml.machine.alter(device, {"nvlink": {"remap_locked": True}})
    settings = device.nvlink
    return {
        "bRemapTableLocked": bool(settings.remap_locked),
        "bRemapTableLockDisabled": bool(settings.remap_lock_disabled),
    }
