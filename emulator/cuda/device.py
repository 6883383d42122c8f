"""Devices: how many a process sees, what each is, how one is found by its PCI address."""

from __future__ import annotations

from . import _status as status
from .library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device

__all__: list[str] = []

WORD = 0xFFFFFFFF  # the largest size that the 32-bit forms of CUDA 2 can tell


@implements("cuDeviceGetCount")
def count(cuda: Cuda) -> int:
    return len(cuda.devices)


@implements("cuDeviceGet")
def get(cuda: Cuda, ordinal: int) -> Device:
    if not 0 <= ordinal < len(cuda.devices):
        raise CudaError(status.INVALID_DEVICE)
    return cuda.devices[ordinal]


@implements("cuDeviceGetName")
def name(dev: Device) -> str:
    return dev.name


@implements("cuDeviceGetUuid", "cuDeviceGetUuid_v2")
def uuid(dev: Device) -> dict[str, bytes]:
    return {"bytes": bytes.fromhex(dev.uuid[len("GPU-") :].replace("-", ""))}


@implements("cuDeviceTotalMem")
def total_memory_32(dev: Device) -> int:
    return min(total_memory(dev), WORD)


# Less than NVML's total by what driver and firmware keep: PyTorch reports 81008 MiB for an H100 of
# which nvidia-smi says 81559 MiB in all and 551 MiB reserved.
@implements("cuDeviceTotalMem_v2")
def total_memory(dev: Device) -> int:
    return dev.memory.total - dev.memory.reserved


@implements("cuDeviceComputeCapability")
def compute_capability(dev: Device) -> tuple[int, ...]:
    return tuple(dev.compute_capability)


@implements("cuDeviceGetPCIBusId")
def pci_bus_id(dev: Device) -> str:
    return dev.pci.bus_id_legacy


@implements("cuDeviceGetByPCIBusId")
def by_pci_bus_id(cuda: Cuda, pci_bus_id: str) -> Device:
    address = _pci_address(pci_bus_id)
    for device in cuda.devices:
        if address == (device.pci.domain & 0xFFFF, device.pci.bus, device.pci.device, 0):
            return device
    raise CudaError(status.INVALID_DEVICE)


def _pci_address(text: str) -> tuple[int, int, int, int]:
    """Read `[domain:]bus:device[.function]`, all of it hexadecimal."""
    place, _, function = text.partition(".")
    parts = place.split(":")
    try:
        numbers = [int(part, 16) for part in (*parts, function or "0")]
    except ValueError:
        raise CudaError(status.INVALID_VALUE) from None
    if len(numbers) == 3:
        numbers.insert(0, 0)
    if len(numbers) != 4:
        raise CudaError(status.INVALID_VALUE)
    return numbers[0], numbers[1], numbers[2], numbers[3]


# A notion of Windows. On Linux the real one says so, though its documentation does not
# (observed by intel/llvm, pull request 22574).
@implements("cuDeviceGetLuid")
def luid(dev: Device) -> Any:
    raise CudaError(status.NOT_SUPPORTED)


@implements("cuDeviceCanAccessPeer")
def can_access_peer(dev: Device, peer_dev: Device) -> int:
    """Between two GPUs on the NVSwitch fabric or NVLink, and over PCI Express but for GeForce,
    whose driver does not offer it from Ada on."""
    if dev is peer_dev:
        return 0
    linked = all(any(link.active for link in one.nvlinks) for one in (dev, peer_dev))
    return int(linked or not any(one.brand.startswith("GEFORCE") for one in (dev, peer_dev)))
