"""The NVSwitch fabric that a device is part of, and how it is doing there."""

from __future__ import annotations

from ..figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..device import Device
    from ..words import (
        FabricConfiguration,
        FabricHealth,
        FabricState,
        FabricStatus,
        FabricUuid,
    )

__all__ = ["Fabric", "together"]


class Fabric(Figures):
    """The device's place in an NVSwitch fabric. All None where there is no fabric.

    ``state`` is "NOT_STARTED", "IN_PROGRESS" or "COMPLETED", ``status`` "SUCCESS" or the name of
    an error. Devices of one ``cluster_uuid`` and ``clique_id`` reach each other. The rest is its
    health: None where the system does not tell.
    """

    __slots__ = (
        "access_timeout_recovery",
        "clique_id",
        "cluster_uuid",
        "degraded_bandwidth",
        "global_manager_connected",
        "health_summary",
        "incorrect_configuration",
        "partition_assigned",
        "route_recovery",
        "route_unhealthy",
        "state",
        "status",
    )

    state: FabricState | None
    status: FabricStatus | None
    clique_id: int | None
    cluster_uuid: FabricUuid | None
    degraded_bandwidth: bool | None
    route_recovery: bool | None
    route_unhealthy: bool | None
    access_timeout_recovery: bool | None
    incorrect_configuration: FabricConfiguration | None
    partition_assigned: bool | None
    global_manager_connected: bool | None
    health_summary: FabricHealth | None


def together(one: Device, other: Device) -> bool:
    """Whether the fabric lets two devices reach each other over its switches.

    A device that registers with the fabric manager is added when that is completed (nvml.h); one
    from before Hopper does not register.
    """
    here, there = one.fabric, other.fabric
    if not all(fabric.state in (None, "NOT_SUPPORTED", "COMPLETED") for fabric in (here, there)):
        return False
    return (here.cluster_uuid, here.clique_id) == (there.cluster_uuid, there.clique_id)
