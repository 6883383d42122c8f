"""Device attributes: cuDeviceGetAttribute and its forerunner cuDeviceGetProperties."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, api, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Union

    from ...machine import Device

__all__: list[str] = []

PREFIX = "CU_DEVICE_ATTRIBUTE_"

# CUDA version -> the first attribute that it does not know: CU_DEVICE_ATTRIBUTE_MAX of its cuda.h.
MAX = {11040: 120, 12000: 130, 12020: 135, 12040: 135, 12050: 136, 13000: 148}

# CUdevprop's fields and the attributes that took their place.
PROPERTIES = {
    "maxThreadsPerBlock": "MAX_THREADS_PER_BLOCK",
    "maxThreadsDim": ("MAX_BLOCK_DIM_X", "MAX_BLOCK_DIM_Y", "MAX_BLOCK_DIM_Z"),
    "maxGridSize": ("MAX_GRID_DIM_X", "MAX_GRID_DIM_Y", "MAX_GRID_DIM_Z"),
    "sharedMemPerBlock": "MAX_SHARED_MEMORY_PER_BLOCK",
    "totalConstantMemory": "TOTAL_CONSTANT_MEMORY",
    "SIMDWidth": "WARP_SIZE",
    "memPitch": "MAX_PITCH",
    "regsPerBlock": "MAX_REGISTERS_PER_BLOCK",
    "clockRate": "CLOCK_RATE",
    "textureAlign": "TEXTURE_ALIGNMENT",
}

_names: dict[int, list[str]] = {}


@implements("cuDeviceGetAttribute")
def attribute(cuda: Cuda, attrib: int, dev: Device) -> int:
    """A known attribute always has a value; what the device's profile does not say is 0."""
    if attrib >= MAX.get(cuda.machine.cuda_version, attrib + 1):
        raise CudaError(status.INVALID_VALUE)
    for name in _attribute_names(attrib):
        value = dev.cuda_attribute(name)
        if value is not None:
            return value
    return 0


def _attribute_names(attrib: int) -> list[str]:
    """All names of a number: some attributes were renamed."""
    if not _names:
        found: dict[int, list[str]] = {}  # at once: another thread may be here, too
        for name, value in api.types.members("CUdevice_attribute").items():
            found.setdefault(value, []).append(name[len(PREFIX) :])
        _names.update(found)
    return _names[attrib]


@implements("cuDeviceGetProperties")
def properties(dev: Device) -> dict[str, Union[int, list[int]]]:
    def value(name: str) -> int:
        return dev.cuda_attribute(name) or 0

    return {
        field: value(names) if isinstance(names, str) else [value(name) for name in names]
        for field, names in PROPERTIES.items()
    }
