"""NVLink: the links of a device, what each leads to, and what went over it."""

from __future__ import annotations

from ..figures import Figures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..device import Device
    from ..words import CounterUnit, LinkEnd, LinkGeneration

__all__ = [
    "UNSEEN",
    "NvLink",
    "UtilizationCounter",
    "far_device",
    "far_link",
    "join_ends",
    "nvlinks",
    "switch_bus_id",
]

#: Where a switch is that the host does not see: what NCCL, xml.cc, takes for one.
UNSEEN = "0FFFFFFF:FFFF:FF.0"

#: The last generation of NVLink whose traffic is counted under the client's control: Turing's. Of
#: later ones nvml.h says "no longer supported".
LAST_WITH_COUNTERS = 2


class UtilizationCounter(Figures):
    """One of a link's two traffic counters, which clients control (Pascal to Turing).

    ``units`` is what it counts, ``packets`` the kinds of packets as bits of
    nvmlNvLinkUtilizationCountPktTypes_t. ``frozen`` stops it at ``rx`` and ``tx``; while it counts,
    it is at the link's data less ``rx_zero`` and ``tx_zero``. All four are KiB.
    """

    __slots__ = ("frozen", "packets", "rx", "rx_zero", "tx", "tx_zero", "units")
    placed = True

    units: CounterUnit
    packets: int
    frozen: bool
    rx: int
    tx: int
    rx_zero: int
    tx_zero: int


class NvLink(Figures):
    """One NVLink of a device.

    ``remote`` is what it leads to: "GPU1", the other one of a pair of GPUs ("PAIR": 0 and 1, 2 and
    3), the PCI bus id of a switch, or "SWITCH" where the host does not see the switches; None on a
    board without a bridge. ``remote_link`` is the number of the link at that end, found from the
    wiring if not given. ``version`` is the NVLink generation, ``speed`` MB/s in one direction.
    ``data_tx``, ``data_rx``, ``raw_tx`` and ``raw_rx`` count KiB since the driver was loaded, raw
    with the protocol's share. ``port_counters`` are those of nvmlPRMCounterId_t that are not 0, by
    the names there (Blackwell and newer).
    """

    __slots__ = (
        "active",
        "counters",
        "crc_data_errors",
        "crc_errors",
        "data_rx",
        "data_tx",
        "ecc_errors",
        "port_counters",
        "raw_rx",
        "raw_tx",
        "recovery_errors",
        "remote",
        "remote_link",
        "replay_errors",
        "speed",
        "version",
    )
    placed = True

    active: bool | None
    version: LinkGeneration
    speed: int
    remote: LinkEnd | None
    remote_link: int | None
    replay_errors: int | None
    recovery_errors: int | None
    crc_errors: int | None
    crc_data_errors: int | None
    ecc_errors: int | None
    data_tx: int | None
    data_rx: int | None
    raw_tx: int | None
    raw_rx: int | None
    counters: list[UtilizationCounter] | None
    port_counters: dict[str, int] | None

    @property
    def remote_type(self) -> str | None:
        """ "GPU" or "SWITCH"; None while the link is down."""
        if not self.active or self.remote is None:
            return None
        return "GPU" if self.remote[0] in "GP" else "SWITCH"

    @property
    def cleared(self) -> dict[str, Any]:
        """The figures that count what went over the link, each at zero."""
        counted: dict[str, Any] = {name: 0 for name in _ZEROS if getattr(self, name) is not None}
        if self.counters is not None:
            counted["counters"] = {"all": dict(_COUNTER)}
        if self.port_counters:
            counted["port_counters"] = dict.fromkeys(self.port_counters, 0)
        return counted

    def connect(self, remote: str) -> None:
        """Bring the link up, leading to a device ("GPU1") or a switch (its bus id)."""
        self.active = True
        self.remote = remote

    def disconnect(self) -> None:
        """Take the link down."""
        self.active = False


#: What counts, from nothing.
_ZEROS = dict.fromkeys((name for name in NvLink.__slots__ if name.endswith(("errors", "x"))), 0)
_COUNTER: dict[str, Any] = {
    **dict.fromkeys(UtilizationCounter.__slots__, 0),
    **{"units": "BYTES", "packets": 0xFF, "frozen": False},
}


def nvlinks(table: dict[str, Any] | Sequence[Mapping[str, Any]]) -> list[NvLink]:
    """Return the links of the plan's table: the rows under ``links``, each with what is the same
    for all, or a list of whole rows."""
    if isinstance(table, dict):
        common = {"version": table.get("version"), "speed": table.get("speed")}
        return [_nvlink(common, row) for row in table.get("links", ())]
    return [_nvlink({}, row) for row in table]


def _nvlink(common: Mapping[str, Any], row: Mapping[str, Any]) -> NvLink:
    link = NvLink({**_ZEROS, **common, **row})
    if "active" not in row:
        link.active = link.remote is not None
    if link.version <= LAST_WITH_COUNTERS:
        given = list(row.get("counters") or ())[:2]
        given += [{}] * (2 - len(given))
        link.counters = [UtilizationCounter({**_COUNTER, **counter}) for counter in given]
    return link


def switch_bus_id(remote: str) -> str:
    """The bus id of a link's switch as NVML writes it: "00000000:05:00.0"."""
    if remote == "SWITCH":
        return UNSEEN
    domain, bus, slot = f"0:{remote}".removesuffix(".0").rsplit(":", 2)
    return f"{int(domain.rpartition(':')[2], 16):08X}:{bus.upper()}:{slot.upper()}.0"


def far_device(devices: Sequence[Device], device: Device, link: NvLink) -> Device | None:
    """The GPU that a link leads to, of all of the machine; None: no GPU, or the link is down."""
    return _end(devices, device, link) if link.active else None


def _end(devices: Sequence[Device], device: Device, link: NvLink) -> Device | None:
    remote = link.remote or ""
    if remote[:1] not in ("G", "P"):
        return None
    index = device.index ^ 1 if remote == "PAIR" else int(remote[3:])
    return devices[index] if index < len(devices) else None


def far_link(devices: Sequence[Device], device: Device, number: int) -> int:
    """The number that the far end gives to a link: the first of those to it is the first there.

    A switch's links are numbered by how many lead there before it, from this device on.
    """
    link = device.nvlinks[number]
    if link.remote_link is not None:
        return link.remote_link
    before = sum(other.remote == link.remote for other in device.nvlinks[:number])
    far = _end(devices, device, link)
    if far is None:
        return _port(devices, device, link) + before
    back = [n for n, other in enumerate(far.nvlinks) if _end(devices, far, other) is device]
    return back[before] if before < len(back) else number


def _port(devices: Sequence[Device], device: Device, link: NvLink) -> int:
    """How many links of the devices before this one lead to the same switch."""
    earlier = devices[: device.index]
    return sum(other.remote == link.remote for each in earlier for other in each.nvlinks)


def join_ends(devices: Sequence[Device], device: Device) -> None:
    """Have the links of other GPUs be up or down as this device's are at their other ends."""
    for number, link in enumerate(device.nvlinks):
        far = _end(devices, device, link)
        if far is None:
            continue
        place = far_link(devices, device, number)
        for back in far.nvlinks[place : place + 1]:
            if _end(devices, far, back) is device:  # not where a change has led one end elsewhere
                back.active = link.active
