"""Memory of a device: frame buffer, BAR1, and what control groups may take of it."""

from __future__ import annotations

import ctypes
import os

from ..api import NULL_PAGE
from . import _constants as constants
from . import _status as status
from .library import Nvml, NvmlError, implements, implements_each
from .processes import all_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceGetMemoryInfo")
def memory_info(nvml: Nvml, device: Device) -> dict[str, int]:
    """The struct without a field for it counts what the driver reserves as used."""
    memory, used = device.memory, nvml.machine.ledger.used(device)
    return {
        "total": memory.total,
        "used": memory.total - memory.usable + used,
        "free": memory.usable - used,
    }


@implements("nvmlDeviceGetMemoryInfo_v2")
def memory_info_v2(nvml: Nvml, device: Device) -> dict[str, int]:
    memory, used = device.memory, nvml.machine.ledger.used(device)
    return {
        "total": memory.total,
        "reserved": memory.reserved,
        "used": used,
        "free": memory.usable - used,
    }


@implements("nvmlDeviceGetBAR1MemoryInfo")
def bar1_memory_info(device: Device) -> dict[str, Optional[int]]:
    bar1 = device.bar1
    return {"bar1Total": bar1.total, "bar1Free": bar1.free, "bar1Used": bar1.used}


# ---- limits


@implements("nvmlDeviceGetMemoryLimits_v1")
def memory_limits(nvml: Nvml, device: Device, limits: Any) -> dict[str, int]:
    group = control_group(limits.nameSpace)
    for limit in device.memory_limits:
        if limit.group == group:
            used = used_by(nvml, device, group)
            return {"softLimit": limit.soft, "hardLimit": limit.hard, "currentUsed": used}
    raise NvmlError(status.NOT_FOUND)


@implements("nvmlDeviceSetMemoryLimits_v1")
def set_memory_limits(nvml: Nvml, device: Device, limits: Any) -> None:
    """nvml.h: no limit is 0 guaranteed, and NVML_DEVICE_MEMORY_LIMIT_MAX at most."""
    group, soft, hard = control_group(limits.nameSpace), limits.softLimit, limits.hardLimit
    total, most = device.memory.total, constants.DEVICE_MEMORY_LIMIT_MAX
    if soft > min(hard, total) or total < hard < most:
        raise NvmlError(status.INVALID_ARGUMENT)
    with nvml.machine.exclusive():
        rows = [
            {"group": limit.group, "soft": limit.soft, "hard": limit.hard}
            for limit in device.memory_limits
            if limit.group != group
        ]
        if (soft, hard) != (0, most):
            rows.append({"group": group, "soft": soft, "hard": hard})
        nvml.machine.alter(device, {"memory_limits": rows})


def control_group(address: int) -> str:
    """The path of a control group, which must be one that can be opened."""
    if address < NULL_PAGE:
        raise NvmlError(status.INVALID_ARGUMENT)
    path = ctypes.string_at(address).decode("utf-8", "surrogateescape")
    if not os.access(path, os.R_OK):
        raise NvmlError(status.OPERATING_SYSTEM)
    return path


def used_by(nvml: Nvml, device: Device, group: str) -> int:
    """Bytes that the processes of a control group hold of a device."""
    try:
        with open(os.path.join(group, "cgroup.procs"), encoding="ascii") as file:
            members = {int(line) for line in file}
    except OSError:  # it is a file of the group, or no group's
        members = set()
    held = [process for process in all_of(nvml, device) if process.pid in members]
    return sum(process.used_memory or 0 for process in held)


implements_each({"nvmlDeviceGetMemoryBusWidth": lambda device: device.memory.bus_width})
