"""The CUDA driver's own state: its declaration as an API and the errors handlers raise."""

from __future__ import annotations

from ..api import Api, ApiError, Codes, Library
from . import _status as status
from . import _tables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Machine

__all__ = ["Cuda", "CudaError", "api", "implements"]

api = Api(
    name="cuda",
    soname="libcuda.so.1",
    status="CUresult",
    prefix="CUDA_",
    tables=_tables,
    handle_types=frozenset(("CUdevice",)),
    codes=Codes(
        uninitialized=status.NOT_INITIALIZED,
        invalid_argument=status.INVALID_VALUE,
        invalid_handle={"CUdevice": status.INVALID_DEVICE},
        insufficient_size=status.INVALID_VALUE,
        version_mismatch=status.INVALID_VALUE,
        not_supported=status.NOT_SUPPORTED,
        unknown=status.UNKNOWN,
    ),
    truncates_text=True,
)
implements = api.implements


class CudaError(ApiError):
    """A CUresult to return, as in `raise CudaError(status.NO_DEVICE)`."""


class Cuda(Library):
    """The CUDA driver in this process."""

    def __init__(self) -> None:
        super().__init__(api)
        self.was_forked = False

    def reset(self, machine: Machine) -> None:
        super().reset(machine)
        for device in machine.devices:
            self.handles("CUdevice").name(device.index, device)

    def init(self) -> None:
        """cuInit: once is enough, and a forked child cannot use its parent's.

        Raises:
            CudaError: NO_DEVICE without a GPU; NOT_INITIALIZED in a forked child.
        """
        if self.was_forked:
            raise CudaError(status.NOT_INITIALIZED)
        if not self.machine.devices:
            raise CudaError(status.NO_DEVICE)
        self.ready = True

    def forked(self) -> None:
        self.was_forked = self.ready
        self.ready = False

    def describe(self, obj: Any, value: int) -> str:
        index = getattr(obj, "index", None)
        return hex(value) if index is None else f"GPU-{index}"
