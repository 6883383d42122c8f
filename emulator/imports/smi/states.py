"""States of a GPU in which nvidia-smi tells less: "N/A" is the state's, not the product's."""

from __future__ import annotations

from collections.abc import Callable

from .answers import FAILURES
from .trees.tree import Node

__all__ = ["has_failed", "silent_fields"]

Condition = Callable[[Node], bool]


def _mig_is_on(gpu: Node) -> bool:
    return gpu.told("mig_mode/current_mig") == "Enabled"


def _ecc_is_off(gpu: Node) -> bool:
    return gpu.told("ecc_mode/current_ecc") not in ("Enabled", "")


def has_failed(gpu: Node) -> bool:
    """Whether the GPU was lost or needed a reset, so that most functions failed."""
    return any(leaf.text in FAILURES for _, leaf in gpu.leaves())


def _is_guest(gpu: Node) -> bool:
    return gpu.told("gpu_virtualization_mode/virtualization_mode") == "VGPU"


def _is_no_host(gpu: Node) -> bool:
    return gpu.told("gpu_virtualization_mode/virtualization_mode") != "Host VGPU"


def _has_not_joined(gpu: Node) -> bool:
    return gpu.told("fabric/state") != "Completed"


def _tells_no_health(gpu: Node) -> bool:
    """Before 570 bandwidth was all there was of it, and "N/A" also where that was full."""
    return gpu.find("fabric/health/route_unhealthy") is None


#: "N/A" of these fields says nothing of the product: the driver tells nothing in that state.
#: A field, or an element with fields, and the state. All are silent of a GPU that has failed.
STATES: tuple[tuple[str, Condition], ...] = (
    ("utilization", _mig_is_on),
    ("ecc_errors", _mig_is_on),
    ("remapped_rows", _mig_is_on),
    ("ecc_errors", _ecc_is_off),
    ("pci/tx_util", _is_guest),
    ("pci/rx_util", _is_guest),
    ("gpu_virtualization_mode/host_vgpu_mode", _is_no_host),
    ("gpu_virtualization_mode/vgpu_heterogeneous_mode", _is_no_host),
    ("fabric/status", _has_not_joined),
    ("fabric/cliqueId", _has_not_joined),
    ("fabric/clusterUuid", _has_not_joined),
    ("fabric/health/bandwidth", _tells_no_health),
)


def silent_fields(gpu: Node) -> tuple[str, ...]:
    """The fields, and elements with fields, that a GPU is in a state to say nothing of."""
    return tuple(field for field, state in STATES if state(gpu))
