"""What the driver in a VM tells its host: licence, sessions, and what processes used."""

from __future__ import annotations

from ctypes import c_uint

from ...machine.vgpu.rows import row
from .. import _constants as constants
from .. import _status as status
from ..library import Nvml, NvmlError, implements
from ..licensing import expiry
from ..utilization import CAPTURE_STATS, averages, captured, encoded
from .instances import change, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine.vgpu.rows import VgpuProcess
    from ...machine.vgpu.running import Running

__all__ = ["put_license_state"]


def check_driver(each: Running) -> Running:
    """A vGPU in whose VM a driver runs."""
    if each.row.driver_version is None:
        raise NvmlError(status.DRIVER_NOT_LOADED)
    return each


# ---- licence


def is_licensed(each: Running) -> bool:
    return each.row.driver_version is not None and each.row.license == "LICENSED"


@implements("nvmlVgpuInstanceGetLicenseStatus")
def license_status(nvml: Nvml, vgpu_instance: int) -> bool:
    return is_licensed(find(nvml, vgpu_instance))


@implements("nvmlVgpuInstanceGetLicenseInfo", "nvmlVgpuInstanceGetLicenseInfo_v2")
def license_info(nvml: Nvml, vgpu_instance: int) -> dict[str, Any]:
    """Until a licence is borrowed there is none to expire."""
    each = check_driver(find(nvml, vgpu_instance))
    state = each.row.license or "UNLICENSED"
    return {
        "isLicensed": is_licensed(each),
        "licenseExpiry": expiry(
            each.row.license_expires,
            is_licensed(each),
            constants.GRID_LICENSE_EXPIRY_NOT_AVAILABLE,
        ),
        "currentState": getattr(constants, "GRID_LICENSE_STATE_" + state),
    }


def put_license_state(nvml: Nvml, words: tuple[int, ...]) -> None:
    """What nvidia-smi 470 asks through the private table: (nvmlVgpuInstance_t, unsigned *)."""
    state = license_info(nvml, words[0] & 0xFFFFFFFF)["currentState"]
    c_uint.from_address(words[1]).value = state


# ---- sessions


@implements("nvmlVgpuInstanceGetEncoderStats")
def encoder_stats(nvml: Nvml, vgpu_instance: int) -> tuple[int, int, int]:
    return averages(find(nvml, vgpu_instance).row.encoder_sessions or [])


@implements("nvmlVgpuInstanceGetEncoderSessions", sizes=True)
def encoder_sessions(nvml: Nvml, vgpu_instance: int) -> list[dict[str, int]]:
    sessions = find(nvml, vgpu_instance).row.encoder_sessions or []
    return [
        {
            **encoded(session),
            "sessionId": session.id,
            "vgpuInstance": vgpu_instance,
            "codecType": getattr(constants, "ENCODER_QUERY_" + session.codec),
        }
        for session in sessions
    ]


@implements("nvmlVgpuInstanceGetFBCStats")
def capture_stats(nvml: Nvml, vgpu_instance: int) -> dict[str, int]:
    sessions = find(nvml, vgpu_instance).row.capture_sessions or []
    return dict(zip(CAPTURE_STATS, averages(sessions)))


@implements("nvmlVgpuInstanceGetFBCSessions", sizes=True)
def capture_sessions(nvml: Nvml, vgpu_instance: int) -> list[dict[str, int]]:
    sessions = find(nvml, vgpu_instance).row.capture_sessions or []
    return [
        {
            **captured(session),
            "sessionId": session.id,
            "vgpuInstance": vgpu_instance,
            "displayOrdinal": session.display or 0,
            "sessionType": getattr(constants, "FBC_SESSION_TYPE_" + session.type),
            "sessionFlags": session.flags or 0,
        }
        for session in sessions
    ]


# ---- accounting


def accounted(nvml: Nvml, vgpu_instance: int) -> Running:
    """A vGPU whose driver counts what processes use."""
    each = find(nvml, vgpu_instance)
    if each.row.driver_version is None or not each.row.accounting:
        raise NvmlError(status.NOT_SUPPORTED)
    return each


@implements("nvmlVgpuInstanceGetAccountingMode")
def accounting_mode(nvml: Nvml, vgpu_instance: int) -> bool:
    return bool(check_driver(find(nvml, vgpu_instance)).row.accounting)


@implements("nvmlVgpuInstanceGetAccountingPids")
def accounting_pids(nvml: Nvml, vgpu_instance: int) -> list[int]:
    return [process.pid for process in accounted(nvml, vgpu_instance).row.processes or []]


@implements("nvmlVgpuInstanceGetAccountingStats")
def accounting_stats(nvml: Nvml, vgpu_instance: int, pid: int) -> dict[str, int]:
    for process in accounted(nvml, vgpu_instance).row.processes or []:
        if process.pid == pid:
            return account(process)
    raise NvmlError(status.NOT_FOUND)


def account(process: VgpuProcess) -> dict[str, int]:
    """The fields of nvmlAccountingStats_t; how long it ran is known at its end."""
    return {
        "gpuUtilization": process.gpu or 0,
        "memoryUtilization": process.memory or 0,
        "maxMemoryUsage": process.max_memory or 0,
        "time": (process.time or 0) if process.ended else 0,
        "startTime": process.start_time or 0,
        "isRunning": not process.ended,
    }


@implements("nvmlVgpuInstanceClearAccountingPids")
def clear_accounting(nvml: Nvml, vgpu_instance: int) -> None:
    """Those that still run stay."""
    with nvml.machine.exclusive():
        each = accounted(nvml, vgpu_instance)
        kept = [process for process in each.row.processes or [] if not process.ended]
        change(nvml, each, {"processes": row(kept)})
