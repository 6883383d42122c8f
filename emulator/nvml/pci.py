"""The PCI function of a device, its link and its counters."""

from __future__ import annotations

from . import _status as status
from .library import NvmlError, implements, implements_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ..machine import Device

__all__ = ["atomics_mask"]

#: The bits of NVML_PCIE_ATOMICS_CAP_*, by the machine's words for them.
ATOMICS = ("FETCHADD_32", "FETCHADD_64", "SWAP_32", "SWAP_64", "CAS_32", "CAS_64", "CAS_128")

THROUGHPUT = ("tx_throughput", "rx_throughput")  # in the order of nvmlPcieUtilCounter_t


def atomics_mask(operations: list[str]) -> int:
    """Atomic operations as bits of NVML_PCIE_ATOMICS_CAP_*."""
    return sum(1 << ATOMICS.index(operation) for operation in operations)


def address(device: Device) -> dict[str, Any]:
    pci = device.pci
    return {
        "domain": pci.domain,
        "bus": pci.bus,
        "device": pci.device,
        "pciDeviceId": pci.device_id,
    }


@implements("nvmlDeviceGetPciInfo")
def pci_info_v1(device: Device) -> dict[str, Any]:
    """The struct ended here when this function was new: what follows is not the client's."""
    return {"busIdLegacy": device.pci.bus_id_legacy, **address(device)}


@implements("nvmlDeviceGetPciInfo_v2")
def pci_info_v2(device: Device) -> dict[str, Any]:
    return {**pci_info_v1(device), "pciSubSystemId": device.pci.subsystem_id}


@implements("nvmlDeviceGetPciInfo_v3")
def pci_info(device: Device) -> dict[str, Any]:
    return {**pci_info_v2(device), "busId": device.pci.bus_id}


@implements("nvmlDeviceGetPciInfoExt")
def pci_info_ext(device: Device) -> dict[str, Any]:
    return {
        **pci_info(device),
        "baseClass": device.pci.base_class,
        "subClass": device.pci.sub_class,
    }


@implements("nvmlDeviceGetPcieThroughput")
def throughput(device: Device, counter: int) -> Optional[int]:
    """nvml.h: not in virtual machines with a virtual GPU."""
    if counter >= len(THROUGHPUT):
        raise NvmlError(status.INVALID_ARGUMENT)
    if device.virtualization_mode == "VGPU":
        return None
    return getattr(device.pci, THROUGHPUT[counter])  # type: ignore[no-any-return]


implements_each(
    {
        "nvmlDeviceGetCurrPcieLinkGeneration": lambda device: device.pci.current_generation,
        "nvmlDeviceGetCurrPcieLinkWidth": lambda device: device.pci.current_width,
        "nvmlDeviceGetGpuMaxPcieLinkGeneration": lambda device: device.pci.device_max_generation,
        "nvmlDeviceGetMaxPcieLinkGeneration": lambda device: device.pci.max_generation,
        "nvmlDeviceGetMaxPcieLinkWidth": lambda device: device.pci.max_width,
        "nvmlDeviceGetPcieReplayCounter": lambda device: device.pci.replay_counter,
        "nvmlDeviceGetPcieLinkMaxSpeed": lambda device: device.pci.max_generation,
        "nvmlDeviceGetPcieSpeed": lambda device: device.pci.lane_rate,
    }
)
