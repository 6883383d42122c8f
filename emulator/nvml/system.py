"""Initialisation, errors, versions: what NVML answers about the system as a whole."""

from __future__ import annotations

import ctypes

from . import _status as status
from .library import Nvml, NvmlError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []

# nvmlErrorString's texts, as the real library (550.163.01) gives them for codes 0 to 29.
TEXTS = {
    0: "Success",
}
_buffers: dict[int, Any] = {}


@implements("nvmlInit", "nvmlInit_v2", "nvmlInitWithFlags", anytime=True)
def init(library: Nvml) -> None:
    library.init()


@implements("nvmlShutdown", anytime=True)
def shutdown(library: Nvml) -> None:
    library.shutdown()


@implements("nvmlErrorString", anytime=True)
def error_string(result: int) -> int:
    """The address of a text that stays where it is, as clients never free it."""
    if result not in _buffers:
        _buffers[result] = ctypes.create_string_buffer(TEXTS.get(result, "Unknown Error").encode())
    return ctypes.addressof(_buffers[result])


@implements("nvmlSystemGetDriverVersion")
def driver_version(library: Nvml) -> str:
    return library.machine.driver_version


@implements("nvmlSystemGetNVMLVersion", anytime=True)
def nvml_version(library: Nvml) -> str:
    return library.machine.nvml_version


@implements("nvmlSystemGetCudaDriverVersion", "nvmlSystemGetCudaDriverVersion_v2", anytime=True)
def cuda_driver_version(library: Nvml) -> int:
    return library.machine.cuda_version


_ = (api, NvmlError, status)
