"""Accounting: what each process used of a device in its life."""

from __future__ import annotations

from ..machine.clock import SECOND
from ..machine.ledger.accounts import accounts
from . import _status as status
from .library import Nvml, NvmlError, implements
from .processes import UNKNOWN_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device
    from ..machine.ledger.accounts import Account

__all__: list[str] = []

UNKNOWN_PERCENT = 0xFFFFFFFF  # NVML_VALUE_NOT_AVAILABLE as an unsigned int holds it

SAMPLES = 6  # a second: NVML's utilisation is of 1/6 s at least (nvmlDeviceGetUtilizationRates)


def check(device: Device) -> None:
    if device.accounting.enabled is None:
        raise NvmlError(status.NOT_SUPPORTED)


@implements("nvmlDeviceGetAccountingMode")
def mode(device: Device) -> bool:
    """Off on a GPU in MIG mode."""
    check(device)
    return bool(device.accounting.enabled) and not device.mig.current


@implements("nvmlDeviceGetAccountingBufferSize")
def buffer_size(device: Device) -> Optional[int]:
    """Also while accounting is off, as published outputs of nvidia-smi show."""
    check(device)
    return device.accounting.buffer_size


@implements("nvmlDeviceGetAccountingPids")
def pids(nvml: Nvml, device: Device) -> list[int]:
    """Empty while accounting is off, which nvml.h has as not supported: every published `nvidia-smi
    -q -x` of drivers 510 to 595 has an empty list then, not "N/A"."""
    if not mode(device):
        return []
    return [account.pid for account in kept(nvml, device)]


def kept(nvml: Nvml, device: Device) -> list[Account]:
    """The accounts of a device.

    Raises:
        NvmlError: NOT_SUPPORTED: none are kept, or for each vGPU apart (nvml.h).
    """
    if not mode(device) or device.virtualization_mode == "HOST_VGPU":
        raise NvmlError(status.NOT_SUPPORTED)
    return accounts(nvml.machine, device)


@implements("nvmlDeviceGetAccountingStats")
def stats(nvml: Nvml, device: Device, pid: int) -> dict[str, int]:
    return told(nvml, account_of(nvml, device, pid))


@implements("nvmlDeviceGetAccountingStats_v2")
def stats_v2(nvml: Nvml, device: Device, stats: Any) -> dict[str, int]:
    """The sums are of hundredths of a percent."""
    account = account_of(nvml, device, stats.pid)
    ended = nvml.machine.clock.elapsed() if account.ended is None else account.ended
    count = max(ended - account.started, 0) * SAMPLES // SECOND
    return {
        **told(nvml, account),
        "sampleCount": count,
        "sumGpuUtil": (account.utilization or 0) * 100 * count,
        "sumFbUtil": (account.memory_utilization or 0) * 100 * count,
    }


def account_of(nvml: Nvml, device: Device, pid: int) -> Account:
    for account in kept(nvml, device):
        if account.pid == pid:
            return account
    raise NvmlError(status.NOT_FOUND)


def told(nvml: Nvml, account: Account) -> dict[str, int]:
    """The fields of nvmlAccountingStats_t: how long it ran is told when it does so no more."""
    is_running = account.ended is None
    lasted = 0 if account.ended is None else max(account.ended - account.started, 0)
    return {
        "gpuUtilization": percent(account.utilization),
        "memoryUtilization": percent(account.memory_utilization),
        "maxMemoryUsage": UNKNOWN_SIZE if account.max_memory is None else account.max_memory,
        "time": lasted // 1_000_000,
        "startTime": (nvml.machine.clock.start + account.started) // 1000,
        "isRunning": is_running,
    }


def percent(value: Optional[int]) -> int:
    return UNKNOWN_PERCENT if value is None else value


@implements("nvmlDeviceSetAccountingMode")
def set_mode(nvml: Nvml, device: Device, mode: int) -> None:
    """Switched off, it forgets all accounts."""
    check(device)
    with nvml.machine.exclusive():
        nvml.machine.ledger.bury()  # who has died by now did so in the mode there was
        nvml.machine.alter(device, {"accounting": {"enabled": bool(mode)}})
        if not mode:
            forget(nvml, device)


@implements("nvmlDeviceClearAccountingPids")
def clear(nvml: Nvml, device: Device) -> None:
    """Running processes stay, and no other is remembered."""
    check(device)
    with nvml.machine.exclusive():
        forget(nvml, device)


def forget(nvml: Nvml, device: Device) -> None:
    nvml.machine.ledger.forget(device)
    nvml.machine.alter(device, {"accounting": {"ended": []}})
