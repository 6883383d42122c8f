"""Confidential computing: what the machine can of it, what is switched on, what is protected.

A report or a certificate that proves a GPU genuine is not imitated: see `refusals.py`.
"""

from __future__ import annotations

from ..machine.confidential import Confidential
from ..machine.words import WORDS
from . import _constants as constants
from . import _status as status
from .bounds import check_between
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device

__all__: list[str] = []

DEFAULT_ADVANTAGE = 60  # nvml.h of the key rotation's threshold: "Default value is 60."


def of(nvml: Nvml) -> Confidential:
    """The machine's: what the GPU says that has it switched on, else the first."""
    groups = [device.confidential for device in nvml.machine.devices]
    return next((group for group in groups if group.enabled), groups[0] if groups else OFF)


OFF = Confidential({})


def needed(nvml: Nvml) -> Confidential:
    """The machine's, where it is switched on."""
    group = of(nvml)
    if not group.enabled:
        raise NvmlError(status.NOT_SUPPORTED)
    return group


def number(kind: str, word: Optional[str]) -> int:
    """The value of a word, which stands in the order of the header's; 0 for none."""
    return 0 if word is None else WORDS[kind].index(word)


@implements("nvmlSystemGetConfComputeState")
def state(nvml: Nvml) -> dict[str, int]:
    group = of(nvml)
    return {
        "environment": number("ConfidentialEnvironment", group.environment),
        "ccFeature": bool(group.enabled),
        "devToolsMode": bool(group.devtools),
    }


@implements("nvmlSystemGetConfComputeSettings", "nvmlSystemGetConfComputeSettings_v2")
def settings(nvml: Nvml) -> dict[str, int]:
    group = of(nvml)
    return {
        **state(nvml),
        "multiGpuMode": number("MultiGpuProtection", group.multi_gpu),
        "tdispState": number("TdispState", group.tdisp),
    }


@implements("nvmlSystemGetConfComputeCapabilities")
def capabilities(nvml: Nvml) -> dict[str, int]:
    group = of(nvml)
    return {
        "cpuCaps": number("CpuConfidentiality", group.cpu),
        "gpusCaps": number("ConfidentialGpus", group.gpus),
    }


# ---- whether GPUs take work


@implements("nvmlSystemGetConfComputeGpusReadyState")
def ready_state(nvml: Nvml) -> bool:
    group = of(nvml)
    return bool(group.enabled and group.accepting)


@implements("nvmlSystemSetConfComputeGpusReadyState")
def set_ready_state(nvml: Nvml, is_accepting_work: int) -> None:
    if is_accepting_work > constants.CC_ACCEPTING_CLIENT_REQUESTS_TRUE:
        raise NvmlError(status.INVALID_ARGUMENT)
    needed(nvml)
    nvml.machine.alter_all({"confidential": {"accepting": bool(is_accepting_work)}})


# ---- the rotation of keys


@implements("nvmlSystemGetConfComputeKeyRotationThresholdInfo")
def key_rotation(nvml: Nvml) -> dict[str, int]:
    advantage = needed(nvml).attacker_advantage
    return {"attackerAdvantage": DEFAULT_ADVANTAGE if advantage is None else advantage}


@implements("nvmlSystemSetConfComputeKeyRotationThresholdInfo")
def set_key_rotation(nvml: Nvml, p_key_rotation_thr_info: Any) -> None:
    least = constants.CC_KEY_ROTATION_THRESHOLD_ATTACKER_ADVANTAGE_MIN
    most = constants.CC_KEY_ROTATION_THRESHOLD_ATTACKER_ADVANTAGE_MAX
    advantage = p_key_rotation_thr_info.maxAttackerAdvantage
    check_between(advantage, least, most)
    if needed(nvml).accepting:
        raise NvmlError(status.INVALID_STATE)
    nvml.machine.alter_all({"confidential": {"attacker_advantage": advantage}})


# ---- memory


@implements("nvmlDeviceGetConfComputeMemSizeInfo")
def memory_sizes(device: Device) -> dict[str, int]:
    protected, unprotected = shares(device)
    if not device.confidential.enabled:
        protected = 0
    return {"protectedMemSizeKib": protected >> 10, "unprotectedMemSizeKib": unprotected >> 10}


def shares(device: Device) -> tuple[int, int]:
    """The bytes of the frame buffer that confidential computing protects, and others."""
    total = device.memory.total
    unprotected = min(device.confidential.unprotected_memory or 0, total)
    return total - unprotected, unprotected


@implements("nvmlDeviceSetConfComputeUnprotectedMemSize")
def set_unprotected_memory(nvml: Nvml, device: Device, size_ki_b: int) -> None:
    if not device.confidential.enabled:
        raise NvmlError(status.NOT_SUPPORTED)
    if size_ki_b << 10 > device.memory.total:
        raise NvmlError(status.INVALID_ARGUMENT)
    nvml.machine.alter(device, {"confidential": {"unprotected_memory": size_ki_b << 10}})


@implements("nvmlDeviceGetConfComputeProtectedMemoryUsage")
def protected_memory_usage(nvml: Nvml, device: Device) -> dict[str, Optional[int]]:
    """All memory that processes hold is protected where confidential computing is on."""
    memory = device.protected_memory
    if not device.confidential.enabled:
        return {"total": memory.total, "free": memory.free, "used": memory.used}
    total, _ = shares(device)
    used = min(nvml.machine.ledger.used(device), total)
    return {"total": total, "free": total - used, "used": used}


# ---- encryption of the frame buffer


@implements("nvmlDeviceGetDramEncryptionMode")
def encryption(device: Device) -> tuple[dict[str, Any], dict[str, Any]]:
    modes = device.dram_encryption
    return {"encryptionState": modes.current}, {"encryptionState": modes.pending}


@implements("nvmlDeviceSetDramEncryptionMode")
def set_encryption(nvml: Nvml, device: Device, dram_encryption: Any) -> None:
    """It holds from the next reset on."""
    if device.dram_encryption.current is None:
        raise NvmlError(status.NOT_SUPPORTED)
    if dram_encryption.encryptionState > 1:
        raise NvmlError(status.INVALID_ARGUMENT)
    pending = bool(dram_encryption.encryptionState)
    nvml.machine.alter(device, {"dram_encryption": {"pending": pending}})
