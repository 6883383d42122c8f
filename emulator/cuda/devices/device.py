"""Devices: how many a process sees, what each is, how one is found by its PCI address."""

from __future__ import annotations

from .. import _status as status
from ..library import Cuda, CudaError, implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device

__all__: list[str] = []

EXEC_AFFINITY_TYPES = 1  # CU_EXEC_AFFINITY_TYPE_MAX

HEXADECIMAL = "0123456789abcdefABCDEF"

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


@implements("cuDeviceGetUuid")
def gpu_uuid(dev: Device) -> dict[str, bytes]:
    """The GPU's, also of a MIG device: only the second version tells those apart."""
    return {"bytes": _uuid_bytes(dev.gpu_uuid)}


@implements("cuDeviceGetUuid_v2")
def uuid(dev: Device) -> dict[str, bytes]:
    return {"bytes": _uuid_bytes(dev.uuid)}


@implements("cuDeviceTotalMem")
def total_memory_32(dev: Device) -> int:
    return min(total_memory(dev), WORD)


# Less than NVML's total by what driver and firmware keep: PyTorch reports 81008 MiB for an H100 of
# which nvidia-smi says 81559 MiB in all and 551 MiB reserved.
@implements("cuDeviceTotalMem_v2")
def total_memory(dev: Device) -> int:
    return dev.memory.usable


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
    parts = (*place.split(":"), function or "0")
    if not all(part and not part.strip(HEXADECIMAL) for part in parts):
        raise CudaError(status.INVALID_VALUE)
    numbers = [int(part, 16) for part in parts]
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


# Contexts with a part of the multiprocessors are MPS's, which is not emulated.
@implements("cuDeviceGetExecAffinitySupport")
def exec_affinity_support(type: int, dev: Device) -> int:  # noqa: A002  (C's name)
    if type >= EXEC_AFFINITY_TYPES:
        raise CudaError(status.INVALID_VALUE)
    return 0


@implements("cuDeviceGetFabricClusterUuid")
def fabric_cluster(dev: Device) -> dict[str, bytes]:
    cluster = dev.fabric.cluster_uuid
    if dev.fabric.state != "COMPLETED" or cluster is None:
        raise CudaError(status.NOT_SUPPORTED)
    return {"bytes": _uuid_bytes(cluster)}


@implements("cuDeviceGetCliqueCount")
def clique_count(dev: Device) -> int:
    return len(_cliques(dev))


@implements("cuDeviceGetCliqueInfo", sizes=True)
def clique_info(dev: Device) -> list[dict[str, int]]:
    return _cliques(dev)


def _cliques(device: Device) -> list[dict[str, int]]:
    """The groups of GPUs that a device can reach over NVLink: the fabric's, where it is up."""
    fabric = device.fabric
    there = fabric.state == "COMPLETED" and fabric.clique_id is not None
    return [{"type": 0, "id": fabric.clique_id or 0}] if there else []


# Of what is known to be on offer on NVIDIA's embedded systems (NvSciSync) and on Windows (budgets).
@implements("cuDeviceGetNvSciSyncAttributes", "cuDeviceRegisterAsyncNotification")
def not_on_linux(cuda: Cuda) -> Any:
    raise CudaError(status.NOT_SUPPORTED)


@implements("cuDeviceUnregisterAsyncNotification")
def unregister(device: Device, callback: Any) -> None:
    """No handle was ever given."""
    raise CudaError(status.INVALID_VALUE)


def _uuid_bytes(text: str) -> bytes:
    """The 16 bytes of a UUID, after "GPU-" or "MIG-"."""
    return bytes.fromhex(text[-36:].replace("-", ""))
