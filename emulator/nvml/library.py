"""NVML's own state: its declaration as an API, the count of inits, and the errors handlers raise.

nvmlInit counts: a library that was initialised twice is ready until the second nvmlShutdown.
"""

from __future__ import annotations

from ..api import Api, ApiError, Codes, Library
from . import _status as status
from . import _tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Machine

__all__ = ["Nvml", "NvmlError", "api", "implements"]

api = Api(
    name="nvml",
    soname="libnvidia-ml.so.1",
    status="nvmlReturn_t",
    prefix="NVML_",
    tables=_tables,
    handle_types=frozenset(
        (
            "nvmlDevice_t",
            "nvmlUnit_t",
            "nvmlEventSet_t",
            "nvmlGpuInstance_t",
            "nvmlComputeInstance_t",
            "nvmlGpmSample_t",
        )
    ),
    codes=Codes(
        uninitialized=status.UNINITIALIZED,
        invalid_argument=status.INVALID_ARGUMENT,
        invalid_handle={},
        insufficient_size=status.INSUFFICIENT_SIZE,
        version_mismatch=status.ARGUMENT_VERSION_MISMATCH,
        not_supported=status.NOT_SUPPORTED,
        unknown=status.UNKNOWN,
    ),
)
implements = api.implements


class NvmlError(ApiError):
    """An nvmlReturn_t to return, as in `raise NvmlError(status.GPU_IS_LOST)`."""


class Nvml(Library):
    """NVML in this process."""

    def __init__(self) -> None:
        super().__init__(api)
        self.inits = 0

    def reset(self, machine: Machine) -> None:
        super().reset(machine)
        self.inits = 0

    def init(self) -> None:
        self.inits += 1
        self.ready = True

    def shutdown(self) -> None:
        """One nvmlShutdown; UNINITIALIZED when there was no init left to undo."""
        if not self.inits:
            raise NvmlError(status.UNINITIALIZED)
        self.inits -= 1
        self.ready = self.inits > 0

    def describe(self, obj: Any, value: int) -> str:
        index = getattr(obj, "index", None)
        return hex(value) if index is None else f"GPU-{index}"
