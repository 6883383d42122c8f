"""A device's place in an NVSwitch fabric."""

from __future__ import annotations

from ...machine.words import WORDS
from .. import _constants as constants
from .. import _status as status
from ..library import implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...machine import Device
    from ...machine.links.fabric import Fabric

__all__: list[str] = []

SUMMARIES = WORDS["FabricHealth"]
CONFIGURATIONS = WORDS["FabricConfiguration"]

#: What is true (1), false (2) or not told (0) of a device -> where its two bits are.
HEALTH = {
    "degraded_bandwidth": constants.GPU_FABRIC_HEALTH_MASK_SHIFT_DEGRADED_BW,
    "route_recovery": constants.GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_RECOVERY,
    "route_unhealthy": constants.GPU_FABRIC_HEALTH_MASK_SHIFT_ROUTE_UNHEALTHY,
    "access_timeout_recovery": constants.GPU_FABRIC_HEALTH_MASK_SHIFT_ACCESS_TIMEOUT_RECOVERY,
    "partition_assigned": constants.GPU_FABRIC_HEALTH_MASK_SHIFT_PARTITION_ASSIGNED,
    "global_manager_connected": constants.GPU_FABRIC_HEALTH_MASK_SHIFT_GFM_STATE,
}

#: What devices of one clique do with each other's memory; the last two from Blackwell on (nvml.h).
CLIQUES = (
    constants.GPU_FABRIC_CLIQUE_TYPE_UNICAST_POINTER,
    constants.GPU_FABRIC_CLIQUE_TYPE_MULTICAST_POINTER,
    constants.GPU_FABRIC_CLIQUE_TYPE_UNICAST_LOGICAL_ENDPOINT,
    constants.GPU_FABRIC_CLIQUE_TYPE_MULTICAST_LOGICAL_ENDPOINT,
)


def health_mask(fabric: Fabric) -> int:
    told = {name: getattr(fabric, name) for name in HEALTH}
    bits = sum((1 if told[name] else 2) << HEALTH[name] for name in told if told[name] is not None)
    configuration = CONFIGURATIONS.index(fabric.incorrect_configuration or "NOT_SUPPORTED")
    return bits | configuration << constants.GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION


@implements("nvmlDeviceGetGpuFabricInfo", "nvmlDeviceGetGpuFabricInfoV")
def fabric_info(device: Device) -> dict[str, Any]:
    """A device outside of a fabric has the state NOT_SUPPORTED, and the call succeeds."""
    fabric = device.fabric
    uuid = bytes.fromhex((fabric.cluster_uuid or "").replace("-", ""))
    return {
        "clusterUuid": uuid.ljust(constants.GPU_FABRIC_UUID_LEN, b"\0"),
        "status": getattr(status, fabric.status or "SUCCESS"),
        "cliqueId": fabric.clique_id or 0,
        "state": getattr(constants, f"GPU_FABRIC_STATE_{fabric.state or 'NOT_SUPPORTED'}"),
        "healthMask": health_mask(fabric),
        "healthSummary": SUMMARIES.index(fabric.health_summary or "NOT_SUPPORTED"),
    }


@implements("nvmlDeviceGetGpuFabricInfo_v4")
def fabric_info_v4(device: Device) -> dict[str, Any]:
    """A device that has not joined is in no clique yet."""
    info = fabric_info(device)
    kinds = CLIQUES if device.compute_capability >= (10, 0) else CLIQUES[:2]
    clique = info.pop("cliqueId")
    cliques = [{"type": kind, "id": clique} for kind in kinds]
    if device.fabric.state != "COMPLETED":
        cliques = []
    return {**info, "cliques": cliques, "numCliques": len(cliques)}
