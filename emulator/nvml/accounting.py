"""Accounting: what each process used of a device in its life."""

from __future__ import annotations

from . import _status as status
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..machine import Device, Process

__all__: list[str] = []


def check(device: Device) -> None:
    if device.accounting.enabled is None:
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceGetAccountingPids")
def pids(device: Device) -> list[int]:
    check(device)
    return [process.pid for process in device.processes] if device.accounting.enabled else []


@implements("nvmlDeviceGetAccountingStats")
def stats(device: Device, pid: int) -> dict[str, Optional[int]]:
    process = account(device, pid)
    return {
        "gpuUtilization": device.utilization.gpu,
        "memoryUtilization": device.utilization.memory,
        "maxMemoryUsage": process.used_memory or 0,
        "time": 0,  # as long as it runs
        "startTime": 0,
        "isRunning": 1,
    }


def account(device: Device, pid: int) -> Process:
    check(device)
    for process in device.processes:
        if device.accounting.enabled and process.pid == pid:
            return process
    raise NvmlError(status.NOT_FOUND)


@implements("nvmlDeviceSetAccountingMode")
def set_mode(device: Device, mode: int) -> None:
    check(device)
    device.accounting.enabled = bool(mode)


@implements("nvmlDeviceClearAccountingPids")
def clear(device: Device) -> None:
    """Running processes stay, and no other is remembered."""
    check(device)


implements_each(
    {
        "nvmlDeviceGetAccountingBufferSize": lambda device: device.accounting.buffer_size,
        "nvmlDeviceGetAccountingMode": lambda device: device.accounting.enabled,
    }
)
