"""GPUs that host vGPUs, for tests."""

from __future__ import annotations

from typing import Any

import pynvml
from nvml_client import T4

from emulator import Gpu

__all__ = ["RUNNING", "VM", "host", "instances", "type_id"]

VM = "5a1b7cf6-6c0e-4a3a-9d3b-0f2c7b1f5e10"

#: A vGPU whose VM has a driver and a licence.
RUNNING: dict[str, Any] = {
    "type": "GRID T4-8Q",
    "vm_id": VM,
    "driver_version": "550.163.01",
    "license": "LICENSED",
}


def host(*rows: str | dict[str, Any], product: str = T4, **figures: Any) -> Gpu:
    """A vGPU host's GPU; a vGPU is its type's name or a table. Figures are those of vGPUs."""
    made = [{"type": row} if isinstance(row, str) else row for row in rows]
    vgpu = {"instances": made, **figures}
    return Gpu(product, figures={"virtualization_mode": "HOST_VGPU", "vgpu": vgpu})


def instances(handle: Any) -> list[int]:
    """The numbers of a GPU's vGPUs."""
    return [each.value if hasattr(each, "value") else each for each in active(handle)]


def active(handle: Any) -> list[Any]:
    return list(pynvml.nvmlDeviceGetActiveVgpus(handle))


def type_id(handle: Any, name: str) -> int:
    """The id of the type of a name that a GPU supports."""
    for number in pynvml.nvmlDeviceGetSupportedVgpus(handle):
        if pynvml.nvmlVgpuTypeGetName(number) == name:
            return int(number)
    raise LookupError(name)
