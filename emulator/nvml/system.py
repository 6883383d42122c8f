"""Initialisation, errors, versions: what NVML answers about the system as a whole."""

from __future__ import annotations

import ctypes

from ..machine.drivers import branch
from . import _status as status
from .library import Nvml, NvmlError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []

#: nvmlErrorString's texts in the order of the codes, each beside the release branch that first
#: has it: read off the real libraries. Other codes, 999 too, are "Unknown Error".
TEXTS = (
    (470, "Success"),
    (470, "Uninitialized"),
    (470, "Invalid Argument"),
    (470, "Not Supported"),
    (470, "Insufficient Permissions"),
    (470, "Already Initialized"),
    (470, "Not Found"),
    (470, "Insufficient Size"),
    (470, "Insufficient External Power"),
    (470, "Driver Not Loaded"),
    (470, "Timeout"),
    (470, "Interrupt Request Issue"),
    (470, "NVML Shared Library Not Found"),
    (470, "Function Not Found"),
    (470, "Corrupted infoROM"),
    (470, "GPU is lost"),
    (470, "GPU requires reset"),
    (470, "GPU access blocked by the operating system"),
    (470, "Driver/library version mismatch"),
    (470, "In use by another client"),
    (470, "Insufficient Memory"),
    (525, "No data"),
    (525, "vGPU ECC not supported"),
    (470, "Insufficient Resources"),
    (470, "Invalid Frequency"),
    (525, "Argument version mismatch"),
    (525, "Requested functionality has been deprecated"),
    (535, "System is not in ready state"),
    (550, "No supported GPUs were found"),
    (550, "Resource not in correct state to perform requested operation"),
)
UNKNOWN_TEXT = "Unknown Error"

#: Architectures whose devices keep error records for the platform.
RECORDING = ("BLACKWELL",)

_buffers: dict[str, Any] = {}


@implements("nvmlInit_v2", "nvmlInitWithFlags", anytime=True)
def init(nvml: Nvml) -> None:
    """Devices are looked at when their handles are asked for, whatever the flags."""
    nvml.init()


@implements("nvmlInit", anytime=True)
def init_v1(nvml: Nvml) -> None:
    """The first version initialises all devices, and fails with the first that does not work."""
    for device in nvml.machine.plugged():
        if device.failure:
            raise NvmlError(nvml.api.codes.failed[device.failure])
    nvml.init()


@implements("nvmlShutdown", anytime=True)
def shutdown(nvml: Nvml) -> None:
    nvml.shutdown()


@implements("nvmlErrorString", anytime=True)
def error_string(nvml: Nvml, result: int) -> int:
    """The address of a text that stays where it is, as clients never free it."""
    since, text = TEXTS[result] if result < len(TEXTS) else (0, UNKNOWN_TEXT)
    if branch(nvml.machine.driver) < since:
        text = UNKNOWN_TEXT
    if text not in _buffers:
        _buffers[text] = ctypes.create_string_buffer(text.encode())
    return ctypes.addressof(_buffers[text])


@implements("nvmlSystemGetDriverVersion")
def driver_version(nvml: Nvml) -> str:
    return nvml.machine.driver_version


@implements("nvmlSystemGetDriverBranch")
def driver_branch(nvml: Nvml) -> dict[str, str]:
    return {"branch": f"r{branch(nvml.machine.driver_version)}_00"}


@implements("nvmlSystemGetNVMLVersion", anytime=True)
def nvml_version(nvml: Nvml) -> str:
    return nvml.machine.nvml_version


@implements("nvmlSystemGetCudaDriverVersion", "nvmlSystemGetCudaDriverVersion_v2")
def cuda_driver_version(nvml: Nvml) -> int:
    return nvml.machine.cuda_version


@implements("nvmlSystemGetHicVersion")
def hic_version() -> list[Any]:
    """Host interface cards belong to S-class boxes, of which there are none."""
    return []


@implements("nvmlSystemGetCPER_v1")
def error_records(nvml: Nvml, cper: Any) -> dict[str, int]:
    """Common Platform Error Records: no GPU of the catalogue has made one."""
    from .permissions import check_root

    check_root(nvml)
    if cper.bufferSize and not cper.buffer:
        raise NvmlError(status.INVALID_ARGUMENT)
    if not any(device.architecture in RECORDING for device in nvml.devices):
        raise NvmlError(status.NOT_SUPPORTED)
    return {"bufferSize": 0}


# ---- S-class boxes, of which there are none


@implements("nvmlUnitGetCount")
def unit_count() -> int:
    return 0


@implements("nvmlUnitGetHandleByIndex")
def unit(index: int) -> Any:
    raise NvmlError(status.INVALID_ARGUMENT)
