"""What is set for all NVLinks of a device, or of the machine: sleep, bandwidth; firmware; C2C."""

from __future__ import annotations

from ...machine.words import WORDS
from .. import _constants as constants
from .. import _status as status
from ..bounds import check_between
from ..library import Nvml, NvmlError, implements
from ..permissions import check_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device

__all__: list[str] = []

BANDWIDTH_MODES = WORDS["BandwidthMode"]
UCODES = WORDS["LinkUcode"]


@implements("nvmlDeviceSetNvLinkDeviceLowPowerThreshold")
def set_low_power_threshold(nvml: Nvml, device: Device, info: Any) -> None:
    """How long a link idles before it sleeps; a reset brings the default back."""
    settings, threshold = device.nvlink, info.lowPwrThreshold
    least, most = settings.low_power_threshold_min, settings.low_power_threshold_max
    if settings.low_power_threshold is None or least is None or most is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if threshold == constants.NVLINK_LOW_POWER_THRESHOLD_RESET:
        threshold = settings.low_power_threshold_default
    else:
        check_between(threshold, least, most)
    nvml.machine.alter(device, {"nvlink": {"low_power_threshold": threshold}})


def with_bandwidth_mode(nvml: Nvml) -> list[Device]:
    """The devices whose links have the machine's bandwidth mode: Hopper's and newer ones'."""
    found = [device for device in nvml.devices if device.nvlink.bandwidth_mode is not None]
    if not found:
        raise NvmlError(status.NOT_SUPPORTED)
    return found


@implements("nvmlSystemGetNvlinkBwMode")
def system_bandwidth_mode(nvml: Nvml) -> int:
    """nvml.h documents that only root may ask."""
    found = with_bandwidth_mode(nvml)
    check_root(nvml)
    return BANDWIDTH_MODES.index(found[0].nvlink.bandwidth_mode or "FULL")


def are_peers(nvml: Nvml, devices: list[Device]) -> bool:
    """Whether a process has contexts on two of some devices, which makes them peers."""
    ledger = nvml.machine.ledger
    users = [{process.pid for process in ledger.processes(device)} for device in devices]
    return sum(map(len, users)) > len(set().union(*users))


@implements("nvmlSystemSetNvlinkBwMode")
def set_system_bandwidth_mode(nvml: Nvml, nvlink_bw_mode: int) -> None:
    """nvml.h: not while there are peers, whose links would change under them."""
    found = with_bandwidth_mode(nvml)
    if nvlink_bw_mode >= len(BANDWIDTH_MODES):
        raise NvmlError(status.INVALID_ARGUMENT)
    if are_peers(nvml, found):
        raise NvmlError(status.IN_USE)
    for device in found:
        mode = BANDWIDTH_MODES[nvlink_bw_mode]
        nvml.machine.alter(device, {"nvlink": {"bandwidth_mode": mode}})


def reduced_modes(device: Device) -> list[int]:
    """The bandwidth modes of a device by itself, the best one first: from Blackwell on."""
    modes = device.nvlink.reduced_bandwidth_modes
    if not modes:
        raise NvmlError(status.NOT_SUPPORTED)
    return modes[: constants.NVLINK_TOTAL_SUPPORTED_BW_MODES]


@implements("nvmlDeviceGetNvlinkSupportedBwModes")
def supported_modes(device: Device) -> dict[str, Any]:
    modes = reduced_modes(device)
    return {"bwModes": modes, "totalBwModes": len(modes)}


@implements("nvmlDeviceGetNvlinkBwMode")
def bandwidth_mode(device: Device) -> dict[str, int]:
    modes, mode = reduced_modes(device), device.nvlink.reduced_bandwidth_mode
    current = modes[0] if mode is None else mode
    return {"bwMode": current, "bIsBest": current == modes[0]}


@implements("nvmlDeviceSetNvlinkBwMode")
def set_bandwidth_mode(nvml: Nvml, device: Device, set_bw_mode: Any) -> None:
    modes = reduced_modes(device)
    mode = modes[0] if set_bw_mode.bSetBest else set_bw_mode.bwMode
    if mode not in modes:
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"nvlink": {"reduced_bandwidth_mode": mode}})


@implements("nvmlDeviceGetNvLinkInfo", "nvmlDeviceGetNvLinkInfo_v3")
def link_info(device: Device) -> dict[str, Any]:
    settings = device.nvlink
    versions = [
        {
            "ucodeType": 1 + UCODES.index(each.ucode),
            "major": each.major,
            "minor": each.minor,
            "subMinor": each.sub_minor,
        }
        for each in settings.firmware or ()
    ]
    return {
        "isNvleEnabled": settings.encryption,
        "isNvleReady": bool(settings.encryption_ready),
        "firmwareInfo": {"firmwareVersion": versions, "numValidEntries": len(versions)},
    }


@implements("nvmlDeviceGetC2cModeInfoV")
def c2c_mode(device: Device) -> dict[str, Optional[bool]]:
    return {"isC2cEnabled": device.c2c.active}
