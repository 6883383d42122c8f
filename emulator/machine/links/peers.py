"""Which devices reach each other's memory, and over what.

Sources: NVIDIA's open kernel modules, p2p_caps.c, for what excludes access over PCI Express;
public reports of `nvidia-smi topo -p2p` for GeForce.
"""

from __future__ import annotations

from .fabric import together
from .links import far_device, switch_bus_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..device import Device

__all__ = ["access", "linked", "over_pci"]


def linked(devices: Sequence[Device], one: Device, other: Device) -> bool:
    """Whether NVLink connects two devices, directly or over a switch; `devices` are the machine's.

    GPUs of different generations speak different NVLinks.
    """
    if not one.nvlinks or not other.nvlinks or not _may_reach(one, other):
        return False
    ends = ((one, other), (other, one))
    if all(any(far_device(devices, a, link) is b for link in a.nvlinks) for a, b in ends):
        return True
    return bool(_switches(one) & _switches(other)) and together(one, other)


def _switches(device: Device) -> set[str]:
    ends = (link.remote for link in device.nvlinks if link.remote_type == "SWITCH")
    return {switch_bus_id(end) for end in ends if end is not None}


def _may_reach(one: Device, other: Device) -> bool:
    """The kernel module compares the chips, for which their compute capability stands here; with
    MIG on there is no access at all (NVIDIA's MIG user guide, "Application Considerations")."""
    if one.mig.current or other.mig.current:
        return False
    return one.compute_capability == other.compute_capability


def over_pci(one: Device, other: Device) -> str:
    """Whether two devices reach each other over PCI Express, as NVML_P2P_STATUS_*."""
    if not _may_reach(one, other):
        return "NOT_SUPPORTED"
    found = (_over_pci(device) for device in (one, other))
    return next((status for status in found if status != "OK"), "OK")


def _over_pci(device: Device) -> str:
    """GeForce has it no more from Turing on; the reason given is another one on Blackwell."""
    if device.topology.peer_access is not None:
        return device.topology.peer_access
    if not device.brand.startswith("GEFORCE") or device.compute_capability < (7, 5):
        return "OK"
    blackwell = device.architecture == "BLACKWELL"
    return "GPU_NOT_SUPPORTED" if blackwell else "CHIPSET_NOT_SUPPORTED"


def access(devices: Sequence[Device], one: Device, other: Device) -> str:
    """Whether two devices read and write each other's memory, as NVML_P2P_STATUS_*."""
    return "OK" if linked(devices, one, other) else over_pci(one, other)
