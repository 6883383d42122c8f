"""NVLink and the NVSwitch fabric."""

from __future__ import annotations

from .figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .words import FabricState

__all__ = ["Fabric", "NvLink", "nvlinks"]


class NvLink:
    """One NVLink of a device.

    ``remote_type`` is "GPU", "SWITCH" or "IBMNPU", ``remote_bus_id`` the PCI address of what the
    link leads to; both None while the link is down. ``speed`` is MB/s in one direction.
    """

    # Filled by hand, unlike other groups: an HGX board has 144 links and they must stay cheap.
    __slots__ = (
        "active",
        "crc_errors",
        "ecc_errors",
        "recovery_errors",
        "remote_bus_id",
        "remote_type",
        "replay_errors",
        "speed",
        "version",
    )

    def __init__(self, version: int, speed: int) -> None:
        self.active = False
        self.version = version
        self.speed = speed
        self.remote_type: str | None = None
        self.remote_bus_id: str | None = None
        self.replay_errors = 0
        self.recovery_errors = 0
        self.crc_errors = 0
        self.ecc_errors = 0

    def connect(self, remote_type: str, remote_bus_id: str) -> None:
        """Bring the link up, leading to a device ("GPU") or a switch ("SWITCH")."""
        self.active = True
        self.remote_type = remote_type
        self.remote_bus_id = remote_bus_id

    def disconnect(self) -> None:
        """Take the link down."""
        self.active = False
        self.remote_type = self.remote_bus_id = None


def nvlinks(table: Mapping[str, Any]) -> list[NvLink]:
    """Return the links of the plan's nvlink table, which lists the remote end of each.

    A remote is ``[type, bus id]``, or None for a link that is down.
    """
    links = []
    for remote in table.get("remotes", ()):
        link = NvLink(table["version"], table["speed"])
        if remote is not None:
            link.connect(*remote)
        links.append(link)
    return links


class Fabric(Figures):
    """The device's place in an NVSwitch fabric. All None where there is no fabric.

    ``state`` is "NOT_STARTED", "IN_PROGRESS" or "COMPLETED", ``status`` "SUCCESS" or the name of
    an error.
    """

    __slots__ = ("clique_id", "cluster_uuid", "state", "status")

    state: FabricState | None
    status: str | None
    clique_id: int | None
    cluster_uuid: str | None
