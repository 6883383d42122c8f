"""Where memory is to be: on a device or the host, as a CUmemLocation says.

Source: NVIDIA's driver API reference, cuMemCreate and cuMemPoolCreate. The host has one NUMA node,
number 0.
"""

from __future__ import annotations

from .. import _constants as constants
from .. import _status as status
from ..error import CudaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ...machine import Device
    from ..library import Cuda

__all__ = [
    "AT_DEVICE",
    "MANAGED",
    "NOWHERE",
    "ON_HOST",
    "PINNED",
    "Location",
    "check_host",
    "locate",
]

PINNED, MANAGED = constants.MEM_ALLOCATION_TYPE_PINNED, constants.MEM_ALLOCATION_TYPE_MANAGED
NOWHERE = constants.MEM_LOCATION_TYPE_INVALID
AT_DEVICE = constants.MEM_LOCATION_TYPE_DEVICE
ON_HOST = constants.MEM_LOCATION_TYPE_HOST
ON_NODE = constants.MEM_LOCATION_TYPE_HOST_NUMA


class Location:
    """A place that memory can be in.

    Attributes:
        type, id: those of a CUmemLocation; `id` is 0 where it says nothing.
        device: the device; None: the host.
    """

    __slots__ = ("device", "id", "type")

    def __init__(self, kind: int, number: int, device: Optional[Device] = None) -> None:
        self.type = kind
        self.id = number
        self.device = device

    @classmethod
    def of(cls, cuda: Cuda, device: Optional[Device]) -> Location:
        """That of a device, or of the host's node."""
        if device is None:
            return cls(ON_NODE, 0)
        return cls(AT_DEVICE, cuda.handles("CUdevice").give(device), device)

    @property
    def fields(self) -> dict[str, int]:
        """It as a CUmemLocation."""
        return {"type": self.type, "id": self.id}


def check_host(cuda: Cuda, kind: int, what: str) -> None:
    """NOT_SUPPORTED where an attribute says that there is no `what` for places of the host."""
    prefix = "HOST_" if kind == ON_HOST else "HOST_NUMA_"
    if not cuda.devices[0].cuda_attribute(prefix + what):
        raise CudaError(status.NOT_SUPPORTED)


def locate(cuda: Cuda, location: Any) -> Location:
    """What a CUmemLocation says.

    Raises:
        CudaError: INVALID_VALUE where it names no place, INVALID_DEVICE.
    """
    if location.type == AT_DEVICE:
        device: Optional[Device] = cuda.handles("CUdevice").objects.get(location.id)
        if device is None:
            raise CudaError(status.INVALID_DEVICE)
        return Location(AT_DEVICE, location.id, device)
    if location.type == ON_HOST or (location.type == ON_NODE and location.id == 0):
        return Location(location.type, 0)
    raise CudaError(status.INVALID_VALUE)
