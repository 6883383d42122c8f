"""What the CUDA driver answers about its devices."""

from __future__ import annotations

from .library import Cuda, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Device

__all__: list[str] = []


@implements("cuDeviceGetCount")
def count(library: Cuda) -> int:
    return len(library.machine.devices)


@implements("cuDeviceGetName")
def name(dev: Device) -> str:
    return dev.name
