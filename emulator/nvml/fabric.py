"""A device's place in an NVSwitch fabric."""

from __future__ import annotations

from . import _constants as constants
from . import _status as status
from .library import implements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import Device

__all__: list[str] = []


@implements("nvmlDeviceGetGpuFabricInfo", "nvmlDeviceGetGpuFabricInfoV")
def fabric_info(device: Device) -> dict[str, Any]:
    """A device outside of a fabric has the state NOT_SUPPORTED, and the call succeeds."""
    fabric = device.fabric
    uuid = (fabric.cluster_uuid or "").replace("-", "")
    return {
        "clusterUuid": bytes.fromhex(uuid),
        "status": getattr(status, fabric.status or "SUCCESS"),
        "cliqueId": fabric.clique_id or 0,
        "state": getattr(constants, f"GPU_FABRIC_STATE_{fabric.state or 'NOT_SUPPORTED'}"),
        "healthMask": 0,
    }
